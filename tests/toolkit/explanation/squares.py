"""A run made by hand whose networks look for coloured squares, so that the place of the evidence is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition, Head
from derm_sdk.explanation import Target, targets
from derm_sdk.inputs import network_inputs
from derm_sdk.taxonomy import Taxonomy

SIZE, CELL = 64, 4
RED, GREEN, BLUE = (230, 20, 20), (20, 230, 20), (20, 20, 230)
TAXONOMY = Taxonomy.from_paths(
    ("category", "condition"), [("benign", "wart"), ("malignant", "carcinoma"), ("malignant", "melanoma")]
)
HEADS = (Head("root", None, ("benign", "malignant")), Head("expert-malignant", "malignant", ("carcinoma", "melanoma")))
COMPOSITION = Composition(TAXONOMY, HEADS)
LABELS = HEADS[1].labels
_COLOURS = {"benign": 2, "malignant": 0, "carcinoma": 1, "melanoma": 0}  # the channel that each label is for


def network(labels: tuple[str, ...], *, hidden: bool = False, skin_type: bool = False):
    """Finds red, green and blue squares; red speaks for malignant and melanoma, green for carcinoma, blue for benign.

    Its last map has a channel per colour and 16 x 16 cells. `hidden` puts a layer between pooling and logits; `skin_type`
    lays an embedding of the skin type before the pooled features.
    """
    import keras
    from keras import layers

    picture = keras.Input((SIZE, SIZE, 3), name="rgb")
    x = layers.Rescaling(1 / 255)(picture)
    kernel = np.where(np.eye(3) > 0, 1.0, -1.0) / CELL**2
    find = layers.Conv2D(3, CELL, strides=CELL, name="find")
    x = find(x)
    find.set_weights([np.tile(kernel, (CELL, CELL, 1, 1)).astype(np.float32), np.full(3, -0.1, np.float32)])
    x = layers.ReLU(name="found")(x)
    x = layers.GlobalAveragePooling2D(name="pooling")(x)
    inputs = [picture]
    if skin_type:
        inputs.append(keras.Input((7,), name="skin_type"))
        embedding = layers.Dense(2)
        x = layers.Concatenate()([embedding(layers.Rescaling(1 / 255)(inputs[1])), x])
        embedding.set_weights([np.linspace(0, 0.05, 14, dtype=np.float32).reshape(7, 2), np.zeros(2, np.float32)])
    if hidden:
        middle = layers.Dense(3, use_bias=False)
        x = middle(x)
        middle.set_weights([np.eye(3, dtype=np.float32)])
    x = layers.Dropout(0.5)(x)
    logits = layers.Dense(len(labels), name="logits")
    model = keras.Model(inputs, logits(x), name=labels[0])
    weights = np.zeros(logits.kernel.shape, np.float32)
    for place, label in enumerate(labels):
        weights[_COLOURS[label] - 3, place] = 40.0
    logits.set_weights([weights, np.linspace(0, 0.5, len(labels)).astype(np.float32)])
    return model


def write_run(folder: Path, fit: str = "crop") -> Path:
    """Writes the run folder: the root has a pooled head, the expert has a layer in between."""
    (folder / "model").mkdir(parents=True)
    (folder / "config.toml").write_text(f'version = 1\n[preprocessing]\nsize = {SIZE}\n[model]\nkind = "two_step"\n')
    (folder / "taxonomy.json").write_text(json.dumps(TAXONOMY.to_dict()))
    (folder / "dataset.json").write_text(json.dumps({"folder": "gone", "dataset": "0", "split": "0"}))
    calibration = Calibration(temperatures={"root": 2.0}, refer_node="malignant")
    (folder / "calibration.json").write_text(json.dumps(calibration.to_dict()))
    rows = []
    for head in HEADS:
        row = {"id": head.graph, "file": f"{head.graph}.keras", "given": head.given}
        rows.append(row | {"labels": head.labels, "inputs": ["rgb"]})
        network(head.labels, hidden=head.given is not None).save(folder / "model" / f"{head.graph}.keras")
    preprocessing = {"version": 1, "size": SIZE, "fit": fit, "decode": "full"}
    table = {"kind": "two_step", "preprocessing": preprocessing, "graphs": rows}
    (folder / "model" / "graphs.json").write_text(json.dumps(table))
    return folder


def photo(width: int, height: int, squares: dict[tuple[int, int, int], tuple[int, int, int]]) -> np.ndarray:
    """A gray photo with coloured squares, {colour: (left, top, side)}."""
    pixels = np.full((height, width, 3), 120, np.uint8)
    for colour, (left, top, side) in squares.items():
        pixels[top : top + side, left : left + side] = colour
    return pixels


def inputs(skin_type: int | None = 3) -> dict[str, np.ndarray]:
    """A prepared photo of noise with a red and a green square, and the skin type."""
    rgb = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    rgb[8:30, 30:50] = RED
    rgb[40:50, 4:20] = GREEN
    return network_inputs(rgb, skin_type, ("rgb", "skin_type"))


def target(node: str) -> Target:
    """The last graph that decides a node."""
    return targets(COMPOSITION, node)[-1]
