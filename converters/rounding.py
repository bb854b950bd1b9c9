"""Rounds weights to int8 one after the other, each error made up for by the weights that are still to come.

Rounding every weight to the nearest level is best for the weights; what counts is what the layer puts out. With the second
moments of its inputs, the error that one rounded weight makes can be taken back, as far as the inputs go together, by those
that are not rounded yet. Source: Frantar et al. 2022 (GPTQ), after Hassibi and Stork 1993 (optimal brain surgeon).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .folding import WEIGHTED, per_channel

Floats = NDArray[np.float64]
LEVELS = 127
MOST_INPUTS = 4096  # of a layer: beyond, the moments would need more memory, and more photos, than there are
_BLOCK = 128
_DAMPING = 0.01  # of the mean second moment, so that inputs that never vary do no harm
_PLACES = 1000  # of a map that are looked at per photo


def learned_kernels(model: keras.Model, batches: Iterable[Mapping[str, np.ndarray]]) -> dict[str, NDArray[np.float32]]:
    """Rounds the kernels of a folded model.

    Args:
        model: a folded model (`fold_batchnorm`); it is not changed.
        batches: photos, {input name: float32 [1, ...]}, values 0..255.
    Returns:
        {layer: kernel}, each a multiple of its output channel's max|w| / 127, which stays what it was. Layers with more than
        4,096 inputs per output are rounded to the nearest.
    """
    layers = [layer for layer in model.layers if isinstance(layer, WEIGHTED) and _inputs(layer) <= MOST_INPUTS]
    probe = keras.Model(model.inputs, [layer.input for layer in layers])
    moments: dict[str, Floats] = {}
    for batch in batches:
        found = keras.tree.flatten(probe([batch[tensor.name] for tensor in model.inputs], training=False))
        for layer, values in zip(layers, found, strict=True):
            seen = _second_moments(layer, keras.ops.convert_to_numpy(values))
            moments[layer.name] = moments.get(layer.name, np.zeros(())) + seen
    return nearest_kernels(model) | {layer.name: round_with(layer, moments[layer.name]) for layer in layers}


def nearest_kernels(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """The kernels of a folded model, each weight rounded to the nearest level: {layer: kernel}."""
    layers = [layer for layer in model.layers if isinstance(layer, WEIGHTED)]
    return {layer.name: round_kernel(layer, np.asarray(layer.kernel)) for layer in layers}


def put_kernels(model: keras.Model, kernels: Mapping[str, np.ndarray]) -> None:
    """Puts rounded kernels into a folded model; its biases stay."""
    for name, kernel in kernels.items():
        layer = model.get_layer(name)
        layer.set_weights([kernel, *layer.get_weights()[1:]])


def round_kernel(layer: keras.Layer, kernel: np.ndarray) -> np.ndarray:
    """Rounds a kernel to 255 levels per output channel, symmetric around 0; a channel of zeros stays."""
    flat = per_channel(layer, kernel.astype(np.float64))
    scale = np.abs(flat).max(axis=0) / 127.0
    safe = np.where(scale > 0, scale, 1.0)
    return (np.rint(flat / safe) * scale).reshape(kernel.shape).astype(np.float32)


def round_with(layer: Any, moments: Floats) -> NDArray[np.float32]:
    """Rounds one layer's kernel.

    Args:
        layer: Conv2D, DepthwiseConv2D or Dense.
        moments: sums of x x^T over places, [inputs, inputs]; of a depthwise layer [channels, taps, taps].
    """
    kernel = np.asarray(layer.kernel, np.float64)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        height, width, channels, multiplier = kernel.shape
        rows = kernel.reshape(height * width, channels, multiplier).transpose(1, 2, 0)  # [channels, multiplier, taps]
        rounded = np.stack([rounded_rows(row, own) for row, own in zip(rows, moments, strict=True)])
        return rounded.transpose(2, 0, 1).reshape(kernel.shape).astype(np.float32)
    rows = kernel.reshape(-1, kernel.shape[-1]).T
    return rounded_rows(rows, moments).T.reshape(kernel.shape).astype(np.float32)


def rounded_rows(rows: Floats, moments: Floats) -> Floats:
    """Rounds the weights of several outputs of the same inputs.

    Args:
        rows: [outputs, inputs].
        moments: sums of x x^T, [inputs, inputs].
    Returns:
        [outputs, inputs], multiples of max|row| / 127; a row of zeros stays. The largest weight of a row stays what it is,
        so that the converter finds the same scale.
    """
    peaks = np.abs(rows).max(axis=1)
    scales = np.where(peaks > 0, peaks, 1.0) / LEVELS
    largest = np.abs(rows).argmax(axis=1)
    variances = np.diag(moments)
    order = np.argsort(-variances, kind="stable")  # what the inputs bring most of is rounded first
    damped = moments[np.ix_(order, order)] + (_DAMPING * variances.mean() + 1e-12) * np.eye(len(order))
    back = np.linalg.cholesky(np.linalg.inv(damped)).T  # upper triangular
    left, found = rows[:, order].copy(), np.empty_like(rows)
    for start in range(0, len(order), _BLOCK):
        end = min(start + _BLOCK, len(order))
        errors = np.empty((len(rows), end - start))
        for step in range(start, end):
            place = order[step]
            steps = np.clip(np.rint(left[:, step] / scales), -LEVELS, LEVELS)
            steps = np.where(largest == place, np.sign(rows[:, place]) * LEVELS * (peaks > 0), steps)
            found[:, place] = steps * scales
            errors[:, step - start] = (left[:, step] - found[:, place]) / back[step, step]
            left[:, step + 1 : end] -= np.outer(errors[:, step - start], back[step, step + 1 : end])
        left[:, end:] -= errors @ back[start:end, end:]  # the far columns at once: one pass over memory instead of many
    return found


def _inputs(layer: Any) -> int:
    """How many numbers one output of a layer is made of."""
    return int(per_channel(layer, np.asarray(layer.kernel)).shape[0])


def _second_moments(layer: Any, values: NDArray[Any]) -> Floats:
    """Sums of x x^T over some places of one photo."""
    if isinstance(layer, keras.layers.Dense):
        rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
        return rows.T @ rows
    patches = _patches(layer, values[0])
    if isinstance(layer, keras.layers.DepthwiseConv2D):  # [places, taps, channels] -> one matrix per channel
        return np.einsum("ptc,puc->ctu", patches, patches, optimize=True)
    rows = patches.reshape(len(patches), -1)
    return rows.T @ rows


def _patches(layer: Any, values: NDArray[Any]) -> Floats:
    """What a convolution's kernel lies on, at evenly spread places: float64 [places, taps, channels]."""
    size, strides, dilation = layer.kernel_size, layer.strides, layer.dilation_rate
    if layer.padding == "same":
        axes = zip(values.shape[:2], size, strides, dilation, strict=True)
        values = np.pad(values, [*(_margins(*axis) for axis in axes), (0, 0)])
    reach = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(values, reach, axis=(0, 1))[:: strides[0], :: strides[1]]
    windows = windows[..., :: dilation[0], :: dilation[1]]  # [rows, columns, channels, taps high, taps wide]
    every = max(1, int(np.ceil(np.sqrt(windows.shape[0] * windows.shape[1] / _PLACES))))
    windows = windows[every // 2 :: every, every // 2 :: every]
    places = windows.shape[0] * windows.shape[1]
    return windows.reshape(places, windows.shape[2], -1).transpose(0, 2, 1).astype(np.float64)


def _margins(length: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's "same" padding of one axis."""
    total = max((-(-length // stride) - 1) * stride + (kernel - 1) * dilation + 1 - length, 0)
    return total // 2, total - total // 2
