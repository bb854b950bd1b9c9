"""Batch normalisation by TensorFlow's fused kernel, while a network trains on a CPU or a GPU.

Keras composes a normalisation of single operations (means, differences, products, and the gradient of each), which on a CPU
cost as much as all convolutions of an EfficientNet-Lite. The fused kernel computes the same function in two passes.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def fuse_normalisations(model: keras.Model) -> None:
    """Lets the batch normalisations of a network use the fused kernel, where the backend is TensorFlow.

    The function, the moving statistics and what is saved stay as they are, but for rounding. Layers that the kernel has no
    form for are left alone: another axis than the last, no map, 16 bits, statistics over devices, no scale or no centre.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and _has_a_fused_form(layer):
            layer.call = MethodType(_fused, layer)


def _has_a_fused_form(layer: Any) -> bool:
    last = len(layer.input.shape) == 4 and layer.axis in (-1, 3)
    return last and layer.compute_dtype == "float32" and not layer.synchronized and layer.scale and layer.center


def _fused(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    import tensorflow as tf

    kernel, factors = tf.compat.v1.nn.fused_batch_norm, (self.gamma.value, self.beta.value)
    if not (training and self.trainable):
        statistics = self.moving_mean.value, self.moving_variance.value
        return kernel(inputs, *factors, *statistics, epsilon=self.epsilon, is_training=False)[0]
    outputs, mean, variance = kernel(inputs, *factors, epsilon=self.epsilon, is_training=True)
    count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
    variance *= (count - 1) / count  # the kernel gives the sample's estimate; Keras keeps the mean square
    for kept, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
        kept.assign(kept * self.momentum + now * (1 - self.momentum))
    return outputs
