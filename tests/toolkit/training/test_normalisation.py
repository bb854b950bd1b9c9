"""The fused kernel computes what Keras' own normalisation does: outputs, gradients, moving statistics."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from derm_toolkit.training.normalisation import fuse_normalisations

if keras.backend.backend() != "tensorflow":
    pytest.skip("The kernel is TensorFlow's.", allow_module_level=True)

BATCH = np.random.default_rng(5).normal(3, 2, (4, 6, 6, 5)).astype(np.float32)


def network(**options) -> keras.Model:
    keras.utils.set_random_seed(2)
    picture = keras.Input((6, 6, 5))
    x = layers.BatchNormalization(momentum=0.8, epsilon=1e-3, name="norm", **options)(layers.Conv2D(7, 3)(picture))
    return keras.Model(picture, layers.Dense(2)(layers.Flatten()(layers.ReLU(6.0)(x))))


def trained(model: keras.Model) -> list[np.ndarray]:
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    for step in range(3):
        model.train_on_batch(BATCH * (1 + step), np.ones((4, 2), np.float32))
    return [*model.get_weights(), np.asarray(model.predict_on_batch(BATCH))]


@pytest.mark.parametrize("frozen", [False, True])
def test_it_trains_as_keras_does(frozen):
    own, fused = network(), network()
    fuse_normalisations(fused)
    assert "call" in vars(fused.get_layer("norm"))
    for model in (own, fused):
        model.get_layer("norm").trainable = not frozen
    for mine, theirs in zip(trained(fused), trained(own), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"axis": 1}, {"scale": False}, {"center": False}, {"dtype": "mixed_float16"}])
def test_what_the_kernel_has_no_form_for_is_left_alone(options):
    model = network(**options)
    fuse_normalisations(model)
    assert "call" not in vars(model.get_layer("norm"))
