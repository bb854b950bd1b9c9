"""The networks of keras.applications inside our graphs: the same numbers as theirs, from files of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from derm_toolkit.errors import WeightsError
from derm_toolkit.models import FAMILIES, transfer
from derm_toolkit.models.applications import APPLICATIONS
from derm_toolkit.training.settings import read_settings

from .tree import TREE, batch, enliven

SIDE = 64


def build(**table: Any) -> keras.Model:
    chosen = read_settings(transfer.Settings, {"kind": "transfer"} | table)
    return transfer.build(FAMILIES["transfer"].graphs(TREE, chosen)[0], chosen, SIDE)


def features(model: keras.Model, photos: list[np.ndarray]) -> np.ndarray:
    """What reaches the head."""
    inner = keras.Model(model.inputs, model.get_layer("pooling").output)
    return np.asarray(keras.ops.convert_to_numpy(inner(photos, training=False)))


def published(name: str, module: str, photos: list[np.ndarray]) -> tuple[keras.Model, np.ndarray]:
    """A network with random weights as Keras builds it, and its features of photos that Keras itself preprocessed."""
    make = getattr(keras.applications, APPLICATIONS[name].function)
    network = enliven(make(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3), pooling="avg"))
    prepared = getattr(keras.applications, module).preprocess_input(photos[0].copy())
    return network, np.asarray(keras.ops.convert_to_numpy(network(prepared, training=False)))


@pytest.mark.parametrize(
    ("name", "module", "ending"),
    [
        ("mobilenet", "mobilenet", ".keras"),
        ("vgg16", "vgg16", ".weights.h5"),
        ("mobilenet_v3_small", "mobilenet_v3", ".h5"),
    ],
)
def test_a_published_network_gives_its_own_features_inside_ours(name: str, module: str, ending: str, tmp_path: Path) -> None:
    photos, path = batch(("rgb",), SIDE), tmp_path / f"published{ending}"
    network, expected = published(name, module, photos)
    if ending == ".weights.h5":
        network.save_weights(path)
    else:
        network.save(path)
    ours = features(build(backbone=name, weights=str(path)), photos)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_a_picture_is_scaled_by_the_means_of_imagenet_where_keras_does_so() -> None:
    photos = batch(("rgb",), SIDE)
    model = build(backbone="densenet121", weights="none")
    scaled = keras.Model(model.inputs, model.get_layer("rgb_rescaling").output)(photos)
    expected = keras.applications.densenet.preprocess_input(photos[0].copy())
    np.testing.assert_allclose(keras.ops.convert_to_numpy(scaled), expected, atol=1e-5)


def test_a_network_out_of_a_run_is_read_as_it_is(tmp_path: Path) -> None:
    """VGG16 is published for BGR, ours takes RGB: a file of ours must not be turned round again."""
    photos, path = batch(("rgb",), SIDE), tmp_path / "tree.keras"
    first = enliven(build(backbone="vgg16", weights="none"))
    first.save(path)
    again = build(backbone="vgg16", weights=str(path), dropout=0.5)
    np.testing.assert_allclose(features(again, photos), features(first, photos), rtol=1e-5, atol=1e-6)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.keras"
    keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.25).save(path)
    with pytest.raises(WeightsError, match=r"other.keras' do not fit 'mobilenet_1.00_224'"):
        build(backbone="mobilenet", weights=str(path))
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]).save(path)
    with pytest.raises(WeightsError, match=r"other.keras' do not fit 'mobilenet_1.00_224'"):
        build(backbone="mobilenet", weights=str(path))


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_a_file_that_is_none_is_refused(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"none{ending}"
    with pytest.raises(WeightsError, match="There is no weight file"):
        build(backbone="mobilenet", weights=str(path))
    path.write_bytes(b"no weights at all")
    with pytest.raises(WeightsError, match=f"none{ending}' do not fit"):
        build(backbone="mobilenet", weights=str(path))


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    network = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))
    arrays = network.get_weights()
    arrays[0][0, 0, 0, 0] = np.nan
    network.set_weights(arrays)
    network.save_weights(tmp_path / "nan.weights.h5")
    with pytest.raises(WeightsError, match="or are damaged: some are no numbers"):
        build(backbone="mobilenet", weights=str(tmp_path / "nan.weights.h5"))
