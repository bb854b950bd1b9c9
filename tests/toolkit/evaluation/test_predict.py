"""Photos to logits: what a network is told of the skin type, from the data set or by whoever asks."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from derm_sdk.inputs import network_inputs
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.evaluation.predict import predict_bundle, predict_models
from derm_toolkit.models.graph import GraphSpec
from derm_toolkit.models.inputs import join_skin_type, keras_inputs

from ... import models

KINDS = ("gray", "skin_type", "rgb")


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(2)
    inputs = keras_inputs(GraphSpec("root", None, ("a", "b"), KINDS), 16)
    x = keras.layers.Concatenate()([keras.layers.Rescaling(1 / 255)(inputs[kind]) for kind in ("gray", "rgb")])
    x = join_skin_type(keras.layers.GlobalAveragePooling2D()(x), inputs, 4)
    return keras.Model(list(inputs.values()), keras.layers.Dense(2)(x))


def test_a_network_is_told_the_recorded_type_or_the_one_that_is_asked_about(tiny_data: Dataset, network: keras.Model):
    photos, cache = tiny_data.photos[:11], PhotoCache(tiny_data, 16, "crop")

    def expected(types: list[int | None]) -> np.ndarray:
        rows = [network_inputs(cache.read(photo), told, KINDS) for photo, told in zip(photos, types, strict=True)]
        return np.asarray(network([np.stack([row[kind] for row in rows]).astype(np.float32) for kind in KINDS]))

    recorded = [photo.fitzpatrick for photo in photos]
    assert len(set(recorded)) == 7
    asked = {
        "true": (predict_models({"root": network}, photos, cache, batch_size=4), recorded),
        "missing": (predict_models({"root": network}, photos, cache, skin_type=lambda photo: None), [None] * 11),
        "wrong": (predict_models({"root": network}, photos, cache, skin_type=lambda photo: 6), [6] * 11),
    }
    for found, types in asked.values():
        np.testing.assert_allclose(found["root"], expected(types), atol=1e-5)
    assert np.abs(asked["true"][0]["root"] - asked["missing"][0]["root"]).max() > 1e-3


def test_a_bundle_without_the_type_answers_the_same_whatever_it_is_told(tiny_data: Dataset):
    photos, cache = tiny_data.photos[:7], PhotoCache(tiny_data, models.SIZE, "crop")
    true, told = (
        predict_bundle(models.bundle_bytes(), photos, cache, **options) for options in ({}, {"skin_type": lambda photo: 3})
    )
    assert all(np.array_equal(true[graph], told[graph]) for graph in models.HEADS)
