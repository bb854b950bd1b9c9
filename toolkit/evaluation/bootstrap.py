"""Bootstrap intervals: whole groups (near duplicates, patients, lesions) are drawn again, not single photos.

Photos of a group resemble each other; drawn one by one they would make every interval too narrow. Replicates are made in
blocks, so that any number of photos takes about the same memory. All figures are computed on the same replicates, so that
differences and quotients of figures, between skin types or models, have intervals too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data.duplicates import connected
from ..data.manifest import Photo, Split

Floats = NDArray[np.float64]
Interval = tuple[float, float] | None
Measure = Callable[[Floats], dict[str, Floats]]  # weights [B, N] -> {name of a figure: [B]}, NaN where it is not defined
Key = TypeVar("Key", bound=Hashable)
REPLICATES = 1000
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
        float64 [b, N], whole numbers, a photo's b numbers beside each other in memory; the b add up to B.
    """
    names, member = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    stream = np.random.Generator(np.random.PCG64(seed))
    size = max(1, block_bytes // (8 * len(member)))
    for start in range(0, replicates, size):
        count = min(size, replicates - start)
        drawn = stream.integers(0, len(names), (count, len(names)))
        drawn += np.arange(count)[:, None] * len(names)
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        yield counts.T[member].astype(np.float64).T


@dataclass(frozen=True)
class Replicated:
    """A figure over all photos (`value`, NaN where it is not defined) and in every replicate (`replicates`, [R])."""

    value: float
    replicates: Floats

    def cell(self, n: int) -> dict[str, float] | None:
        """JSON-ready, with interval and number of photos: {"value", "low", "high", "n"}; None where it is not defined."""
        limits = interval(self.replicates)
        if limits is None or not np.isfinite(self.value):
            return None
        return {"value": float(self.value), "low": limits[0], "high": limits[1], "n": n}

    def corrected_cell(self, n: int) -> dict[str, float] | None:
        """As `cell`, for shares that take absolute values, the least or the greatest, and so count noise as a difference.

        Such a figure is too large by about as much as its replicates are larger than it: they have the noise twice.
        Its interval is therefore the replicates' mirrored at the value, and "corrected" is what the value would be without
        noise: {"value", "corrected", "low", "high", "n"}, each 0..1. The value itself may lie outside of the interval.

        Source: Davison and Hinkley 1997, "Bootstrap Methods and their Application", 2.4 (basic bootstrap).
        """
        limits = interval(self.replicates)
        if limits is None or not np.isfinite(self.value):
            return None
        mirrored = 2 * self.value - np.array([float(np.nanmean(self.replicates)), limits[1], limits[0]])
        corrected, low, high = (float(each) for each in np.clip(mirrored, 0.0, 1.0))
        return {"value": float(self.value), "corrected": corrected, "low": low, "high": high, "n": n}

    def minus(self, other: Replicated) -> Replicated:
        """The difference, replicate by replicate: both must come from the same draws."""
        return Replicated(self.value - other.value, self.replicates - other.replicates)


def resample(
    measures: Mapping[Key, Measure], clusters: Sequence[str], replicates: int = REPLICATES, seed: int = 0
) -> dict[Key, dict[str, Replicated]]:
    """Computes figures over all photos and in every replicate, all on the same draws.

    Args:
        measures: {key: measure}; each gets weights of all N photos.
        clusters: [N] names of the photos' groups, from `units`.
        replicates: R.
        seed: of the draws.
    Returns:
        {key: {name of the figure: Replicated}}.
    """
    points = {key: measure(np.ones((1, len(clusters)))) for key, measure in measures.items()}
    found: dict[Key, dict[str, list[Floats]]] = {key: {name: [] for name in point} for key, point in points.items()}
    for weights in weight_blocks(clusters, replicates, seed):
        for key, measure in measures.items():
            for name, values in measure(weights).items():
                found[key][name].append(values)
    return {
        key: {name: Replicated(float(points[key][name][0]), np.concatenate(parts)) for name, parts in of_key.items()}
        for key, of_key in found.items()
    }


def interval(values: Floats) -> Interval:
    """The middle 95 % of the replicates' values, NaN left out; None where nothing is left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        low, high = np.nanquantile(values, [0.025, 0.975])
    return None if np.isnan(low) else (float(low), float(high))
