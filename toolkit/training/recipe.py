"""The arithmetic of a training recipe: learning rate, targets, class weights, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]


def derived_seed(seed: int, graph: str, epoch: int | None = None) -> int:
    """A seed of its own for a network's weights (no epoch), or for the order and dropout of one of its epochs.

    Args:
        seed: of the training.
        graph: id of the network.
        epoch: 0 or more.
    Returns:
        0..2**32 - 1.
    """
    words = (seed, 0 if epoch is None else epoch + 1, *graph.encode())
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def learning_rate(step: int, steps: int, warmup: int, peak: float, schedule: str = "cosine") -> float:
    """A linear rise over `warmup` steps, then half a cosine down to 0 at `steps`, or constant: a pure function of the step.

    Example:
        >>> [round(learning_rate(step, 10, 2, 1.0), 3) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return (
        peak if schedule == "constant" else peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    )


def smoothed_targets(classes: NDArray[np.int64], count: int, smoothing: float) -> Floats32:
    """One-hot targets with `smoothing` of their mass spread over all labels, float32 [N, count]."""
    return ((1 - smoothing) * np.eye(count)[classes] + smoothing / count).astype(np.float32)


def class_weights(classes: NDArray[np.int64], count: int, power: float) -> Floats32:
    """A weight per class, (mean n / n)^power, scaled so that the mean over all photos is 1.

    Args:
        classes: int [N], the class of each training photo; each class occurs.
        count: number of classes.
        power: 0 for equal weights, 1 for equal sums per class.
    Returns:
        float32 [count].
    """
    numbers = np.bincount(classes, minlength=count)
    weights = (numbers.mean() / numbers) ** power
    return np.asarray(weights / weights[classes].mean(), np.float32)


def log_shares(classes: NDArray[np.int64], count: int) -> Floats32:
    """The logarithm of each class's share of the photos, float32 [count]; each class occurs."""
    numbers = np.bincount(classes, minlength=count)
    return np.asarray(np.log(numbers / numbers.sum()), np.float32)


class MovingAverage:
    """An exponential moving average of a model's weights (batch statistics included), kept on the training device.

    It is updated every few steps, and in the first ones it forgets faster, so that the random start leaves no trace.
    """

    EVERY = 4

    def __init__(self, weights: Sequence[Any], decay: float) -> None:
        """Starts from the current weights; `decay` is per step."""
        self.weights = weights
        self.decay = decay**self.EVERY
        self.updates = 0
        self._values: list[Any] = []
        self.restore([np.array(each) for each in _to_numpy(weights)], 0)

    def step(self, number: int) -> None:
        """To be called after each training step, with its number from 1."""
        if number % self.EVERY:
            return
        from keras import ops

        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9))
        for place, weight in enumerate(self.weights):
            value = ops.stop_gradient(ops.convert_to_tensor(weight))
            self._values[place] = self._values[place] * decay + value * (1 - decay)

    def arrays(self) -> list[Floats32]:
        """The average as NumPy arrays, in the order of the weights."""
        return [np.asarray(each) for each in _to_numpy(self._values)]

    def restore(self, arrays: Sequence[Floats32], updates: int) -> None:
        """Continues from what `arrays` and `updates` once gave."""
        from keras import ops

        self._values = [ops.convert_to_tensor(np.asarray(array, np.float32)) for array in arrays]
        self.updates = updates


def _to_numpy(values: Sequence[Any]) -> list[Any]:
    from keras import ops

    return [ops.convert_to_numpy(value) for value in values]
