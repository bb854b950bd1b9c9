"""Figures against cases small enough to count by hand."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest

from derm_sdk.calibration import Calibration
from derm_toolkit.evaluation import metrics
from derm_toolkit.evaluation.bootstrap import weight_blocks
from derm_toolkit.evaluation.metrics import Answers, evaluate, expected_calibration_error, figures, point_scores

from .test_calibrate import COMPOSITION, TREE, simulate


def answers(guesses: list[str], leaves: list[str], certainty: float = 0.9, **more: object) -> Answers:
    """Answers that give `certainty` to the guessed leaf and the rest to the others, evenly."""
    of_leaves = np.full((len(leaves), len(TREE.leaves)), (1 - certainty) / (len(TREE.leaves) - 1))
    for row, guess in enumerate(guesses):
        of_leaves[row, TREE.leaves.index(guess)] = certainty
    nodes = np.zeros((len(leaves), len(TREE.nodes)))
    for place, leaf in enumerate(TREE.leaves):
        for level in TREE.levels:
            nodes[:, COMPOSITION.column(TREE.ancestor(leaf, level))] += of_leaves[:, place]
    defaults = {
        "calibration": Calibration(refer_node="malignant", refer_threshold=0.5),
        "skin_types": [None] * len(leaves),
        "clusters": [str(n) for n in range(len(leaves))],
    }
    return Answers(composition=COMPOSITION, nodes=nodes, leaves=leaves, **{**defaults, **more})


def members(calibration: Calibration, row: np.ndarray, level: str) -> set[str]:
    """The prediction set: what reaches the level's threshold, and always the best."""
    of_nodes = {node.id: row[COMPOSITION.column(node.id)] for node in TREE.at(level)}
    enough = {node for node, probability in of_nodes.items() if probability >= calibration.sets[level]}
    return enough | {max(of_nodes, key=lambda node: of_nodes[node])}


def value(found: dict, level: str, metric: str) -> float:
    return found["all"]["levels"][level][metric]["value"]


def test_a_table_counted_by_hand():
    """40 photos: 20 melanoma (15 right, 5 called carcinoma), 10 wart (all called acne), 10 acne (all right)."""
    leaves = ["melanoma"] * 20 + ["wart"] * 10 + ["acne"] * 10
    guesses = ["melanoma"] * 15 + ["carcinoma"] * 5 + ["acne"] * 20
    found = evaluate(answers(guesses, leaves), replicates=50)
    assert found["all"]["n"] == found["all"]["clusters"] == 40
    # Conditions that occur: melanoma, wart, acne. Carcinoma is guessed, but has no photo, so it is in no mean.
    assert value(found, "condition", "accuracy") == pytest.approx(25 / 40)
    assert value(found, "condition", "balanced_accuracy") == pytest.approx((15 / 20 + 0 + 1) / 3)
    assert value(found, "condition", "recall") == value(found, "condition", "balanced_accuracy")
    assert value(found, "condition", "precision") == pytest.approx((1 + 0 + 10 / 20) / 3)
    f1 = {"melanoma": 2 * 15 / (20 + 15), "wart": 0, "acne": 2 * 10 / (10 + 20)}
    assert value(found, "condition", "macro_f1") == pytest.approx(sum(f1.values()) / 3)
    assert value(found, "condition", "weighted_f1") == pytest.approx((20 * f1["melanoma"] + 10 * f1["acne"]) / 40)
    assert value(found, "condition", "majority_accuracy") == 0.5
    assert value(found, "condition", "classes") == 3
    log_loss = -(25 * np.log(0.9) + 15 * np.log(0.025)) / 40
    assert value(found, "condition", "log_loss") == pytest.approx(log_loss)
    assert value(found, "category", "accuracy") == 30 / 40
    # Malignant: every melanoma is referred (carcinoma is malignant too), nothing else is.
    refer = found["all"]["refer"]
    assert refer["positives"] == 20
    assert refer["sensitivity"]["value"] == refer["specificity"]["value"] == refer["auroc"]["value"] == 1.0


def test_intervals_hold_the_value_and_widen_with_clusters():
    logits, leaves = simulate(300, 2)
    nodes = Calibration().nodes(COMPOSITION, logits)
    plain = Answers(COMPOSITION, Calibration(), nodes, leaves, [None] * 300, [str(n) for n in range(300)])
    found = evaluate(plain)
    for level in TREE.levels:
        for metric, cell in found["all"]["levels"][level].items():
            if "low" in cell:
                assert cell["low"] <= cell["value"] <= cell["high"], metric
    copies = np.repeat(np.arange(75), 4)
    wide = evaluate(dataclasses.replace(plain.only(copies), clusters=[str(n) for n in copies]))
    narrow = evaluate(dataclasses.replace(plain.only(copies), clusters=[str(n) for n in range(300)]))
    widths = [
        each["all"]["levels"]["category"]["accuracy"]["high"] - each["all"]["levels"]["category"]["accuracy"]["low"]
        for each in (wide, narrow)
    ]
    assert widths[0] > 1.5 * widths[1]


def test_skin_types_have_their_own_figures_and_small_cells_only_n():
    leaves = ["melanoma"] * 25 + ["wart"] * 19 + ["acne"] * 30
    guesses = ["melanoma"] * 44 + ["acne"] * 30
    types = [1] * 25 + [6] * 19 + [None] * 30
    found = evaluate(answers(guesses, leaves, skin_types=types), replicates=20)["skin_types"]
    assert list(found) == ["1", "2", "3", "4", "5", "6", "unknown"]
    assert found["1"]["levels"]["condition"]["accuracy"]["value"] == 1.0
    assert found["unknown"]["n"] == 30
    assert found["6"] == {"n": 19}
    assert found["3"] == {"n": 0}


def test_a_group_with_malignant_photos_only_has_no_auroc_and_no_specificity():
    found = evaluate(answers(["melanoma"] * 20, ["melanoma"] * 20), replicates=20)["all"]["refer"]
    assert found["auroc"] is None
    assert found["specificity"] is None
    assert found["sensitivity"]["value"] == 1.0


def test_the_calibration_error_of_two_bins_counted_by_hand():
    confidence = np.array([0.95] * 10 + [0.55] * 10)
    right = np.array([True] * 8 + [False] * 2 + [True] * 6 + [False] * 4)
    error = expected_calibration_error(confidence, right, np.ones((1, 20)))[0]
    assert error == pytest.approx((abs(9.5 - 8) + abs(5.5 - 6)) / 20)
    assert expected_calibration_error(np.array([1.0]), np.array([True]), np.ones((1, 1)))[0] == 0.0


def test_prediction_sets_and_answers_are_those_of_the_sdk():
    logits, leaves = simulate(200, 8)
    calibration = Calibration(sets={"category": 0.2, "condition": 0.1}, answer={"category": 0.6, "condition": 0.5})
    nodes = calibration.nodes(COMPOSITION, logits)
    clusters = [str(n) for n in range(200)]
    found = evaluate(Answers(COMPOSITION, calibration, nodes, leaves, [None] * 200, clusters), replicates=9)
    for level in TREE.levels:
        sets = [members(calibration, row, level) for row in nodes]
        held = [TREE.ancestor(leaf, level) in each for leaf, each in zip(leaves, sets, strict=True)]
        assert value(found, level, "set_coverage") == pytest.approx(np.mean(held))
        assert value(found, level, "set_size") == pytest.approx(np.mean([len(each) for each in sets]))
    said = calibration.answers(COMPOSITION, nodes)
    assert value(found, "category", "answered") == pytest.approx(np.mean([each is not None for each in said]))
    deep = [(a, b) for a, b in zip(said, leaves, strict=True) if a in TREE.leaves]
    assert value(found, "condition", "answered_accuracy") == pytest.approx(np.mean([a == b for a, b in deep]))


def test_a_perfect_guess_scores_one():
    assert set(point_scores(np.array([0, 1, 1]), np.array([0, 1, 1])).values()) == {1.0}


def test_figures_do_not_depend_on_the_blocks_of_the_bootstrap(monkeypatch: pytest.MonkeyPatch):
    logits, leaves = simulate(90, 3)
    nodes = Calibration().nodes(COMPOSITION, logits)
    calibration = Calibration(refer_node="malignant")
    asked = Answers(COMPOSITION, calibration, nodes, leaves, [None] * 90, [str(n // 2) for n in range(90)])
    whole = figures(asked, replicates=100, seed=1)
    monkeypatch.setattr(metrics, "weight_blocks", partial(weight_blocks, block_bytes=9 * 90 * 8))
    in_blocks = figures(asked, replicates=100, seed=1)
    for level in TREE.levels:
        assert in_blocks["levels"][level].keys() == whole["levels"][level].keys()
        for name, cell in whole["levels"][level].items():
            assert in_blocks["levels"][level][name] == pytest.approx(cell, abs=1e-12), name
    assert in_blocks["refer"]["auroc"] == pytest.approx(whole["refer"]["auroc"])
