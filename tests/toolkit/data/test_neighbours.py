from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from derm_toolkit.cli import main
from derm_toolkit.data.duplicates import cluster
from derm_toolkit.data.importers import import_table
from derm_toolkit.data.neighbours import pairs, search
from derm_toolkit.data.neighbours.geometry import LEAST_SPREAD, Alignment, align
from derm_toolkit.data.neighbours.keypoints import RECORD, describe_points
from derm_toolkit.data.neighbours.pairs import alignments
from derm_toolkit.data.neighbours.search import Neighbours
from derm_toolkit.data.neighbours.store import RecordStore

from .conftest import ROW, write_table
from .test_duplicates import variants


def picture(seed: int) -> np.ndarray:
    """Blobs of all sizes, 240 x 320: no two alike."""
    random = np.random.default_rng(seed)
    layers = [random.normal(size=(240 // step, 320 // step, 3)).astype(np.float32) for step in (5, 10, 20, 40)]
    total = sum(cv2.resize(layer, (320, 240), interpolation=cv2.INTER_CUBIC) for layer in layers)
    return np.clip(128 + 30 * total, 0, 255).astype(np.uint8)


def stamped(pixels: np.ndarray) -> np.ndarray:
    return cv2.putText(pixels.copy(), "ATLAS OF SKIN", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (255, 255, 255), 3)


def laid(first: np.ndarray, second: np.ndarray) -> Alignment:
    return align(describe_points(np.ascontiguousarray(first), "a"), describe_points(np.ascontiguousarray(second), "b"))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p[70:, 100:],
        lambda p: p[:, ::-1],
        np.rot90,
        lambda p: np.rot90(p, 2)[20:200, 30:300],
        lambda p: cv2.resize(p, (150, 110), interpolation=cv2.INTER_AREA),
        lambda p: (p * 0.6).astype(np.uint8),
        stamped,
        lambda p: cv2.copyMakeBorder(p, 40, 40, 60, 60, cv2.BORDER_CONSTANT, value=(255, 255, 255)),
    ],
    ids=["cropped", "mirrored", "turned", "turned and cropped", "resized", "darker", "stamped", "bordered"],
)
def test_a_changed_copy_is_the_same_picture(change: Callable[[np.ndarray], np.ndarray]) -> None:
    found = laid(picture(1), change(picture(1)))
    assert found.same_picture
    assert found.mirrored == (change(picture(1)).tobytes() == picture(1)[:, ::-1].tobytes())


def test_strangers_with_the_same_stamp_are_not_the_same_picture() -> None:
    found = laid(*(stamped(cv2.GaussianBlur(picture(seed), (0, 0), 8)) for seed in (2, 3)))
    assert found.points >= 12  # the letters are found on both
    assert not found.same_picture


def test_the_same_light_on_strangers_with_a_stamp_does_not_make_them_one_picture() -> None:
    light = (np.linspace(-60, 60, 320)[None, :, None] + np.linspace(-40, 40, 240)[:, None, None]).astype(np.float32)
    skin = (
        np.clip(150 + light + 0.15 * (picture(seed).astype(np.float32) - 128), 0, 255).astype(np.uint8) for seed in (2, 3)
    )
    found = laid(*(stamped(each) for each in skin))
    assert found.points >= 12
    assert not found.same_picture


def test_points_along_a_line_of_words_make_no_picture() -> None:
    copy = laid(picture(1), picture(1)[70:, 100:])
    words = laid(*(stamped(cv2.GaussianBlur(picture(seed), (0, 0), 8)) for seed in (2, 3)))
    assert words.spread < LEAST_SPREAD < 3 * LEAST_SPREAD < copy.spread
    assert copy.same_picture and not replace(copy, spread=words.spread).same_picture


def test_blank_and_tiny_pictures_resemble_nothing() -> None:
    blank = np.full((50, 60, 3), 200, np.uint8)
    assert not laid(blank, blank).same_picture
    assert not laid(picture(1)[:1, :1], picture(1)).same_picture


def test_alignments_are_kept_on_disk_and_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [describe_points(picture(seed)[:, ::step], f"{seed}{step}") for seed in (1, 2) for step in (1, -1)]
    wanted = np.array([(a, b) for a in range(4) for b in range(a + 1, 4)])
    first = alignments(records, wanted, tmp_path)
    assert {pair for pair, found in first.items() if found.same_picture} == {(0, 1), (2, 3)}
    monkeypatch.setattr(pairs, "align", None)
    again = alignments(records, wanted, tmp_path)
    assert {pair: round(found.correlation, 5) for pair, found in again.items()} == {
        pair: round(found.correlation, 5) for pair, found in first.items()
    }


def test_the_same_picture_joins_whatever_the_features_say() -> None:
    from derm_toolkit.data.descriptors import Descriptors

    features = np.abs(np.random.default_rng(4).normal(size=(6, 40))).astype(np.float32)
    records = [describe_points(np.ascontiguousarray(p), f"{i}") for i, p in
               enumerate([picture(1), *map(picture, range(5, 9)), picture(1)[60:, :250]])]  # fmt: skip
    features[5] = features[0] + np.random.default_rng(5).normal(size=40).astype(np.float32) * 0.4
    thumbnails = np.random.default_rng(9).integers(0, 256, (6, 16, 16), np.uint8)
    owners, found, details = cluster(Descriptors(tuple("abcdef"), thumbnails, features, records), "embedding")
    assert owners == [0, 1, 2, 3, 4, 0]
    assert details["same_picture_pairs"] == 1
    assert [(pair.first, pair.second, pair.kind, pair.together) for pair in found] == [(0, 5, "same picture", True)]
    assert 0.6 <= found[0].score <= 1


@pytest.mark.parametrize("exact", [True, False])
def test_neighbours_are_those_of_the_whole_matrix(monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    rows = np.random.default_rng(3).normal(size=(1500, 24)).astype(np.float32)
    rows[1200:] = rows[:300] + 0.1 * rows[300:600]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    monkeypatch.setattr(search, "_BLOCK", 256)
    monkeypatch.setattr(search, "EXACT_UP_TO", 20_000 if exact else 1000)
    indices, cosines = Neighbours(rows).nearest(10)
    whole = rows @ rows.T
    np.fill_diagonal(whole, -np.inf)
    truth = np.argsort(-whole, axis=1)[:, :10]
    hit = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(indices.tolist(), truth.tolist(), strict=True)])
    assert hit == 1 if exact else hit > 0.7
    assert (indices[:300, 0] == np.arange(1200, 1500)).all()
    np.testing.assert_allclose(cosines, np.take_along_axis(whole, indices, axis=1), atol=1e-5)


def test_a_row_is_left_out_also_where_copies_of_it_fill_the_list() -> None:
    rows = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    indices, cosines = Neighbours(rows).nearest(5)
    assert (indices != np.arange(40)[:, None]).all()
    assert (cosines == 1).all()


def test_damaged_and_foreign_chunks_are_ignored(tmp_path: Path) -> None:
    store = RecordStore(tmp_path, np.dtype([("key", "S8"), ("value", np.float32)]))
    for start in (0, 4):
        store.write(np.array([(f"k{i}".encode(), i) for i in range(start, start + 4)], store.dtype))
    assert {key: float(record["value"]) for key, record in store.read().items()} == {f"k{i}": i for i in range(8)}
    first = sorted(tmp_path.glob("*.npy"))[0]
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    (tmp_path / "empty.npy").write_bytes(b"")
    RecordStore(tmp_path, RECORD).write(np.zeros(1, RECORD))
    assert len(store.read()) == 4


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_lists_pairs_clusters_and_contradictions(tmp_path: Path) -> None:
    folder = variants(tmp_path).photo_folder
    rows = [ROW | {"file": f"{i}.{'png' if i == 0 else 'bmp' if i == 1 else 'jpg'}"} for i in range(20)]
    rows[3] |= {"condition": "<b>wart", "fitzpatrick": "5"}
    import_table(write_table(tmp_path / "t.csv", rows), folder, tmp_path / "set")
    done = CliRunner().invoke(main, ["data", "duplicates", str(tmp_path / "set"), "--method", "hash"])
    assert done.exit_code == 0, done.output
    assert "8 of 20 photos in 1 clusters, the largest with 8" in done.output
    assert "more than one condition: 1; with more than one skin type: 1" in done.output
    out = tmp_path / "set" / "duplicates"
    with (out / "pairs.csv").open() as file:
        found = list(csv.DictReader(file))
    assert (found[0]["kind"], found[0]["score"]) == ("same pixels", "1.000")
    assert {row["labels"] for row in found if "3.jpg" in (row["first"], row["second"])} == {"differ"}
    page = (out / "duplicates.html").read_text()
    assert "&lt;b&gt;wart" in page and "<b>wart" not in page
    assert "<img" not in page and "<script" not in page
    with (out / "clusters.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8


def test_photos_are_in_the_page_only_when_asked_for(tmp_path: Path) -> None:
    data = variants(tmp_path)
    arguments = ["data", "duplicates", str(data.folder), "--method", "hash", "--with-photos", "--most", "2"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert (data.folder / "duplicates" / "duplicates.html").read_text().count("<img") == 2 + 4
