"""Models side by side on the same photos, with paired bootstrap intervals of their differences.

Paired: in every replicate all models are judged on the same drawn photos, so what is hard about a photo falls out of the
difference. Two intervals that overlap say nothing about a difference; the interval of the difference does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from derm_sdk.errors import FileError, closest

from ..errors import DataError
from .bootstrap import REPLICATES, Measure, resample
from .figures import level_cell
from .measures import LEAST_PHOTOS, LevelMeasure, ReferMeasure, level_measure, refer_node
from .predictions import Predictions, read_predictions
from .seen import doubts
from .table import plain_table, text_of

FORMAT = 1
MEAN = "mean of all"
LEVEL_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "top3", "log_loss", "brier", "ece")
REFER_FIGURES = ("auroc", "sensitivity", "specificity", "sensitivity_at_90", "severe_errors", "severe_errors_not_referred")
SHOWN = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top3": "among the top 3",
    "log_loss": "log loss",
}
SHOWN_REFER = {
    "auroc": "AUROC",
    "sensitivity_at_90": "sens. at 90 % spec.",
    "sensitivity": "referred of these",
    "specificity": "not ref. of others",
}


def read_named(paths: Sequence[Path], side: str = "test") -> dict[str, Predictions]:
    """Reads the predictions of runs, or of .npz files, under names that tell them apart.

    Args:
        paths: run folders with evaluation/SIDE.npz, and .npz files.
        side: which evaluation of the runs.
    Returns:
        {name: predictions}: the folder's or file's name, with its parents where two are the same.
    Raises:
        FileError: there is no such folder or file, or the run was not evaluated.
        DataError: a file is damaged, or given twice.
    """
    files: list[tuple[Path, Path]] = []
    for path in paths:
        file = path / "evaluation" / f"{side}.npz" if path.is_dir() else path
        if not file.is_file():
            hint = f"; make it with 'derm-toolkit evaluate {path}'" if path.is_dir() else ""
            raise FileError(f"There are no predictions {str(file)!r}{hint}.")
        files.append((path.resolve() if path.is_dir() else path.resolve().with_suffix(""), file))
    if len({name for name, _ in files}) < len(files):
        raise DataError("A model is given twice; name each once.")
    depth = 1
    while len({name.parts[-depth:] for name, _ in files}) < len(files):
        depth += 1
    return {"/".join(name.parts[-depth:]): read_predictions(file) for name, file in files}


def compare_predictions(
    models: Mapping[str, Predictions],
    against: str | None = None,
    *,
    mean: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures of several models on the same photos, and their differences to one of them.

    Args:
        models: {name: predictions}, two or more, about the same photos with the same labels.
        against: name of the model that the others are compared with; None for the first.
        mean: whether the mean of all their probabilities joins them as one more model, `MEAN`. It refers nobody: no
            threshold belongs to it.
        replicates, seed: of the bootstrap.
    Returns:
        JSON-ready: {"format", "n", "clusters", "against", "interval", "models": {name: {"model", "model_sha256", "levels":
        {level: {figure: cell}}, "refer": {figure: cell}}}}, where a cell is {"value", "low", "high", "n"} and, except for
        the model compared with, "difference": {"value", "low", "high", "n"}; None where the figure is not defined. Only
        levels that all models have are compared, on the photos whose label all know.
    Raises:
        DataError: fewer than two models, other photos, other labels or other groups of photos, fewer than 20 photos, an
            unknown `against`, or a mean of models whose trees differ.
    """
    if len(models) < 2:
        raise DataError(f"A comparison needs two models or more; got {len(models)}.")
    first = next(iter(models))
    against = first if against is None else against
    if against not in models:
        raise DataError(f"There is no model {against!r} to compare with." + closest(against, models))
    ordered = {name: each.take(np.argsort(each.digest)) for name, each in models.items()}
    _check_same_photos(ordered)
    nodes = {name: refer_node(each) for name, each in ordered.items()}
    if mean:
        ordered[MEAN] = _mean(ordered)
    reference = ordered[first]
    levels = [
        level for level in reference.taxonomy.levels if all(level in each.taxonomy.levels for each in ordered.values())
    ]
    measures: dict[tuple[str, str], LevelMeasure | ReferMeasure] = {}
    for part in levels:
        rows = _known_to_all(ordered, part)
        measures |= {(name, part): level_measure(each, part, rows) for name, each in ordered.items()}
    if len(set(nodes.values())) == 1 and nodes[first] is not None:
        rows = _known_to_all(ordered, reference.taxonomy.node(str(nodes[first])).level)
        measures |= {(name, "refer"): ReferMeasure(ordered[name], str(node), rows) for name, node in nodes.items()}
    asked: dict[tuple[str, str], Measure] = {key: each for key, each in measures.items() if len(each.rows) >= LEAST_PHOTOS}
    if not asked:
        raise DataError(f"A comparison needs {LEAST_PHOTOS} photos or more; got {len(reference)}.")
    found = resample(asked, reference.unit.tolist(), replicates, seed)

    def cell(name: str, part: str, figure: str) -> dict[str, Any] | None:
        measure, of_model = measures[name, part], found.get((name, part), {}).get(figure)
        count = measure.n(figure)
        told = level_cell(figure, of_model, count) if of_model else None
        other = found.get((against, part), {}).get(figure)
        if told is None or "value" not in told or name == against or of_model is None or other is None:
            return told
        return {**told, "difference": of_model.minus(other).cell(count)}

    rows_of = {
        name: {
            "model": each.meta.get("model"),
            "model_sha256": each.meta.get("model_sha256"),
            **({"doubts": told} if (told := doubts(each.meta)) else {}),
            "levels": {level: {figure: cell(name, level, figure) for figure in LEVEL_FIGURES} for level in levels},
            "refer": {figure: cell(name, "refer", figure) for figure in REFER_FIGURES if (name, "refer") in measures},
        }
        for name, each in ordered.items()
    }
    return {
        "format": FORMAT,
        "n": len(reference),
        "clusters": len(np.unique(reference.unit)),
        "against": against,
        "interval": f"95 %, {replicates} paired bootstrap replicates of whole clusters, seed {seed}",
        "refer_node": nodes[first] if (first, "refer") in measures else None,
        "models": rows_of,
    }


def print_comparison(found: Mapping[str, Any], console: Console) -> None:
    """Prints a table per level, and of what is referred, a model a line; made for 100 columns."""
    title = f"{len(found['models'])} models on the same {found['n']:,} photos in {found['clusters']:,} groups"
    console.print(f"{title}; below each figure its difference to {found['against']}.", markup=False)
    for name, each in found["models"].items():
        for doubt in each.get("doubts", ()):
            console.print(f"Caution, {name}: {doubt}", markup=False)
    levels = list(next(iter(found["models"].values()))["levels"])
    parts = [(level, "levels", SHOWN) for level in levels]
    parts += [(found["refer_node"], "refer", SHOWN_REFER)] if found["refer_node"] else []
    for part, kind, shown in parts:
        of_part = {name: each[kind][part] if kind == "levels" else each[kind] for name, each in found["models"].items()}
        of_part = {name: figures for name, figures in of_part.items() if any(figures.values())}
        wanted = [figure for figure in shown if any(figures.get(figure) for figures in of_part.values())][:4]
        table = plain_table("", gap=1)
        table.add_column(part, no_wrap=True)
        for figure in wanted:
            table.add_column(shown[figure], no_wrap=True)
        for name, figures in of_part.items():
            table.add_row(name, *(text_of(figures[figure]) for figure in wanted))
            differences = [(figures[figure] or {}).get("difference") for figure in wanted]
            if any(differences):
                table.add_row("", *(text_of(each, signed=True) for each in differences), style="dim")
        console.print(table)
    console.print(
        f"In brackets: {found['interval']}. A difference whose interval holds 0 is not shown to be one.", markup=False
    )


def _mean(models: Mapping[str, Predictions]) -> Predictions:
    """What the models say together, as an ensemble: the mean of their probabilities, of each node."""
    first, *others = models.values()
    for name, other in models.items():
        if not np.array_equal(first.nodes, other.nodes):
            raise DataError(f"{next(iter(models))!r} and {name!r} have different trees; a mean needs the same labels.")
    calibrated, plain = (
        np.mean([getattr(each, name) for each in (first, *others)], axis=0, dtype=np.float64).astype(np.float32)
        for name in ("probabilities", "uncalibrated")
    )
    meta = {**first.meta, "model": " + ".join(models), "model_sha256": None}
    return dataclasses.replace(first, probabilities=calibrated, uncalibrated=plain, meta=meta)


def _check_same_photos(models: Mapping[str, Predictions]) -> None:
    """All about the same photos, with the same true labels on the levels that they share, and the same groups."""
    first, reference = next(iter(models.items()))
    for name, other in models.items():
        if not np.array_equal(reference.digest, other.digest):
            common = len(np.intersect1d(reference.digest, other.digest))
            raise DataError(
                f"{first!r} and {name!r} were evaluated on different photos ({len(reference)} and {len(other)}, {common} of "
                "them common); evaluate both on the same split."
            )
        for level in set(reference.taxonomy.levels) & set(other.taxonomy.levels):
            mine, theirs = _truth(reference, level), _truth(other, level)
            differ = int(((mine != theirs) & (mine != "") & (theirs != "")).sum())
            if differ:
                raise DataError(
                    f"{first!r} and {name!r} were evaluated with different labels: {differ} photos differ on the level "
                    f"{level!r}; evaluate both on the same data set."
                )


def _truth(predictions: Predictions, level: str) -> np.ndarray[Any, np.dtype[np.str_]]:
    return predictions.truth[:, predictions.taxonomy.levels.index(level)]


def _known_to_all(models: Mapping[str, Predictions], level: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of the photos whose true node on a level every model knows."""
    return np.flatnonzero(np.all([_truth(each, level) != "" for each in models.values()], axis=0))
