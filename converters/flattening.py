"""A trained Keras network -> one flat graph of layers, each used once, in a batch of 1, for the converter's steps."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from .errors import ConversionError

Weights = dict[str, list[np.ndarray]]
IDENTITIES = (  # layers that hand on what they get when a network answers
    keras.layers.Dropout, keras.layers.AlphaDropout, keras.layers.GaussianDropout, keras.layers.GaussianNoise,
    keras.layers.ActivityRegularization, keras.layers.Identity,
)  # fmt: skip


def flatten(model: keras.Model, input_dtype: str = "float32", batch: int | None = 1) -> tuple[keras.Model, Weights]:
    """Lays a network out flat.

    A network inside the network is replaced by its layers; a layer that is used several times by as many layers; a separable
    convolution by its two; and what only matters in training is left out. Everything computes in float32.

    Args:
        model: a functional or sequential model.
        input_dtype: of the inputs, "float32" or "uint8".
        batch: photos at a time; None for any number.
    Returns:
        The flat model, with weights of its own making; and {name of a layer: its trained weights}. A layer
        keeps its name where no other has it.
    Raises:
        ConversionError: the model, or one inside it, is not made of layers that can be followed.
    """
    inputs = [
        keras.Input(batch_shape=(batch, *tensor.shape[1:]), name=tensor.name, dtype=input_dtype)
        for tensor in _followed(model).inputs
    ]
    way = _Way({tensor.name for tensor in inputs})
    tensors = [keras.ops.cast(tensor, "float32") if input_dtype != "float32" else tensor for tensor in inputs]
    return keras.Model(inputs, way.through(model, tensors), name=model.name), way.weights


def _followed(model: keras.Model) -> Any:
    """The graph of layers that a model is. Keras follows it for itself, but has no public way to do so."""
    network = getattr(model, "_functional", model)  # what a Sequential wraps
    if not hasattr(network, "_run_through_graph"):
        raise ConversionError(
            f"The network {model.name!r} must be functional, made by keras.Model(inputs, outputs), or a keras.Sequential "
            f"with an input; its layers cannot be followed, for it is a {type(model).__name__}."
        )
    return network


class _Way:
    """The way through a network, and what was met on it."""

    def __init__(self, taken: set[str]) -> None:
        self.weights: Weights = {}
        self._taken = taken

    def through(self, model: keras.Model, tensors: list[Any]) -> Any:
        return _followed(model)._run_through_graph(tensors, call_fn=self._step)

    def _step(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(operation, keras.Model):
            return self.through(operation, keras.tree.flatten(args[0]))
        if isinstance(operation, IDENTITIES):
            return args[0]
        if isinstance(operation, keras.layers.SeparableConv2D):
            return self._separable(operation, args[0])
        config = operation.get_config()
        if not isinstance(operation, keras.Layer):  # a bare operation, such as a sum written a + b
            return type(operation).from_config(config | self._name_if_any(config))(*args, **kwargs)
        kwargs.pop("training", None)
        layer = type(operation).from_config({**config, "name": self._name(operation.name), "dtype": "float32"})
        if operation.weights:
            self.weights[layer.name] = operation.get_weights()
        return layer(*args, **kwargs)

    def _separable(self, layer: keras.layers.SeparableConv2D, tensor: Any) -> Any:
        config = layer.get_config()
        shared = {key: config[key] for key in ("kernel_size", "strides", "padding", "dilation_rate", "depth_multiplier")}
        depthwise = keras.layers.DepthwiseConv2D(**shared, use_bias=False, name=self._name(f"{layer.name}_depthwise"))
        pointwise = keras.layers.Conv2D(
            layer.filters, 1, activation=layer.activation, use_bias=layer.use_bias, name=self._name(layer.name)
        )
        first, *others = layer.get_weights()
        self.weights |= {depthwise.name: [first], pointwise.name: others}
        return pointwise(depthwise(tensor))

    def _name(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name

    def _name_if_any(self, config: dict[str, Any]) -> dict[str, str]:
        return {"name": self._name(config["name"])} if "name" in config else {}
