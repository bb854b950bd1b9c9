"""How a score changes with what a layer of a network puts out, on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def gradients(
    model: keras.Model, inputs: Mapping[str, NDArray[Any]], layer: str, score: Callable[[Any], Any]
) -> tuple[Floats, Floats]:
    """Runs a network on one photo and differentiates a score of its logits by the output of one of its layers.

    Args:
        model: a functional model with one output [N, labels]; it stays as it is.
        inputs: {input: array without the batch}.
        layer: name of the layer.
        score: logits, a tensor [labels] of the backend, to a scalar; made of keras.ops.
    Returns:
        The layer's output and the gradient, both float32 of the output's shape without the batch.
    """
    tapped, tap = _tapped(model, layer)
    batch = [keras.ops.convert_to_tensor(np.asarray(inputs[tensor.name], np.float32)[None]) for tensor in model.inputs]

    def run(change: Any) -> tuple[Any, Any]:
        tap.change = change
        value = score(keras.ops.cast(tapped(batch, training=False), "float32")[0])
        return value, tap.seen

    try:
        tapped(batch, training=False)
        _, output, gradient = _differentiate(run, keras.ops.zeros_like(tap.seen))
    finally:
        tap.change = tap.seen = None  # a tracer of JAX must not outlive its function
    return _numpy(output)[0], _numpy(gradient)[0]


def _differentiate(function: Callable[[Any], tuple[Any, Any]], x: Any) -> tuple[Any, Any, Any]:
    """A function x -> (scalar, something else), run at x: both, and the gradient of the scalar."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value, other = function(x)
        return value, other, tape.gradient(value, x)
    if keras.backend.backend() == "torch":
        import torch

        x = x.detach().requires_grad_()
        value, other = function(x)
        return value, other, torch.autograd.grad(value, x)[0]
    import jax

    (value, other), gradient = jax.value_and_grad(function, has_aux=True)(x)
    return value, other, gradient


class _Tap(keras.layers.Layer):
    """Lets its input through and remembers it; adds `change`, a tensor of its shape, by which one can differentiate."""

    def __init__(self) -> None:
        super().__init__(name="explanation_tap", trainable=False)
        self.change: Any = None
        self.seen: Any = None

    def call(self, x: Any) -> Any:
        self.seen = x
        return x if self.change is None else x + keras.ops.cast(self.change, x.dtype)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def _tapped(model: keras.Model, layer: str) -> tuple[keras.Model, _Tap]:
    """A copy of a model with a tap behind one of its layers."""
    tap = _Tap()

    def call(each: Any, *args: Any, **kwargs: Any) -> Any:
        found = each(*args, **kwargs)
        return tap(found) if each.name == layer else found

    copy = keras.models.clone_model(model, call_function=call)
    for each in model.layers:
        if each.weights:
            copy.get_layer(each.name).set_weights(each.get_weights())
    return copy, tap


def _numpy(tensor: Any) -> Floats:
    found: Floats = np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)
    return found
