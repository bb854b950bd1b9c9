"""What the skin type does for a model that takes it: its figures when told the true, no, a wrong, or a neighbouring type.

Recorded skin types are noisy (two annotations of Fitzpatrick17k agree on about half of the photos, within one step on nine
in ten), and a user may know none. All four are judged on the same photos, those of known skin type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.manifest import Photo
from ..training.feed import SkinType
from .bootstrap import REPLICATES, Measure, resample
from .measures import LEAST_PHOTOS, LevelMeasure, level_measure
from .predictions import Predictions

NOT_AN_INPUT = "not an input of this model"
TRUE = "true"


def told_types(photos: Sequence[Photo], seed: int) -> dict[str, SkinType]:
    """What the model is told instead of the truth.

    Args:
        photos: of known skin type; the draws do not depend on their order.
        seed: 0 or more.
    Returns:
        "missing": nothing; "wrong": one of the five other types, drawn evenly; "off by one": a neighbour, drawn evenly
        where there are two.
    """
    ordered = sorted(photos, key=lambda photo: photo.digest)
    stream = np.random.Generator(np.random.PCG64(seed))
    wrong, near = {}, {}
    for photo in ordered:
        true = photo.fitzpatrick or 1
        wrong[photo.digest] = int(stream.choice([number for number in range(1, 7) if number != true]))
        near[photo.digest] = int(stream.choice([number for number in (true - 1, true + 1) if 1 <= number <= 6]))
    return {
        "missing": lambda photo: None,
        "wrong": lambda photo: wrong[photo.digest],
        "off by one": lambda photo: near[photo.digest],
    }


def told_type_figures(told: Mapping[str, Predictions], *, replicates: int = REPLICATES, seed: int = 0) -> dict[str, Any]:
    """Accuracy and balanced accuracy under each thing told, and the change of the accuracy against the truth.

    Args:
        told: {what was told: predictions}, `TRUE` among them, all about the same photos in the same order.
        replicates, seed: of the bootstrap.
    Returns:
        JSON-ready: {"n", "levels": {level: {told: {"accuracy", "balanced_accuracy", "accuracy_change"}}}}, cells of
        {"value", "low", "high", "n"}; {"n"} alone below 20 photos.
    """
    true = told[TRUE]
    if len(true) < LEAST_PHOTOS:
        return {"n": len(true)}
    rows, levels = np.arange(len(true)), true.taxonomy.levels
    sheets = {(level, name): level_measure(each, level, rows) for level in levels for name, each in told.items()}
    measures: dict[tuple[str, str], Measure] = {
        key: sheet for key, sheet in sheets.items() if len(sheet.rows) >= LEAST_PHOTOS
    }
    found = resample(measures, true.unit.tolist(), replicates, seed)
    return {"n": len(true), "levels": {level: _level(level, list(told), sheets, found) for level in levels}}


def _level(level: str, names: Sequence[str], sheets: Mapping[Any, LevelMeasure], found: Mapping[Any, Any]) -> dict[str, Any]:
    count = len(sheets[level, TRUE].rows)
    if (level, TRUE) not in found:
        return {"n": count}
    told: dict[str, Any] = {}
    for name in names:
        figures = found[level, name]
        told[name] = {figure: figures[figure].cell(count) for figure in ("accuracy", "balanced_accuracy")}
        if name != TRUE:
            told[name]["accuracy_change"] = figures["accuracy"].minus(found[level, TRUE]["accuracy"]).cell(count)
    return {"n": count, **told}
