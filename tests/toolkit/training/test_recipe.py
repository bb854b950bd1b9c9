"""The arithmetic of the recipe against its definitions."""

from __future__ import annotations

import numpy as np
import pytest

from derm_toolkit.training.feed import batches_in_order, shuffled_batches
from derm_toolkit.training.recipe import MovingAverage, class_weights, learning_rate, smoothed_targets


def test_the_learning_rate_rises_linearly_and_falls_as_half_a_cosine():
    rates = [learning_rate(step, 100, 10, 0.5) for step in range(100)]
    assert np.allclose(rates[:10], 0.05 * np.arange(1, 11))
    assert rates[10] == 0.5
    assert rates[55] == pytest.approx(0.25)
    assert all(np.diff(rates[10:]) < 0)
    assert 0 < rates[99] < 0.001
    assert learning_rate(0, 1, 0, 0.5) == 0.5
    assert learning_rate(0, 1, 5, 0.5) == 0.1


def test_smoothed_targets_add_up_to_one():
    targets = smoothed_targets(np.array([2, 0]), 4, 0.2)
    assert np.allclose(targets, [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]])
    assert targets.dtype == np.float32


def test_class_weights_are_the_power_of_the_mean_over_the_number():
    classes = np.repeat([0, 1], [30, 10])
    assert np.allclose(class_weights(classes, 2, 0.0), 1)
    equal_sums = class_weights(classes, 2, 1.0)
    assert equal_sums[0] * 30 == pytest.approx(equal_sums[1] * 10)
    for power in (0.5, 1.0):
        weights = class_weights(classes, 2, power)
        assert weights[1] / weights[0] == pytest.approx(3**power)
        assert weights[classes].mean() == pytest.approx(1)


@pytest.mark.parametrize(("count", "size"), [(1, 8), (2, 8), (9, 8), (17, 8), (100, 32), (3, 2)])
def test_an_epoch_has_every_photo_once_in_batches_of_nearly_one_size(count: int, size: int):
    for batches in (shuffled_batches(count, size, np.random.default_rng(0)), batches_in_order(count, size)):
        assert sorted(np.concatenate(batches)) == list(range(count))
        sizes = [len(batch) for batch in batches]
        assert max(sizes) - min(sizes) <= 1
    shuffled = [len(batch) for batch in shuffled_batches(count, size, np.random.default_rng(0))]
    assert min(shuffled) > 1 or count == 1


def test_the_moving_average_forgets_its_start_and_follows_the_decay():
    import keras

    weight = keras.Variable(np.zeros(2, np.float32))
    average, expected = MovingAverage([weight], 0.9), np.zeros(2)
    for step in range(1, 401):
        weight.assign(np.full(2, step, np.float32))
        average.step(step)
        if step % MovingAverage.EVERY == 0:
            updates = step // MovingAverage.EVERY
            decay = min(0.9**MovingAverage.EVERY, updates / (updates + 9))
            expected = expected * decay + step * (1 - decay)
    assert np.allclose(average.arrays()[0], expected, rtol=1e-5)
    other = MovingAverage([weight], 0.9)
    other.restore(average.arrays(), average.updates)
    for each in (average, other):
        each.step(404)
    assert np.array_equal(average.arrays()[0], other.arrays()[0])
