"""All figures of a model's predictions, each with its 95 % interval, its n, and what a constant answer would reach.

The figures of all photos, of each skin type, and what lies between the skin types come from the same replicates of one
bootstrap. A figure about fewer than 20 photos is not told, only their number: {"n": 7}. None stands where a figure is not
defined, such as the AUROC of photos that are all malignant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bootstrap import REPLICATES, Floats, Measure, Replicated, resample
from .chance import Dealt, by_chance
from .fairness import FairnessMeasure
from .measures import CORRECTED, LEAST_PHOTOS, LevelMeasure, ReferMeasure, level_measure, merged_measure, refer_node
from .predictions import Predictions
from .synonyms import Merge, merge_conditions

ALL = "all"
SKIN_TYPES = {**{str(number): number for number in range(1, 7)}, "unknown": 0}
MERGED, REFER, FAIRNESS = "merged", "refer", "fairness"
GAPS = {False: ("accuracy", "balanced_accuracy", "macro_f1"), True: ("auroc", "sensitivity", "specificity", "severe_errors")}
Key = tuple[str, str]
Found = dict[Key, dict[str, Replicated]]


def all_figures(
    predictions: Predictions, synonyms: Sequence[Merge] = (), *, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Any]:
    """Every figure of some predictions.

    Args:
        predictions: what a model said, and what is true.
        synonyms: labels to merge, in a second look at the conditions.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    Returns:
        JSON-ready: {"all": figures, "skin_types": {"1": figures, ..., "unknown": figures}, "gaps": {level: {figure: cell}},
        "fairness": {level: ...}, "merged_labels": {name: [labels]}}. Figures are {"n", "clusters", "levels": {level: {"n",
        "classes", "majority_accuracy", "baselines", figure: cell}}, "merged": the same, "refer": {"node", "threshold",
        "n", "positives", figure: cell}}, and {"n"} alone where photos are fewer than 20. A cell is {"value", "low", "high",
        "n"}, or {"n"} where that is below 20, or None where the figure is not defined; those of gaps, fairness and
        calibration errors have "corrected" too (`Replicated.corrected_cell`), the first two also "by_chance": {"mean",
        "low", "high"} or None (`chance.by_chance`).
    """
    merged = merge_conditions(predictions.taxonomy, synonyms)
    rows = {ALL: np.arange(len(predictions))}
    rows |= {name: np.flatnonzero(predictions.skin_type == number) for name, number in SKIN_TYPES.items()}
    measures: dict[Key, LevelMeasure | ReferMeasure | FairnessMeasure] = {}
    for name, of_slice in rows.items():
        for level in predictions.taxonomy.levels:
            measures[name, level] = level_measure(predictions, level, of_slice)
        if merged.groups:
            measures[name, MERGED] = merged_measure(predictions, merged, of_slice)
        node = refer_node(predictions)
        if node is not None:
            measures[name, REFER] = ReferMeasure(predictions, node, of_slice)
    fairness = {level: FairnessMeasure(predictions, level) for level in predictions.taxonomy.levels}
    measures |= {(FAIRNESS, level): each for level, each in fairness.items()}
    asked: dict[Key, Measure] = {key: each for key, each in measures.items() if len(each.rows) >= LEAST_PHOTOS}
    found = resample(asked, predictions.unit.tolist(), replicates, seed) if asked else {}
    slices = {name: _slice(predictions, name, rows[name], measures, found) for name in rows}
    types = {part: _comparable(part, measures, found) for name, part in measures if name == ALL}
    between: dict[Key, Callable[[Dealt], dict[str, Floats]]] = {
        (ALL, part): partial(_dealt_gaps, measures[ALL, part], of_part) for part, of_part in types.items()
    }
    between |= {(FAIRNESS, level): each.dealt for level, each in fairness.items()}
    chance = by_chance(between, predictions.skin_type, predictions.unit.tolist(), seed=seed)
    return {
        ALL: slices[ALL],
        "skin_types": {name: slices[name] for name in SKIN_TYPES},
        "gaps": {
            part: {figure: _gap(figure, of_figure, chance[ALL, part].get(figure)) for figure, of_figure in of_part.items()}
            for part, of_part in types.items()
        },
        FAIRNESS: {
            level: each.told(found.get((FAIRNESS, level)), chance[FAIRNESS, level]) for level, each in fairness.items()
        },
        "merged_labels": merged.groups,
    }


def _slice(
    predictions: Predictions, name: str, rows: NDArray[np.int64], measures: Mapping[Key, Any], found: Found
) -> dict[str, Any]:
    """The figures of the photos of one skin type, or of all."""
    if len(rows) < LEAST_PHOTOS:
        return {"n": len(rows)}
    levels = {level: _level(measures[name, level], found.get((name, level))) for level in predictions.taxonomy.levels}
    told: dict[str, Any] = {"n": len(rows), "clusters": len(np.unique(predictions.unit[rows])), "levels": levels}
    if (name, MERGED) in measures:
        told[MERGED] = _level(measures[name, MERGED], found.get((name, MERGED)))
    if (name, REFER) in measures:
        told[REFER] = _refer(predictions, measures[name, REFER], found.get((name, REFER)))
    return told


def _level(measure: LevelMeasure, figures: Mapping[str, Replicated] | None) -> dict[str, Any]:
    count = len(measure.rows)
    if figures is None:
        return {"n": count}
    about = {"n": count, "classes": {"value": measure.classes}, "baselines": measure.baselines}
    about["majority_accuracy"] = {"value": measure.baselines["accuracy"]}
    return about | {name: level_cell(name, figure, measure.n(name)) for name, figure in figures.items()}


def level_cell(name: str, figure: Replicated, count: int) -> dict[str, float] | None:
    """A figure of a level, JSON-ready; with an interval that is corrected where the figure needs that."""
    if 0 < count < LEAST_PHOTOS:
        return {"n": count}
    return figure.corrected_cell(count) if name in CORRECTED else figure.cell(count)


def _refer(predictions: Predictions, measure: ReferMeasure, figures: Mapping[str, Replicated] | None) -> dict[str, Any]:
    if figures is None:
        return {"n": len(measure.rows)}
    about = {"node": refer_node(predictions), "n": len(measure.rows), "positives": measure.counts["positives"]}
    if predictions.calibration.refer_node is not None:
        about["threshold"] = predictions.calibration.refer_threshold
    return about | {name: level_cell(name, figure, measure.n(name)) for name, figure in figures.items()}


@dataclass(frozen=True)
class _OfType:
    """A figure of one skin type, and the number of photos that it is about."""

    figure: Replicated
    count: int


def _comparable(part: str, measures: Mapping[Key, Any], found: Found) -> dict[str, dict[str, _OfType]]:
    """{figure: {type: it}} of the types 1 to 6 that have 20 photos to judge, and a defined figure."""
    comparable: dict[str, dict[str, _OfType]] = {}
    for figure in GAPS[part == REFER]:
        of_figure = comparable.setdefault(figure, {})
        for name, number in SKIN_TYPES.items():
            each = found.get((name, part), {}).get(figure)
            if not number or each is None:
                continue
            count = measures[name, part].n(figure)
            if count >= LEAST_PHOTOS and np.isfinite(each.value):
                of_figure[name] = _OfType(each, count)
    return comparable


def _gap(figure: str, of_type: Mapping[str, _OfType], chance: Mapping[str, float] | None) -> dict[str, Any] | None:
    """Best minus worst; which types these are is found anew in every replicate."""
    if len(of_type) < 2:
        return None
    ranked = sorted(of_type, key=lambda name: of_type[name].figure.value, reverse=figure != "severe_errors")
    replicates = np.ptp(np.stack([each.figure.replicates for each in of_type.values()]), axis=0)
    value = abs(of_type[ranked[0]].figure.value - of_type[ranked[-1]].figure.value)
    cell = Replicated(value, replicates).corrected_cell(sum(each.count for each in of_type.values()))
    return cell and {**cell, "by_chance": chance, "best": ranked[0], "worst": ranked[-1], "types": list(of_type)}


def _dealt_gaps(measure: Measure, types: Mapping[str, Mapping[str, _OfType]], dealt: Dealt) -> dict[str, Floats]:
    """The gaps between the same types when the photos are dealt other types."""
    used = sorted({int(name) for of_figure in types.values() for name in of_figure})
    figures = {number: measure(dealt[number - 1]) for number in used}
    return {
        figure: np.ptp(np.stack([figures[int(name)][figure] for name in of_figure]), axis=0)
        for figure, of_figure in types.items()
        if len(of_figure) > 1
    }
