"""Everything that was found about a data set, as fingerprint.json says it: docs/check.md describes each field."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from derm_sdk import __version__

from ..manifest import Dataset
from .findings import GUESSED, MEASURED, Examined
from .label_errors import LabelErrors

FORMAT = 1
LEAST_PHOTOS = 20  # of 20 photos the 95 % interval of a share (Wilson) is 40 points wide: too little to claim anything
_NO_TYPE = "unknown"


def fingerprint(
    dataset: Dataset, examined: Sequence[Examined], table: dict[str, Any] | None, labels: LabelErrors | None
) -> dict[str, Any]:
    """What fingerprint.json holds.

    Args:
        dataset: that was checked.
        examined: its photos, in its order.
        table: of `check_table`; None without one.
        labels: of `suspect_labels`; None where that was not asked for, or the weights are missing.
    """
    return {
        "format": FORMAT,
        "created_with": f"derm-toolkit {__version__}",
        "dataset": dataset.digest,
        "photos": len(dataset.photos),
        "photos_sha256": hashlib.sha256("".join(sorted(p.digest for p in dataset.photos)).encode()).hexdigest(),
        "kinds": dict(Counter(each.kind for each in examined if each.kind).most_common()),
        "sizes": _sizes(examined),
        "findings": _findings(dataset, examined),
        "table": table,
        "label_errors": _label_errors(dataset, labels),
        "counts": _counts(dataset),
    }


def _sizes(examined: Sequence[Examined]) -> dict[str, Any]:
    shorter = [min(each.width, each.height) for each in examined if each.kind]
    if not shorter:
        return {}
    quantiles = np.percentile(shorter, (0, 5, 50, 95, 100)).tolist()
    return {"shorter_side": dict(zip(("least", "p5", "median", "p95", "most"), map(round, quantiles), strict=True))}


def _findings(dataset: Dataset, examined: Sequence[Examined]) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*MEASURED, *GUESSED)}
    for photo, each in zip(dataset.photos, examined, strict=True):
        for finding in each.findings:
            found[finding.name].append({"file": photo.file, "detail": finding.detail, "score": finding.score})
    return [
        {
            "name": name,
            "how": "measured" if name in MEASURED else "guessed",
            "meaning": (MEASURED | GUESSED)[name],
            "count": len(photos),
            "photos": sorted(photos, key=lambda each: (-each["score"], each["file"])),
        }
        for name, photos in found.items()
    ]


def _label_errors(dataset: Dataset, labels: LabelErrors | None) -> dict[str, Any] | None:
    if labels is None:
        return None
    suspects = [
        {"file": dataset.photos[each.photo].file, "given": each.given, "suggested": each.suggested,
         "confidence_in_given": round(each.confidence, 4)}
        for each in labels.suspects
    ]  # fmt: skip
    accuracy = round(labels.accuracy, 4) if labels.judged else None
    about = {"judged": labels.judged, "left_out": list(labels.left_out), "accuracy_of_the_judge": accuracy}
    return {**about, "count": len(suspects), "suspects": suspects}


def _counts(dataset: Dataset) -> dict[str, Any]:
    """Photos by condition and skin type, and which cells are too small."""
    columns = [*map(str, range(1, 7)), _NO_TYPE]
    levels = {}
    for depth, level in enumerate(dataset.taxonomy.levels):
        cells: dict[str, dict[str, int]] = {}
        for photo in dataset.photos:
            row = cells.setdefault(photo.labels[depth], dict.fromkeys(columns, 0))
            row[str(photo.fitzpatrick or _NO_TYPE)] += 1
        small = [[name, skin, row[skin]] for name, row in sorted(cells.items()) for skin in columns[:6]
                 if row[skin] < LEAST_PHOTOS]  # fmt: skip
        levels[level] = {"cells": dict(sorted(cells.items())), "cells_in_all": 6 * len(cells), "too_small": small}
    return {"least_photos": LEAST_PHOTOS, "levels": levels}
