"""Predictions seen level by level: what was true, what was said, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from derm_sdk.taxonomy import Node

from ..evaluation.predictions import Predictions

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LevelAnswers:
    """One level of the tree, about the N photos whose truth the model knows there.

    Attributes:
        level: its name.
        nodes: [C] its nodes, in the order of the tree.
        rows: int [N], the photos' places in the predictions.
        truth: int [N], places in `nodes`.
        probabilities: float64 [N, C], calibrated.
        uncalibrated: float64 [N, C], of the plain softmax.
        units: [N] names of what the bootstrap draws together.
    """

    level: str
    nodes: tuple[Node, ...]
    rows: NDArray[np.int64]
    truth: NDArray[np.int64]
    probabilities: Floats
    uncalibrated: Floats
    units: list[str]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """int [N], the likeliest node."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidence(self) -> Floats:
        """float [N], the likeliest node's probability."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """bool [N], whether the likeliest node is the true one."""
        return np.asarray(self.predicted == self.truth)

    def __len__(self) -> int:
        return len(self.truth)


def level_answers(predictions: Predictions) -> tuple[LevelAnswers, ...]:
    """Every level of the model's tree on which the truth of some photo is known, from the top."""
    found = []
    for level in predictions.taxonomy.levels:
        truth = predictions.true_classes(level)
        rows, columns = np.flatnonzero(truth >= 0), predictions.columns(level)
        if len(rows):
            both = [np.asarray(each[np.ix_(rows, columns)], np.float64) for each in _probabilities(predictions)]
            units = [str(unit) for unit in predictions.unit[rows]]
            found.append(LevelAnswers(level, predictions.taxonomy.at(level), rows, truth[rows], both[0], both[1], units))
    return tuple(found)


def _probabilities(predictions: Predictions) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return predictions.probabilities, predictions.uncalibrated
