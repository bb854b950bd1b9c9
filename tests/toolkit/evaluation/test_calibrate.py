"""Calibration keeps its promises: on simulated logits, and in the corners where there are few photos."""

from __future__ import annotations

import json

import numpy as np
import pytest

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition, Head
from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.evaluation.calibrate import LEAST_ANSWERS, fit_calibration, fit_scaling, fit_temperature, log_shares

TREE = Taxonomy.from_paths(
    ("category", "condition"),
    [("benign", "wart"), ("malignant", "melanoma"), ("malignant", "carcinoma"), ("other", "acne"), ("other", "eczema")],
)
COMPOSITION = Composition(
    TREE,
    (
        Head("root", None, tuple(node.id for node in TREE.at("category"))),
        Head("expert-malignant", "malignant", TREE.leaves_under("malignant")),
        Head("expert-other", "other", TREE.leaves_under("other")),
    ),
)


def simulate(count: int, seed: int, sharpness: float = 1.0) -> tuple[dict[str, np.ndarray], list[str]]:
    """Logits whose softmax is the true distribution, times `sharpness`; truths drawn from it."""
    stream = np.random.default_rng(seed)
    logits = {head.graph: stream.normal(0, 2, (count, len(head.labels))) for head in COMPOSITION.heads}
    nodes = Calibration().nodes(COMPOSITION, logits)
    of_leaves = nodes[:, COMPOSITION.columns("condition")]
    leaves = [TREE.leaves[stream.choice(len(TREE.leaves), p=row / row.sum())] for row in of_leaves]
    return {graph: values * sharpness for graph, values in logits.items()}, leaves


def measures(count: int) -> dict[str, np.ndarray]:
    return {"brightness": np.linspace(0, 200, count), "familiarity": np.linspace(-1, 1, count)}


def fit(count: int = 4000, seed: int = 0, sharpness: float = 1.0, **targets: object) -> Calibration:
    logits, leaves = simulate(count, seed, sharpness)
    return fit_calibration(COMPOSITION, logits, leaves, measures(count), **targets)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_over_and_underconfidence(sharpness: float):
    for temperature in fit(sharpness=sharpness).temperatures.values():
        assert temperature == pytest.approx(sharpness, rel=0.12)


def test_few_photos_move_the_temperature_little_and_none_not_at_all():
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, np.int64)) == 1.0
    assert 0.4 < fit_temperature(np.array([[9.0, 0.0, 0.0]]), np.array([0])) <= 1.0
    separable = fit_temperature(np.tile([9.0, 0.0], (500, 1)), np.zeros(500, np.int64))
    assert 1 / 8 <= separable < 1


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_prediction_sets_hold_the_truth_as_often_as_promised(coverage: float):
    """Averaged over many small calibration sets, coverage on new photos reaches the promise and hardly exceeds it."""
    held = []
    for seed in range(60):
        calibration = fit(79, seed, coverage=coverage)
        logits, leaves = simulate(400, 1000 + seed)
        nodes = calibration.nodes(COMPOSITION, logits)
        of_truth = nodes[np.arange(400), [COMPOSITION.column(leaf) for leaf in leaves]]
        held.append((of_truth >= calibration.sets["condition"]).mean())
    assert coverage - 0.012 < np.mean(held) < coverage + 0.03


def test_with_too_few_photos_the_prediction_set_holds_everything():
    calibration = fit(8, coverage=0.9)
    assert calibration.sets == {"category": 0.0, "condition": 0.0}


def test_answers_are_right_as_often_as_asked():
    logits, leaves = simulate(4000, 0)
    calibration = fit_calibration(COMPOSITION, logits, leaves, {}, answer_accuracy=0.85)
    new_logits, new_leaves = simulate(4000, 1)
    for each_logits, each_leaves, slack in ((logits, leaves, 1e-9), (new_logits, new_leaves, 0.03)):
        answers = calibration.answers(COMPOSITION, calibration.nodes(COMPOSITION, each_logits))
        for level in TREE.levels:
            deep = [
                (TREE.ancestor(answer, level), TREE.ancestor(leaf, level))
                for answer, leaf in zip(answers, each_leaves, strict=True)
                if answer is not None and TREE.levels.index(TREE.node(answer).level) >= TREE.levels.index(level)
            ]
            assert len(deep) > 300
            assert np.mean([answer == truth for answer, truth in deep]) >= 0.85 - slack


def test_an_accuracy_out_of_reach_leaves_the_level_unanswered():
    logits = {head.graph: np.zeros((40, len(head.labels))) for head in COMPOSITION.heads}
    leaves = [TREE.leaves[n % 5] for n in range(40)]
    calibration = fit_calibration(COMPOSITION, logits, leaves, {}, answer_accuracy=0.99)
    assert calibration.answer["category"] == 1.0
    assert set(calibration.answers(COMPOSITION, calibration.nodes(COMPOSITION, logits))) == {None}


def test_one_lucky_photo_is_no_proof():
    logits, leaves = simulate(200, 3)
    root = logits["root"]
    root[:] = 0.0
    root[0, 0], leaves[0] = 20.0, "wart"  # one certain and right photo, chance for the others
    calibration = fit_calibration(COMPOSITION, logits, leaves, {}, answer_accuracy=0.9)
    assert calibration.answer["category"] == 1.0
    assert LEAST_ANSWERS > 1


@pytest.mark.parametrize("sensitivity", [0.8, 0.9, 0.95, 1.0])
def test_refer_reaches_its_sensitivity_with_the_largest_threshold(sensitivity: float):
    logits, leaves = simulate(2000, 5)
    calibration = fit_calibration(COMPOSITION, logits, leaves, {}, refer_sensitivity=sensitivity)
    scores = calibration.nodes(COMPOSITION, logits)[:, COMPOSITION.column("malignant")]
    malignant = np.array([TREE.ancestor(leaf, "category") == "malignant" for leaf in leaves])
    referred = scores >= calibration.refer_threshold
    assert referred[malignant].mean() >= sensitivity
    # To refer one photo less that is not malignant, the threshold had to be above it, and missed too many that are.
    lowest_other = scores[~malignant & referred].min()
    assert (scores[malignant] > lowest_other).mean() < sensitivity


def test_refer_takes_what_is_free():
    logits = {"root": np.array([[0.0, level, 0.0] for level in (9, 8, 7, 6, -3, -4)])}
    logits |= {head.graph: np.zeros((6, 2)) for head in COMPOSITION.heads if head.given}
    leaves = ["melanoma"] * 4 + ["wart"] * 2
    calibration = fit_calibration(COMPOSITION, logits, leaves, {}, refer_sensitivity=0.5)
    scores = calibration.nodes(COMPOSITION, logits)[:, COMPOSITION.column("malignant")]
    assert (scores >= calibration.refer_threshold).tolist() == [True] * 4 + [False] * 2


def test_a_tree_without_the_node_refers_nobody_and_no_positives_leave_the_default():
    logits, leaves = simulate(50, 0)
    assert fit_calibration(COMPOSITION, logits, leaves, {}, refer_node="malign").refer_node is None
    assert fit_calibration(COMPOSITION, logits, leaves, {}, refer_node="").refer_node is None
    healthy = fit_calibration(COMPOSITION, logits, ["wart"] * 50, {})
    assert (healthy.refer_node, healthy.refer_threshold) == ("malignant", 0.5)


def test_quality_limits_are_the_outer_quantiles():
    limits = fit(1001).quality
    assert limits["brightness"] == (pytest.approx(1.0), pytest.approx(199.0))
    assert limits["familiarity"][0] == pytest.approx(-0.98)


def test_it_is_a_pure_function_and_survives_json():
    one = fit(300, fitted_on={"split": "calibration", "digest": "ab"})
    assert one == fit(300, fitted_on={"split": "calibration", "digest": "ab"})
    assert one.fitted_on == {"split": "calibration", "digest": "ab", "n": 300}
    assert Calibration.from_dict(one.to_dict()) == one


# --- A training that weighed rare labels ------------------------------------------------------------------------------


def bent(exponent: float, count: int, seed: int) -> tuple[dict[str, np.ndarray], list[str], dict[str, int]]:
    """What `simulate` gives, seen by a network whose training counted a photo of share s as s^-exponent photos."""
    logits, leaves = simulate(count, seed)
    counts = {leaf: 1 + leaves.count(leaf) * (1 + 9 * (place % 2)) for place, leaf in enumerate(TREE.leaves)}
    for head in COMPOSITION.heads:
        logits[head.graph] = logits[head.graph] - exponent * log_shares(head, COMPOSITION, counts)
    return logits, leaves, counts


def log_loss(calibration: Calibration, logits: dict[str, np.ndarray], leaves: list[str]) -> float:
    nodes = calibration.nodes(COMPOSITION, logits)
    return -np.log(nodes[np.arange(len(leaves)), [COMPOSITION.column(leaf) for leaf in leaves]]).mean()


@pytest.mark.parametrize("count", [60, 3000])
def test_offsets_undo_the_weights_of_the_training(count: int):
    logits, leaves, counts = bent(0.7, count, 2)
    offset = fit_calibration(COMPOSITION, logits, leaves, {}, prior_exponent=0.7, photos_by_leaf=counts)
    plain = fit_calibration(COMPOSITION, logits, leaves, {})
    new_logits, new_leaves = simulate(4000, 9)
    for head in COMPOSITION.heads:
        new_logits[head.graph] = new_logits[head.graph] - 0.7 * log_shares(head, COMPOSITION, counts)
    assert log_loss(offset, new_logits, new_leaves) < log_loss(plain, new_logits, new_leaves) - 0.02
    for exponent in offset.fitted_on["prior_exponents"].values():
        assert exponent == pytest.approx(0.7, abs=0.4 if count < 100 else 0.15)


def test_without_photos_the_exponent_is_the_configs_and_few_photos_move_it_little():
    shares = np.log([0.7, 0.2, 0.1])
    assert fit_scaling(np.zeros((0, 3)), np.zeros(0, np.int64), shares, 0.5) == (1.0, 0.5)
    logits = np.random.default_rng(0).normal(0, 1, (4, 3))
    assert fit_scaling(logits, np.array([0, 0, 1, 0]), shares, 0.5)[1] == pytest.approx(0.5, abs=0.2)


def test_a_training_that_weighed_nothing_gets_no_offsets():
    calibration = fit(200)
    assert calibration.offsets == {}
    assert "prior_exponents" not in calibration.fitted_on


def test_offsets_and_temperatures_survive_json():
    logits, leaves, counts = bent(0.5, 300, 1)
    one = fit_calibration(COMPOSITION, logits, leaves, {}, prior_exponent=0.5, photos_by_leaf=counts)
    assert Calibration.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    by_hand = np.exp((logits["root"] + one.offsets["root"]) / one.temperatures["root"])
    assert np.allclose(one.probabilities("root", logits["root"]), by_hand / by_hand.sum(axis=1, keepdims=True))
