"""A trained Keras network -> the same function without batch normalisation, ready for a device: batch 1, plain weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from .flattening import flatten

WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


def fold_batchnorm(model: keras.Model, input_dtype: str = "float32") -> keras.Model:
    """Takes every BatchNormalization that int8 would suffer from out of a network, and fixes the batch to 1.

    One that directly follows a linear Conv2D, DepthwiseConv2D, SeparableConv2D or Dense, alone, is folded into it. Any
    other (behind a sum, a concatenation, an activation, a pooling) becomes a 1x1 depthwise convolution, which is the same
    function; int8 has a scale per channel for it, and so holds its factors exactly, where the products and sums of a plain
    normalisation would share one scale among all channels. One over another axis than the last stays as it is.

    Args:
        model: a functional or sequential model; networks inside it are laid out flat.
        input_dtype: "float32" for graphs that will be quantised, "uint8" for float graphs that take bytes themselves.
    Returns:
        A new model with the same function, in float32; every layer is used once, and every weighted one has a bias.
    Raises:
        ConversionError: the layers of the model cannot be followed.
    Source: w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta (Jacob et al. 2018).
    """
    flat, weights = flatten(model, input_dtype)
    normalisations = [layer for layer in flat.layers if _is_normalisation(layer)]
    folded_into = {layer.name: into for layer in normalisations if (into := _folds_into(layer, flat))}
    alone = {layer.name for layer in normalisations if layer.name not in folded_into and _over_channels(layer)}

    def clone(layer: Any) -> Any:
        if layer.name in alone:
            return keras.layers.DepthwiseConv2D(1, name=layer.name)
        config = layer.get_config()
        if isinstance(layer, WEIGHTED):
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in folded_into:
            return args[0]
        if layer.name not in alone:
            return layer(*args, **kwargs)
        if len(args[0].shape) == 4:
            return layer(args[0])
        pixel = keras.layers.Reshape((1, 1, -1), name=f"{layer.name}_pixel")(args[0])  # a vector is a picture of one pixel
        return keras.layers.Reshape((-1,), name=f"{layer.name}_vector")(layer(pixel))

    made = keras.models.clone_model(flat, clone_function=clone, call_function=call)
    factors = {layer.name: _factor_and_shift(layer, weights[layer.name]) for layer in normalisations}
    behind = {into: factors[name] for name, into in folded_into.items()}
    for layer in made.layers:
        if layer.name in alone:
            factor, shift = factors[layer.name]
            layer.set_weights([factor.reshape(1, 1, -1, 1).astype(np.float32), shift.astype(np.float32)])
        elif isinstance(layer, WEIGHTED):
            layer.set_weights(_folded_weights(layer, weights[layer.name], behind.get(layer.name)))
        elif layer.name in weights:
            layer.set_weights(weights[layer.name])
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()  # it computes with what it derives from its weights
    return made


def per_channel(layer: keras.Layer, kernel: np.ndarray) -> np.ndarray:
    """A kernel as [everything else, output channels]: the shape in which scales are taken.

    A depthwise kernel [h, w, channels, multiplier] has channels * multiplier output channels.
    """
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel.reshape(kernel.shape[0] * kernel.shape[1], -1)
    return kernel.reshape(-1, kernel.shape[-1])


def _folded_weights(
    layer: keras.Layer, trained: list[np.ndarray], normalisation: tuple[np.ndarray, np.ndarray] | None
) -> list[np.ndarray]:
    kernel, *biases = (np.asarray(weight, np.float64) for weight in trained)
    flat = per_channel(layer, kernel)
    bias = biases[0] if biases else np.zeros(flat.shape[1])
    if normalisation is not None:
        factor, shift = normalisation
        flat, bias = flat * factor, bias * factor + shift
    return [flat.reshape(kernel.shape).astype(np.float32), bias.astype(np.float32)]


def _factor_and_shift(layer: keras.layers.BatchNormalization, trained: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What a normalisation does when a network answers: factor * x + shift, both float64 [channels]."""
    named = dict(zip([weight.name for weight in layer.weights], np.asarray(trained, np.float64), strict=True))
    factor = named.get("gamma", 1.0) / np.sqrt(named["moving_variance"] + layer.epsilon)
    return factor, named.get("beta", 0.0) - named["moving_mean"] * factor


def _is_normalisation(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _over_channels(layer: keras.layers.BatchNormalization) -> bool:
    rank = len(layer.input.shape)
    return rank in (2, 4) and layer.axis in (-1, rank - 1)


def _folds_into(layer: keras.layers.BatchNormalization, flat: keras.Model) -> str | None:
    """Name of the layer that a normalisation of a flat model can be folded into; None where there is none."""
    before = layer.input._keras_history.operation
    linear = getattr(before, "activation", None) in (None, keras.activations.linear)
    alone = len(before._outbound_nodes) == 1 and all(layer.input is not tensor for tensor in flat.outputs)
    last = layer.axis in (-1, len(layer.input.shape) - 1)
    return before.name if isinstance(before, WEIGHTED) and linear and alone and last else None
