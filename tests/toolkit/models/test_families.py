"""Every family: what it is made of, that it learns, that the skin type counts, and what it refuses."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import pytest

from derm_toolkit.errors import ConfigError, WeightsError
from derm_toolkit.models import FAMILIES, GraphSpec
from derm_toolkit.models.backbone import backbone_layers
from derm_toolkit.training.config import config_from_dict
from derm_toolkit.training.stages import freeze

from .tree import TREE, batch

PLAIN = {"architecture": "plain", "widths": [4, 6], "blocks": [1, 2], "dense": 8}
LITE = {"backbone": "lite0", "weights": "none", "backbone_blocks": 3}
SMALL: dict[str, tuple[int, dict[str, Any]]] = {  # name -> side in pixels, the [model] table
    "lenet": (32, {"kind": "lenet", "filters": [4, 6], "dense": 16, "dropout": 0.3}),
    "alexnet": (67, {"kind": "alexnet", "filters": [8, 8, 8, 8, 8], "dense": [16, 16]}),
    "multi_input": (32, {"kind": "multi_input", "filters": [4, 6], "dense": 16}),
    "multi_input stretched": (
        32,
        {"kind": "multi_input", "inputs": ["equalized", "otsu", "gray", "stretched"], "filters": [4, 6], "dense": 16},
    ),
    "transfer": (32, {"kind": "transfer", "backbone": "mobilenet", "weights": "none", "dense": 16, "dropout": 0.2}),
    "transfer flat": (32, {"kind": "transfer", "backbone": "vgg16", "weights": "none", "pooling": "flatten"}),
    "two_step plain": (
        32,
        {
            "kind": "two_step",
            "root": PLAIN | {"inputs": ["rgb", "gray", "equalized", "otsu", "stretched"]},
            "expert": PLAIN,
        },
    ),
    "two_step lite": (32, {"kind": "two_step", "root": LITE, "expert": LITE}),
    "two_step residual": (32, {"kind": "two_step", "root": {"widths": [4], "blocks": [1]}, "expert": {"dense": 8}}),
}
HAS_BACKBONE = ("transfer", "transfer flat", "two_step lite")


def settings(table: dict[str, Any], **changes: Any) -> Any:
    return config_from_dict({"version": 1, "model": table | changes}).model


@functools.cache
def networks(name: str, **changes: Any) -> list[tuple[GraphSpec, keras.Model]]:
    """(spec, network) of the first and the last network of a small model: a root and an expert, or its only one.

    The tests share them; only the one that trains changes their weights.
    """
    size, table = SMALL[name]
    chosen, family = settings(table, **changes), FAMILIES[table["kind"]]
    specs = family.graphs(TREE, chosen)
    return [(spec, family.build(spec, chosen, size)) for spec in dict.fromkeys((specs[0], specs[-1]))]


@pytest.mark.parametrize("name", SMALL)
def test_a_network_takes_its_inputs_by_kind_and_gives_a_logit_per_label(name: str) -> None:
    for spec, model in networks(name, skin_type=True):
        assert [tensor.name for tensor in model.inputs] == list(spec.inputs)
        assert spec.inputs[-1] == "skin_type"
        assert model.output.shape == (None, len(spec.labels))
        logits = model(batch(spec.inputs, SMALL[name][0]), training=False)
        assert np.isfinite(keras.ops.convert_to_numpy(logits)).all()
        assert not any(isinstance(layer, keras.Model) for layer in model.layers)  # flat, as the converter takes it
        last = model.layers[-1]
        assert (last.name, last.activation) == ("logits", keras.activations.linear)


@pytest.mark.parametrize("name", SMALL)
def test_the_labels_of_a_model_are_the_conditions_of_its_tree(name: str) -> None:
    table = SMALL[name][1]
    specs = FAMILIES[table["kind"]].graphs(TREE, settings(table))
    if table["kind"] == "two_step":
        assert specs[0].labels == tuple(node.id for node in TREE.children(None))
        assert sorted(label for spec in specs[1:] for label in spec.labels) == sorted(TREE.leaves_under(None))
    else:
        assert [(spec.id, spec.given, spec.labels) for spec in specs] == [("tree", None, TREE.leaves_under(None))]


@pytest.mark.parametrize("name", SMALL)
def test_one_step_on_two_photos_moves_every_weight(name: str) -> None:
    for spec, model in networks(name, skin_type=True):
        photos, truth = batch(spec.inputs, SMALL[name][0]), np.eye(len(spec.labels), dtype=np.float32)[:2]
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0  # so that a unit that was dropped is not mistaken for one that is not connected
        model.compile(keras.optimizers.SGD(1e-4), keras.losses.CategoricalCrossentropy(from_logits=True))
        before = [np.array(weight) for weight in model.trainable_weights]
        loss = float(model.train_on_batch(photos, truth))
        still = [
            weight.path
            for weight, old in zip(model.trainable_weights, before, strict=True)
            if np.array_equal(keras.ops.convert_to_numpy(weight), old)
        ]
        assert not still
        assert np.isfinite(loss)


@pytest.mark.parametrize("name", SMALL)
def test_the_skin_type_changes_the_answer_and_is_no_input_unless_asked_for(name: str) -> None:
    for spec, model in networks(name, skin_type=True):
        size = SMALL[name][0]
        unknown, light, dark = (
            keras.ops.convert_to_numpy(model(batch(spec.inputs, size, (kind, kind)), training=False))
            for kind in (None, 2, 6)
        )
        assert not np.allclose(light, dark, atol=1e-6)
        assert not np.allclose(light, unknown, atol=1e-6)
    for spec, _ in networks(name):
        assert "skin_type" not in spec.inputs


@pytest.mark.parametrize("name", SMALL)
def test_freezing_holds_the_backbone_and_leaves_the_head(name: str) -> None:
    for _, model in networks(name, skin_type=True):
        if name not in HAS_BACKBONE:
            if name != "two_step residual":
                with pytest.raises(ConfigError, match="has no backbone to freeze"):
                    freeze(model, 1.0)
            continue
        layers = backbone_layers(model)
        assert all(layer.weights for layer in layers)
        freeze(model, 1.0)
        head = {weight.path.split("/")[0] for weight in model.trainable_weights}
        assert head <= {"skin_type_embedding", "dense", "dense_bn", "logits"}
        assert {"skin_type_embedding", "logits"} <= head
        freeze(model, 0.5)
        assert [layer.trainable for layer in layers] == [place >= round(len(layers) / 2) for place in range(len(layers))]
        freeze(model, 0.0)
        assert all(layer.trainable for layer in layers)


@pytest.mark.parametrize("name", ["transfer", "two_step lite", "two_step residual"])
def test_a_pooled_network_of_any_size_answers_as_one_of_a_fixed_size(name: str) -> None:
    table = SMALL[name][1]
    chosen, family = settings(table), FAMILIES[table["kind"]]
    spec = family.graphs(TREE, chosen)[0]
    anywhere, fixed = (family.build(spec, chosen, size) for size in (None, 64))
    fixed.set_weights(anywhere.get_weights())
    photos = batch(spec.inputs, 64)
    ours, theirs = (keras.ops.convert_to_numpy(model(photos, training=False)) for model in (anywhere, fixed))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lenet", "alexnet", "multi_input", "transfer flat", "two_step plain"])
def test_a_network_that_lays_its_map_flat_refuses_an_open_size(name: str) -> None:
    table = SMALL[name][1]
    chosen, family = settings(table), FAMILIES[table["kind"]]
    with pytest.raises(ConfigError, match="its pictures have one size"):
        family.build(family.graphs(TREE, chosen)[0], chosen, None)


@pytest.mark.parametrize(
    ("table", "size", "sentence"),
    [
        ({"kind": "lenet"}, 40, "Pictures of 40 pixels are too small"),
        ({"kind": "alexnet"}, 66, "Pictures of 66 pixels are too small"),
        ({"kind": "multi_input"}, 60, "Pictures of 60 pixels are too small"),
        ({"kind": "transfer", "backbone": "inception_v3"}, 64, "inception_v3 takes pictures of 75 pixels or more"),
    ],
)
def test_a_picture_that_is_too_small_is_refused_in_a_sentence(table: dict[str, Any], size: int, sentence: str) -> None:
    chosen, family = settings(table), FAMILIES[table["kind"]]
    with pytest.raises(ConfigError, match=sentence):
        family.build(family.graphs(TREE, chosen)[0], chosen, size)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"kind": "lenet", "filters": []}, "filters needs one number per stage"),
        ({"kind": "alexnet", "filters": [1, 2]}, "filters needs 5 numbers, one per convolution; got 2"),
        ({"kind": "alexnet", "dense": []}, "dense needs one number per hidden layer"),
        ({"kind": "multi_input", "inputs": ["gray", "gray"]}, "one or more different pictures"),
        ({"kind": "transfer", "backbone": "resnet101v2"}, "Did you mean 'resnet101_v2'"),
        ({"kind": "two_step", "root": {"weights": "mine.pth"}}, "those of a backbone, and none is named"),
    ],
)
def test_settings_that_make_no_network_are_refused(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        settings(table)


def test_weights_that_cannot_be_downloaded_are_a_sentence_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise Exception("URL fetch failure on https://example.org: Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", no_network)
    with pytest.raises(WeightsError, match=r"cannot be downloaded \(URL fetch failure.*name a local file in model.weights"):
        networks("transfer", weights="imagenet")
