"""Predictions to the numbers that charts are drawn from, each with its bootstrap interval (whole clusters drawn again)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from ..evaluation.bootstrap import Interval, interval, weight_blocks
from ..evaluation.scores import ECE_BINS, ClassCounts, divide
from .levels import Floats, LevelAnswers

REPLICATES = 1000
SEED = 0


@dataclass(frozen=True)
class Cell:
    """A figure and its 95 % interval; None where it is not defined."""

    value: float
    limits: Interval


@dataclass(frozen=True)
class ClassScores:
    """One class: n photos of it, `predicted` photos called it, and what its figures are."""

    n: int
    predicted: int
    precision: Cell
    recall: Cell
    f1: Cell


@dataclass(frozen=True)
class ReliabilityBin:
    """The photos whose confidence lies in one bin: how many, how sure on average, how often right."""

    n: int
    confidence: float
    accuracy: float
    limits: Interval


@dataclass(frozen=True)
class Curve:
    """y over x, both float [K]."""

    x: Floats
    y: Floats


def confusion(answers: LevelAnswers) -> NDArray[np.int64]:
    """How many photos of each true class (row) were called each class (column), int [C, C]."""
    return np.asarray(sk.confusion_matrix(answers.truth, answers.predicted, labels=range(len(answers.nodes))))


def class_scores(answers: LevelAnswers) -> list[ClassScores]:
    """Precision, recall and F1 of every class of a level, in the order of its nodes; points by scikit-learn."""
    count = len(answers.nodes)
    points = sk.precision_recall_fscore_support(answers.truth, answers.predicted, labels=range(count), zero_division=0.0)
    counts = ClassCounts(answers.truth, answers.predicted, count)
    replicates: list[list[Floats]] = [[], [], []]
    for weights in weight_blocks(answers.units, REPLICATES, SEED):
        of_truth, of_said, hits = counts(weights)
        drawn = divide(hits, of_said), divide(hits, of_truth), divide(2 * hits, of_truth + of_said)
        for kept, values in zip(replicates, drawn, strict=True):
            kept.append(values.T)
    spreads = [np.concatenate(kept) for kept in replicates]
    said_count = np.bincount(answers.predicted, minlength=count)
    return [
        ClassScores(
            int(points[3][place]),
            int(said_count[place]),
            *(Cell(float(points[kind][place]), interval(spreads[kind][:, place])) for kind in range(3)),
        )
        for place in range(count)
    ]


def reliability(answers: LevelAnswers, probabilities: Floats) -> list[ReliabilityBin]:
    """How often the likeliest class is right, by how sure the model was; bins of equal width, empty ones left out.

    Args:
        answers: of a level; their truth and units are used.
        probabilities: float [N, C], calibrated or not.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == answers.truth
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    member = np.eye(ECE_BINS)[bins]
    shares = []
    for weights in weight_blocks(answers.units, REPLICATES, SEED):
        shares.append(divide(weights @ (member * right[:, None]), weights @ member))
    spread = np.concatenate(shares)
    found = []
    for place in range(ECE_BINS):
        inside = bins == place
        if inside.any():
            limits = interval(spread[:, place])
            found.append(
                ReliabilityBin(int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean()), limits)
            )
    return found


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """ECE: the mean distance between how sure and how often right, weighted by the photos of the bins."""
    total = sum(each.n for each in bins)
    return sum(each.n * abs(each.confidence - each.accuracy) for each in bins) / total


def roc(positive: NDArray[np.bool_], scores: Floats) -> Curve:
    """Sensitivity over 1 - specificity, for every threshold."""
    false_rate, true_rate, _ = sk.roc_curve(positive, scores)
    return Curve(np.asarray(false_rate), np.asarray(true_rate))


def share(chosen: NDArray[np.bool_], units: Sequence[str]) -> Cell:
    """The share of photos that are chosen."""
    chosen = np.asarray(chosen, np.float64)
    drawn = [divide(weights @ chosen, weights.sum(axis=1)) for weights in weight_blocks(units, REPLICATES, SEED)]
    return Cell(float(chosen.mean()), interval(np.concatenate(drawn)))
