"""Plain convolutions, as both reports' networks from scratch have them: filter, halve, and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError


def plain_features(picture: Any, kind: str, filters: Sequence[int], convolutions: Sequence[int] | None = None) -> Any:
    """Scales a picture to 0..1, runs it through stages of 3x3 convolutions and 2x2 max pooling, and lays the map flat.

    Args:
        picture: Keras tensor [N, size, size, channels], 0..255.
        kind: of the picture; the layers' names begin with it.
        filters: channels of each stage.
        convolutions: of each stage; None for one each.
    Returns:
        [N, F]. Neither convolutions nor poolings pad, as is Keras' default: a side n becomes (n - 2) // 2.
    Raises:
        ConfigError: the picture is too small for so many stages, or its size is open.
    """
    from keras import layers

    x = layers.Rescaling(1 / 255, name=f"{kind}_rescaling")(picture)
    for stage, width in enumerate(filters, start=1):
        for number in range(1, (convolutions[stage - 1] if convolutions else 1) + 1):
            need_side(x, 3, picture)
            x = layers.Conv2D(width, 3, activation="relu", name=f"{kind}_stage{stage}_conv{number}")(x)
        need_side(x, 2, picture)
        x = layers.MaxPooling2D(2, name=f"{kind}_stage{stage}_pooling")(x)
    return layers.Flatten(name=f"{kind}_flat")(x)


def need_side(x: Any, least: int, picture: Any) -> None:
    """Raises ConfigError where a map's side is below `least`, or open; a map that is laid flat needs one size."""
    side, size = x.shape[1], picture.shape[1]
    if side is None:
        raise ConfigError("This network lays its last map flat, so its pictures have one size; it cannot train at several.")
    if side < least:
        raise ConfigError(f"Pictures of {size} pixels are too small for this network; raise preprocessing.size.")
