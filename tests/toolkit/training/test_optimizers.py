from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from derm_toolkit.training.config import Training
from derm_toolkit.training.optimizers import build_optimizer


def network():
    import keras

    inputs = keras.Input((8, 8, 3), name="rgb")
    x = keras.layers.Conv2D(4, 3, name="conv", kernel_initializer="ones")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="logits", kernel_initializer="ones")(x))


def moved(**settings) -> dict[str, float]:
    """How far one step with equal gradients moves the first weight of each variable."""
    from keras import ops

    model = network()
    before = [np.asarray(each) for each in model.get_weights()]
    recipe = dataclasses.replace(Training(weight_decay=0.0, clip_norm=0.0, learning_rate=0.1), **settings)
    build_optimizer(model, recipe).apply_gradients([(ops.ones(each.shape), each) for each in model.trainable_variables])
    pairs = zip(model.weights, before, model.get_weights(), strict=True)
    return {each.path.split("/", 1)[0] + "/" + each.name: float((b - a).ravel()[0]) for each, b, a in pairs}


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "rmsprop"])
def test_the_backbone_moves_at_its_own_rate(optimizer: str):
    together, apart = moved(optimizer=optimizer), moved(optimizer=optimizer, backbone_rate=0.25)
    assert apart["logits/kernel"] == pytest.approx(together["logits/kernel"], rel=1e-4)
    assert apart["conv/kernel"] == pytest.approx(0.25 * together["conv/kernel"], rel=1e-4)


def test_weight_decay_follows_the_rate_and_spares_biases():
    plain, decayed = moved(backbone_rate=0.25), moved(backbone_rate=0.25, weight_decay=0.5)
    assert decayed["logits/kernel"] - plain["logits/kernel"] == pytest.approx(0.1 * 0.5, rel=1e-3)
    assert decayed["conv/kernel"] - plain["conv/kernel"] == pytest.approx(0.25 * 0.1 * 0.5, rel=1e-3)
    assert decayed["logits/bias"] == plain["logits/bias"]
