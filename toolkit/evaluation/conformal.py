"""Prediction sets, measured: do they hold the truth as often as promised, for everybody, and how large are they?

The promise of split conformal prediction is an average over photos like those of the calibration split. Nothing promises it
for one skin type; so it is measured for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.taxonomy import Taxonomy

from .bootstrap import REPLICATES, Floats, Replicated, resample
from .scores import weighted_means

LEAST_PHOTOS = 20
ALL, UNKNOWN = "all", "unknown"


def prediction_sets(probabilities: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """The device's sets: every class that reaches the threshold, and always the likeliest.

    Args:
        probabilities: float [N, C] of one level.
        threshold: least probability of a member, 0..1, in the precision of `probabilities`.
    Returns:
        bool [N, C].
    """
    inside = np.asarray(probabilities >= probabilities.dtype.type(threshold))
    inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
    return inside


def coverage_report(
    taxonomy: Taxonomy,
    probabilities: NDArray[Any],
    truth: Mapping[str, NDArray[np.int64]],
    sets: Mapping[str, float],
    promised: float,
    skin_types: Sequence[int | None],
    units: Sequence[str],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Any]:
    """Measured coverage and size of the prediction sets of every level, overall and by skin type.

    Args:
        taxonomy: the tree.
        probabilities: float [N, nodes], columns in the order of `taxonomy.nodes`.
        truth: {level: int [N], the place of the true node among the level's; -1 where it is not known}.
        sets: {level: threshold}, of the calibration; a level without one counts as 0.
        promised: the share of truths that the sets are to hold.
        skin_types: [N], 1..6 or None.
        units: [N] what the bootstrap draws together.
        replicates, seed: of the bootstrap.
    Returns:
        JSON-ready {level: {"promised", "all": group, "skin_types": {"1": group, ..., "unknown": group}}}. A group is {"n",
        "coverage": cell, "size": cell, "kept": true | false | null, "sizes": {size: photos}}; {"n"} alone below 20 photos.
        `kept` says whether the interval of the coverage lies above the promise, below it, or (null) around it.
    """
    column = {node.id: place for place, node in enumerate(taxonomy.nodes)}
    kinds = np.array([UNKNOWN if skin is None else str(skin) for skin in skin_types])
    measured: dict[tuple[str, str], _SetMeasure] = {}
    for level in taxonomy.levels:
        of_level = probabilities[:, [column[node.id] for node in taxonomy.at(level)]]
        inside, true = prediction_sets(of_level, sets.get(level, 0.0)), truth[level]
        for name in (ALL, *map(str, range(1, 7)), UNKNOWN):
            rows = np.flatnonzero((true >= 0) & ((name == ALL) | (kinds == name)))
            measured[level, name] = _SetMeasure(inside[rows], true[rows], rows)
    asked = {key: measure for key, measure in measured.items() if len(measure.rows) >= LEAST_PHOTOS}
    found = resample(asked, units, replicates, seed) if asked else {}
    report: dict[str, Any] = {level: {"promised": promised, ALL: None, "skin_types": {}} for level in taxonomy.levels}
    for (level, name), measure in measured.items():
        told = measure.told(found.get((level, name)), promised)
        if name == ALL:
            report[level][ALL] = told
        else:
            report[level]["skin_types"][name] = told
    return report


class _SetMeasure:
    """How often the sets of some photos hold the truth, and how many classes they hold."""

    def __init__(self, inside: NDArray[np.bool_], truth: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        self.rows = rows
        self._sizes = inside.sum(axis=1)
        self._values = np.stack([inside[np.arange(len(truth)), truth], self._sizes]).astype(np.float64)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        return dict(zip(("coverage", "size"), weighted_means(self._values, weights[:, self.rows]), strict=True))

    def told(self, figures: Mapping[str, Replicated] | None, promised: float) -> dict[str, Any]:
        count = len(self.rows)
        if figures is None:
            return {"n": count}
        coverage = figures["coverage"].cell(count)
        kept = None
        if coverage is not None and not coverage["low"] <= promised <= coverage["high"]:
            kept = coverage["low"] > promised
        sizes = {str(size): int(many) for size, many in enumerate(np.bincount(self._sizes)) if many}
        return {"n": count, "coverage": coverage, "size": figures["size"].cell(count), "kept": kept, "sizes": sizes}
