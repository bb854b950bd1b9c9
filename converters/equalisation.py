"""Gives the channels of linear bottlenecks ranges of equal width, so that one scale serves all of them.

A tensor between linear convolutions may be divided by s, channel by channel, when the kernels that read it are multiplied by
s: the network stays the same function. Tensors that sums tie together (the bottlenecks of a chain of shortcuts) share one
s. int8 has one scale for a whole tensor, which its widest channel would set for all.

Source: Nagel et al. 2019, section 4.1, for the linear parts; behind a ReLU6, which clips, it would not be the same function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

_LEAST = 1e-3  # of the widest channel: a dead channel is not blown up


@dataclass(frozen=True)
class _Chain:
    """Tensors that share their scales: outputs of `writers` and sums of them, read by `readers` alone."""

    tensors: tuple[Any, ...]
    writers: tuple[Any, ...]
    readers: tuple[Any, ...]


def equalise(model: keras.Model, batches: Iterable[Mapping[str, np.ndarray]]) -> int:
    """Equalises the linear tensors of a folded model in place.

    Args:
        model: a folded model (`fold_batchnorm`).
        batches: photos, {input name: float32 [1, size, size, channels]}, from which the ranges are taken.
    Returns:
        How many tensors were equalised.
    """
    chains = _chains(model)
    tensors = [tensor for chain in chains for tensor in chain.tensors]
    if not tensors:
        return 0
    probe = keras.Model(model.inputs, [keras.ops.max(keras.ops.abs(each), axis=(0, 1, 2)) for each in tensors])
    widest = [np.zeros(tensor.shape[-1]) for tensor in tensors]
    for batch in batches:
        found = keras.tree.flatten(probe([batch[tensor.name] for tensor in model.inputs], training=False))
        widest = [np.maximum(a, keras.ops.convert_to_numpy(b)) for a, b in zip(widest, found, strict=True)]
    place = 0
    for chain in chains:
        ranges = np.max(widest[place : place + len(chain.tensors)], axis=0)
        place += len(chain.tensors)
        if ranges.max() > 0:
            _rescale(chain, ranges)
    return len(tensors)


def _rescale(chain: _Chain, ranges: np.ndarray) -> None:
    scales = np.maximum(ranges, _LEAST * ranges.max())
    scales = scales / np.exp(np.log(scales).mean())
    for layer in chain.writers:
        kernel, bias = layer.get_weights()
        layer.set_weights([(kernel / scales).astype(np.float32), (bias / scales).astype(np.float32)])
    for layer in chain.readers:
        kernel, bias = layer.get_weights()
        layer.set_weights([(kernel * scales[:, None]).astype(np.float32), bias])


def _chains(model: keras.Model) -> list[_Chain]:
    """The chains whose every end is a plain convolution."""
    sums = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    writers = [layer for layer in model.layers if _is_convolution(layer) and _is_linear(layer)]
    group = {id(layer.output): place for place, layer in enumerate([*writers, *sums])}
    for layer in sums:
        for tensor in layer.input:
            if id(tensor) in group:
                ours, theirs = group[id(layer.output)], group[id(tensor)]
                group = {key: ours if place == theirs else place for key, place in group.items()}
    found: dict[int, list[Any]] = {}
    for layer in (*writers, *sums):
        found.setdefault(group[id(layer.output)], []).append(layer)
    ends = {id(tensor) for tensor in model.outputs}
    return [chain for layers in found.values() if (chain := _chain(layers, set(group), ends)) is not None]


def _chain(layers: list[Any], known: set[int], ends: set[int]) -> _Chain | None:
    """A chain out of its layers; None where something else than a sum or a convolution writes or reads it."""
    readers: dict[str, Any] = {}
    for layer in layers:
        if id(layer.output) in ends:
            return None
        if isinstance(layer, keras.layers.Add) and any(id(tensor) not in known for tensor in layer.input):
            return None
        for node in layer._outbound_nodes:
            reader = node.operation
            if _is_convolution(reader):
                readers[reader.name] = reader
            elif not isinstance(reader, keras.layers.Add):
                return None
    writers = tuple(layer for layer in layers if _is_convolution(layer))
    return _Chain(tuple(layer.output for layer in layers), writers, tuple(readers.values())) if readers else None


def _is_convolution(layer: Any) -> bool:
    plain = isinstance(layer, keras.layers.Conv2D) and not isinstance(layer, keras.layers.DepthwiseConv2D)
    return plain and layer.groups == 1 and layer.data_format == "channels_last"


def _is_linear(layer: Any) -> bool:
    return layer.activation in (None, keras.activations.linear)
