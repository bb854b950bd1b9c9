from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_sdk.errors import OptionError
from derm_sdk.preprocess import prepare
from derm_toolkit.cli import main
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.data.synth import COLUMNS, DRAWINGS, make_photos
from derm_toolkit.errors import DataError


def folder_digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return whole.hexdigest()


def test_the_same_seed_draws_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    make_photos(tmp_path / "here", photos=12, seed=5, size=64)
    there = str(tmp_path / "there")
    code = f"from derm_toolkit.data.synth import make_photos; make_photos({there!r}, photos=12, seed=5, size=64)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
    assert folder_digest(tmp_path / "here") == folder_digest(tmp_path / "there")
    make_photos(tmp_path / "other", photos=12, seed=6, size=64)
    assert folder_digest(tmp_path / "here") != folder_digest(tmp_path / "other")


def test_the_collection_has_what_real_ones_have(drawn: Path) -> None:
    with drawn.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {row["condition"] for row in rows} == {drawing.name for drawing in DRAWINGS}
    assert len({row["category"] for row in rows}) == 3
    assert {"1", "2", "-1"} <= {row["fitzpatrick"] for row in rows}
    patients = [row["patient_id"] for row in rows if row["patient_id"]]
    assert len(patients) > len(set(patients))
    pictures = [Image.open(drawn.parent / "photos" / row["file"]) for row in rows]
    assert {picture.format for picture in pictures} == {"JPEG", "PNG"}
    assert any(picture.getexif().get(274, 1) != 1 for picture in pictures)
    assert any(picture.height > picture.width for picture in pictures)
    assert any(picture.height < picture.width for picture in pictures)


@pytest.mark.parametrize("kind", ["rgb", "gray", "equalized", "otsu"])
def test_conditions_can_be_told_apart_on_every_input(dataset: Dataset, kind: str) -> None:
    """Leave-one-out with plain features beats chance by far; photos of the same lesion do not count."""
    features = []
    for photo in dataset.photos:
        image = prepare(dataset.path(photo), 64, "pad", (kind,))[kind].astype(np.float32)
        gray = image.mean(axis=2)
        rows, columns = np.diff(gray, axis=0), np.diff(gray, axis=1)
        spectrum = np.log1p(np.abs(np.fft.rfft2(gray - gray.mean())))
        bands = cv2.resize(spectrum.astype(np.float32), (8, 8), interpolation=cv2.INTER_AREA).ravel()
        features.append(
            [gray.std(), np.abs(rows).mean(), np.abs(columns).mean(), *np.percentile(gray, [1, 5, 25, 75]), *bands]
        )
    table = np.array(features)
    table = (table - table.mean(axis=0)) / (table.std(axis=0) + 1e-6)
    distance = ((table[:, None] - table[None]) ** 2).sum(axis=2)
    patients = np.array([photo.patient_id or photo.digest for photo in dataset.photos])
    distance[patients[:, None] == patients[None]] = np.inf
    leaves = np.array([photo.leaf for photo in dataset.photos])
    votes = leaves[np.argsort(distance, axis=1)[:, :3]]
    right = np.mean([leaf in vote for leaf, vote in zip(leaves, votes, strict=True)])
    chance = np.mean([1 - (1 - np.mean(leaves == leaf)) ** 3 for leaf in leaves])
    assert right > chance + 0.1


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="must be new or an empty folder"):
        make_photos(tmp_path, photos=2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_drawing_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_photos(tmp_path / "set", photos=3, size=64, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "value"), [("photos", 0), ("size", 10), ("seed", -1)])
def test_a_number_out_of_range_is_named(tmp_path: Path, name: str, value: int) -> None:
    with pytest.raises(OptionError, match=f"{name} must be"):
        make_photos(tmp_path / "set", **{name: value})


def test_the_command_names_the_next_step(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["data", "synth", str(tmp_path / "set"), "--photos", "3", "--size", "64"])
    assert done.exit_code == 0, done.output
    assert "derm-toolkit data import" in done.output
    assert len(list((tmp_path / "set/photos").iterdir())) == 3
