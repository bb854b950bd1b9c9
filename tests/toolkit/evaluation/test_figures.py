"""The figures of predictions: against cases counted by hand, and in every corner where there are few photos."""

from __future__ import annotations

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
from sklearn import metrics as sk

from derm_sdk.calibration import Calibration
from derm_toolkit.evaluation import bootstrap
from derm_toolkit.evaluation.bootstrap import weight_blocks
from derm_toolkit.evaluation.figures import all_figures
from derm_toolkit.evaluation.predictions import Predictions
from derm_toolkit.evaluation.synonyms import Merge

from .cases import MALIGNANT, certain, predictions, random_case
from .test_calibrate import TREE

LEVELS = TREE.levels


def figures(asked: Predictions, replicates: int = 30, **more: object) -> dict:
    """All figures, through JSON, which knows no NaN."""
    return json.loads(json.dumps(all_figures(asked, replicates=replicates, **more), allow_nan=False))


def value(found: dict, level: str, figure: str) -> float:
    return found["all"]["levels"][level][figure]["value"]


def cells_in(found: object) -> list[dict]:
    if isinstance(found, dict):
        return [found] if "low" in found and "n" in found else [cell for each in found.values() for cell in cells_in(each)]
    return []


def test_a_table_counted_by_hand():
    """40 photos: 20 melanoma (15 right, 5 called carcinoma), 10 wart (all called acne), 10 acne (all right)."""
    leaves = ["melanoma"] * 20 + ["wart"] * 10 + ["acne"] * 10
    guesses = ["melanoma"] * 15 + ["carcinoma"] * 5 + ["acne"] * 20
    found = figures(predictions(certain(guesses), leaves))
    assert found["all"]["n"] == found["all"]["clusters"] == 40
    # Conditions that occur: melanoma, wart, acne. Carcinoma is guessed, but has no photo, so it is in no mean.
    assert value(found, "condition", "accuracy") == pytest.approx(25 / 40)
    assert value(found, "condition", "balanced_accuracy") == pytest.approx((15 / 20 + 0 + 1) / 3)
    assert value(found, "condition", "precision") == pytest.approx((1 + 0 + 10 / 20) / 3)
    f1 = {"melanoma": 2 * 15 / (20 + 15), "wart": 0, "acne": 2 * 10 / (10 + 20)}
    assert value(found, "condition", "macro_f1") == pytest.approx(sum(f1.values()) / 3)
    assert value(found, "condition", "weighted_f1") == pytest.approx((20 * f1["melanoma"] + 10 * f1["acne"]) / 40)
    assert value(found, "condition", "majority_accuracy") == 0.5
    assert value(found, "condition", "classes") == 3
    assert value(found, "condition", "log_loss") == pytest.approx(-(25 * np.log(0.9) + 15 * np.log(0.025)) / 40, rel=1e-5)
    wrong = (0.9**2 + 3 * 0.025**2 + (1 - 0.025) ** 2) * 15 / 40
    assert value(found, "condition", "brier") == pytest.approx(wrong + (0.1**2 + 4 * 0.025**2) * 25 / 40, rel=1e-5)
    assert value(found, "category", "accuracy") == 30 / 40
    # Malignant: every melanoma is referred (carcinoma is malignant too), nothing else is.
    refer = found["all"]["refer"]
    assert refer["positives"] == 20
    assert refer["sensitivity"]["value"] == refer["specificity"]["value"] == refer["auroc"]["value"] == 1.0
    assert refer["severe_errors"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 20}


def test_severe_errors_are_malignant_photos_called_otherwise_and_worse_when_not_referred():
    shares = certain(["melanoma"] * 24 + ["acne"] * 6 + ["acne"] * 20)
    shares[24:27] = [0.7 * (leaf == "acne") + 0.3 * (leaf == "carcinoma") for leaf in TREE.leaves]
    careful = dataclasses.replace(MALIGNANT, refer_threshold=0.2)
    refer = figures(predictions(shares, ["melanoma"] * 30 + ["acne"] * 20, calibration=careful))["all"]["refer"]
    assert refer["severe_errors"]["value"] == pytest.approx(6 / 30)
    assert refer["severe_errors_not_referred"]["value"] == pytest.approx(3 / 30)
    assert refer["severe_errors"]["n"] == 30


def test_calibration_is_judged_before_and_after():
    asked = random_case(400, 5)
    bent = dataclasses.replace(
        asked, uncalibrated=np.where(asked.probabilities > 0.5, 0.99, asked.probabilities / 2).astype("f4")
    )
    of_level = figures(bent)["all"]["levels"]["condition"]
    assert of_level["ece_uncalibrated"]["value"] > of_level["ece"]["value"] + 0.05
    assert of_level["log_loss_uncalibrated"]["value"] > of_level["log_loss"]["value"]
    assert of_level["brier_uncalibrated"]["value"] > of_level["brier"]["value"]


def test_figures_have_intervals_that_hold_them_and_that_widen_with_clusters():
    asked = random_case(300, 2)
    for cell in cells_in(figures(asked, 200)["all"]):
        if "corrected" not in cell:
            assert cell["low"] <= cell["value"] <= cell["high"]
    widths = []
    for units in (np.arange(300) // 10, np.arange(300)):
        copies = dataclasses.replace(random_case(300, 2), unit=units.astype(str))
        same = np.repeat(np.arange(0, 300, 10), 10)
        copies = dataclasses.replace(
            copies,
            **{name: getattr(copies, name)[same] for name in ("truth", "probabilities", "uncalibrated", "answer", "refer")},
        )
        cell = figures(copies, 200)["all"]["levels"]["category"]["accuracy"]
        widths.append(cell["high"] - cell["low"])
    assert widths[0] > 2 * widths[1]


def test_prediction_sets_and_answers_are_those_of_the_sdk():
    calibration = Calibration(sets={"category": 0.3, "condition": 0.2}, answer={"category": 0.6, "condition": 0.5})
    asked = random_case(200, 8, calibration=calibration)
    found = figures(asked)
    assert "refer" in found["all"]  # a node named malignant; but nothing is referred
    assert "sensitivity" not in found["all"]["refer"]
    for level in LEVELS:
        shares = asked.probabilities[:, asked.columns(level)]
        truth = asked.true_classes(level)
        sets = [set(np.flatnonzero(row >= np.float32(calibration.sets[level]))) | {int(row.argmax())} for row in shares]
        assert value(found, level, "set_size") == pytest.approx(np.mean([len(each) for each in sets]))
        assert value(found, level, "set_coverage") == pytest.approx(
            np.mean([true in each for true, each in zip(truth, sets, strict=True)])
        )
    given = asked.answer != ""
    assert value(found, "category", "answered") == pytest.approx(given.mean())
    deep = np.isin(asked.answer, TREE.leaves)
    assert value(found, "condition", "answered_accuracy") == pytest.approx((asked.answer == asked.leaf)[deep].mean())
    assert found["all"]["levels"]["condition"]["answered_accuracy"]["n"] == deep.sum()


def test_merged_conditions_add_their_probabilities_and_any_of_their_labels_is_right():
    merge = [Merge("skin cancer", ("melanoma", "carcinoma"), "for the test"), Merge("x", ("wart", "acne"), "never")]
    asked = random_case(300, 4)
    found = figures(asked, synonyms=merge)
    assert found["merged_labels"] == {"skin cancer": ["carcinoma", "melanoma"]}  # wart and acne are of two categories
    shares, truth = asked.probabilities[:, asked.columns("condition")].astype(float), asked.true_classes("condition")
    first, second = sorted((TREE.leaves.index("carcinoma"), TREE.leaves.index("melanoma")))
    shares[:, first] += shares[:, second]
    shares[:, second] = -1
    truth = np.where(truth == second, first, truth)
    assert found["all"]["merged"]["accuracy"]["value"] == pytest.approx((shares.argmax(axis=1) == truth).mean())
    assert found["all"]["merged"]["macro_f1"]["value"] == pytest.approx(
        sk.f1_score(truth, shares.argmax(axis=1), average="macro")
    )
    assert found["all"]["merged"]["classes"]["value"] == 4
    assert "merged" not in figures(asked)["all"]


def test_skin_types_have_their_own_figures_and_small_cells_only_n():
    leaves = ["melanoma"] * 25 + ["wart"] * 19 + ["acne"] * 30
    asked = predictions(certain(["melanoma"] * 44 + ["acne"] * 30), leaves, skin_types=[1] * 25 + [6] * 19 + [0] * 30)
    found = figures(asked)["skin_types"]
    assert list(found) == ["1", "2", "3", "4", "5", "6", "unknown"]
    assert found["1"]["levels"]["condition"]["accuracy"]["value"] == 1.0
    assert found["unknown"]["n"] == 30
    assert found["unknown"]["refer"]["sensitivity"] is None
    assert found["6"] == {"n": 19}
    assert found["3"] == {"n": 0}


def test_a_figure_about_fewer_than_20_photos_gives_their_number_instead():
    refer = figures(predictions(certain(["melanoma"] * 40), ["melanoma"] * 19 + ["acne"] * 21))["all"]["refer"]
    assert refer["sensitivity"] == refer["severe_errors"] == refer["sensitivity_at_90"] == {"n": 19}
    assert refer["specificity"]["value"] == 0.0
    assert refer["auroc"]["value"] == 0.5


def test_the_gap_is_that_between_the_best_and_the_worst_type_of_20_photos():
    right = {1: 25, 2: 20, 4: 15, 5: 1}
    photos = {1: 30, 2: 30, 4: 30, 5: 19}
    guesses, types = [], []
    for number, count in photos.items():
        guesses += ["acne"] * right[number] + ["wart"] * (count - right[number])
        types += [number] * count
    found = figures(predictions(certain(guesses), ["acne"] * len(types), skin_types=types), 200)["gaps"]
    gap = found["condition"]["accuracy"]
    assert gap["value"] == pytest.approx(10 / 30)
    assert (gap["best"], gap["worst"], gap["types"], gap["n"]) == ("1", "4", ["1", "2", "4"], 90)
    assert gap["low"] > 0
    assert gap["by_chance"]["high"] < gap["value"]
    assert found["refer"]["sensitivity"] is None


def test_a_gap_of_a_model_to_which_all_types_are_alike_is_no_larger_than_by_chance():
    gap = figures(random_case(900, 11), 50)["gaps"]["condition"]["accuracy"]
    assert gap["by_chance"]["low"] < gap["value"] < gap["by_chance"]["high"]


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(predictions(certain([]).reshape(0, 5), []), id="no photo"),
        pytest.param(random_case(1, 0), id="one photo"),
        pytest.param(random_case(40, 0, skin_types=[3] * 40), id="one skin type"),
        pytest.param(random_case(60, 1, skin_types=[0] * 60), id="no skin type known"),
        pytest.param(predictions(certain(["acne"] * 30), ["acne"] * 30), id="one class, all right"),
        pytest.param(
            predictions(certain(["acne"] * 30), ["melanoma"] * 30, skin_types=[1, 6] * 15), id="malignant only, all wrong"
        ),
        pytest.param(random_case(120, 2, units=["a"] * 120), id="all photos one group"),
        pytest.param(predictions(certain(["acne"] * 45), [""] * 25 + ["acne"] * 20), id="some labels unknown"),
        pytest.param(predictions(certain(["acne"] * 45), [""] * 45), id="no label known"),
    ],
)
def test_every_corner_gives_figures_without_nan(asked: Predictions):
    found = figures(asked, 20)
    assert found["all"]["n"] == len(asked)
    for cell in cells_in(found):
        assert np.isfinite([cell["value"], cell["low"], cell["high"]]).all()


def test_a_level_is_judged_on_the_photos_whose_node_there_is_known():
    asked = random_case(80, 6)
    truth = asked.truth.copy()
    truth[:50, 1] = ""  # the condition is foreign, the category is not
    found = figures(dataclasses.replace(asked, truth=truth))["all"]
    assert found["n"] == found["levels"]["category"]["n"] == found["refer"]["n"] == 80
    assert found["levels"]["condition"]["n"] == found["levels"]["condition"]["accuracy"]["n"] == 30
    alone = figures(asked.take(np.arange(50, 80)))["all"]["levels"]["condition"]
    assert found["levels"]["condition"]["accuracy"]["value"] == alone["accuracy"]["value"]
    truth[:65, 1] = ""
    assert figures(dataclasses.replace(asked, truth=truth))["all"]["levels"]["condition"] == {"n": 15}


def test_figures_do_not_depend_on_the_blocks_of_the_bootstrap(monkeypatch: pytest.MonkeyPatch):
    asked = random_case(90, 3, units=[str(n // 2) for n in range(90)])
    whole = figures(asked, 60)["all"]
    monkeypatch.setattr(bootstrap, "weight_blocks", partial(weight_blocks, block_bytes=9 * 90 * 8))
    for one, other in zip(cells_in(whole), cells_in(figures(asked, 60)["all"]), strict=True):
        assert one == pytest.approx(other, abs=1e-12)
