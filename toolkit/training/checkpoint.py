"""A network's whole training state in one file, written whole: what `--resume` continues from, bit for bit."""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.files import write_bytes

from ..errors import RunError
from .recipe import MovingAverage

if TYPE_CHECKING:
    import keras

FORMAT = 1
Arrays = list[NDArray[Any]]


@dataclass
class Progress:
    """How far a network's training is, after a whole epoch.

    Attributes:
        epoch: epochs done.
        best_score, best_loss, best_epoch, best: the best value of the metric (higher is better; of equal ones, that with the
            least loss), its validation loss, its epoch (from 1), and the weights of then.
        history: one row per epoch, the columns of history.csv.
        finished: whether nothing is left to do.
    """

    epoch: int = 0
    best_score: float = -math.inf
    best_loss: float = math.inf
    best_epoch: int = 0
    best: Arrays = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False


def write_checkpoint(path: Path, progress: Progress, model: keras.Model, average: MovingAverage | None) -> None:
    """Writes weights, optimiser, random states, moving average and progress. Raises FileError when it cannot."""
    groups = {
        "variables": _values(model.variables),  # weights, batch statistics and dropout's random states
        "optimizer": _values(model.optimizer.variables),
        "average": average.arrays() if average else [],
        "best": progress.best,
    }
    state = {
        "format": FORMAT,
        "epoch": progress.epoch,
        "best_score": progress.best_score if progress.best else None,
        "best_loss": progress.best_loss if progress.best else None,
        "best_epoch": progress.best_epoch,
        "history": progress.history,
        "finished": progress.finished,
        "average_updates": average.updates if average else 0,
    }
    arrays: Any = {f"{name}.{place}": array for name, group in groups.items() for place, array in enumerate(group)}
    file = io.BytesIO()
    np.savez(file, state=np.frombuffer(json.dumps(state).encode(), np.uint8), **arrays)
    write_bytes(path, file.getvalue())


def read_progress(path: Path) -> Progress:
    """Reads how far a training came, and its best weights. Raises RunError when the file is damaged."""
    return _progress(_load(path), path)


def restore_checkpoint(path: Path, model: keras.Model, average: MovingAverage | None) -> Progress:
    """Puts a checkpoint's state into a compiled model with a built optimiser, and into its moving average.

    Raises:
        RunError: the file is damaged, or belongs to another network.
    """
    data = _load(path)
    progress = _progress(data, path)
    for name, targets in (("variables", model.variables), ("optimizer", model.optimizer.variables)):
        for target, array in zip(targets, _group(data, name, targets, path), strict=True):
            target.assign(array)
    if average:
        average.restore(_group(data, "average", average.weights, path), _state(data, path)["average_updates"])
    return progress


def _values(variables: Sequence[Any]) -> Arrays:
    from keras import ops

    return [np.asarray(ops.convert_to_numpy(variable)) for variable in variables]


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise RunError(
            f"The checkpoint {str(path)!r} cannot be read ({error}); delete it to train that network anew."
        ) from error


def _state(data: Mapping[str, NDArray[Any]], path: Path) -> dict[str, Any]:
    try:
        state = json.loads(data["state"].tobytes())
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']}")
        return dict(state)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{str(path)!r} is no checkpoint of this toolkit ({error}); delete it to train anew.") from error


def _progress(data: Mapping[str, NDArray[Any]], path: Path) -> Progress:
    state = _state(data, path)
    best = [data[f"best.{place}"] for place in range(sum(name.startswith("best.") for name in data))]
    return Progress(
        epoch=state["epoch"],
        best_score=state["best_score"] if best else -math.inf,
        best_loss=state["best_loss"] if best else math.inf,
        best_epoch=state["best_epoch"],
        best=best,
        history=state["history"],
        finished=state["finished"],
    )


def _group(data: Mapping[str, NDArray[Any]], name: str, targets: Sequence[Any], path: Path) -> Arrays:
    arrays = [data.get(f"{name}.{place}") for place in range(len(targets))]
    found = [array for array in arrays if array is not None]
    if [array.shape for array in found] != [tuple(target.shape) for target in targets]:
        raise RunError(f"The checkpoint {str(path)!r} belongs to another network; delete it to train that network anew.")
    return found
