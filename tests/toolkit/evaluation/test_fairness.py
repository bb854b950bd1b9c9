"""Fairness measures against their formulas written out in loops, and with cells that are empty."""

from __future__ import annotations

import numpy as np
import pytest

from derm_toolkit.evaluation.chance import deal
from derm_toolkit.evaluation.fairness import FairnessMeasure
from derm_toolkit.evaluation.predictions import Predictions

from .cases import certain, predictions, random_case
from .test_calibrate import TREE


def measured(asked: Predictions, level: str = "condition") -> dict[str, float]:
    return {name: values[0] for name, values in FairnessMeasure(asked, level)(np.ones((1, len(asked)))).items()}


def by_loops(asked: Predictions, level: str, least: int = 5) -> dict[str, float]:
    """The six formulas, cell by cell; needs types 1 to 6 with 20 photos each."""
    truth = asked.true_classes(level)
    guess = asked.probabilities[:, asked.columns(level)].argmax(axis=1)
    types = asked.skin_type
    groups = [types == number for number in range(1, 7)]
    accuracies = [(truth == guess)[group].mean() for group in groups]
    called, found, positives, negatives = [], [], [], []
    for each in range(len(asked.columns(level))):
        shares = [(guess[group] == each).mean() for group in groups]
        if max(shares) > 0:
            called.append(min(shares) / max(shares))
        cells = [group & (truth == each) for group in groups]
        hits = [(guess[cell] == each).mean() for cell in cells if cell.sum() >= least]
        if len(hits) >= 2 and max(hits) > 0:
            found.append(min(hits) / max(hits))
        sides = (types >= 1) & (types <= 3), types >= 4
        if all((side & (truth == each)).sum() >= least for side in sides):
            true = [(guess[side & (truth == each)] == each).mean() for side in sides]
            false = [(guess[side & (truth != each)] == each).mean() for side in sides]
            positives.append(abs(true[0] - true[1]))
            negatives.append(abs(false[0] - false[1]))
    return {
        "pqd": min(accuracies) / max(accuracies),
        "dpm": np.mean(called),
        "eom": np.mean(found),
        "eopp0": np.mean(negatives),
        "eopp1": np.mean(positives),
        "eodd": (np.mean(positives) + np.mean(negatives)) / 2,
    }


@pytest.mark.parametrize("level", TREE.levels)
def test_measures_equal_their_formulas_in_loops(level: str):
    asked = random_case(400, 7)
    assert measured(asked, level) == pytest.approx(by_loops(asked, level))


def test_a_model_that_treats_all_types_alike_is_fair():
    leaves = [leaf for leaf in TREE.leaves for _ in range(6)] * 6
    found = measured(predictions(certain(leaves), leaves, skin_types=np.repeat(np.arange(1, 7), 30)))
    assert found == {"pqd": 1, "dpm": 1, "eom": 1, "eopp0": 0, "eopp1": 0, "eodd": 0}


def test_opposite_differences_do_not_cancel():
    """Light skin: acne always found, wart never; dark skin: the other way round."""
    leaves = ["acne"] * 10 + ["wart"] * 10
    guesses = ["acne"] * 20 + ["wart"] * 20
    found = measured(predictions(certain(guesses), leaves * 2, skin_types=[2] * 20 + [5] * 20))
    assert (found["eopp0"], found["eopp1"], found["eodd"]) == (1, 1, 1)
    assert found["pqd"] == 1
    assert found["eom"] == found["dpm"] == 0


def test_what_the_mask_drops_is_told():
    leaves = ["acne"] * 20 + ["wart"] * 4 + ["acne"] * 20 + ["melanoma"] * 19
    asked = predictions(certain(leaves), leaves, skin_types=[1] * 24 + [4] * 20 + [6] * 19)
    measure = FairnessMeasure(asked, "condition")
    told = measure.told(None, {})
    assert told["types"] == ["1", "4"]  # type 6 has 19 photos
    assert told["cells"] == {"all": 6, "empty": 3, "few": 1, "used_by_eom": 2}  # acne, melanoma and wart, in two types
    assert told["classes"] == {"all": 3, "used_by_eom": 1, "used_by_eopp": 1}
    assert told["eom"] is None
    assert measured(asked)["eom"] == 1


def test_with_one_type_or_one_side_nothing_is_compared():
    assert np.isnan(list(measured(random_case(60, 1, skin_types=[2] * 60)).values())).all()
    light = measured(random_case(90, 1, skin_types=[1, 2, 3] * 30))
    assert np.isnan([light["eopp0"], light["eopp1"], light["eodd"]]).all()
    assert 0 < light["pqd"] < 1


def test_dealing_keeps_the_number_of_each_type_and_mostly_the_groups_together():
    types = np.array([0] * 5 + [1] * 40 + [5] * 20 + [6] * 20, np.int8)
    groups = [str(n // 5) for n in range(85)]
    deals = [np.concatenate(blocks) for blocks in zip(*deal(types, groups, 30, seed=2), strict=True)]
    assert [len(of_type) for of_type in deals] == [30] * 6
    assert [set(of_type.sum(axis=1)) for of_type in deals] == [{40}, {0}, {0}, {0}, {20}, {20}]
    assert not any(of_type[:, :5].any() for of_type in deals)  # unknown stays unknown
    assert len({row.tobytes() for row in deals[0]}) > 25
    together = deals[0][:, 5:].reshape(30, 16, 5)
    assert (together.min(axis=2) == together.max(axis=2)).all()
