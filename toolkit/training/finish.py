"""Whatever of a run is still missing: its training, and its figures on its own test photos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from derm_sdk.errors import FileError
from derm_sdk.files import write_text

from ..errors import DataError
from ..evaluation.evaluate import evaluate_subject
from ..evaluation.predictions import Predictions, read_predictions, write_predictions
from ..evaluation.seen import Question
from ..evaluation.subject import run_subject
from ..evaluation.synonyms import SHIPPED, read_synonyms
from ..lock import exclusive
from .backend import load_keras, usable_cores
from .reporter import Reporter
from .run import Run, read_run
from .train import Order, check_same, train

SIDE = "test"


def finish(order: Order, reporter: Reporter) -> tuple[Run, Predictions]:
    """Trains a run unless it is finished, and evaluates it unless that is done: an interruption costs nothing that is whole.

    Args:
        order: what to train; a training that was begun in its folder is gone on with.
        reporter: where progress is shown.
    Returns:
        The run, and what it said of its test photos, as kept in evaluation/test.npz beside the figures.
    Raises:
        DermError: as `train` and `evaluate_subject`.
    """
    with exclusive(order.out):
        if (order.out / "calibration.json").is_file():  # it is written last
            check_same(order)
            run = read_run(order.out)
            reporter.say(f"{order.out} was finished before.")
        else:
            load_keras().backend.clear_session()  # of the network before, which else would stay in memory
            begun = (order.out / "config.toml").is_file()
            run = train(replace(order, resume=begun), reporter)
        kept = _kept_predictions(run, order)
        return run, kept if kept is not None else _evaluate(run, order, reporter)


def _paths(run: Run) -> tuple[Path, Path]:
    figures = run.folder / "evaluation" / f"{SIDE}.json"
    return figures, figures.with_suffix(".npz")


def _kept_predictions(run: Run, order: Order) -> Predictions | None:
    """What an evaluation before this one has left; None unless it is about these weights and photos."""
    figures, path = _paths(run)
    if not (figures.is_file() and path.is_file()):
        return None
    try:
        predictions = read_predictions(path)
    except (DataError, FileError):
        return None
    expected = {"model_sha256": run.model_digest, "side": SIDE, "source": None, "split": order.split.digest}
    return predictions if all(predictions.meta.get(key) == value for key, value in expected.items()) else None


def _evaluate(run: Run, order: Order, reporter: Reporter) -> Predictions:
    figures, path = _paths(run)
    question = Question(order.dataset, order.split, SIDE, allow_leaks=order.allow_leaks)
    workers = order.config.training.workers or usable_cores()
    subject = run_subject(run, workers)
    found, predictions = evaluate_subject(
        subject, question, order.cache, workers, reporter=reporter, synonyms=read_synonyms(SHIPPED)
    )
    write_predictions(path, predictions)
    write_text(figures, json.dumps(found, indent=1) + "\n")
    return predictions
