"""Tiny models with random weights for the tests: a two-step bundle over a made-up tree, converted by the real converter."""

from __future__ import annotations

import functools

import numpy as np

from derm_sdk.bundle import pack_bundle
from derm_sdk.calibration import Calibration
from derm_sdk.taxonomy import Taxonomy

SIZE = 32
PATHS = [
    ("benign", "dermal", "dermatofibroma"),
    ("benign", "dermal", "lipoma"),
    ("benign", "melanocyte", "nevus"),
    ("malignant", "melanoma", "melanoma"),
    ("malignant", "epidermal", "basal cell carcinoma"),
    ("malignant", "epidermal", "squamous cell carcinoma"),
    ("non-neoplastic", "inflammatory", "eczema"),
    ("non-neoplastic", "inflammatory", "acne"),
]
TAXONOMY = Taxonomy.from_paths(("category", "group", "condition"), PATHS)
HEADS = {"root": (None, ("rgb",))} | {
    f"expert-{node.id}": (node.id, ("equalized", "otsu", "gray")) for node in TAXONOMY.at("category")
}
CALIBRATION = Calibration(
    temperatures={"root": 0.5, "expert-benign": 0.4},
    answer={"category": 0.4, "group": 0.4, "condition": 0.4},
    sets={"category": 0.2, "group": 0.1, "condition": 0.1},
    refer_node="malignant",
    refer_threshold=0.35,
    quality={"brightness": (20.0, 235.0), "sharpness": (1.0, 200.0)},
    fitted_on={"split": "calibration", "n": 40},
)


def labels(given: str | None) -> tuple[str, ...]:
    """What a head of the two-step model answers: the categories, or the conditions of one."""
    return tuple(node.id for node in TAXONOMY.at("category")) if given is None else TAXONOMY.leaves_under(given)


def network(kinds: tuple[str, ...], outputs: int, seed: int):
    """A small Keras network with random weights and moving statistics, logits spread over some units."""
    import keras
    from keras import layers

    from derm_sdk.preprocess import INPUT_CHANNELS

    keras.utils.set_random_seed(seed)
    inputs = [keras.Input((SIZE, SIZE, INPUT_CHANNELS[kind]), name=kind) for kind in kinds]
    stems = []
    for tensor in inputs:
        x = layers.Rescaling(1 / 255)(tensor)
        x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
        stems.append(layers.ReLU(max_value=6)(layers.BatchNormalization()(x)))
    x = layers.Concatenate()(stems) if len(stems) > 1 else stems[0]
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(outputs, name="logits")(x))
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights([random.uniform(0.5, 2, shape), random.normal(0, 0.3, shape)] + [
                random.normal(0, 0.1, shape), random.uniform(0.01, 0.1, shape)
            ])  # fmt: skip
    return model


def photos(count: int, seed: int = 0) -> list[np.ndarray]:
    """Random smooth pictures, uint8 [SIZE, SIZE, 3], the first black and the second white."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, 3))
    found = [np.kron(grid, np.ones((SIZE // 4, SIZE // 4, 1))).astype(np.uint8) for grid in coarse]
    found[0][:], found[1][:] = 0, 255
    return found


def manifest(graphs: list[dict]) -> dict:
    """The manifest of a test bundle, without what the writer fills in."""
    return {
        "id": "tiny", "name": "Tiny test model", "version": "1", "created_with": "tests", "kind": "two_step",
        "preprocessing": {"version": 1, "size": SIZE, "fit": "crop", "decode": "full"},
        "graphs": graphs, "composition": {"rule": "P(label) = P(given) * P(label | given)"},
        "quantization": {"precision": "int8"}, "training": {}, "parity": {}, "metrics": {},
        "licence": "CC0-1.0", "intended_use": "tests",
    }  # fmt: skip


def graph_row(name: str, inputs: list[dict], outputs: list[dict]) -> dict:
    given, _ = HEADS[name]
    return {"id": name, "given": given, "labels": list(labels(given)), "inputs": inputs, "outputs": outputs}


@functools.cache
def parts(precision: str = "int8") -> tuple[dict, dict[str, bytes]]:
    """(manifest, graphs) of the test bundle; made once per process, in a few seconds."""
    from derm_converters.graphs import convert_graph, describe_graph
    from derm_converters.recipe import Recipe
    from derm_sdk.preprocess import derive_inputs

    data, rows = {}, []
    for seed, (name, (given, kinds)) in enumerate(HEADS.items()):
        prepared = [derive_inputs(photo, kinds) for photo in photos(12)]
        model = network(kinds, len(labels(given)), seed)
        data[name] = convert_graph(model, Recipe(precision, explain=False), lambda p=prepared: p, lambda p=prepared: p)
        rows.append(graph_row(name, *describe_graph(data[name])))
    return manifest(rows), data


@functools.cache
def bundle_bytes(precision: str = "int8") -> bytes:
    """The bytes of the test bundle."""
    fields, data = parts(precision)
    return pack_bundle(fields, TAXONOMY, CALIBRATION, data, "# Tiny\n", "CC0\n")
