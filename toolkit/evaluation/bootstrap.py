"""Bootstrap intervals: whole groups (near duplicates, patients, lesions) are drawn again, not single photos.

Photos of a group resemble each other; drawn one by one they would make every interval too narrow. Replicates are made in
blocks, so that any number of photos takes about the same memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.duplicates import connected
from ..data.manifest import Photo, Split

Floats = NDArray[np.float64]
Interval = tuple[float, float] | None
BLOCK_BYTES = 1 << 23  # of one block of weights; drawing it and ranking by it take about five times as much


def units(photos: Sequence[Photo], split: Split | None) -> list[str]:
    """What is resampled together: the groups that no split may cut, joined by cluster, patient or lesion.

    Args:
        photos: [N] of them.
        split: knows the clusters of near duplicates; None where there is no split.
    Returns:
        [N] names of the photos' groups.
    """
    names = [split.clusters.get(photo.digest, photo.digest) if split else photo.digest for photo in photos]
    first = connected(len(photos), [names, [photo.patient_id for photo in photos], [photo.lesion_id for photo in photos]])
    return [names[index] for index in first]


def weight_blocks(clusters: Sequence[str], replicates: int, seed: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Floats]:
    """How often each photo occurs in each replicate, some replicates at a time.

    Args:
        clusters: [N] names of the photos' groups.
        replicates: B.
        seed: 0 or more; the replicates do not depend on the size of the blocks.
        block_bytes: about how large a block may be.
    Yields:
        float64 [b, N], whole numbers; the b add up to B.
    """
    names, member = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    stream = np.random.Generator(np.random.PCG64(seed))
    size = max(1, block_bytes // (8 * len(member)))
    for start in range(0, replicates, size):
        count = min(size, replicates - start)
        drawn = stream.integers(0, len(names), (count, len(names)))
        drawn += np.arange(count)[:, None] * len(names)
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        yield np.asarray(counts[:, member], np.float64)


def interval(values: Floats) -> Interval:
    """The middle 95 % of the replicates' values, NaN left out; None where nothing is left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        low, high = np.nanquantile(values, [0.025, 0.975])
    return None if np.isnan(low) else (float(low), float(high))


def class_scores(truth: NDArray[np.int64], predicted: NDArray[np.int64], count: int, weights: Floats) -> dict[str, Floats]:
    """Accuracy, balanced accuracy, F1, precision and recall of every replicate.

    Args:
        truth, predicted: int [N], classes.
        count: number of classes.
        weights: float [B, N], how often each photo counts.
    Returns:
        {name: float64 [B]}; means over classes are over those that occur in the replicate's truth.
    """
    true, guessed = np.eye(count)[truth], np.eye(count)[predicted]
    of_truth, of_guess, hits = weights @ true, weights @ guessed, weights @ (true * guessed)
    with np.errstate(divide="ignore", invalid="ignore"):
        present = np.where(of_truth > 0, 1.0, np.nan)
        recall = hits / of_truth * present
        precision = np.where(of_guess > 0, hits / of_guess, 0.0) * present
        f1 = 2 * hits / (of_truth + of_guess) * present
        total = of_truth.sum(axis=1)
        scores = {
            "accuracy": hits.sum(axis=1) / total,
            "balanced_accuracy": _mean(recall),
            "macro_f1": _mean(f1),
            "weighted_f1": np.nansum(f1 * of_truth, axis=1) / total,
            "precision": _mean(precision),
            "recall": _mean(recall),
        }
    return scores


def weighted_means(values: Floats, weights: Floats) -> Floats:
    """The mean of float [N] values in every replicate, float64 [B]; NaN where no photo counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((weights @ values) / weights.sum(axis=1))


def aurocs(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """The area under the ROC curve in every replicate.

    Args:
        scores: float [N]; higher means more likely positive.
        positive: bool [N].
        weights: float [B, N].
    Returns:
        float64 [B], ties counting half; NaN where a replicate lacks positives or negatives.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(scores[order]) > 0))
    ups = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    downs = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(downs, axis=1) - downs / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((ups * below).sum(axis=1) / (ups.sum(axis=1) * downs.sum(axis=1)))


def _mean(values: Floats) -> Floats:
    """The mean over classes, leaving NaN out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=1))
