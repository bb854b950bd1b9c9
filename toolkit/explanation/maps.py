"""A network and a photo to a map of evidence: Grad-CAM behind any layer, class activation maps of pooled heads, channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from derm_sdk.errors import OptionError, closest

from .gradients import gradients

Floats = NDArray[np.float32]
Inputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class PooledHead:
    """The end of a network that is global average pooling and one dense layer: logits = mean(map) @ kernel + the rest.

    Attributes:
        layer: name of the layer whose output is pooled.
        kernel: float32 [channels, labels]: the dense layer's weights of the pooled channels.
    """

    layer: str
    kernel: Floats


def map_layers(model: keras.Model) -> list[str]:
    """Names of the layers whose output is a map [N, h, w, channels] of more than one cell, from the input on."""
    found = []
    for layer in model.layers:
        shape = () if isinstance(layer, keras.layers.InputLayer) else getattr(layer.output, "shape", ())
        if len(shape) == 4 and (shape[1], shape[2]) != (1, 1):
            found.append(layer.name)
    return found


def check_layer(model: keras.Model, graph: str, layer: str | None) -> str:
    """The layer to look at: the one asked for, or the last map. Raises OptionError where there is none such."""
    known = map_layers(model)
    if layer is None and known:
        return known[-1]
    if layer not in known:
        raise OptionError(f"The graph {graph!r} has no map named {layer!r}." + closest(layer, known[::-1]))
    return layer


def grad_cam(model: keras.Model, inputs: Inputs, weights: NDArray[Any], layer: str) -> Floats:
    """Computes Grad-CAM: the layer's channels, weighted by how the score changes with each channel's mean.

    Args:
        model: a network of a run.
        inputs: {input: array without the batch}.
        weights: [labels], how the score changes with each logit; see `derm_sdk.explanation.Target.score_weights`.
        layer: name of a map.
    Returns:
        float32 [h, w]: the weighted sum, before negative values are cut off.
    Source: Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2.
    """
    slopes = keras.ops.convert_to_tensor(np.asarray(weights, np.float32))
    output, gradient = gradients(model, inputs, layer, lambda logits: keras.ops.sum(logits * slopes))
    return np.asarray(output @ gradient.mean(axis=(0, 1)), np.float32)


def class_activation_map(model: keras.Model, inputs: Inputs, weights: NDArray[Any], head: PooledHead) -> Floats:
    """Computes a class activation map: the last map times the head's weights; no gradient is needed.

    One map per label adds up, over its cells, to the label's logit. They are weighted as the score for the node weighs the
    logits, so the result is Grad-CAM's at this layer, times the number of cells.

    Args:
        model, inputs, weights: as for `grad_cam`.
        head: of the model, from `pooled_head`.
    Returns:
        float32 [h, w], before negative values are cut off.
    Source: Zhou et al. 2016, "Learning Deep Features for Discriminative Localization".
    """
    output, _ = layer_output(model, inputs, head.layer)
    return np.asarray(output @ (head.kernel @ weights), np.float32)


def layer_output(model: keras.Model, inputs: Inputs, layer: str) -> tuple[Floats, Floats]:
    """Runs a network on one photo: the output of one of its layers [h, w, channels], and its logits [labels]."""
    probe = keras.Model(model.inputs, [model.get_layer(layer).output, model.outputs[0]])
    batch = [np.asarray(inputs[tensor.name], np.float32)[None] for tensor in model.inputs]
    found, logits = (np.asarray(keras.ops.convert_to_numpy(each), np.float32)[0] for each in probe(batch, training=False))
    return found, logits


def pooled_head(model: keras.Model) -> PooledHead | None:
    """The head of a network that ends in global average pooling and one linear dense layer; None for another end.

    Dropout in between does nothing when a photo is classified; features laid beside the pooled ones, such as the skin
    type's, change the logits by the same amount in every cell.
    """
    dense = _layer_before(model.outputs[0])
    if not isinstance(dense, keras.layers.Dense) or dense.activation is not keras.activations.linear:
        return None
    at, tensor = 0, dense.input
    while True:
        layer = _layer_before(tensor)
        if isinstance(layer, keras.layers.Dropout):
            tensor = layer.input
        elif isinstance(layer, keras.layers.Concatenate):
            pooled = [i for i, part in enumerate(layer.input) if _is_pooling(_layer_before(part))]
            if len(pooled) != 1:
                return None
            at += sum(part.shape[-1] for part in layer.input[: pooled[0]])
            tensor = layer.input[pooled[0]]
        elif _is_pooling(layer):
            kernel = np.asarray(keras.ops.convert_to_numpy(dense.kernel), np.float32)
            return PooledHead(_layer_before(layer.input).name, kernel[at : at + layer.input.shape[-1]])
        else:
            return None


def strongest_channels(output: Floats, count: int) -> list[int]:
    """The channels of a map [h, w, channels] with the largest mean absolute value, the strongest first."""
    order = np.argsort(-np.abs(output).mean(axis=(0, 1)), kind="stable")
    return [int(channel) for channel in order[:count]]


def _layer_before(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _is_pooling(layer: Any) -> bool:
    return isinstance(layer, keras.layers.GlobalAveragePooling2D) and layer.data_format == "channels_last"
