"""Where a network's backbone ends: what may be frozen, or trained at a lower rate, because it was trained before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from derm_sdk.fitzpatrick import SKIN_TYPE

if TYPE_CHECKING:
    import keras

HEAD_BEGINS = ("pooling", "flatten")


def backbone_layers(model: keras.Model) -> list[Any]:
    """The layers with weights before the one named "pooling" or "flatten", from the input on; none where there is no such.

    Args:
        model: a functional model of one of the families.
    """
    layers = [layer for layer in model.layers if not layer.name.startswith(SKIN_TYPE)]
    ends = [place for place, layer in enumerate(layers) if layer.name in HEAD_BEGINS]
    return [layer for layer in layers[: ends[0]] if layer.weights] if ends else []
