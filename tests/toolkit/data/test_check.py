from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_toolkit.cli import main
from derm_toolkit.data.check.columns import check_table
from derm_toolkit.data.check.label_errors import suspect_labels
from derm_toolkit.data.check.photo import examine
from derm_toolkit.data.importers import import_table
from derm_toolkit.data.manifest import Dataset

from .conftest import ROW, imagined, write_table
from .test_neighbours import picture


def names(path: Path) -> set[str]:
    return {finding.name for finding in examine(path).findings}


def saved(path: Path, pixels: np.ndarray, **how: object) -> Path:
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, **how)
    return path


def test_a_plain_photo_has_nothing_to_remark(tmp_path: Path) -> None:
    assert names(saved(tmp_path / "a.jpg", picture(1))) == set()


def test_what_is_measured_is_found(tmp_path: Path) -> None:
    plain = Image.fromarray(picture(1))
    exif = Image.Exif()
    exif[274] = 6
    assert names(saved(tmp_path / "a.jpg", picture(1), exif=exif)) == {"turned by EXIF"}
    assert names(saved(tmp_path / "b.png", picture(1)[:100])) == {"tiny"}
    assert names(saved(tmp_path / "c.png", picture(1)[..., 0])) == {"not RGB", "colourless"}
    assert names(saved(tmp_path / "d.png", np.full((200, 200, 3), (210, 170, 150), np.uint8))) == {"almost uniform"}
    plain.save(tmp_path / "e.webp", save_all=True, append_images=[Image.fromarray(picture(2))], lossless=True)
    assert names(tmp_path / "e.webp") == {"several pictures"}
    (tmp_path / "f.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:900])
    assert names(tmp_path / "f.jpg") == names(tmp_path / "gone.jpg") == {"broken"}
    assert [finding.name for finding in examine(tmp_path / "b.png", "0" * 64).findings] == ["changed", "tiny"]


def test_what_is_guessed_is_found_on_plain_cases(tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(picture(1), (0, 0), 12)
    beside = np.concatenate([smooth // 2, 255 - smooth[:, ::-1] // 2], axis=1)
    assert names(saved(tmp_path / "a.png", beside)) == {"collage"}
    bordered = cv2.copyMakeBorder(smooth // 2, 0, 0, 120, 120, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    assert names(saved(tmp_path / "b.png", bordered)) == {"wide border"}
    words = cv2.putText(smooth.copy(), "dermatology atlas", (10, 200), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
    assert names(saved(tmp_path / "c.png", words)) == {"watermark or ruler"}
    disc = cv2.circle(np.zeros_like(smooth), (160, 120), 118, (1, 1, 1), -1) * np.maximum(smooth, 90)
    assert names(saved(tmp_path / "d.png", disc)) == {"dermatoscopic"}


def test_columns_that_contradict_each_other_are_counted(tmp_path: Path) -> None:
    row = {"md5hash": "a", "fitzpatrick_scale": "2", "fitzpatrick_centaur": "3", "label": "nevus",
           "nine_partition_label": "moles", "three_partition_label": "benign", "qc": "", "url": "https://x/y"}  # fmt: skip
    rows = [row, row | {"md5hash": "b", "fitzpatrick_centaur": "2"}, row | {"md5hash": "c", "fitzpatrick_scale": "-1"},
            row | {"nine_partition_label": "Tumours", "qc": "3 Wrongly labelled", "url": ""}]  # fmt: skip
    found = check_table(write_table(tmp_path / "t.csv", rows))
    assert found["labels"]["conflicts"] == [
        {"level": "label", "label": "nevus", "parents": {"moles": 3, "tumours": 1}, "rows": [5]}
    ]
    skin = found["skin_types"]
    assert (skin["both_known"], skin["same"], skin["within_one"]) == (3, pytest.approx(1 / 3), 1.0)
    assert (found["qc"], found["repeated_photos"], found["without_url"]) == ({"3 Wrongly labelled": 1}, 1, 1)


def blobs(classes: int, each: int, wrong: int) -> tuple[Dataset, np.ndarray, list[int]]:
    """A data set whose features tell its conditions apart, with some labels exchanged."""
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(classes), each)
    centres = random.normal(size=(classes, 32))
    features = (centres[truth] + 0.5 * random.normal(size=(len(truth), 32))).astype(np.float32)
    bad = random.choice(len(truth), wrong, replace=False)
    given = truth.copy()
    given[bad] = (given[bad] + 1) % classes
    return imagined([(f"c{label}", "", "", "", 3) for label in given]), features, sorted(bad.tolist())


def test_exchanged_labels_are_suspected_first() -> None:
    dataset, features, bad = blobs(4, 60, 12)
    found = suspect_labels(dataset, features, [photo.digest for photo in dataset.photos])
    assert found.judged == 240
    first = [suspect.photo for suspect in found.suspects[:12]]
    assert len(set(first) & set(bad)) >= 9
    assert all(suspect.given != suspect.suggested for suspect in found.suspects)


def test_a_condition_in_too_few_groups_is_not_judged() -> None:
    dataset, features, _ = blobs(3, 30, 0)
    clusters = ["one" if photo.labels[-1] == "c1" else photo.digest for photo in dataset.photos]
    found = suspect_labels(dataset, features, clusters)
    assert (found.left_out, found.judged) == (("c1",), 60)
    alone = imagined([("c0", "", "", "", None)])
    assert suspect_labels(alone, features[:1], ["x"]).judged == 0


def test_the_command_writes_a_fingerprint_and_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        saved(folder / f"{number}.png", picture(number)[: 90 if number == 3 else None])
    rows = [ROW | {"file": f"{number}.png", "condition": "<i>nevus"} for number in range(4)]
    data, _ = import_table(write_table(tmp_path / "t.csv", rows), folder, tmp_path / "data")
    (folder / "2.png").write_bytes(b"no picture any more")
    done = CliRunner().invoke(main, ["data", "check", str(data.folder), "--table", str(tmp_path / "t.csv")])
    assert done.exit_code == 0, done.output
    assert "labels were not judged, since photos are broken" in done.output
    found = json.loads((data.folder / "fingerprint.json").read_text())
    counts = {each["name"]: each["count"] for each in found["findings"] if each["count"]}
    assert counts == {"broken": 1, "tiny": 1}
    assert (found["format"], found["photos"], found["dataset"]) == (1, 4, data.digest)
    assert found["counts"]["levels"]["category"]["cells"]["benign"]["3"] == 4
    page = (data.folder / "check.html").read_text()
    assert "&lt;i&gt;nevus" in page and "<i>nevus" not in page and "<img" not in page
