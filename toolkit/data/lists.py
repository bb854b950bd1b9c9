"""Tables about a data set's photos: published split lists, and the URLs that tell which atlas a photo is from.

A row names its photo by MD5 (as fitzpatrick17k.csv and Fitzpatrick17k-C do), by SHA-256, or by its file. An MD5 is looked
for among the files' names first, since photos that were re-encoded keep the name; where that leaves rows, files are read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from derm_sdk.errors import FileError, closest

from ..errors import DataError
from .manifest import UNUSED, Dataset
from .table import read_table, require_columns

KEY_COLUMNS = ("md5hash", "md5", "digest", "sha256", "file", "filename", "image", "image_id")
SIDE_COLUMNS = ("split", "partition", "subset", "side", "set")
SIDE_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "calibration": ("calibration", "calib", "cal"),
    "test": ("test", "testing"),
    UNUSED: (UNUSED, "none", ""),
}
_SIDES = {name: side for side, names in SIDE_NAMES.items() for name in names}
_MD5 = re.compile(r"[0-9a-f]{32}")
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class SplitList:
    """A published list, matched with a data set.

    Attributes:
        sides: photo digest -> side, for every photo; UNUSED where the list has none.
        rows: how many rows the list has.
        absent: what rows name that the data set lacks.
        unlisted: how many photos of the data set the list lacks.
    """

    sides: Mapping[str, str]
    rows: int
    absent: tuple[str, ...]
    unlisted: int


def read_split_list(path: Path, dataset: Dataset) -> SplitList:
    """Reads a published split: one row per photo, a column that names it and one that names its side.

    Args:
        path: a CSV file; the columns are the first of KEY_COLUMNS and of SIDE_COLUMNS that it has.
        dataset: whose photos.
    Raises:
        DataError: a column is missing, a side is unknown, a photo has two sides, or no photo is in the data set.
        FileError: the list, or a photo, cannot be read.
    """
    header, rows = read_table(path)
    side_column = _column(header, SIDE_COLUMNS, path.name, "the side")
    found, absent = match_rows(path, header, rows, dataset)
    sides: dict[str, str] = {}
    for number, row in rows:
        side = _SIDES.get(row[side_column].lower())
        if side is None:
            raise DataError(
                f"Row {number} of {path.name}: unknown side {row[side_column]!r}."
                + closest(row[side_column].lower(), _SIDES)
            )
        digest = found.get(number)
        if digest is not None and sides.setdefault(digest, side) != side:
            raise DataError(f"Row {number} of {path.name} puts a photo into {side!r} that is in {sides[digest]!r} above.")
    unlisted = [photo.digest for photo in dataset.photos if photo.digest not in sides]
    return SplitList(sides | dict.fromkeys(unlisted, UNUSED), len(rows), absent, len(unlisted))


def read_atlases(path: Path, dataset: Dataset) -> dict[str, str]:
    """Reads which site each photo was published on.

    Args:
        path: a CSV file with the column url, such as fitzpatrick17k.csv.
        dataset: whose photos.
    Returns:
        {photo digest: host of the URL without "www."}; photos without a URL are left out.
    Raises:
        DataError, FileError: as `read_split_list`.
    """
    header, rows = read_table(path)
    require_columns(header, ("url",), path.name)
    found, _ = match_rows(path, header, rows, dataset)
    hosts = {number: _host(row["url"]) for number, row in rows}
    return {digest: hosts[number] for number, digest in found.items() if hosts[number]}


def match_rows(
    path: Path, header: Sequence[str], rows: Sequence[tuple[int, Mapping[str, str]]], dataset: Dataset
) -> tuple[dict[int, str], tuple[str, ...]]:
    """Finds the photos that the rows of a table are about.

    Returns:
        {row number: digest of its photo}, and what the other rows name.
    Raises:
        DataError: there is no column that names photos, no row is about a photo of the data set, or one could mean several.
    """
    column = _column(header, KEY_COLUMNS, path.name, "the photo")
    known = _names(dataset)
    keys = {number: row[column].replace("\\", "/").removeprefix("./").lower() for number, row in rows}
    if any(key not in known and _MD5.fullmatch(key) for key in keys.values()):
        _add_md5(dataset, known, set(keys.values()))
    found = {number: known[key] for number, key in keys.items() if known.get(key)}
    for number, digests in found.items():
        if len(digests) > 1:
            raise DataError(
                f"Row {number} of {path.name} could mean {len(digests)} photos, for {keys[number]!r} is in several folders; "
                "name them with their folders."
            )
    if not found:
        raise DataError(
            f"{path.name} names no photo of the data set: its column {column!r} has {next(iter(keys.values()), '')!r}, the "
            f"data set {dataset.photos[0].file!r}."
        )
    absent = tuple(key for number, key in keys.items() if number not in found)
    return {number: digests[0] for number, digests in found.items()}, absent


def _names(dataset: Dataset) -> dict[str, list[str]]:
    """What a photo may be called -> its digest; several photos may share a name without its folder."""
    known: dict[str, list[str]] = {}
    for photo in dataset.photos:
        path = PurePosixPath(photo.file.lower())
        for name in dict.fromkeys((photo.digest, str(path), path.name, path.stem)):
            known.setdefault(name, []).append(photo.digest)
    for photo in dataset.photos:  # the whole path is exact
        known[photo.file.lower()] = [photo.digest]
    return known


def _add_md5(dataset: Dataset, known: dict[str, list[str]], wanted: set[str]) -> None:
    """Reads the photos that are not called by an MD5 that is asked for."""
    for photo in dataset.photos:
        if PurePosixPath(photo.file.lower()).stem in wanted:
            continue
        md5 = hashlib.md5(usedforsecurity=False)
        try:
            with dataset.path(photo).open("rb") as file:
                while block := file.read(_READ_BYTES):
                    md5.update(block)
        except OSError as error:
            raise FileError(f"Cannot read {str(dataset.path(photo))!r}: {error.strerror or error}.") from error
        known.setdefault(md5.hexdigest(), []).append(photo.digest)


def _column(header: Sequence[str], names: Sequence[str], table: str, what: str) -> str:
    for name in names:
        if name in header:
            return name
    raise DataError(f"{table} needs a column that names {what}, one of {', '.join(names)}; it has {', '.join(header)}.")


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:  # such as a bracket that is not closed
        return ""
