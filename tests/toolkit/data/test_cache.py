"""The caches: the device's bytes, made once, never trusted blindly."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import derm_sdk
from derm_sdk.errors import FileError, OptionError
from derm_sdk.image import decode
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.errors import DataError

from ..training.tiny import make_data


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_data(tmp_path / "data", per_condition=2)


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_the_exact_cache_holds_what_the_device_computes(dataset: Dataset, fit: str):
    cache = PhotoCache(dataset, 20, fit)
    for photo in dataset.photos:
        expected = derm_sdk.prepare(dataset.path(photo), 20, fit)["rgb"]
        assert np.array_equal(cache.read(photo), expected)
        assert np.array_equal(np.load(cache.path(photo)), expected)


def test_a_cache_of_reduced_photos_holds_what_such_a_device_computes_and_lies_apart(dataset: Dataset):
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (201, 197, 3), np.uint8))
    noise.save(dataset.path(dataset.photos[0]), "JPEG")
    digest = hashlib.sha256(dataset.path(dataset.photos[0]).read_bytes()).hexdigest()
    photo = dataclasses.replace(dataset.photos[0], digest=digest)
    exact, canvas = (PhotoCache(dataset, 20, "crop", margin=margin, decode="reduced") for margin in (None, 1.2))
    full = PhotoCache(dataset, 20, "crop")
    assert len({exact.folder, canvas.folder, full.folder}) == 3
    assert np.array_equal(exact.read(photo), derm_sdk.prepare(dataset.path(photo), 20, decode="reduced")["rgb"])
    assert not np.array_equal(exact.read(photo), full.read(photo))
    pixels = decode(dataset.path(photo), least=80).pixels  # by S, not by the side of the canvas
    assert np.array_equal(canvas.read(photo), derm_sdk.prepare(pixels, 24)["rgb"])


def test_the_canvas_is_larger_by_the_margin_rounded_up(dataset: Dataset):
    cache = PhotoCache(dataset, 20, "crop", margin=1.11)
    assert cache.side == 23
    assert cache.read(dataset.photos[0]).shape == (23, 23, 3)
    assert PhotoCache(dataset, 20, "crop", margin=1.15).side == 23  # not 24, for 22.999999999999996


def test_filling_makes_what_is_missing_and_says_how_much(dataset: Dataset):
    cache, seen = PhotoCache(dataset, 20, "crop"), []
    cache.read(dataset.photos[3])
    assert cache.fill(dataset.photos, 3, lambda done, total: seen.append((done, total))) == len(dataset.photos) - 1
    assert seen[-1] == (len(dataset.photos), len(dataset.photos))
    assert cache.fill(dataset.photos, 3) == 0
    assert PhotoCache(dataset, 20, "crop").fill(dataset.photos, 1) == 0  # another run shares it
    assert not list(cache.folder.glob(".*"))


def _cut(data: bytes) -> bytes:
    return data[:-100]


def _flip(data: bytes) -> bytes:
    return data[:500] + bytes([data[500] ^ 1]) + data[501:]


def _reshape(data: bytes) -> bytes:
    return data.replace(b"(20, 20, 3)", b"(40, 10, 3)")


def _empty(data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [_cut, _flip, _reshape, _empty])
def test_a_damaged_file_is_made_again(dataset: Dataset, damage):
    photo = dataset.photos[0]
    path = PhotoCache(dataset, 20, "crop").path(photo)
    before = PhotoCache(dataset, 20, "crop").read(photo).copy()
    path.write_bytes(damage(path.read_bytes()))
    assert np.array_equal(PhotoCache(dataset, 20, "crop").read(photo), before)
    path.write_bytes(damage(path.read_bytes()))
    assert PhotoCache(dataset, 20, "crop").fill([photo]) == 1


def test_a_filled_cache_needs_no_photos(dataset: Dataset):
    PhotoCache(dataset, 20, "crop").fill(dataset.photos)
    dataset.path(dataset.photos[0]).unlink()
    assert PhotoCache(dataset, 20, "crop").read(dataset.photos[0]).shape == (20, 20, 3)


def test_a_photo_that_is_gone_or_changed_is_named(dataset: Dataset):
    dataset.path(dataset.photos[0]).unlink()
    dataset.path(dataset.photos[1]).write_bytes(dataset.path(dataset.photos[2]).read_bytes())
    cache = PhotoCache(dataset, 20, "crop")
    with pytest.raises(DataError, match=r"melanoma-0\.png' is gone"):
        cache.read(dataset.photos[0])
    with pytest.raises(DataError, match=r"melanoma-1\.png' has changed since the import"):
        cache.fill(dataset.photos[1:])


def test_a_folder_that_cannot_be_written_is_named(dataset: Dataset, tmp_path: Path):
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(FileError, match="occupied"):
        PhotoCache(dataset, 20, "crop", root=tmp_path / "occupied").read(dataset.photos[0])


def test_an_impossible_size_is_refused(dataset: Dataset):
    with pytest.raises(OptionError, match="size must be"):
        PhotoCache(dataset, 5000, "crop")


def test_what_killed_writers_left_goes_when_the_cache_is_filled(dataset: Dataset, tmp_path: Path) -> None:
    cache = PhotoCache(dataset, 16, "crop", root=tmp_path)
    cache.fill(dataset.photos[:1])
    old, new = cache.folder / ".a.npy.x1.tmp", cache.folder / ".b.npy.x2.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    cache.fill(dataset.photos[:2])
    assert {path.name for path in cache.folder.iterdir()} == {
        new.name, *(f"{photo.digest}.npy" for photo in dataset.photos[:2])
    }  # fmt: skip


def test_another_version_of_the_decoder_has_a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_data(tmp_path)
    now = PhotoCache(dataset, 16, "crop").folder
    monkeypatch.setattr("PIL.__version__", "99.0")
    assert PhotoCache(dataset, 16, "crop").folder != now
