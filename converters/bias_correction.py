"""Moves the biases so that the mean of every channel stays where it was when the weights were not rounded yet.

Rounded weights on all-positive inputs leave a constant offset in each channel; taking it out of the bias costs nothing on
the device, needs no labels, and repairs most of what plain post-training quantisation loses. Nagel et al. 2019, section 4.2,
with the expectation taken from data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np

from .errors import ConversionError
from .folding import WEIGHTED


def correct_biases(
    model: keras.Model,
    batches: Iterable[Mapping[str, np.ndarray]],
    kernels: Mapping[str, np.ndarray],
) -> None:
    """Puts rounded weights into a folded model and corrects its biases, in one pass of the float network.

    For each layer, w being its kernel and wq the rounded one: bias -= mean(layer(x, wq - w)), x being what reaches the layer
    in the float network, the mean taken over photos and places.

    Args:
        model: a folded model (`fold_batchnorm`), float32 inputs.
        batches: photos, {input name: float32 [1, size, size, channels]}, values 0..255.
        kernels: {layer: wq}, of every weighted layer; see `derm_converters.rounding`.
    Raises:
        ConversionError: there is no photo to correct with.
    """
    layers = [layer for layer in model.layers if isinstance(layer, WEIGHTED)]
    deltas = [_error_layer(layer, kernels[layer.name]) for layer in layers]
    probe = keras.Model(model.inputs, [_mean_error(delta, layer.input) for delta, layer in zip(deltas, layers, strict=True)])

    sums = [np.zeros(np.asarray(layer.bias).shape) for layer in layers]
    count = 0
    for batch in batches:
        means = keras.tree.flatten(probe([batch[tensor.name] for tensor in model.inputs], training=False))
        for total, mean in zip(sums, means, strict=True):
            total += np.asarray(keras.ops.convert_to_numpy(mean), np.float64)
        count += 1
    if count == 0:
        raise ConversionError("The bias correction needs photos; there was none.")
    for layer, total in zip(layers, sums, strict=True):
        bias = np.asarray(layer.bias, np.float64) - total / count
        layer.set_weights([kernels[layer.name], bias.astype(np.float32)])


def _error_layer(layer: keras.Layer, rounded: np.ndarray) -> keras.Layer:
    """A layer that computes layer(x, wq - w) without bias and activation."""
    config = {**layer.get_config(), "name": f"{layer.name}_error", "activation": None}
    error = type(layer).from_config(config)
    error.build(layer.input.shape)
    error.set_weights([rounded - np.asarray(layer.kernel), np.zeros_like(np.asarray(layer.bias))])
    return error


def _mean_error(layer: keras.Layer, tensor: keras.KerasTensor) -> keras.KerasTensor:
    output = layer(tensor)
    return keras.ops.mean(output, axis=tuple(range(len(output.shape) - 1)))
