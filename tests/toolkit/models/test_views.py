"""A network that looks at mirror images answers their mean, maps included, and is made of Keras' own operations."""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from derm_toolkit.explanation.maps import class_activation_map, pooled_head
from derm_toolkit.models import hierarchical, single_view
from derm_toolkit.models.lenet import Settings as LeNet
from derm_toolkit.models.views import VIEWS, mirror_views, views_mean
from derm_toolkit.training.model_files import load_model_file

SIDE = 12
PICTURES = np.random.default_rng(4).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.float32)
MIRRORED = {1: [PICTURES], 2: [PICTURES, PICTURES[:, :, ::-1]]}
MIRRORED[4] = [*MIRRORED[2], PICTURES[:, ::-1], PICTURES[:, ::-1, ::-1]]


@functools.cache
def network(views: int, side: int | None = SIDE) -> keras.Model:
    """Two convolutions, pooled, four logits; the same weights for any number of views."""
    keras.utils.set_random_seed(1)
    picture = keras.Input((side, side, 3), name="rgb")
    x = layers.Rescaling(1 / 64, -2)(mirror_views(picture, views))
    x = layers.Conv2D(6, 3, activation="relu")(layers.Conv2D(6, 3, strides=2, activation="relu")(x))
    x = layers.GlobalAveragePooling2D(name="pooling")(views_mean(x, views))
    return keras.Model(picture, layers.Dense(4, name="logits")(x))


@pytest.mark.parametrize("views", VIEWS)
@pytest.mark.parametrize("side", [SIDE, None])
def test_the_answer_is_the_mean_of_the_answers_to_each_view(views, side):
    one, found = network(1), np.asarray(network(views, side)(PICTURES))
    each = [np.asarray(one(pictures)) for pictures in MIRRORED[views]]
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)
    assert views == 1 or np.abs(found - each[0]).max() > 0.01  # they differ, or nothing would be shown


def test_a_mirrored_picture_has_the_same_answer_and_the_mirrored_map():
    model = network(4)
    head = pooled_head(model)
    assert head is not None and head.layer == "views_mean"
    weights = np.array([1.0, -1.0, 0.5, 0.0])
    seen, turned = (
        class_activation_map(model, {"rgb": picture}, weights, head) for picture in (PICTURES[0], PICTURES[0, ::-1])
    )
    np.testing.assert_allclose(turned, seen[::-1], atol=1e-4)
    np.testing.assert_allclose(model(PICTURES), model(PICTURES[:, ::-1]), atol=1e-5)


def test_a_saved_network_is_made_of_nothing_but_keras(tmp_path: Path):
    network(4).save(tmp_path / "views.keras")
    np.testing.assert_array_equal(load_model_file(tmp_path / "views.keras")(PICTURES), network(4)(PICTURES))


def test_the_network_in_training_sees_one_picture():
    settings = hierarchical.Settings(weights="none", views=4)
    assert single_view(settings) == hierarchical.Settings(weights="none", views=1)
    assert single_view(LeNet()) == LeNet()
