"""Trains a report's rows one after the other, and puts our figures beside the report's.

DIR/ROW/                 a run folder per row, evaluated; ROW-random-weights/ where ImageNet's could not be had
DIR/reproduction.json    what `reproduce` returns, written again after every row
DIR/reproduction.md      the same as a table
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derm_sdk.errors import OptionError, closest
from derm_sdk.files import write_text

from ..data.leaks import find_leaks, leak_sentence
from ..data.manifest import Dataset, Split
from ..errors import TrainingError, WeightsError
from ..evaluation.bootstrap import REPLICATES, resample
from ..evaluation.figures import level_cell
from ..evaluation.measures import LEAST_PHOTOS, level_measure
from ..evaluation.predictions import Predictions
from ..training.config import Config, config_from_dict, find_config, read_config
from ..training.finish import finish
from ..training.reporter import Reporter
from ..training.train import Order, check_order
from .rows import Report, Row
from .table import to_markdown

FORMAT = 1
FIGURES = {  # of ours; the loss is the one before calibration
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "macro_f1": "macro_f1",
    "weighted_f1": "weighted_f1",
    "loss": "log_loss_uncalibrated",
}


@dataclass(frozen=True)
class Wish:
    """What to reproduce.

    Attributes:
        report: which report.
        rows: names of the rows, as `Row.config` has them; empty for all.
        overrides: "key=value", as `--set`, for every row.
        dataset, split: the photos, the same for all rows.
        out: the folder of all.
        random_weights: train a row whose ImageNet weights cannot be had from random ones, instead of leaving it out.
        cache: folder of the photo caches; None for the data set's own.
        allow_leaks: train on a split with clusters, patients or lesions on two sides, and say so among the caveats.
    """

    report: Report
    rows: tuple[str, ...]
    overrides: tuple[str, ...]
    dataset: Dataset
    split: Split
    out: Path
    random_weights: bool = False
    cache: Path | None = None
    allow_leaks: bool = False


def chosen_rows(report: Report, names: Sequence[str]) -> tuple[Row, ...]:
    """The report's rows of these names, in its order; all for none. Raises OptionError for an unknown name."""
    known = [row.config for row in report.rows]
    for name in names:
        if name not in known:
            raise OptionError(f"{report.name} has no row {name!r}." + closest(name, known))
    return tuple(row for row in report.rows if not names or row.config in names)


def reproduce(wish: Wish, reporter: Reporter, after_row: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """Trains and evaluates the rows; what is finished in the folder is kept.

    A row whose ImageNet weights cannot be had, or whose loss stops being a number, is told as such, and the next one begun.

    Args:
        wish: which rows, on what.
        reporter: where progress is shown.
        after_row: called with the table so far.
    Returns:
        JSON-ready: {"format", "report", "dataset", "split", "overrides", "rows", "caveats", "interval"}. A row is {"row",
        "title", "report": {level: {figure: value}}, "caveats", "state", "why"}, with a state of "evaluated", "not trained"
        or "stopped"; the first also has "run", "networks", "epochs" and "minutes" of all its networks together, and "ours":
        {level: {"n", "classes", "baselines", figure: cell}}, a cell being one of `evaluation.figures`.
    Raises:
        OptionError, ConfigError, DataError: an unknown row or key, or nothing to learn from; nothing is trained then.
        DermError: as `finish`, for all that is not about one row.
    """
    rows = chosen_rows(wish.report, wish.rows)
    configs = {row.config: read_config(find_config(row.config), wish.overrides) for row in rows}
    for config in configs.values():
        check_order(Order(config, wish.dataset, wish.split, wish.out, allow_leaks=wish.allow_leaks))
    table: dict[str, Any] = {
        "format": FORMAT,
        "report": wish.report.name,
        "dataset": wish.dataset.digest,
        "split": wish.split.digest,
        "overrides": list(wish.overrides),
        "rows": [_told(row) for row in rows],
        "caveats": [*wish.report.caveats, *_about_data(wish)],
        "interval": f"95 %, {REPLICATES} bootstrap replicates of whole clusters, seed 0",
    }
    for number, (row, told) in enumerate(zip(rows, table["rows"], strict=True), start=1):
        reporter.say(f"Row {number} of {len(rows)}, {row.title}:")
        try:
            told |= _of_row(wish, row, configs[row.config], reporter)
        except (TrainingError, WeightsError) as error:
            state = "not trained" if isinstance(error, WeightsError) else "stopped"
            told |= {"state": state, "why": str(error)}
            reporter.say(f"{state.capitalize()}: {error}")
        _write(wish, table)
        if after_row is not None:
            after_row(table)
    return table


def _told(row: Row) -> dict[str, Any]:
    """What is known of a row before it is trained."""
    figures = {level: dict(values) for level, values in (("condition", row.condition), ("category", row.category)) if values}
    caveats = [row.caveat] if row.caveat else []
    return {"row": row.config, "title": row.title, "report": figures, "caveats": caveats, "state": "not trained", "why": ""}


def _of_row(wish: Wish, row: Row, config: Config, reporter: Reporter) -> dict[str, Any]:
    """Trains and evaluates a row."""
    caveats = [row.caveat] if row.caveat else []
    order = Order(config, wish.dataset, wish.split, wish.out / row.config, cache=wish.cache, allow_leaks=wish.allow_leaks)
    inner = Reporter(console=reporter.console)
    try:
        run, predictions = finish(order, inner)
    except WeightsError as error:
        if not wish.random_weights:
            raise WeightsError(f"{error} For every such row: --random-weights.") from error
        reporter.say(f"{error} Going on with random ones.")
        other = config_from_dict({**config.to_dict(), "model": {**config.to_dict()["model"], "weights": "none"}})
        order = dataclasses.replace(order, config=other, out=wish.out / f"{row.config}-random-weights")
        run, predictions = finish(order, inner)
        caveats.append("Begun with random weights, not ImageNet's: this says nothing about the row." + _frozen(other))
    levels = predictions.taxonomy.levels
    ours = {"condition": _figures(predictions, levels[-1])}
    ours |= {"category": _figures(predictions, levels[0])} if len(levels) > 1 else {}
    epochs, minutes = run.effort()
    effort = {"networks": len(run.graphs), "epochs": epochs, "minutes": round(minutes, 2)}
    return {"state": "evaluated", "caveats": caveats, **effort, "run": run.folder.name, "ours": ours}


def _frozen(config: Config) -> str:
    return " Its layers stayed frozen as they were drawn." if min(config.training.frozen) == 1.0 else ""


def _figures(predictions: Predictions, level: str) -> dict[str, Any]:
    measure = level_measure(predictions, level, np.arange(len(predictions)))
    count = len(measure.rows)
    found = resample({level: measure}, predictions.unit.tolist())[level] if count >= LEAST_PHOTOS else {}
    baselines = {name: measure.baselines[_constant(key)] for name, key in FIGURES.items()}
    cells = {name: level_cell(key, found[key], count) if found else {"n": count} for name, key in FIGURES.items()}
    return {"level": level, "n": count, "classes": measure.classes, "baselines": baselines, **cells}


def _constant(figure: str) -> str:
    """The name under which the best constant answer's figure is kept."""
    return figure.removesuffix("_uncalibrated")


def _about_data(wish: Wish) -> list[str]:
    conditions, categories = (
        len(wish.dataset.taxonomy.leaves),
        len(wish.dataset.taxonomy.at(wish.dataset.taxonomy.levels[0])),
    )
    photos, test = len(wish.dataset.photos), len(wish.split.photos(wish.dataset, "test"))
    told = [
        f"The report's figures are about 114 conditions of Fitzpatrick17k; ours about {conditions} conditions in "
        f"{categories} categories, {photos:,} photos, {test:,} of them for the test. Only the constant answer says how hard "
        "either task is."
    ]
    made = wish.split.details.get("duplicates")
    method = made.get("method") if isinstance(made, dict) else None
    if method == "none":
        told.append("In the split of these data near duplicates were not looked for: our figures may flatter too.")
    if leaks := leak_sentence([leak.to_dict() for leak in find_leaks(wish.split, wish.dataset)]):
        told.append(leaks)
    if wish.overrides:
        told.append(f"Every row was trained with {', '.join(wish.overrides)}, not as its config stands.")
    return told


def _write(wish: Wish, table: dict[str, Any]) -> None:
    write_text(wish.out / "reproduction.json", json.dumps(table, indent=1) + "\n")
    write_text(wish.out / "reproduction.md", to_markdown(wish.report, table))
