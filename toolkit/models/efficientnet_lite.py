"""EfficientNet-Lite 0 to 2: ReLU6 throughout and no squeeze-and-excite, so that they quantise well.

Source: tensorflow/tpu, models/official/efficientnet/lite (Apache-2.0): architecture, multipliers, input (x - 127) / 128.
Only Keras layers are used, channels last, so any backend runs and trains it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from derm_sdk.errors import OptionError, closest


@dataclass(frozen=True)
class Variant:
    """Multipliers of a variant; `size` is the side in pixels that its ImageNet weights were trained with."""

    width: float
    depth: float
    size: int


VARIANTS = {
    "lite0": Variant(1.0, 1.0, 224),
    "lite1": Variant(1.0, 1.1, 240),
    "lite2": Variant(1.1, 1.2, 260),
}
# repeats, kernel, stride, expansion, channels in, channels out; before the multipliers
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
_STEM, _HEAD = 32, 1280  # not scaled in the Lite family
FEATURES = _HEAD


def efficientnet_lite(
    variant: str = "lite0",
    size: int | None = None,
    *,
    classes: int | None = None,
    pooling: bool = True,
    drop_connect: float = 0.0,
    dropout: float = 0.0,
    momentum: float = 0.99,
) -> keras.Model:
    """Builds the network with random weights; `weights.load_pretrained` fills in ImageNet's.

    Args:
        variant: "lite0", "lite1" or "lite2".
        size: side of the input in pixels; None takes the variant's own.
        classes: None ends in features; a number adds dropout and a dense layer of logits.
        pooling: features as their mean over the picture, [1280]; False gives the map [size / 32, size / 32, 1280].
        drop_connect: share of the samples that skip the last block in training; earlier blocks skip less, linearly.
        dropout: before the logits.
        momentum: how slowly batch normalisation takes up the statistics of new photos, 0..1.
    Returns:
        A functional model "image" float [size, size, 3], 0..255 -> features or logits. Scaling is inside.
    Raises:
        OptionError: an unknown variant.
    """
    if variant not in VARIANTS:
        raise OptionError(f"Unknown variant {variant!r}." + closest(variant, VARIANTS))
    side = size or VARIANTS[variant].size
    image = keras.Input((side, side, 3), name="image")
    x = lite_layers(
        layers.Rescaling(1 / 128, -127 / 128, name="rescaling")(image), variant, drop_connect=drop_connect, momentum=momentum
    )
    if pooling or classes is not None:
        x = layers.GlobalAveragePooling2D(name="features")(x)
    if classes is not None:
        x = layers.Dropout(dropout, name="dropout")(x) if dropout else x
        x = layers.Dense(classes, name="logits")(x)
    return keras.Model(image, x, name=f"efficientnet_{variant}")


def lite_layers(x: Any, variant: str, blocks: int | None = None, drop_connect: float = 0.0, momentum: float = 0.99) -> Any:
    """The convolutions of a variant, from a picture to its last map.

    Args:
        x: a Keras tensor [side, side, 3], scaled as ImageNet's weights expect: (pixel - 127) / 128.
        variant: one of VARIANTS.
        blocks: only the first so many, then a smaller and shallower network ends there; None for all and the head.
        drop_connect, momentum: as for `efficientnet_lite`.
    Returns:
        The map [side / 32, side / 32, 1280]; with `blocks`, the last of these blocks' output.
    """
    plan = _plan(VARIANTS[variant])
    x = _convolution(x, _STEM, 3, 2, "stem", "stem_bn", momentum)
    for index, (kernel, stride, expansion, channels) in enumerate(plan[:blocks]):
        x = _block(x, f"block{index}", kernel, stride, expansion, channels, drop_connect * index / len(plan), momentum)
    return x if blocks is not None else _convolution(x, _HEAD, 1, 1, "head", "head_bn", momentum)


def block_count(variant: str) -> int:
    """How many blocks the variant has."""
    return len(_plan(VARIANTS[variant]))


def _plan(variant: Variant) -> list[tuple[int, int, int, int]]:
    """(kernel, stride, expansion, channels out) per block; the first and the last stage keep their single block."""
    plan = []
    for index, (repeats, kernel, stride, expansion, _, channels) in enumerate(_STAGES):
        scaled = repeats if index in (0, len(_STAGES) - 1) else math.ceil(repeats * variant.depth)
        for repeat in range(scaled):
            plan.append((kernel, stride if repeat == 0 else 1, expansion, _round_channels(channels * variant.width)))
    return plan


def _round_channels(channels: float) -> int:
    """To a multiple of 8, never more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _convolution(
    x: Any, channels: int, kernel: int, stride: int, name: str, bn: str, momentum: float, relu: bool = True
) -> Any:
    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return _normalise(x, bn, momentum, relu)


def _normalise(x: Any, name: str, momentum: float, relu: bool = True) -> Any:
    x = layers.BatchNormalization(momentum=momentum, epsilon=1e-3, name=name)(x)
    return layers.ReLU(max_value=6.0, name=name.replace("bn", "relu"))(x) if relu else x


def _block(
    x: Any, name: str, kernel: int, stride: int, expansion: int, channels: int, skip_rate: float, momentum: float
) -> Any:
    """Inverted residual: widen by 1x1, filter each channel, narrow by 1x1 without activation, add."""
    before = x
    if expansion != 1:
        x = _convolution(x, before.shape[-1] * expansion, 1, 1, f"{name}_expand", f"{name}_bn0", momentum)
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _normalise(x, f"{name}_bn1", momentum)
    x = _convolution(x, channels, 1, 1, f"{name}_project", f"{name}_bn2", momentum, relu=False)
    if stride == 1 and before.shape[-1] == channels:
        if skip_rate:
            x = layers.Dropout(skip_rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)  # whole samples
        x = layers.Add(name=f"{name}_add")([before, x])
    return x
