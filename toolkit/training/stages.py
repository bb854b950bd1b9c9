"""The parts of a training: which size its pictures have, and how much of the backbone is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from ..errors import ConfigError
from ..models.backbone import backbone_layers

if TYPE_CHECKING:
    import keras

T = TypeVar("T")


def part_of(values: Sequence[T], epoch: int, epochs: int) -> T:
    """The value of an epoch, when a training is cut into equal parts, one per value.

    Example:
        >>> [part_of((128, 160, 224), epoch, 6) for epoch in range(6)]
        [128, 128, 160, 160, 224, 224]
    """
    return values[min(epoch * len(values) // epochs, len(values) - 1)]


def freeze(model: keras.Model, share: float) -> None:
    """Freezes the first layers of the backbone and lets all others train.

    Args:
        model: one of the families'.
        share: of the backbone's layers with weights, from the input on; 1 freezes all of it.
    Raises:
        ConfigError: a share above 0, and a network without a backbone.
    """
    layers = backbone_layers(model)
    if share and not layers:
        raise ConfigError(f"training.frozen is {share:g}, but the network {model.name!r} has no backbone to freeze.")
    for layer in model.layers:
        layer.trainable = True
    for layer in layers[: round(share * len(layers))]:
        layer.trainable = False
