"""Photos out of the authors' archive, and out of what an enemy made of it."""

from __future__ import annotations

import csv
import hashlib
import os
import struct
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from derm_toolkit.cli import main
from derm_toolkit.data.download import archives
from derm_toolkit.data.download.run import collect
from derm_toolkit.data.download.settings import Settings
from derm_toolkit.errors import DataError

from ..conftest import write_table
from .test_download import photo, reasons, row, whole

URL = "http://atlas.example/site/a/{}.jpg"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows of the photos 0 to 5."""
    return write_table(tmp_path / "table.csv", [row(URL.format(n), photo(n)) for n in range(6)])


def md5(number: int) -> str:
    return hashlib.md5(photo(number), usedforsecurity=False).hexdigest()


# Whatever they are called: by their MD5, by the URL's letters, as wget lays them down, by a name of their own.
NAMES = {
    f"images/{md5(0)}.jpg": photo(0),
    "httpatlasexamplesitea1jpg.jpg": photo(1),
    "atlas.example/site/a/2.jpg": photo(2),
    "x/holiday.jpeg": photo(3),
    f"images/{md5(4)}.jpg": photo(77),
    "notes.txt": b"not a photo",
}


def as_folder(place: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def as_zip(place: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return place


@pytest.mark.parametrize("kind", [as_folder, as_zip])
def test_photos_are_known_by_their_bytes(table: Path, tmp_path: Path, kind) -> None:
    outcome = collect(table, tmp_path / "out", kind(tmp_path / "archive", NAMES))
    assert outcome.counts == {"ok": 4, "wrong_md5": 1, "not_in_archive": 1}
    assert whole(tmp_path / "out") == 4
    assert reasons(tmp_path / "out") == {"4": "wrong_md5", "5": "not_in_archive"}
    assert list((tmp_path / "out/partial").iterdir()) == []


def test_changed_photos_are_kept_by_their_name_when_asked(table: Path, tmp_path: Path) -> None:
    changed = {
        "a/httpatlasexamplesitea0jpg.JPG": photo(70),
        "site/a/1.jpg": photo(71),
        f"{md5(2)}": photo(72),
        "3.jpg": photo(73),
    }
    outcome = collect(table, tmp_path / "out", as_folder(tmp_path / "in", changed), Settings(keep_changed=True))
    assert outcome.counts == {"changed": 3, "not_in_archive": 3}  # "3.jpg" could be any atlas's
    assert (tmp_path / f"out/photos/{md5(0)}.jpg").read_bytes() == photo(70)


def test_a_second_archive_adds_what_the_first_lacked(table: Path, tmp_path: Path) -> None:
    collect(table, tmp_path / "out", as_folder(tmp_path / "in", NAMES))
    outcome = collect(table, tmp_path / "out", as_zip(tmp_path / "more.zip", {"z": photo(5), "y": photo(0)}))
    assert outcome.here == 5 and outcome.new == 1


def test_the_command_takes_a_folder_in_three_ways(table: Path, tmp_path: Path) -> None:
    place, pack = as_folder(tmp_path / "in", NAMES), as_zip(tmp_path / "in.zip", NAMES)
    for number, way in enumerate((["--mirror", place], ["--from-folder", place], ["--from-zip", pack])):
        out = tmp_path / f"out{number}"
        result = CliRunner().invoke(main, ["data", "download", str(table), "-o", str(out), *map(str, way)])
        assert result.exit_code == 0 and "4 of 6 rows" in result.output and "wrong_md5" in result.output
    both = CliRunner().invoke(
        main, ["data", "download", str(table), "-o", "x", "--from-zip", str(pack), "--mirror", "http://m"]
    )
    assert both.exit_code == 1 and "one place each" in both.output


def hostile(path: Path, entry: str = "", **change: object) -> Path:
    """A zip with one entry of which a field is changed after the fact."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry or f"{md5(0)}.jpg", photo(0))
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\1\2")
    for name, value in change.items():
        offset, form = {"flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<I"), "size": (24, "<I"), "at": (42, "<I")}[
            name
        ]
        struct.pack_into(form, data, central + offset, value)
        if name in ("flags", "method"):
            struct.pack_into(form, data, offset - 2, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("change", [{"flags": 1}, {"method": 99}, {"crc": 5}, {"at": 7}, {"size": 10}])
def test_a_damaged_entry_costs_its_row_only(table: Path, tmp_path: Path, change: dict[str, int]) -> None:
    place = hostile(tmp_path / "bad.zip", **change)
    with zipfile.ZipFile(place, "a") as archive:
        archive.writestr("good", photo(1))
    outcome = collect(table, tmp_path / "out", place)
    assert outcome.here == 1 and outcome.counts["not_in_archive"] == 4
    assert reasons(tmp_path / "out")["0"] in ("not_an_image", "wrong_md5")


@pytest.mark.parametrize("name", ["../../escape.jpg", "/etc/escape.jpg", "..\\escape.jpg", "a\0b.jpg", "C:/escape.jpg"])
def test_no_name_in_an_archive_becomes_a_path(table: Path, tmp_path: Path, name: str) -> None:
    collect(table, tmp_path / "deep/out", as_zip(tmp_path / "a.zip", {name: photo(0)}))
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"a.zip", "table.csv", f"{md5(0)}.jpg", "missing.csv", "download.jsonl", ".lock"}


def test_bombs_are_bounded(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = as_zip(tmp_path / "bomb.zip", {f"{md5(0)}.jpg": b"\xff\xd8\xff" + bytes(50_000_000)} | {"one": photo(1)})
    outcome = collect(table, tmp_path / "out", bomb, Settings(max_bytes=100_000))
    assert outcome.here == 1 and reasons(tmp_path / "out")["0"] == "too_large"
    monkeypatch.setattr(archives, "MAX_EXPANDED_BYTES", 3000)
    with pytest.raises(DataError, match="expands to more than"):
        collect(table, tmp_path / "out2", bomb, Settings(max_bytes=2500))


def test_a_table_of_contents_that_would_not_fit_is_refused(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = as_zip(tmp_path / "many.zip", {str(n): b"" for n in range(30)})
    monkeypatch.setattr(archives, "MAX_ENTRIES", 29)
    with pytest.raises(DataError, match="lists 30 entries"):
        collect(table, tmp_path / "out", place)


@pytest.mark.parametrize("data", [b"", b"PK\5\6", b"no zip" * 99, b"PK\5\6" + b"\xff" * 18])
def test_what_is_no_zip_ends_in_one_sentence(table: Path, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"is no zip file|lists 65,535 entries"):
        collect(table, tmp_path / "out", tmp_path / "a.zip")


def test_a_folder_with_pipes_and_dead_links_is_read(table: Path, tmp_path: Path) -> None:
    place = as_folder(tmp_path / "in", {"a/0": photo(0)})
    os.mkfifo(place / f"{md5(1)}.jpg")
    (place / "gone").symlink_to("nowhere")
    (place / "round").symlink_to(".")
    assert collect(table, tmp_path / "out", place).counts["ok"] == 1
    with (tmp_path / "out/missing.csv").open() as file:
        assert "no regular file" in {line["row"]: line["detail"] for line in csv.DictReader(file)}["3"]
