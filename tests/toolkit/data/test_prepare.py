"""Shards of prepared photos: read back as the device's bytes, the same from one worker and from several."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from derm_toolkit.data.duplicates import find_clusters
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.data.prepare import Recipe, prepare_descriptors, prepare_shards, run_parts
from derm_toolkit.data.shards import INDEX, Shards
from derm_toolkit.errors import DataError

pa = pytest.importorskip("pyarrow")


def recipe_of(dataset: Dataset, root: Path, margin: float | None = None) -> Recipe:
    return Recipe(str(dataset.folder), dataset.digest, 24, "crop", margin=margin, root=str(root))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def square(number: int) -> int:
    """A part of which one is a user's mistake."""
    if number < 0:
        raise DataError("A part that cannot be made.")
    return number * number


def test_training_reads_from_shards_what_it_would_make(dataset: Dataset, tmp_path: Path) -> None:
    recipe = recipe_of(dataset, tmp_path / "shards", margin=1.25)
    assert prepare_shards(recipe, shard_photos=40) == 3
    cache, plain = recipe.cache(), recipe_of(dataset, tmp_path / "plain", margin=1.25).cache()
    assert cache.fill(dataset.photos) == 0
    assert plain.fill(dataset.photos) == len(dataset.photos)
    for photo in dataset.photos:
        np.testing.assert_array_equal(cache.read(photo), plain.read(photo))
        assert not cache.path(photo).exists()
    assert not cache.read(dataset.photos[0]).flags.writeable


def test_the_manifest_is_in_the_shards_for_any_arrow_reader(dataset: Dataset, tmp_path: Path) -> None:
    recipe = recipe_of(dataset, tmp_path)
    prepare_shards(recipe, shard_photos=40)
    folder = recipe.cache().folder / "shards"
    files = [folder / row["file"] for row in json.loads((folder / INDEX).read_bytes())["shards"]]
    rows = [row for file in files for row in pa.ipc.open_file(pa.memory_map(str(file))).read_all().to_pylist()]
    for photo, row in zip(dataset.photos, rows, strict=True):
        assert row["digest"].hex() == photo.digest
        assert row["labels"] == list(photo.labels)
        assert all(row[name] == getattr(photo, name) for name in ("file", "fitzpatrick", "patient_id", "width"))


def test_several_workers_write_the_same_bytes_as_one(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    found = []
    for workers in (1, 2):
        copy = dataclasses.replace(dataset, folder=tmp_path / f"{workers}")
        copy.folder.mkdir()
        for name in ("manifest.csv", "taxonomy.json"):
            (copy.folder / name).write_bytes((dataset.folder / name).read_bytes())
        about = json.loads((dataset.folder / "dataset.json").read_text()) | {"photo_folder": str(dataset.photo_folder)}
        (copy.folder / "dataset.json").write_text(json.dumps(about))
        ticks: list[tuple[int, int]] = []
        recipe = Recipe(str(copy.folder), dataset.digest, 24, "crop")
        assert prepare_shards(
            recipe, workers, tick=lambda done, total, told=ticks: told.append((done, total)), shard_photos=20
        )
        assert ticks == [(n, 5) for n in range(1, 6)]
        if workers == 1:
            prepare_descriptors(recipe, "hash", workers)
        found.append(content(copy.folder / "cache"))
    assert found[0] == found[1]
    assert find_clusters(copy, "hash").names == find_clusters(dataset, "hash").names


def test_an_interrupted_preparation_goes_on_and_a_changed_one_starts_anew(dataset: Dataset, tmp_path: Path) -> None:
    recipe = recipe_of(dataset, tmp_path)
    prepare_shards(recipe, shard_photos=40)
    folder = recipe.cache().folder / "shards"
    before = content(folder)
    first = min(folder.glob("part-*"))
    times = {path: path.stat().st_mtime_ns for path in folder.glob("part-*")}
    first.write_bytes(first.read_bytes()[:1000])  # cut off
    (folder / INDEX).unlink()
    prepare_shards(recipe, shard_photos=40)
    assert content(folder) == before
    assert [path for path, time in times.items() if path.stat().st_mtime_ns != time] == [first]
    prepare_shards(recipe, shard_photos=90)
    assert len(list(folder.glob("part-*"))) == 1


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / INDEX).write_text("{}"), "shards.json' is damaged"),
        (lambda folder: (folder / INDEX).write_text('{"format": 1, "side": 24, "shards": [{"file": "../x", "key": ""}]}'),
         "damaged"),
        (lambda folder: min(folder.glob("part-*")).unlink(), "is missing; prepare the data again"),
        (lambda folder: min(folder.glob("part-*")).write_bytes(b"ARROW1" * 9), "is no whole shard"),
        (lambda folder: min(folder.glob("part-*")).write_bytes(b""), "is no whole shard"),
    ],
)  # fmt: skip
def test_damaged_shards_get_one_sentence(dataset: Dataset, tmp_path: Path, damage, sentence: str) -> None:
    recipe = recipe_of(dataset, tmp_path)
    prepare_shards(recipe, shard_photos=90)
    damage(recipe.cache().folder / "shards")
    with pytest.raises(DataError, match=sentence):
        recipe.cache().read(dataset.photos[0])


def test_damaged_pixels_are_made_again(dataset: Dataset, tmp_path: Path) -> None:
    recipe = recipe_of(dataset, tmp_path)
    prepare_shards(recipe, shard_photos=90)
    (path,) = (recipe.cache().folder / "shards").glob("part-*")
    pixels = recipe.cache().read(dataset.photos[3]).copy()
    data = bytearray(path.read_bytes())
    data[data.index(pixels.tobytes()) + 5] ^= 1
    path.write_bytes(bytes(data))
    assert Shards(path.parent, 24).read(dataset.photos[3].digest) is None
    cache = recipe.cache()
    np.testing.assert_array_equal(cache.read(dataset.photos[3]), pixels)
    assert cache.path(dataset.photos[3]).exists()


def test_a_part_that_fails_says_why(dataset: Dataset) -> None:
    assert run_parts(square, [(n,) for n in range(5)], 1, None, lambda done, total: None) == [0, 1, 4, 9, 16]
    with pytest.raises(DataError, match="cannot be made"):
        run_parts(square, [(1,), (-1,)], 1, None, lambda done, total: None)
    with pytest.raises(DataError, match="do all machines see the same folder"):
        Recipe(str(dataset.folder), "0" * 64, 24, "crop").cache()
