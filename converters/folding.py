"""A trained Keras network -> the same function without batch normalisation, ready for a device: batch 1, plain weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from .errors import ConversionError

WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


def fold_batchnorm(model: keras.Model, input_dtype: str = "float32") -> keras.Model:
    """Folds every BatchNormalization into the layer before it and fixes the batch to 1.

    Args:
        model: a functional model in which each normalisation follows a Conv2D, DepthwiseConv2D or Dense without
            activation, and each layer is used once.
        input_dtype: "float32" for graphs that will be quantised, "uint8" for float graphs that take bytes themselves.
    Returns:
        A new model with the same layer names and outputs; every weighted layer has a bias.
    Raises:
        ConversionError: a normalisation that cannot be folded.
    Source: w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta (Jacob et al. 2018).
    """
    normalisations = {_before(layer).name: layer for layer in model.layers if _is_normalisation(layer)}

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, WEIGHTED):
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return args[0] if _is_normalisation(layer) else layer(*args, **kwargs)

    inputs = [
        keras.Input(batch_shape=(1, *tensor.shape[1:]), name=tensor.name, dtype=input_dtype) for tensor in model.inputs
    ]
    folded = keras.models.clone_model(model, input_tensors=inputs, clone_function=clone, call_function=call)
    for layer in folded.layers:
        if isinstance(layer, WEIGHTED):
            source = model.get_layer(layer.name)
            layer.set_weights(_folded_weights(source, normalisations.get(layer.name)))
    return folded


def per_channel(layer: keras.Layer, kernel: np.ndarray) -> np.ndarray:
    """A kernel as [everything else, output channels]: the shape in which scales are taken.

    A depthwise kernel [h, w, channels, multiplier] has channels * multiplier output channels.
    """
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel.reshape(kernel.shape[0] * kernel.shape[1], -1)
    return kernel.reshape(-1, kernel.shape[-1])


def _folded_weights(layer: keras.Layer, normalisation: keras.Layer | None) -> list[np.ndarray]:
    weights = [np.asarray(weight, np.float64) for weight in layer.get_weights()]
    kernel = weights[0]
    flat = per_channel(layer, kernel)
    bias = weights[1] if len(weights) > 1 else np.zeros(flat.shape[1])
    if normalisation is not None:
        named = {weight.name: np.asarray(weight, np.float64) for weight in normalisation.weights}
        factor = named.get("gamma", 1.0) / np.sqrt(named["moving_variance"] + normalisation.epsilon)
        flat = flat * factor
        bias = (bias - named["moving_mean"]) * factor + named.get("beta", 0.0)
    return [flat.reshape(kernel.shape).astype(np.float32), bias.astype(np.float32)]


def _is_normalisation(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _before(layer: keras.Layer) -> keras.Layer:
    """The layer whose output a normalisation takes; ConversionError unless it can be folded into it."""
    previous = layer.input._keras_history.operation
    used_by = len(previous._outbound_nodes)
    linear = getattr(previous, "activation", None) in (None, keras.activations.linear)
    if not isinstance(previous, WEIGHTED) or not linear or used_by != 1:
        raise ConversionError(
            f"The normalisation {layer.name!r} must directly follow a convolution or dense layer without activation; "
            f"it follows {previous.name!r}."
        )
    return previous
