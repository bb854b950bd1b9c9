"""Legacy torch files without torch: named tensors and nothing else.

Such a file is a pickle, and a pickle can run any code; this reader knows four harmless names and refuses every other.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import WeightsError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

State = Mapping[str, NDArray[Any]]


def read_torch(data: bytes) -> State:
    """Reads a legacy torch file that holds nothing but named tensors.

    Args:
        data: the file's bytes.
    Returns:
        {name: array of float32 or int64}.
    Raises:
        WeightsError: another format, anything besides tensors, or a damaged file.
    """
    file = io.BytesIO(data)
    storages: dict[str, tuple[np.dtype[Any], int]] = {}
    try:
        if _load(file) != _MAGIC or _load(file) != _PROTOCOL:
            raise WeightsError("The weights are no legacy torch file.")
        _load(file)  # about the machine that wrote it; little-endian everywhere that torch runs
        entries = _load(file, storages)
        blocks: dict[str, NDArray[Any]] = {}
        for key in _load(file):
            dtype, count = storages[key]
            (written,) = struct.unpack("<q", file.read(8))
            if written != count or count < 0:
                raise WeightsError(f"Storage {key!r} should have {count} values, but {written} were written.")
            blocks[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
        return {str(name): tensor.view(blocks) for name, tensor in entries.items()}
    except (
        pickle.UnpicklingError,
        struct.error,
        AttributeError,
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
    ) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"The weight file is damaged or holds more than tensors ({error}).") from error


@dataclass(frozen=True)
class _Tensor:
    """A tensor whose values come later in the file."""

    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, blocks: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        block = blocks[self.key]
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        inside = min(self.offset, *self.shape, *self.strides, 0) >= 0 and (0 in self.shape or last < block.size)
        if not inside or math.prod(self.shape) > block.size:
            raise WeightsError(f"A tensor of shape {self.shape} reaches outside its {block.size} stored values.")
        strides = [stride * block.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(block[self.offset :], self.shape, strides, writeable=False).copy()


def _rebuild(storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


class _Unpickler(pickle.Unpickler):
    """Knows four names and refuses every other."""

    allowed: Mapping[tuple[str, str], Callable[..., Any] | str] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        ("torch", "FloatStorage"): "FloatStorage",
        ("torch", "LongStorage"): "LongStorage",
    }

    def __init__(self, file: io.BytesIO, storages: dict[str, tuple[np.dtype[Any], int]]) -> None:
        super().__init__(file)
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise WeightsError(f"The weight file asks for {module}.{name}, which is no tensor; it is refused.")
        return self.allowed[module, name]

    def persistent_load(self, pid: Any) -> str:
        kind, storage, key, _, count, view = pid
        if kind != "storage" or view is not None:
            raise WeightsError(f"The weight file refers to {kind!r}, which is no plain storage.")
        self.storages[key] = (_STORAGES[storage], int(count))
        return str(key)


def _load(file: io.BytesIO, storages: dict[str, tuple[np.dtype[Any], int]] | None = None) -> Any:
    return _Unpickler(file, {} if storages is None else storages).load()
