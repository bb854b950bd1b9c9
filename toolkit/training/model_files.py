"""The networks of a run folder as files: model/<graph>.keras, and model/graphs.json that says what they are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from derm_sdk.errors import FileError
from derm_sdk.files import write_bytes, write_text

from ..models import GraphSpec
from .config import Preprocessing

if TYPE_CHECKING:
    import keras


def model_path(folder: Path, graph: str) -> Path:
    """The file of a graph of the run in `folder`."""
    return folder / "model" / f"{graph}.keras"


def save_model(folder: Path, graph: str, model: keras.Model) -> None:
    """Writes a graph's network as a .keras file, whole or not at all. Raises FileError."""
    path = model_path(folder, graph)
    try:
        with tempfile.TemporaryDirectory(prefix=".model-", dir=folder) as place:
            temporary = Path(place) / path.name
            model.save(temporary)
            data = temporary.read_bytes()
    except OSError as error:  # a full disk, and whatever h5py says of it
        raise FileError(f"Cannot write {str(path)!r}: {error.strerror or error}.") from error
    write_bytes(path, data)


def write_graphs(folder: Path, kind: str, preprocessing: Preprocessing, specs: Sequence[GraphSpec]) -> None:
    """Writes model/graphs.json, which makes the networks of the folder complete. Raises FileError."""
    rows = [
        {"id": s.id, "file": f"{s.id}.keras", "given": s.given, "labels": list(s.labels), "inputs": list(s.inputs)}
        for s in specs
    ]
    table = {"kind": kind, "preprocessing": preprocessing.to_dict(), "graphs": rows}
    write_text(folder / "model" / "graphs.json", json.dumps(table, indent=1) + "\n")
