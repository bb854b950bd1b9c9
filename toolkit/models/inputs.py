"""The inputs of a network: pictures, and the skin type where it takes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from derm_sdk.fitzpatrick import SKIN_TYPE, SKIN_TYPE_WIDTH
from derm_sdk.preprocess import INPUT_CHANNELS

from .graph import GraphSpec


def keras_inputs(spec: GraphSpec, size: int | None) -> dict[str, Any]:
    """Makes a network's inputs, named after their kind, in the order of `spec.inputs`.

    Args:
        spec: the network.
        size: side of the pictures in pixels; None for a network that takes any, as a training at rising resolution needs.
    Returns:
        {kind: Keras tensor}: pictures float32 [N, size, size, channels], the skin type float32 [N, 7]; all 0..255.
    """
    import keras

    shapes = {kind: (size, size, channels) for kind, channels in INPUT_CHANNELS.items()} | {SKIN_TYPE: (SKIN_TYPE_WIDTH,)}
    return {kind: keras.Input(shapes[kind], name=kind) for kind in spec.inputs}


def pictures(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that are pictures."""
    return {kind: tensor for kind, tensor in inputs.items() if kind != SKIN_TYPE}


def join_skin_type(features: Any, inputs: Mapping[str, Any], units: int) -> Any:
    """Lays an embedding of the skin type beside a network's features, where the network takes the skin type.

    Args:
        features: Keras tensor [N, F].
        inputs: of the network.
        units: E, width of the embedding.
    Returns:
        [N, F + E], or the features as they are.
    """
    from keras import layers

    if SKIN_TYPE not in inputs:
        return features
    x = layers.Rescaling(1 / 255, name="skin_type_rescaling")(inputs[SKIN_TYPE])  # one-hot: the dense layer looks up a row
    x = layers.Dense(units, name="skin_type_embedding")(x)
    return layers.Concatenate(name="skin_type_join")([features, x])
