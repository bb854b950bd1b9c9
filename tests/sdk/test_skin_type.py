"""The skin type, from `fitzpatrick=` into a network: a bundle that takes it, in two precisions, and one that does not."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from click.testing import CliRunner

from derm_sdk import Classifier, OptionError, read_bundle
from derm_sdk.bundle import pack_bundle
from derm_sdk.calibration import Calibration
from derm_sdk.cli import main
from derm_sdk.inputs import network_inputs
from derm_sdk.taxonomy import Taxonomy

from .. import models

KINDS = ("rgb", "skin_type")
TYPES = (None, 1, 2, 3, 4, 5, 6)
COLOURS = {"red": (190, 90, 90), "green": (90, 190, 90), "blue": (90, 90, 190)}
# What a photo shows is its colour; which of the colour's two conditions it is, only the skin type tells.
TAXONOMY = Taxonomy.from_paths(
    ("category", "condition"), [(c, f"{c} {side}") for c in COLOURS for side in ("light", "dark")]
)


def photos(count: int, seed: int) -> tuple[list[np.ndarray], list[str]]:
    """Noisy photos of one colour each, uint8 [SIZE, SIZE, 3], and the colours."""
    random = np.random.default_rng(seed)
    colours = [list(COLOURS)[place % 3] for place in range(count)]
    shape = (models.SIZE, models.SIZE, 3)
    pixels = [random.normal(COLOURS[colour], 30, shape).clip(0, 255).astype(np.uint8) for colour in colours]
    pixels[0][:], pixels[1][:] = 0, 255
    return pixels, colours


def condition(colour: str, skin_type: int) -> str:
    return f"{colour}-{'light' if skin_type <= 3 else 'dark'}"


@functools.cache
def trained():
    """A network over the whole tree, trained on photos of every type, a third of them told as unknown."""
    import keras
    from keras import layers

    from derm_toolkit.models.graph import GraphSpec
    from derm_toolkit.models.inputs import join_skin_type, keras_inputs

    keras.utils.set_random_seed(4)
    inputs = keras_inputs(GraphSpec("root", None, TAXONOMY.leaves, KINDS), models.SIZE)
    x = layers.Rescaling(1 / 127.5, -1)(inputs["rgb"])
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = layers.ReLU(max_value=6)(layers.BatchNormalization(momentum=0.8)(x))
    x = join_skin_type(layers.GlobalAveragePooling2D()(x), inputs, 8)
    x = layers.Dense(32, activation="relu")(x)
    network = keras.Model(list(inputs.values()), layers.Dense(len(TAXONOMY.leaves), name="logits")(x))
    network.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    random, (pixels, colours) = np.random.default_rng(0), photos(192, seed=0)
    for _ in range(60):
        chosen, types = random.integers(2, 192, 32), random.integers(1, 7, 32)
        told = [None if random.random() < 1 / 3 else int(skin_type) for skin_type in types]
        rows = [network_inputs(pixels[place], skin_type, KINDS) for place, skin_type in zip(chosen, told, strict=True)]
        truth = [TAXONOMY.leaves.index(condition(colours[p], t)) for p, t in zip(chosen, types, strict=True)]
        network.train_on_batch([np.stack([row[kind] for row in rows]) for kind in KINDS], np.array(truth))
    return network


@functools.cache
def bundle(precision: str) -> bytes:
    from derm_converters.graphs import convert_graph, describe_graph
    from derm_converters.recipe import Recipe
    from derm_converters.representative import with_extremes

    pixels, _ = photos(21, seed=1)
    pairs = [(photo, TYPES[place % 7]) for place, photo in enumerate(pixels)]
    graph = convert_graph(
        trained(), Recipe(precision, explain=False), lambda: with_extremes(pairs, models.SIZE, KINDS),
        lambda: [network_inputs(*pair, KINDS) for pair in pairs],
    )  # fmt: skip
    inputs, outputs = describe_graph(graph)
    row = {"id": "root", "given": None, "labels": list(TAXONOMY.leaves), "inputs": inputs, "outputs": outputs}
    manifest = {**models.manifest([row]), "kind": "hierarchical"}
    return pack_bundle(manifest, TAXONOMY, Calibration(), {"root": graph}, "", "")


def trained_logits(pixels: list[np.ndarray], skin_type: int | None) -> np.ndarray:
    rows = [network_inputs(photo, skin_type, KINDS) for photo in pixels]
    return np.asarray(
        trained()([np.stack([row[kind] for row in rows]).astype(np.float32) for kind in KINDS], training=False)
    )


def told(precision: str, pixels: list[np.ndarray], skin_type: int | None) -> np.ndarray:
    with Classifier(bundle(precision)) as classifier:
        return np.array([classifier.logits(photo, fitzpatrick=skin_type)["root"] for photo in pixels])


@pytest.mark.parametrize("skin_type", TYPES)
def test_float32_answers_as_the_trained_network_for_every_type(skin_type):
    pixels, _ = photos(9, seed=2)
    np.testing.assert_allclose(told("float32", pixels, skin_type), trained_logits(pixels, skin_type), atol=1e-4)


def test_int8_gives_the_same_top_answers_and_unknown_is_a_type_like_the_others():
    pixels = photos(36, seed=3)[0]
    same = [
        (told("int8", pixels, skin_type).argmax(axis=1) == trained_logits(pixels, skin_type).argmax(axis=1)).mean()
        for skin_type in TYPES[1:]
    ]
    assert np.mean(same) > 0.97
    colours = [logits.argmax(axis=1) // 2 for logits in (told("int8", pixels, None), trained_logits(pixels, None))]
    assert (colours[0] == colours[1]).all()  # which of a colour's two conditions it is cannot be known


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_type_decides_where_only_the_type_can(precision):
    pixels, colours = photos(14, seed=4)
    with Classifier(bundle(precision)) as classifier:
        for photo, colour in list(zip(pixels, colours, strict=True))[2:]:
            results = {skin_type: classifier.classify(photo, fitzpatrick=skin_type) for skin_type in TYPES}
            for skin_type in TYPES[1:]:
                assert results[skin_type].fitzpatrick == skin_type
                assert results[skin_type].condition.id == condition(colour, skin_type)
            assert len({result["condition"] for result in results.values()}) > 2
            unknown = results[None]
            assert (unknown.category.id, unknown.fitzpatrick) == (colour, None)
            assert unknown.condition.probability < results[6].condition.probability


@pytest.mark.parametrize("routing", ["all", "lazy", "top"])
def test_a_bundle_that_does_not_take_the_type_only_records_it(bundle_path, routing):
    def without_record(skin_type: int | None) -> dict:
        data = classifier.classify(photo, fitzpatrick=skin_type).to_dict()
        assert data.pop("fitzpatrick") == skin_type
        return data

    with Classifier(bundle_path, routing=routing) as classifier:
        for photo in models.photos(6, seed=5):
            told_nothing = without_record(None)
            assert all(without_record(skin_type) == told_nothing for skin_type in TYPES)
            assert all(
                np.array_equal(logits, classifier.logits(photo)[graph])
                for graph, logits in classifier.logits(photo, fitzpatrick=5).items()
            )


def test_roman_numbers_reach_the_network_and_nonsense_is_refused():
    photo = photos(3, seed=6)[0][2]
    with Classifier(bundle("int8")) as classifier:
        assert np.array_equal(
            classifier.logits(photo, fitzpatrick="VI")["root"], classifier.logits(photo, fitzpatrick=6)["root"]
        )
        with pytest.raises(OptionError, match="fitzpatrick must be 1 to 6"):
            classifier.logits(photo, fitzpatrick=0)


def test_a_bundle_says_whether_it_uses_the_type(bundle_path, tmp_path):
    (tmp_path / "typed.derm").write_bytes(bundle("int8"))
    assert read_bundle(tmp_path / "typed.derm").takes_skin_type
    inspected = [CliRunner().invoke(main, ["inspect", str(path)]).stdout for path in (tmp_path / "typed.derm", bundle_path)]
    assert "skin type: used where it is given" in inspected[0] and "rgb, skin_type -> 6 labels" in inspected[0]
    assert "skin type: not used" in inspected[1]
