"""A network's history as TensorBoard reads it: RUN/tensorboard/GRAPH/events.out.tfevents.*, one scalar per column and epoch.

The file follows from the history alone, so an interruption can neither lose a step nor write one twice: an epoch's records
are put behind those that are there, which a running TensorBoard sees at once; a file that is no beginning of what it should
be is written anew. The moment of an epoch is the training's beginning plus the seconds that its epochs took.
Source: the records of tensorboard/summary/writer/record_writer.py.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from derm_sdk.errors import FileError
from derm_sdk.files import write_bytes

_NAME = re.compile(r"events\.out\.tfevents\.(\d{1,12})")
_NOT_SHOWN = ("graph", "epoch")


def can_write_events() -> bool:
    """Whether the `tensorboard` package is installed; TensorFlow is not needed, and not loaded."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2  # noqa: F401
        from tensorboard.summary.writer import record_writer  # noqa: F401
    except ImportError:
        return False
    return True


def write_events(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Brings a network's events up to its history. `can_write_events` must hold.

    Args:
        folder: of this network alone; made when missing.
        history: one row per epoch, the columns of history.csv.
    Raises:
        FileError: it cannot be written.
    """
    try:
        named = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
        begun = time.time() - sum(row["seconds"] for row in history)
        path = named[0] if named else folder / f"events.out.tfevents.{int(begun)}"
        wanted = _records(history, int(path.name.rpartition(".")[2]))
        there = path.read_bytes() if named else None
        if there is None or not wanted.startswith(there):
            write_bytes(path, wanted)
        elif len(there) < len(wanted):
            with path.open("ab") as file:
                file.write(wanted[len(there) :])
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"Cannot write {str(folder)!r}: {error.strerror or error}.") from error


def _records(history: Sequence[Mapping[str, Any]], begun: int) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    data, now = io.BytesIO(), float(begun)
    writer = RecordWriter(data)
    writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
    for row in history:
        now += row["seconds"]
        values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items() if name not in _NOT_SHOWN]
        writer.write(Event(wall_time=now, step=row["epoch"], summary=Summary(value=values)).SerializeToString())
    return data.getvalue()
