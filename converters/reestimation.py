"""The moving statistics of a network's normalisations, taken again from photos as the device sees them.

Training leaves them as a moving mean over augmented photos and weights that have changed since. Source: Wu and Johnson 2021
("precise" batch normalisation); Sun et al. 2019 use it to repair quantised networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from .errors import ConversionError
from .flattening import flatten


def reestimated(model: keras.Model, batches: Iterable[Mapping[str, np.ndarray]]) -> keras.Model:
    """Gives a network new moving statistics: the mean over batches of each batch's mean and variance.

    Args:
        model: a functional or sequential model; it is not changed.
        batches: photos, {input: uint8 [N, ...]}, a few dozen each.
    Returns:
        The same network, laid out flat, in a batch of any size.
    Raises:
        ConversionError: there is no photo, or the layers cannot be followed.
    """
    flat, weights = flatten(model, batch=None)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return layer(*args, training=True) if _is_normalisation(layer) else layer(*args, **kwargs)

    made = keras.models.clone_model(flat, call_function=call)
    for layer in made.layers:
        if layer.name in weights:
            layer.set_weights(weights[layer.name])
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    normalisations = [layer for layer in made.layers if _is_normalisation(layer)]
    for layer in normalisations:
        layer.trainable = True  # a frozen one would keep its statistics
    count = 0
    for batch in batches:
        for layer in normalisations:
            layer.momentum = count / (count + 1)  # so that the moving mean is the mean of all batches so far
        made([np.asarray(batch[tensor.name], np.float32) for tensor in made.inputs])
        count += 1
    if not count:
        raise ConversionError("New statistics of the normalisations need training photos; there was none.")
    for layer in flat.layers:
        if layer.weights:
            layer.set_weights(made.get_layer(layer.name).get_weights())
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return flat


def _is_normalisation(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)
