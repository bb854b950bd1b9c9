"""Risk and coverage: equal to counting photo by photo, whatever the order, the ties and the weights."""

from __future__ import annotations

import numpy as np
import pytest

from derm_toolkit.evaluation.selective import SelectiveRisk, risk_coverage


def counted_area(confidence: np.ndarray, right: np.ndarray) -> float:
    """The mean over n of the error among the n surest photos, when no two are equally sure."""
    wrong = ~right[np.argsort(-confidence)]
    return float(np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1)))


def photos(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.default_rng(seed)
    confidence = stream.random(count)
    return confidence, stream.random(count) < confidence


def test_the_area_is_the_mean_risk_over_all_numbers_of_answers():
    confidence, right = photos(80)
    assert SelectiveRisk(confidence, right).area(np.ones((1, 80)))[0] == pytest.approx(counted_area(confidence, right))


def test_equally_sure_photos_count_as_in_random_order():
    stream = np.random.default_rng(1)
    confidence, right = np.round(stream.random(40), 1), stream.random(40) < 0.6
    shuffled = [counted_area(confidence + 1e-6 * stream.random(40), right) for _ in range(4000)]
    measure = SelectiveRisk(confidence, right)
    assert measure.area(np.ones((1, 40)))[0] == pytest.approx(np.mean(shuffled), abs=2e-3)
    order = stream.permutation(40)
    other = SelectiveRisk(confidence[order], right[order])
    assert other.area(np.ones((1, 40)))[0] == pytest.approx(measure.area(np.ones((1, 40)))[0])


def test_a_weight_of_two_is_the_photo_twice():
    confidence, right = photos(30, 2)
    times = np.random.default_rng(3).integers(0, 4, 30)
    measure, twice = SelectiveRisk(confidence, right), SelectiveRisk(np.repeat(confidence, times), np.repeat(right, times))
    weights, once = times[None].astype(float), np.ones((1, times.sum()))
    assert measure.area(weights) == pytest.approx(twice.area(once))
    shares = np.linspace(0.05, 1, 20)
    assert measure.risk(weights, shares) == pytest.approx(twice.risk(once, shares))


def test_the_curve_ends_in_the_error_of_all_answers_and_sure_errors_are_worse_than_unsure_ones():
    confidence, right = photos(200)
    probabilities = np.column_stack([confidence / 2 + 0.5, 0.5 - confidence / 2])
    truth = np.where(right, 0, 1)
    found = risk_coverage(probabilities, truth, [str(n) for n in range(200)], points=20, replicates=50)
    assert found.coverage[-1] == 1.0 and found.risk[-1] == pytest.approx((~right).mean())
    assert found.risk[4] < found.risk[-1]
    assert (found.low <= found.risk + 1e-9).mean() > 0.9 and (found.risk <= found.high + 1e-9).mean() > 0.9
    assert found.aurc["low"] < found.aurc["value"] < found.aurc["high"] and found.aurc["n"] == 200
    upside_down = SelectiveRisk(-confidence, right).area(np.ones((1, 200)))[0]
    assert upside_down > found.aurc["value"]
    assert len(found.to_dict()["risk"]) == 20


def test_all_right_is_no_risk_and_one_photo_is_enough():
    assert SelectiveRisk(np.array([0.7]), np.array([True])).area(np.ones((1, 1)))[0] == 0.0
    assert SelectiveRisk(np.array([0.7]), np.array([False])).area(np.ones((1, 1)))[0] == 1.0
