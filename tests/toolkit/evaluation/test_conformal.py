"""Prediction sets measured: as the device makes them, against the promise, for each skin type."""

from __future__ import annotations

import numpy as np
import pytest

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition, Head
from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.evaluation.calibrate import set_thresholds
from derm_toolkit.evaluation.conformal import coverage_report, prediction_sets

TREE = Taxonomy.from_paths(
    ("category", "condition"), [("benign", "wart"), ("malignant", "melanoma"), ("malignant", "carcinoma"), ("other", "acne")]
)
COMPOSITION = Composition(TREE, (Head("all", None, TREE.leaves),))


def simulate(count: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, list[str]]:
    """Probabilities of all nodes and true leaves; with `shift`, the model is wrong about half of the photos."""
    stream = np.random.default_rng(seed)
    logits = stream.normal(0, 2, (count, 4))
    shares = Calibration().probabilities("all", logits)
    leaves = [TREE.leaves[stream.choice(4, p=row)] for row in shares]
    logits[count // 2 :, 0] += shift
    return Calibration().nodes(COMPOSITION, {"all": logits}), leaves


def truths(leaves: list[str]) -> dict[str, np.ndarray]:
    places = {level: [node.id for node in TREE.at(level)] for level in TREE.levels}
    return {level: np.array([ids.index(TREE.ancestor(leaf, level)) for leaf in leaves]) for level, ids in places.items()}


def report(nodes: np.ndarray, leaves: list[str], sets: dict[str, float], types: list[int | None]) -> dict:
    units = [str(n) for n in range(len(leaves))]
    return coverage_report(TREE, nodes, truths(leaves), sets, 0.9, types, units, replicates=200)


def test_a_set_holds_what_reaches_the_threshold_and_always_the_likeliest():
    sets = prediction_sets(np.array([[0.5, 0.3, 0.2], [0.1, 0.15, 0.05]]), 0.2)
    assert sets.tolist() == [[True, True, True], [False, True, False]]


@pytest.mark.parametrize(("count", "coverage"), [(99, 0.9), (100, 0.9), (345, 0.8), (345, 0.95), (20, 0.95)])
def test_thresholds_are_the_textbooks_quantile_of_one_minus_the_truths_probability(count: int, coverage: float):
    """The ceil((n + 1) * coverage)-th smallest score: Angelopoulos and Bates 2021, "A Gentle Introduction", section 1."""
    nodes, leaves = simulate(count, 5)
    scores = 1 - nodes[np.arange(count), [COMPOSITION.column(leaf) for leaf in leaves]]
    share = np.ceil(np.round((count + 1) * coverage, 9)) / count
    quantile = np.quantile(scores, share, method="inverted_cdf")
    assert set_thresholds(COMPOSITION, nodes, leaves, coverage)["condition"] == pytest.approx(1 - quantile)


def test_sets_fitted_here_keep_their_promise_and_say_how_large_they_are():
    fitted, leaves = simulate(2000, 0)
    sets = set_thresholds(COMPOSITION, fitted, leaves, 0.9)
    nodes, leaves = simulate(3000, 1)
    found = report(nodes, leaves, sets, [None] * 3000)["condition"]
    everybody = found["all"]
    assert everybody["coverage"]["value"] == pytest.approx(0.9, abs=0.02)
    assert everybody["coverage"]["low"] < everybody["coverage"]["value"] < everybody["coverage"]["high"]
    assert sum(everybody["sizes"].values()) == 3000
    mean = sum(int(size) * count for size, count in everybody["sizes"].items()) / 3000
    assert everybody["size"]["value"] == pytest.approx(mean)
    assert found["skin_types"]["unknown"] == everybody and found["skin_types"]["3"] == {"n": 0}


def test_a_group_for_which_the_promise_is_broken_is_told():
    fitted, leaves = simulate(2000, 0)
    sets = set_thresholds(COMPOSITION, fitted, leaves, 0.9)
    nodes, leaves = simulate(2000, 1, shift=8.0)
    types: list[int | None] = [1] * 1000 + [6] * 990 + [5] * 10
    groups = report(nodes, leaves, sets, types)["condition"]["skin_types"]
    assert groups["1"]["coverage"]["value"] > 0.86
    assert groups["6"]["kept"] is False and groups["6"]["coverage"]["high"] < 0.9
    assert groups["5"] == {"n": 10}


def test_photos_of_unknown_truth_are_left_out():
    nodes, leaves = simulate(100, 0)
    truth = truths(leaves)
    truth["condition"][:40] = -1
    found = coverage_report(TREE, nodes, truth, {}, 0.9, [None] * 100, [str(n) for n in range(100)], replicates=20)
    assert found["condition"]["all"]["n"] == 60 and found["category"]["all"]["n"] == 100
    assert found["condition"]["all"]["coverage"]["value"] == 1.0  # without a threshold a set holds everything
