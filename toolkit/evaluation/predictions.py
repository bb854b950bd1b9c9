"""What a model said about photos, beside what is true: one file, from which every figure can be computed again.

A NumPy archive (.npz) of N photos over a tree of M nodes and L levels, stored without compression and without pickles:

    digest         text [N]           SHA-256 of each photo
    leaf           text [N]           its true condition, an id; of the data set's tree where the model does not know it
    truth          text [N, L]        the model's node on each level that is true; "" where the model does not know it
    skin_type      int8 [N]           1 to 6; 0 where unknown
    unit           text [N]           what the bootstrap draws together
    nodes          text [M]           ids of the tree's nodes, the columns of the next two
    probabilities  float32 [N, M]     calibrated
    uncalibrated   float32 [N, M]     of the plain softmax
    answer         text [N]           the deepest node that is certain enough; "" for none
    refer          bool [N]           whether a dermatologist should see the photo
    meta           text []            JSON: model, digests, side, the tree ("taxonomy") and the numbers ("calibration")
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.calibration import Calibration
from derm_sdk.errors import DermError, FileError
from derm_sdk.files import write_bytes
from derm_sdk.taxonomy import Taxonomy

from ..errors import DataError

FORMAT = 1
MAX_BYTES = 1 << 31
_KINDS = {"float32": "f4", "int8": "i1", "bool": "b1"}
_ARRAYS = {
    "digest": ("text", "N"),
    "leaf": ("text", "N"),
    "truth": ("text", "NL"),
    "skin_type": ("int8", "N"),
    "unit": ("text", "N"),
    "nodes": ("text", "M"),
    "probabilities": ("float32", "NM"),
    "uncalibrated": ("float32", "NM"),
    "answer": ("text", "N"),
    "refer": ("bool", "N"),
}


@dataclass(frozen=True)
class Predictions:
    """What a model said about N photos; arrays as the head of this module lists them.

    Attributes:
        meta: JSON-ready: {"format", "model", "model_sha256", "dataset", "split", "side", "taxonomy", "calibration", ...}.
    Raises:
        DataError: an array has the wrong dtype or shape, a value is out of range, or a node is not in the tree.
    """

    digest: NDArray[np.str_]
    leaf: NDArray[np.str_]
    truth: NDArray[np.str_]
    skin_type: NDArray[np.int8]
    unit: NDArray[np.str_]
    nodes: NDArray[np.str_]
    probabilities: NDArray[np.float32]
    uncalibrated: NDArray[np.float32]
    answer: NDArray[np.str_]
    refer: NDArray[np.bool_]
    meta: Mapping[str, Any]

    def __post_init__(self) -> None:
        sizes = {"N": len(self.digest), "M": len(self.nodes), "L": len(self.taxonomy.levels)}
        for name, (kind, axes) in _ARRAYS.items():
            array, shape = getattr(self, name), tuple(sizes[axis] for axis in axes)
            if not _is_kind(array.dtype, kind) or array.shape != shape:
                raise DataError(
                    f"The predictions' {name!r} must be {kind} {list(shape)}; got {array.dtype} {list(array.shape)}."
                )
        if list(self.nodes) != [node.id for node in self.taxonomy.nodes]:
            raise DataError("The predictions' nodes are not those of their tree.")
        if len(np.unique(self.digest)) != len(self.digest):
            raise DataError("The predictions list a photo twice.")
        for name in ("probabilities", "uncalibrated"):
            values = getattr(self, name)
            if not (np.isfinite(values).all() and (values >= 0).all() and (values <= 1 + 1e-5).all()):
                raise DataError(f"The predictions' {name!r} must be from 0 to 1.")
        if ((self.skin_type < 0) | (self.skin_type > 6)).any():
            raise DataError("The predictions' skin types must be 1 to 6, or 0 where unknown.")
        known = {node.id for node in self.taxonomy.nodes}
        if not set(np.unique(self.answer)) <= known | {""}:
            raise DataError("The predictions answer a node that is not in their tree.")
        for depth, level in enumerate(self.taxonomy.levels):
            if not set(np.unique(self.truth[:, depth])) <= {node.id for node in self.taxonomy.at(level)} | {""}:
                raise DataError(f"The predictions' truth on the level {level!r} names a node that is not there.")

    def __len__(self) -> int:
        return len(self.digest)

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The model's tree. Raises TaxonomyError when meta holds none."""
        return Taxonomy.from_dict(self.meta.get("taxonomy"))

    @cached_property
    def calibration(self) -> Calibration:
        """The numbers that were applied. Raises BundleError when meta holds none."""
        return Calibration.from_dict(self.meta.get("calibration"))

    def columns(self, level: str) -> NDArray[np.int64]:
        """Columns of a level's nodes in `probabilities`, in the order of the tree."""
        place = {node: column for column, node in enumerate(self.nodes.tolist())}
        return np.array([place[node.id] for node in self.taxonomy.at(level)], np.int64)

    def true_classes(self, level: str) -> NDArray[np.int64]:
        """Per photo the place of its true node among the level's nodes, int64 [N]; -1 where the model does not know it."""
        place = {node.id: index for index, node in enumerate(self.taxonomy.at(level))} | {"": -1}
        depth = self.taxonomy.levels.index(level)
        return np.array([place[node] for node in self.truth[:, depth].tolist()], np.int64)

    def take(self, rows: NDArray[Any]) -> Predictions:
        """The predictions about some of the photos: int [n], or bool [N]."""
        chosen = {name: getattr(self, name)[rows] for name, (_, axes) in _ARRAYS.items() if axes[0] == "N"}
        return Predictions(**chosen, nodes=self.nodes, meta=self.meta)


def write_predictions(path: str | os.PathLike[str], predictions: Predictions) -> None:
    """Writes predictions, whole or not at all; the same predictions give the same bytes. Raises FileError."""
    arrays = {each.name: getattr(predictions, each.name) for each in fields(Predictions) if each.name != "meta"}
    data = io.BytesIO()
    np.savez(data, **arrays, meta=np.array(json.dumps(dict(predictions.meta), sort_keys=True)))
    write_bytes(path, data.getvalue())


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Reads what `write_predictions` wrote.

    Raises:
        DataError: it is no such file, damaged, or of another format; pickles and compressed entries are refused.
        FileError: the file cannot be read.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{str(path)!r} is larger than predictions can be ({MAX_BYTES:,} bytes).")
        with zipfile.ZipFile(path) as archive:
            arrays = {name: _read_array(archive, name) for name in (*_ARRAYS, "meta")}
        text = arrays.pop("meta")
        if text.dtype.kind != "U" or text.shape != ():
            raise DataError("its meta is no text")
        meta = json.loads(str(text))
        if not isinstance(meta, dict) or meta.get("format") != FORMAT:
            raise DataError(f"it must be of format {FORMAT}")
        predictions = Predictions(**arrays, meta=meta)
        _ = predictions.calibration
        return predictions
    except (ValueError, KeyError, EOFError, RecursionError, NotImplementedError, zipfile.BadZipFile, DermError) as error:
        if isinstance(error, DataError) and "larger than" in str(error):
            raise
        raise DataError(
            f"{str(path)!r} holds no predictions, or is damaged ({_first_line(error)}); run derm-toolkit evaluate again."
        ) from error
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One entry; what its header promises is compared with its size before memory is taken for it."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise DataError(f"{name!r} is compressed")
    data = archive.read(info)
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise DataError(f"{name!r} has the array format {version}")
    shape, fortran, dtype = read_header(stream)
    if dtype.kind not in "Ufib" or dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise DataError(f"the size of {name!r} is not what its header says")
    if dtype.itemsize == 0:
        return np.zeros(shape, "U1")
    array = np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _is_kind(dtype: np.dtype[Any], kind: str) -> bool:
    return dtype.kind == "U" if kind == "text" else dtype == np.dtype(_KINDS[kind])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
