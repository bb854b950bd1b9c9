"""Small networks of every arrangement of layers that people build, with random weights and moving statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from derm_sdk.inputs import input_shape, network_inputs

from .. import models

SIZE = models.SIZE


def plain() -> Any:
    """Flatten, Dense, BatchNormalization, Dropout, Dense: the networks of the older papers."""
    from keras import layers

    tensor = _input("rgb")
    x = layers.Rescaling(1 / 255)(tensor)
    for filters in (6, 8):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(16, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(0.5)(x)
    return _model([tensor], layers.Dense(5)(x))


def preactivated() -> Any:
    """ResNetV2: the normalisation comes before the convolution, behind a sum or a pooling; padding in layers of its own."""
    from keras import layers

    tensor = _input("rgb")
    x = layers.Rescaling(1 / 127.5, -1)(tensor)
    x = layers.Conv2D(8, 7, strides=2)(layers.ZeroPadding2D(3)(x))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for block in range(3):
        active = layers.ReLU()(layers.BatchNormalization(epsilon=1.001e-5)(x))
        shortcut = layers.Conv2D(16, 1)(active) if block == 0 else x
        y = layers.Conv2D(4, 1, use_bias=False)(active)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(16, 1)(layers.Conv2D(4, 3, padding="same", use_bias=False)(y))
        x = layers.Add()([shortcut, y])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return _model([tensor], layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def gray_with_skin_type() -> Any:
    """Three pictures and the skin type, joined as derm_toolkit.models joins them."""
    from keras import layers

    from derm_toolkit.models.graph import GraphSpec
    from derm_toolkit.models.inputs import join_skin_type, keras_inputs, pictures

    inputs = keras_inputs(GraphSpec("root", None, ("a",), ("equalized", "otsu", "gray", "skin_type")), SIZE)
    stems = []
    for picture in pictures(inputs).values():
        x = layers.Conv2D(6, 3, strides=2, use_bias=False)(layers.Rescaling(1 / 255)(picture))
        stems.append(layers.ReLU(max_value=6)(layers.BatchNormalization()(x)))
    x = layers.Conv2D(12, 3, activation="relu")(layers.Concatenate()(stems))
    x = join_skin_type(layers.GlobalAveragePooling2D()(x), inputs, 4)
    return _model(list(inputs.values()), layers.Dense(5)(layers.Dense(12, activation="relu")(x)))


def behind_concatenation() -> Any:
    """Normalisations behind a concatenation, an activation, a layer of two consumers, and on vectors."""
    from keras import layers

    tensor = _input("rgb")
    x = layers.Rescaling(1 / 255)(tensor)
    branches = [layers.Conv2D(6, side, padding="same", strides=2)(x) for side in (1, 3)]
    x = layers.ReLU()(layers.BatchNormalization()(layers.Concatenate()(branches)))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(x))
    shared = layers.Conv2D(8, 1)(x)
    x = layers.Concatenate()([layers.BatchNormalization(scale=False)(shared), shared])
    x = layers.BatchNormalization(center=False)(layers.GlobalAveragePooling2D()(x))
    return _model([tensor], layers.Dense(5)(x))


def nested_and_shared() -> Any:
    """A network inside a network, a layer used twice, separable convolutions, and a sum written as a + b."""
    import keras
    from keras import layers

    tensor = _input("rgb")
    inner = keras.Input((SIZE, SIZE, 3))
    x = layers.SeparableConv2D(6, 3, strides=2, depth_multiplier=2, use_bias=False)(layers.Rescaling(1 / 255)(inner))
    backbone = keras.Model(inner, layers.Conv2D(6, 1, use_bias=False)(layers.ReLU()(layers.BatchNormalization()(x))))
    x = layers.ReLU()(layers.BatchNormalization()(layers.SpatialDropout2D(0.2)(backbone(tensor, training=False))))
    twice = layers.Conv2D(6, 3, padding="same")
    x = layers.ReLU()(layers.BatchNormalization()(twice(x)) + twice(layers.ReLU()(twice(x))))
    head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(8), layers.BatchNormalization(), layers.ReLU()])
    return _model([tensor], layers.Dense(5)(head(x)))


def mirrored() -> Any:
    """Four mirror images as one batch, their maps mirrored back and averaged, beside the skin type."""
    from keras import layers

    from derm_toolkit.models.graph import GraphSpec
    from derm_toolkit.models.inputs import join_skin_type, keras_inputs
    from derm_toolkit.models.views import mirror_views, views_mean

    inputs = keras_inputs(GraphSpec("tree", None, ("a",), ("rgb", "skin_type")), SIZE)
    x = layers.Rescaling(1 / 128, -127 / 128)(mirror_views(inputs["rgb"], 4))
    for filters in (8, 12):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU(max_value=6)(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(views_mean(x, 4))
    return _model(list(inputs.values()), layers.Dense(5)(join_skin_type(x, inputs, 4)))


NETWORKS: dict[str, Callable[[], Any]] = {
    make.__name__: make
    for make in (plain, preactivated, gray_with_skin_type, behind_concatenation, nested_and_shared, mirrored)
}


def examples(model: Any, count: int = 24, seed: int = 3) -> list[dict[str, np.ndarray]]:
    """Inputs of a network, {kind: uint8}: the first photos black and white, the skin types in turn."""
    kinds = [tensor.name for tensor in model.inputs]
    size = next(tensor.shape[1] for tensor in model.inputs if len(tensor.shape) == 4)
    photos = [np.kron(photo, np.ones((size // SIZE, size // SIZE, 1), np.uint8)) for photo in models.photos(count, seed)]
    return [network_inputs(photo, place % 7 or None, kinds) for place, photo in enumerate(photos)]


def logits(model: Any, rows: list[dict[str, np.ndarray]]) -> np.ndarray:
    """What a network answers, float32 [N, labels], one photo at a time, as a graph does."""
    return np.concatenate(
        [np.asarray(model([row[t.name][None].astype(np.float32) for t in model.inputs], training=False)) for row in rows]
    )


def randomised(model: Any, seed: int = 0) -> Any:
    """Gives every normalisation statistics and factors as training would leave them, one channel in ten almost dead."""
    import keras

    random = np.random.default_rng(seed)
    for layer in _all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            drawn = {"gamma": (0.5, 2.0), "beta": (-0.5, 0.5), "moving_mean": (-0.2, 0.2), "moving_variance": (0.02, 0.5)}
            weights = [random.uniform(*drawn[weight.name], weight.shape) for weight in layer.weights]
            if layer.scale:
                weights[0][::10] = 1e-3
            layer.set_weights(weights)
    return model


def _all_layers(model: Any) -> list[Any]:
    return [found for layer in model.layers for found in (_all_layers(layer) if hasattr(layer, "layers") else [layer])]


def _input(kind: str) -> Any:
    import keras

    return keras.Input(input_shape(kind, SIZE), name=kind)


def _model(inputs: list[Any], outputs: Any) -> Any:
    import keras

    return randomised(keras.Model(inputs, outputs))
