"""A small drawn collection, made once, and helpers to write tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.data.importers import import_table
from derm_toolkit.data.manifest import Dataset, Photo, label_path
from derm_toolkit.data.synth import make_photos

REAL_PHOTOS = Path(__file__).parents[4] / "shared" / "data"
COLUMNS = ("file", "condition", "group", "category", "fitzpatrick", "source", "patient_id", "lesion_id")
ROW = dict(zip(COLUMNS, ("a.png", "nevus", "moles", "benign", "3", "clinic", "", ""), strict=True))


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos.csv of 90 drawn photos."""
    return make_photos(tmp_path_factory.mktemp("drawn") / "set", photos=90, seed=1, size=96)


@pytest.fixture(scope="session")
def dataset(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The drawn photos, imported."""
    return import_table(drawn, drawn.parent / "photos", tmp_path_factory.mktemp("data"))[0]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a.png to d.png, all different."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for value, name in enumerate("abcd"):
        pixels = np.random.default_rng(value).integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def write_table(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...] | None = None) -> Path:
    """Writes rows as a CSV file; the columns are those of the first row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def imagined(groups: list[tuple[str, str, str, str, int | None]]) -> Dataset:
    """A data set without files: (condition, cluster is ignored here, patient, lesion, skin type) per photo."""
    names = sorted({row[0] for row in groups})
    tree = Taxonomy.from_paths(
        ("category", "condition"), [("benign" if i % 2 else "malignant", n) for i, n in enumerate(names)]
    )
    leaves = {label_path(tree, leaf)[-1]: leaf for leaf in tree.leaves}
    photos = tuple(
        Photo(f"{i}.jpg", f"{i:064x}", label_path(tree, leaves[name]), leaves[name], skin, "", patient, lesion, 10, 10)
        for i, (name, _, patient, lesion, skin) in enumerate(groups)
    )
    return Dataset(Path("nowhere"), Path("nowhere"), tree, photos)
