"""A folded network that computes in floats as its int8 graph will: rounded weights, rounded activations.

Rounding has no slope; its gradient is passed straight through where a value lies inside its range, and is 0 outside.
Source: Jacob et al. 2018, section 3, with the straight-through estimator of Bengio et al. 2013.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from .folding import WEIGHTED
from .ranges import Seen

_FUSED = (keras.layers.ReLU, keras.layers.Activation)  # computed within the operation before them
_HANDED_ON = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.ZeroPadding2D, keras.layers.MaxPooling2D)
_LEVELS = 127.0
Ranges = Mapping[str, tuple[float, float]]


def activation_ranges(folded: keras.Model, batches: Iterable[Mapping[str, np.ndarray]], method: str) -> Ranges:
    """The range of every tensor that an int8 graph of a folded network stores: {layer: (low, high)}, low <= 0 <= high.

    Args:
        folded: as `fold_batchnorm` makes it.
        batches: photos, {input: float32 [1, ...]}.
        method: out of `derm_converters.ranges.METHODS`.
    """
    layers = [layer for layer in folded.layers if _is_stored(layer)]
    probe = keras.Model(folded.inputs, [layer.output for layer in layers])
    seen = {layer.name: Seen() for layer in layers}
    for batch in batches:
        found = keras.tree.flatten(probe([batch[tensor.name] for tensor in folded.inputs], training=False))
        for each, values in zip(seen.values(), found, strict=True):
            each.add(ops.convert_to_numpy(values))
    return {name: each.range(method) for name, each in seen.items()}


def fake_quantised(folded: keras.Model, ranges: Ranges) -> keras.Model:
    """Makes the network whose weights can be trained.

    Args:
        folded: as `fold_batchnorm` makes it, in a batch of 1; it is not changed.
        ranges: of `activation_ranges`.
    Returns:
        The same layers, by the same names, with the same weights, in a batch of any size, that round on their way.
    """
    inputs = [keras.Input(tensor.shape[1:], name=tensor.name, dtype=tensor.dtype) for tensor in folded.inputs]

    def clone(layer: Any) -> Any:
        if isinstance(layer, WEIGHTED):
            return RoundedWeights(type(layer).__name__, layer.get_config(), name=layer.name)
        return type(layer).from_config(layer.get_config())

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        if layer.name not in ranges:
            return output
        low, high = ranges[layer.name]
        return RoundedValues(low, high, name=f"{layer.name}_rounded")(output)

    made = keras.models.clone_model(folded, input_tensors=inputs, clone_function=clone, call_function=call)
    for layer in folded.layers:
        if layer.weights:
            made.get_layer(layer.name).set_weights(layer.get_weights())
    for layer in made.layers:
        layer.trainable = isinstance(layer, RoundedWeights)
    return made


class RoundedValues(keras.layers.Layer):
    """Values as int8 stores them in a range from low to high, 0 being one of its 256 levels."""

    def __init__(self, low: float, high: float, **options: Any) -> None:
        super().__init__(**options)
        self.scale = max(high - low, 1e-9) / 255
        self.zero = float(np.rint(-low / self.scale))

    def call(self, inputs: Any) -> Any:
        low, high = -self.zero * self.scale, (255 - self.zero) * self.scale
        inside = ops.clip(inputs, low, high)
        stored = ops.round(inside / self.scale) * self.scale
        return inside + ops.stop_gradient(stored - inside)


class RoundedWeights(keras.layers.Layer):
    """A Conv2D, DepthwiseConv2D or Dense whose kernel is rounded to 255 levels per output channel."""

    def __init__(self, kind: str, config: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.kind, self.config = kind, config
        self.activation = keras.activations.get(config["activation"])

    def build(self, input_shape: Any) -> None:
        original = getattr(keras.layers, self.kind).from_config(self.config)
        original.build(input_shape)
        self.kernel = self.add_weight(shape=original.kernel.shape, name="kernel")
        self.bias = self.add_weight(shape=original.bias.shape, name="bias")

    def call(self, inputs: Any) -> Any:
        kernel = rounded_kernel(self.kernel, self.kind == "DepthwiseConv2D")
        if self.kind == "Dense":
            return self.activation(ops.matmul(inputs, kernel) + self.bias)
        convolve = ops.depthwise_conv if self.kind == "DepthwiseConv2D" else ops.conv
        how = {key: self.config[key] for key in ("strides", "padding", "data_format", "dilation_rate")}
        return self.activation(convolve(inputs, kernel, **how) + self.bias)


def rounded_kernel(kernel: Any, depthwise: bool) -> Any:
    """A kernel rounded per output channel, symmetric around 0, by scale max|w| / 127; its gradient is passed through."""
    axes = (0, 1) if depthwise else tuple(range(len(kernel.shape) - 1))
    peaks = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
    scale = ops.stop_gradient(ops.maximum(peaks, 1e-12) / _LEVELS)
    return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)


def _is_stored(layer: Any) -> bool:
    """Whether an int8 graph keeps a tensor of its own for what a layer puts out."""
    if isinstance(layer, (keras.layers.InputLayer, *_HANDED_ON)):
        return False
    readers = [node.operation for node in layer._outbound_nodes]
    return not readers or not all(isinstance(reader, _FUSED) for reader in readers)
