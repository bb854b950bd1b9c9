from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_sdk.errors import FileError, OptionError
from derm_sdk.image import read_image
from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.cli import main
from derm_toolkit.data.importers import import_table, parse_fitzpatrick, tidy
from derm_toolkit.data.manifest import Dataset, read_dataset, write_dataset
from derm_toolkit.errors import DataError

from .conftest import COLUMNS, REAL_PHOTOS, ROW, write_table


def rows_of(report, name: str) -> list[int]:
    return [row for row, _ in report.findings[name]]


def test_drawn_photos_are_imported_with_what_is_known_about_them(dataset: Dataset) -> None:
    assert len(dataset.photos) == 90
    assert dataset.taxonomy.levels == ("category", "group", "condition")
    assert len(dataset.taxonomy.leaves) == 9
    for photo in dataset.photos[::10]:
        assert hashlib.sha256(dataset.path(photo).read_bytes()).hexdigest() == photo.digest
        assert read_image(dataset.path(photo)).shape[:2] == (photo.height, photo.width)
    assert {photo.fitzpatrick for photo in dataset.photos} >= {1, 2, 3}
    assert any(photo.patient_id for photo in dataset.photos)


def test_a_data_set_reads_back_as_it_was_written(dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path, dataset.photo_folder, dataset.taxonomy, dataset.photos)
    again = read_dataset(tmp_path)
    assert again.photos == dataset.photos
    assert again.taxonomy == dataset.taxonomy
    assert again.digest == dataset.digest


def test_a_data_set_can_move_together_with_its_photos(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn.parent, tmp_path / "here" / "set")
    import_table(tmp_path / "here/set/photos.csv", tmp_path / "here/set/photos", tmp_path / "here/data")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = read_dataset(tmp_path / "there/data")
    assert moved.path(moved.photos[0]).is_file()


def test_a_label_keeps_its_first_spelling(photos: Path, tmp_path: Path) -> None:
    names = ("Bowen's  Disease", "bowen's disease", "BOWEN'S DISEASE ")
    rows = [ROW | {"file": f"{file}.png", "condition": name} for file, name in zip("abc", names, strict=True)]
    data, _ = import_table(write_table(tmp_path / "t.csv", rows), photos, tmp_path / "data")
    assert [photo.labels[-1] for photo in data.photos] == ["Bowen's Disease"] * 3
    assert len(data.taxonomy.leaves) == 1


def test_a_file_that_could_be_several_photos_is_left_out_and_reported(photos: Path, tmp_path: Path) -> None:
    for number, folder in enumerate(("A", "B", "x", "X")):
        (photos / folder).mkdir(exist_ok=True)
        shutil.copy(photos / f"{'abcd'[number]}.png", photos / folder / "1.png")
    if len({path.name for path in photos.iterdir()} & {"x", "X"}) < 2:
        pytest.skip("a file system that does not tell x from X")
    rows = [ROW | {"file": file} for file in ("a.png", "1", "x/1.PNG", "X/1.png")]
    data, report = import_table(write_table(tmp_path / "t.csv", rows), photos, tmp_path / "data")
    assert [photo.file for photo in data.photos] == ["a.png", "X/1.png"]
    assert rows_of(report, "ambiguous") == [3, 4]
    assert "A/1.png or B/1.png" in report.findings["ambiguous"][0][1]


def test_labels_are_tidied_and_extra_columns_ignored(photos: Path, tmp_path: Path) -> None:
    row = ROW | {"condition": "  Common   Nevus ", "category": "BENIGN", "fitzpatrick": "iv", "camera": "x"}
    data, _ = import_table(write_table(tmp_path / "t.csv", [row]), photos, tmp_path / "data")
    assert data.photos[0].labels == ("BENIGN", "moles", "Common Nevus")
    assert data.photos[0].fitzpatrick == 4
    assert tidy(" A\t b ") == "a b"


def test_without_groups_the_tree_has_two_levels(photos: Path, tmp_path: Path) -> None:
    data, _ = import_table(write_table(tmp_path / "t.csv", [ROW | {"group": ""}]), photos, tmp_path / "data")
    assert data.taxonomy.levels == ("category", "condition")
    assert data.photos[0].labels == ("benign", "nevus")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_tables_of_any_office_are_read(photos: Path, tmp_path: Path, ending: str, mark: str, delimiter: str) -> None:
    lines = ["file,condition,category", 'a.png,"nevus, blue",benign', "", "x.png,nevus,benign", ""]
    text = mark + ending.join(line.replace(",", delimiter).replace(f"{delimiter} ", ", ") for line in lines)
    (tmp_path / "t.csv").write_bytes(text.encode())
    data, report = import_table(tmp_path / "t.csv", photos, tmp_path / "data")
    assert data.photos[0].labels == ("benign", "nevus, blue")
    assert rows_of(report, "missing") == [4]  # the blank row counts, as in a spreadsheet


def test_rows_that_cannot_be_used_are_reported_by_number(photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes((photos / "b.png").read_bytes()[:100])
    (photos / "text.png").write_text("no photo")
    shutil.copy(photos / "a.png", photos / "copy.png")
    rows = [
        ROW,
        ROW | {"file": "gone.png"},
        ROW | {"file": "broken.jpg"},
        ROW | {"file": "text.png"},
        ROW | {"file": "b.png", "condition": " "},
        ROW,
        ROW | {"file": "copy.png", "condition": "wart"},
        ROW | {"file": "c.png", "fitzpatrick": "33"},
        ROW | {"file": "d.png", "qc": "3 Wrongly labelled"},
    ]
    table = write_table(tmp_path / "t.csv", rows, (*COLUMNS, "qc"))
    data, report = import_table(table, photos, tmp_path / "data")
    assert [photo.file for photo in data.photos] == ["a.png", "c.png"]
    assert data.photos[1].fitzpatrick is None
    assert {name: rows_of(report, name) for name in report.findings if report.findings[name]} == {
        "missing": [3],
        "unreadable": [4, 5],
        "unlabelled": [6],
        "repeated": [7],
        "contradiction": [8],
        "skin_type": [9],
        "wrongly_labelled": [10],
    }
    written = json.loads((tmp_path / "data/import.json").read_text())
    assert written["findings"]["missing"] == [{"row": 3, "detail": "gone.png"}]
    kept, _ = import_table(table, photos, tmp_path / "more", keep_wrongly_labelled=True)
    assert len(kept.photos) == 3


def test_the_official_table_finds_photos_by_hash_and_counts_re_encoded_ones(photos: Path, tmp_path: Path) -> None:
    names = ("md5hash", "fitzpatrick_scale", "label", "nine_partition_label", "three_partition_label", "qc", "url")
    original = hashlib.md5((photos / "a.png").read_bytes()).hexdigest()
    (photos / "a.png").rename(photos / f"{original}.png")
    Image.open(photos / "b.png").convert("RGB").save(photos / f"{'b' * 32}.JPG")
    labels = ("psoriasis", "inflammatory", "non-neoplastic", "", "http://a")
    rows = [dict(zip(names, (md5, "-1", *labels), strict=True)) for md5 in (original, "b" * 32, "c" * 32)]
    data, report = import_table(write_table(tmp_path / "t.csv", rows), photos, tmp_path / "data")
    assert [photo.file for photo in data.photos] == [f"{original}.png", f"{'b' * 32}.JPG"]
    assert data.photos[0].labels == ("non-neoplastic", "inflammatory", "psoriasis")
    assert (data.photos[0].fitzpatrick, data.photos[0].source) == (None, "fitzpatrick17k")
    assert rows_of(report, "re_encoded") == [3]
    assert rows_of(report, "missing") == [4]


def test_a_source_can_be_chosen(photos: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", [ROW, ROW | {"file": "b.png", "source": "atlas"}])
    data, report = import_table(table, photos, tmp_path / "data", sources=["atlas"])
    assert [photo.file for photo in data.photos] == ["b.png"]
    assert report.rows == 1
    with pytest.raises(
        DataError, match=r"No row of t.csv has the source 'atlass'. Known: atlas, clinic. Did you mean 'atlas'"
    ):
        import_table(table, photos, tmp_path / "data", sources=["atlass"])


@pytest.mark.parametrize("column", ["file", "condition", "category"])
def test_a_missing_column_is_named(photos: Path, tmp_path: Path, column: str) -> None:
    row = {name: cell for name, cell in ROW.items() if name != column}
    with pytest.raises(DataError, match=f"t.csv needs a column '{column}', which is missing"):
        import_table(write_table(tmp_path / "t.csv", [row]), photos, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "t.csv is empty"),
        (b"\n\n", "t.csv is empty"),
        (b"file,condition,category\n", "t.csv has no rows below its header"),
        (b"file,file,condition\n", "two columns named 'file'"),
        (b"file,condition,category\na.png,nevus,benign,more\n", "Row 2 of t.csv has 4 cells"),
        (b"file,condition,category\na.png,n\xe6vus,benign\n", "must be UTF-8 text, but line 2 is not"),
        (b'file,condition,category\na.png,"nevus,benign\n', "t.csv is no CSV"),
        (
            b"file,condition,category\nx.png,nevus,benign\n",
            r"None of the 1 rows .* 1 missing. The first photo should be 'x.png'",
        ),
        (
            b"file,condition,category\na.png,nevus,benign\nb.png,nevus,malignant\n",
            "row 2 says 'benign' and row 3 says 'malignant'",
        ),
        (b"file,condition,category\n../x.png,nevus,benign\n", "1 missing"),
    ],
)
def test_a_table_that_cannot_be_used_gets_one_sentence(photos: Path, tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        import_table(tmp_path / "t.csv", photos, tmp_path / "data")


def test_a_given_taxonomy_is_kept_and_fills_in_the_parents(photos: Path, tmp_path: Path) -> None:
    tree = Taxonomy.from_paths(
        ("category", "group", "condition"), [("benign", "moles", "Nevus"), ("malignant", "x", "melanoma")]
    )
    table = write_table(tmp_path / "t.csv", [{"file": "a.png", "condition": "nevus"}])
    data, _ = import_table(table, photos, tmp_path / "data", taxonomy=tree)
    assert data.taxonomy == tree
    assert data.photos[0].labels == ("benign", "moles", "Nevus")
    strange = write_table(tmp_path / "u.csv", [{"file": "a.png", "condition": "melanomma"}])
    with pytest.raises(
        DataError, match=r"Row 2 of u.csv: the condition 'melanomma' is not in the taxonomy.* mean 'melanoma'"
    ):
        import_table(strange, photos, tmp_path / "data", taxonomy=tree)
    wrong = write_table(tmp_path / "v.csv", [ROW | {"category": "malignant"}])
    with pytest.raises(DataError, match=r"Row 2 of v.csv: the taxonomy puts 'nevus' under 'benign'; got 'malignant'"):
        import_table(wrong, photos, tmp_path / "data", taxonomy=tree)


@pytest.mark.parametrize(("text", "value"), [("1", 1), (" VI ", 6), ("3.0", 3), ("-1", None), ("", None), ("nan", None)])
def test_skin_types_are_read(text: str, value: int | None) -> None:
    assert parse_fitzpatrick(text) == value


def test_a_strange_skin_type_is_refused() -> None:
    with pytest.raises(OptionError, match="A skin type is 1 to 6"):
        parse_fitzpatrick("7")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (",benign,", ",malignant,", "Row 2 of manifest.csv: 'nevus' belongs to"),
        (",3,clinic", ",7,clinic", "Row 2 of manifest.csv: fitzpatrick must be 1 to 6"),
        (",3,clinic", ",x,clinic", "Row 2 of manifest.csv: fitzpatrick must be a whole number"),
        (",3,clinic", ",4,clinic", "are not the ones dataset.json was written for"),
        ("a.png", "../a.png", "Row 2 of manifest.csv: file must be a path below the photo folder"),
        (",16,12", ",16,0", "Row 2 of manifest.csv: width and height must be positive"),
        (",16,12", ",16,-12", "Row 2 of manifest.csv: height must be a whole number"),
        ("digest", "digset", "needs a column 'digest', which is missing.*mean 'digset'"),
        ("nevus,benign", "wart,benign", "Row 2 of manifest.csv: unknown condition 'wart'"),
    ],
)
def test_a_changed_manifest_is_refused(photos: Path, tmp_path: Path, old: str, new: str, sentence: str) -> None:
    import_table(write_table(tmp_path / "t.csv", [ROW]), photos, tmp_path / "data")
    manifest = tmp_path / "data/manifest.csv"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=sentence):
        read_dataset(tmp_path / "data")


@pytest.mark.parametrize("file", ["manifest.csv", "taxonomy.json", "dataset.json"])
def test_an_incomplete_data_set_is_refused(photos: Path, tmp_path: Path, file: str) -> None:
    import_table(write_table(tmp_path / "t.csv", [ROW]), photos, tmp_path / "data")
    (tmp_path / "data" / file).unlink()
    with pytest.raises((DataError, FileError), match=file):
        read_dataset(tmp_path / "data")


@pytest.mark.parametrize(
    "content", ["[]", "{", "[" * 100_000, '{"format": 2}', '{"format": 1}', '{"format": 1, "photo_folder": "x"}']
)
def test_a_strange_dataset_json_is_refused(photos: Path, tmp_path: Path, content: str) -> None:
    import_table(write_table(tmp_path / "t.csv", [ROW]), photos, tmp_path / "data")
    (tmp_path / "data/dataset.json").write_text(content)
    with pytest.raises(DataError, match=r"dataset\.json|which is no folder"):
        read_dataset(tmp_path / "data")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(FileError, match="Cannot write"):
        import_table(write_table(tmp_path / "t.csv", [ROW]), photos, tmp_path / "locked/data")


def test_the_command_reports_rows_and_ends_with_one_sentence(photos: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", [ROW, ROW | {"file": "gone[1].png"}])
    arguments = ["data", "import", str(table), "--photos", str(photos), "-o", str(tmp_path / "data")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "1 of 2 rows imported" in done.output
    assert "missing: row 3: gone[1].png" in done.output
    failed = CliRunner().invoke(main, [*arguments, "--source", "x"])
    assert failed.exit_code == 1
    assert failed.output.strip() == "Error: No row of t.csv has the source 'x'. Known: clinic."


@pytest.mark.skipif(not (REAL_PHOTOS / "photos.csv").is_file(), reason="the real photos are not here")
def test_real_photos_are_imported(tmp_path: Path) -> None:
    lines = (REAL_PHOTOS / "photos.csv").read_text().splitlines(keepends=True)
    (tmp_path / "photos.csv").write_text("".join(lines[:1] + lines[1::80]))
    data, report = import_table(tmp_path / "photos.csv", REAL_PHOTOS / "photos", tmp_path / "data")
    assert len(data.photos) == len(lines[1::80])
    assert report.to_dict()["counts"]["unreadable"] == 0
    pixels = read_image(data.path(data.photos[0]))
    assert pixels.dtype == np.uint8
