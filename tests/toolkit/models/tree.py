"""A tree of 21 conditions in three categories, as large as the reports' tables are built for, and photos that are none."""

from __future__ import annotations

import keras
import numpy as np

from derm_sdk.fitzpatrick import SKIN_TYPE, skin_type_input
from derm_sdk.preprocess import INPUT_CHANNELS
from derm_sdk.taxonomy import Taxonomy

TREE = Taxonomy.from_paths(("category", "condition"), [(f"category {n % 3}", f"condition {n}") for n in range(21)])


def batch(kinds: tuple[str, ...], size: int, skin_types: tuple[int | None, ...] = (2, 5)) -> list[np.ndarray]:
    """Inputs of a network in the order of `kinds`, a photo per skin type: float32, 0..255, each time the same."""
    stream = np.random.default_rng(5)
    made = []
    for kind in kinds:
        if kind == SKIN_TYPE:
            made.append(np.stack([skin_type_input(each) for each in skin_types]).astype(np.float32))
        else:
            made.append(stream.integers(0, 256, (len(skin_types), size, size, INPUT_CHANNELS[kind])).astype(np.float32))
    return made


def enliven(model: keras.Model) -> keras.Model:
    """Gives a network random weights under which signals neither fade nor grow, as they do under Keras' own in deep ones."""
    stream = np.random.default_rng(9)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.name == "kernel":
            inputs = shape[:2] if len(shape) == 4 and shape[-1] == 1 else shape[:-1]  # depthwise: each channel for itself
            weight.assign(stream.normal(0, np.sqrt(2 / np.prod(inputs)), shape))
        elif weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(stream.normal(0, 0.1, shape))
    return model
