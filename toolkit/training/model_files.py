"""Networks as files: model/<graph>.keras of a run, and model/graphs.json that says what they are; other people's .keras."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from derm_sdk.errors import FileError
from derm_sdk.files import write_bytes, write_text

from ..errors import RunError
from ..models import GraphSpec
from .backend import load_keras
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


def load_model_file(path: Path) -> keras.Model:
    """Loads a .keras file that nobody vouches for.

    Raises:
        RunError: it is missing, damaged, or holds more than Keras' own layers.
    """
    _check_model_file(path)
    keras = load_keras()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its readers raise
        raise RunError(f"{str(path)!r} is damaged: Keras cannot read it ({_first_line(error)}).") from error


def _check_model_file(path: Path) -> None:
    """A .keras file can name any Python class to build; only Keras' own are let through, and no Lambda."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, RecursionError, NotImplementedError, zipfile.BadZipFile) as error:
        raise RunError(f"{str(path)!r} is no Keras model, or damaged ({_first_line(error)}).") from error
    for part in _walk(config):
        module, name = part.get("module"), part.get("class_name")
        foreign = isinstance(module, str) and module.split(".")[0] not in ("keras", "builtins")
        if foreign or name == "Lambda" or (module == "builtins" and part.get("registered_name") is not None):
            raise RunError(f"{str(path)!r} holds {name!r} from {module!r}; only Keras' own layers are loaded.")


def _walk(part: Any) -> list[dict[str, Any]]:
    found, waiting = [], [part]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found.append(part)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
