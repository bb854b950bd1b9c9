"""Figures of a classifier, each defined once, over weighted photos.

Every function takes weights [B, N], how often each photo counts in each of B replicates, and gives [B]: with weights of one
it is the figure itself, with the bootstrap's weights it is the figure in every replicate. Figures are NaN where they are not
defined. Means over classes are over the classes that occur in the replicate's truth: what has no photo cannot be found.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .bootstrap import Floats

Classes = NDArray[np.int64]
Flags = NDArray[np.bool_]
ECE_BINS = 10


def divide(above: Floats, below: Floats) -> Floats:
    """above / below, NaN where below is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def mean_over_classes(values: Floats) -> Floats:
    """The mean of float [classes, B] over the classes, NaN left out; NaN where nothing is left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=0))


class ClassCounts:
    """Counts per class: how many photos are truly of it, are guessed to be, and both.

    Kept as a sparse matrix of three entries per photo, so that 114 classes cost no more memory than three.
    """

    def __init__(self, truth: Classes, guess: Classes, classes: int) -> None:
        """Truth and guess are int [N], 0..classes - 1."""
        photos = np.arange(len(truth))
        hit = truth == guess
        rows = np.concatenate([truth, classes + guess, 2 * classes + truth[hit]])
        columns = np.concatenate([photos, photos, photos[hit]])
        shape = (3 * classes, len(truth))
        self._indicator = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
        self._classes = classes

    def __call__(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Truly, guessed, both: float64 [classes, B] each."""
        counts = np.asarray(self._indicator @ weights.T)
        return counts[: self._classes], counts[self._classes : 2 * self._classes], counts[2 * self._classes :]


def class_scores(of_truth: Floats, of_guess: Floats, hits: Floats) -> dict[str, Floats]:
    """Accuracy, balanced accuracy, F1, precision and recall of every replicate.

    Args:
        of_truth, of_guess, hits: float [classes, B], from `ClassCounts`.
    Returns:
        {name: float64 [B]}. The precision of a class that is never guessed is 0.
    """
    recall, total = divide(hits, of_truth), of_truth.sum(axis=0)
    present = np.where(of_truth > 0, 1.0, np.nan)
    precision = np.nan_to_num(divide(hits, of_guess)) * present
    f1 = 2 * divide(hits, of_truth + of_guess) * present
    mean_recall = mean_over_classes(recall)
    return {
        "accuracy": divide(hits.sum(axis=0), total),
        "balanced_accuracy": mean_recall,
        "macro_f1": mean_over_classes(f1),
        "weighted_f1": divide(np.nansum(f1 * of_truth, axis=0), total),
        "precision": mean_over_classes(precision),
        "recall": mean_recall,
    }


def weighted_means(values: Floats, weights: Floats) -> Floats:
    """The mean of float [N] or [K, N] values in every replicate, float64 [B] or [K, B]."""
    return divide(np.asarray(values, np.float64) @ weights.T, weights.sum(axis=1))


def share(chosen: Flags, among: Flags, weights: Floats) -> Floats:
    """The share of `chosen` among the photos of `among`, in every replicate."""
    return divide(weights @ (chosen & among), weights @ among.astype(np.float64))


def log_losses(probabilities: Floats, truth: Classes) -> Floats:
    """Per photo -ln P(truth), float64 [N]; probabilities [N, classes] below 1e-15 count as 1e-15."""
    return -np.log(np.clip(probabilities[np.arange(len(truth)), truth], 1e-15, 1.0))


def brier_scores(probabilities: Floats, truth: Classes) -> Floats:
    """Per photo the sum over classes of (P - [class is true])^2, 0..2, float64 [N]. Source: Brier 1950."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return np.asarray(np.square(probabilities).sum(axis=1) - of_truth**2 + (1 - of_truth) ** 2)


def in_top(probabilities: Floats, truth: Classes, count: int) -> Flags:
    """Whether the truth is among the `count` likeliest classes, bool [N]; of equals, the first in the tree goes first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return np.asarray((order == truth[:, None]).any(axis=1))


class CalibrationError:
    """ECE of the likeliest class over 10 bins of equal width.

    The sum over the bins of |sum of confidence - number right|, divided by the number of photos.
    Source: Naeini et al. 2015; Guo et al. 2017.
    """

    def __init__(self, confidence: Floats, right: Flags) -> None:
        """Confidence is float [N], 0..1; right is bool [N]."""
        bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
        shape = (ECE_BINS, len(bins))
        self._gaps = sparse.csr_array((confidence - right, (bins, np.arange(len(bins)))), shape=shape)

    def __call__(self, weights: Floats) -> Floats:
        """The error in every replicate."""
        return divide(np.abs(np.asarray(self._gaps @ weights.T)).sum(axis=0), weights.sum(axis=1))


class Ranking:
    """The ROC curve of a score, without interpolation; photos of equal score are on the same side of every threshold."""

    def __init__(self, scores: Floats, positive: Flags) -> None:
        """Scores are float [N], higher meaning likelier positive; positive is bool [N]."""
        self._order = np.argsort(-scores, kind="stable")
        self._starts = np.flatnonzero(np.append(True, np.diff(scores[self._order]) < 0)) if len(scores) else np.zeros(0, int)
        self._positive = positive[self._order].astype(np.float64)

    def __call__(self, weights: Floats, specificities: tuple[float, ...]) -> tuple[Floats, list[Floats]]:
        """AUROC, and the sensitivity at each specificity.

        Args:
            weights: float [B, N].
            specificities: 0..1 each.
        Returns:
            float64 [B], ties counting half; and per specificity float64 [B]: the largest sensitivity of a threshold whose
            specificity is at least that. NaN where a replicate lacks positives or negatives.
        """
        if not len(self._starts):
            none = np.full(len(weights), np.nan)
            return none, [none for _ in specificities]
        sorted_weights = weights.T[self._order]
        ups = np.add.reduceat(sorted_weights * self._positive[:, None], self._starts, axis=0)
        downs = np.add.reduceat(sorted_weights * (1 - self._positive)[:, None], self._starts, axis=0)
        positives, negatives = ups.sum(axis=0), downs.sum(axis=0)
        hits, false_alarms = np.cumsum(ups, axis=0), np.cumsum(downs, axis=0)
        area = divide((downs * (hits - ups / 2)).sum(axis=0), positives * negatives)
        sensitivities = []
        for specificity in specificities:
            allowed = false_alarms <= (1 - specificity) * negatives + 1e-9
            sensitivities.append(np.where(negatives > 0, divide((hits * allowed).max(axis=0), positives), np.nan))
        return area, sensitivities
