"""Fairness measures of the field, between skin types, in forms that empty cells cannot spoil.

Written here in a few lines rather than taken from fairlearn: its ratios and differences are of binary labels or of one
figure at a time, they know no mask for cells without photos, and its bootstrap draws single photos instead of whole groups.

    PQD    least accuracy of a skin type / greatest                                                        1 is equal
    DPM    mean over classes of: least share of photos called that class / greatest                        1 is equal
    EOM    mean over classes of: least sensitivity for that class / greatest                               1 is equal
    Eopp0  mean over classes of |specificity, types 1-3 minus types 4-6|                                   0 is equal
    Eopp1  mean over classes of |sensitivity, types 1-3 minus types 4-6|                                   0 is equal
    Eodd   mean over classes of (|sensitivity difference| + |false alarm rate difference|) / 2             0 is equal

All of them take noise for unfairness, the more the smaller the cells: they are told with a corrected value and its interval
(`Replicated.corrected_cell`), and with what they are when the skin types are dealt at random (`chance.by_chance`).

The mask: PQD, DPM and EOM compare the types 1 to 6 that have 20 photos or more. A cell is a class in a type; the EOM takes
cells of 5 photos or more, of classes with two such cells. The Eopps and Eodd take classes with 5 photos or more on both
sides. A class that is never called so (DPM), or never found (EOM), in any type says 0 / 0 and is left out.

Sources: PQD, DPM, EOM: Du et al. 2022, "FairDisCo". Eopp0, Eopp1, Eodd: Wu et al. 2022, "FairPrune", and Guo et al. 2024,
"FairQuantize", here with absolute differences, because signed ones cancel between classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from .bootstrap import Floats, Replicated
from .chance import Dealt
from .measures import LEAST_PHOTOS, of_rows
from .predictions import Predictions
from .scores import ClassCounts, Flags, divide, mean_over_classes

LEAST_IN_CELL = 5
NAMES = ("pqd", "dpm", "eom", "eopp0", "eopp1", "eodd")


class FairnessMeasure:
    """The six measures of one level.

    Attributes:
        rows: int [n], the photos of known skin type whose true class the model knows.
        types: the skin types that have enough photos to be compared.
    """

    def __init__(self, predictions: Predictions, level: str) -> None:
        """`level` is one of the tree."""
        truth, types = predictions.true_classes(level), predictions.skin_type
        guess = predictions.probabilities[:, predictions.columns(level)].argmax(axis=1)
        self.rows = np.flatnonzero((truth >= 0) & (types > 0))
        classes = len(predictions.columns(level))
        truth, guess, types = truth[self.rows], guess[self.rows], types[self.rows]
        self._members = [np.flatnonzero(types == number) for number in range(1, 7)]
        self._counts = [ClassCounts(truth[rows], guess[rows], classes) for rows in self._members]
        self._of_all = ClassCounts(truth, guess, classes)
        self.types = [number for number, rows in enumerate(self._members, 1) if len(rows) >= LEAST_PHOTOS]
        self._photos = np.stack([np.bincount(truth[rows], minlength=classes) for rows in self._members]).astype(np.float64)
        self._occurs = self._photos.sum(axis=0) > 0
        self._mask = self._masks(self._photos[..., None])

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """The measures in every replicate; NaN where there is nothing to compare."""
        weights = of_rows(weights, self.rows)
        members = zip(self._counts, self._members, strict=True)
        return self._between([np.stack(each(of_rows(weights, rows))) for each, rows in members], *self._mask)

    def dealt(self, dealt: Dealt) -> dict[str, Floats]:
        """The measures when the photos have other types, as `chance.deal` gives them, masked by the cells that result."""
        counts = [np.stack(self._of_all(of_rows(weights, self.rows))) for weights in dealt]
        return self._between(counts, *self._masks(np.stack([of_truth for of_truth, _, _ in counts])))

    def told(self, figures: Mapping[str, Replicated] | None, chance: Mapping[str, Any]) -> dict[str, Any]:
        """JSON-ready: the measures with intervals and what chance makes them, the types, and what the mask left out."""
        occurring = self._photos[[number - 1 for number in self.types]][:, self._occurs]
        about: dict[str, Any] = {
            "types": [str(number) for number in self.types],
            "cells": {
                "all": int(occurring.size),
                "empty": int((occurring == 0).sum()),
                "few": int(((occurring > 0) & (occurring < LEAST_IN_CELL)).sum()),
                "used_by_eom": int(self._mask[0].sum()),
            },
            "classes": {
                "all": int(self._occurs.sum()),
                "used_by_eom": int(self._mask[0].any(axis=0).sum()),
                "used_by_eopp": int(self._mask[1].sum()),
            },
        }
        cells: dict[str, Any] = dict.fromkeys(NAMES)
        for name, figure in (figures or {}).items():
            cell = figure.corrected_cell(len(self.rows))
            cells[name] = cell and {**cell, "by_chance": chance.get(name)}
        return {"n": len(self.rows), **cells, **about}

    def _masks(self, photos: Floats) -> tuple[Flags, Flags]:
        """From photos [6, classes, B]: the cells of the EOM [types, classes, B] and the classes of Eopp [classes, B]."""
        cells = photos[[number - 1 for number in self.types]] >= LEAST_IN_CELL
        sides = np.minimum(photos[:3].sum(axis=0), photos[3:].sum(axis=0))
        return cells & (cells.sum(axis=0) >= 2), sides >= LEAST_IN_CELL

    def _between(self, counts: list[Floats], cells: Flags, both_sides: Flags) -> dict[str, Floats]:
        """Counts are float [3, classes, B] per type: truly, guessed, both."""
        return self._between_types(counts, cells) | self._between_sides(sum(counts[:3]), sum(counts[3:]), both_sides)

    def _between_types(self, counts: list[Floats], cells: Flags) -> dict[str, Floats]:
        if len(self.types) < 2:
            return {name: np.full(counts[0].shape[-1], np.nan) for name in ("pqd", "dpm", "eom")}
        of_truth, of_guess, hits = np.stack([counts[number - 1] for number in self.types], axis=1)  # [types, classes, B]
        totals = of_truth.sum(axis=1)
        return {
            "pqd": _least_by_greatest(divide(hits.sum(axis=1), totals)),
            "dpm": mean_over_classes(_least_by_greatest(divide(of_guess, totals[:, None]))),
            "eom": mean_over_classes(_least_by_greatest(np.where(cells, divide(hits, of_truth), np.nan))),
        }

    def _between_sides(self, light: Floats, dark: Floats, both_sides: Flags) -> dict[str, Floats]:
        if min(self._photos[:3].sum(), self._photos[3:].sum()) < LEAST_PHOTOS:
            return {name: np.full(light.shape[-1], np.nan) for name in ("eopp0", "eopp1", "eodd")}
        sensitivities, false_alarms = [], []
        for of_truth, of_guess, hits in (light, dark):
            others = of_truth.sum(axis=0) - of_truth
            sensitivities.append(np.where(both_sides, divide(hits, of_truth), np.nan))
            false_alarms.append(np.where(both_sides, divide(of_guess - hits, others), np.nan))
        missed = np.abs(sensitivities[0] - sensitivities[1])
        alarmed = np.abs(false_alarms[0] - false_alarms[1])
        return {
            "eopp0": mean_over_classes(alarmed),
            "eopp1": mean_over_classes(missed),
            "eodd": mean_over_classes((missed + alarmed) / 2),
        }


def _least_by_greatest(values: Floats) -> Floats:
    """Over the first axis, NaN left out: least / greatest; NaN where fewer than two are left, or all are 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        quotient = divide(np.nanmin(values, axis=0), np.nanmax(values, axis=0))
    return np.where(np.isfinite(values).sum(axis=0) >= 2, quotient, np.nan)
