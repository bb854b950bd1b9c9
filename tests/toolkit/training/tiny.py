"""A data set so small that networks train on it in seconds: coloured squares in five conditions of three categories."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.data.manifest import SPLITS, Dataset, Photo, Split, read_dataset, read_split, write_dataset, write_split
from derm_toolkit.training.config import read_config
from derm_toolkit.training.run import Run
from derm_toolkit.training.train import Order, train

CONDITIONS = {  # colour of the condition's photos; "wart" is the only benign one, so that category needs no expert
    ("malignant", "melanoma"): (60, 30, 30),
    ("malignant", "carcinoma"): (200, 60, 60),
    ("benign", "wart"): (60, 200, 60),
    ("non-neoplastic", "eczema"): (60, 60, 200),
    ("non-neoplastic", "acne"): (220, 220, 90),
}
CONFIG = """
version = 1
[preprocessing]
size = 16
[augmentation]
margin = 1.25
crop = [0.6, 1.0]
rotation = 30.0
horizontal_flip = true
brightness = [0.8, 1.2]
[model]
kind = "two_step"
[model.root]
stem = 4
widths = [6]
blocks = [1]
[model.expert]
stem = 4
widths = [6]
blocks = [1]
dense = 8
[training]
seed = 3
epochs = 6
expert_epochs = 4
batch_size = 8
learning_rate = 1e-2
warmup_epochs = 1.0
average = 0.9
workers = 2
"""


@cache
def tiny_folders(session: Path) -> tuple[Path, Path, Path]:
    """The data set, the config and a run folder to come, once per test session and its folder."""
    folder = session / "tiny-shared"
    make_data(folder / "data")
    (folder / "tiny.toml").write_text(CONFIG)
    return folder / "data", folder / "tiny.toml", folder / "run"


@cache
def finished_run(session: Path) -> Run:
    """A finished training on the tiny data set, once per test session and its folder."""
    data, config, out = tiny_folders(session)
    dataset = read_dataset(data)
    return train(Order(read_config(config), dataset, read_split(data / "splits.csv", dataset), out))


def make_data(folder: Path, per_condition: int = 20, conditions: Sequence[str] = ()) -> Dataset:
    """Writes photos, manifest and split; 60/10/10/20 of each condition, each photo a cluster of its own."""
    colours = {path: colour for path, colour in CONDITIONS.items() if not conditions or path[1] in conditions}
    taxonomy = Taxonomy.from_paths(("category", "condition"), colours)
    stream = np.random.default_rng(7)
    photos, sides = [], {}
    for path, colour in colours.items():
        for number in range(per_condition):
            pixels = stream.normal(colour, 25, (30 + number % 5, 34, 3)).clip(0, 255).astype(np.uint8)
            data = io.BytesIO()
            Image.fromarray(pixels).save(data, "PNG")
            file = f"{path[1]}-{number}.png"
            (folder / "photos").mkdir(parents=True, exist_ok=True)
            (folder / "photos" / file).write_bytes(data.getvalue())
            digest = hashlib.sha256(data.getvalue()).hexdigest()
            leaf = taxonomy.node(path[1]).id
            skin = (None, 1, 2, 3, 4, 5, 6)[number % 7]
            photos.append(Photo(file, digest, path, leaf, skin, "tiny", "", "", pixels.shape[1], pixels.shape[0]))
            place = number / per_condition
            sides[digest] = SPLITS[0 if place < 0.6 else 1 if place < 0.7 else 2 if place < 0.8 else 3]
    write_dataset(folder, folder / "photos", taxonomy, photos)
    dataset = read_dataset(folder)
    write_split(folder / "splits.csv", Split(sides, {digest: digest for digest in sides}), dataset)
    return dataset
