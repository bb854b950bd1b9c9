"""A data set on disk, and a split of it: what every other room of the workshop reads.

A data set is a folder with three files:

    manifest.csv    one row per photo: file, digest, leaf, the label on every level, fitzpatrick, source, patient_id,
                    lesion_id, width, height; skin_tone where any photo has one. Empty means unknown.
    taxonomy.json   the tree of labels
    dataset.json    format, photo_folder (relative to the data set where possible), source, and the digests of the others

A split is a table, splits.csv (digest, file, split, cluster), and what made it, splits.json (method, seed, ratios). A photo
that is on no side is "unused": published lists leave photos out, and so do splits by source or skin type.
No photo is copied: the manifest points at them and knows their bytes by SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from derm_sdk.errors import FileError, closest
from derm_sdk.files import write_bytes, write_text
from derm_sdk.taxonomy import Taxonomy

from ..errors import DataError
from .leaks import LEAKY_BUT_ALLOWED, UNUSED, find_leaks
from .table import read_table, require_columns, table_bytes

SPLITS = ("train", "validation", "calibration", "test")
SIDES = (*SPLITS, UNUSED)
FORMAT = 1
SPLIT_COLUMNS = ("digest", "file", "split", "cluster")
_DATASET_FILES = ("manifest.csv", "photos.csv", "dataset.json", "taxonomy.json", "import.json")
_BEFORE_LABELS = ("file", "digest", "leaf")
_AFTER_LABELS = ("fitzpatrick", "source", "patient_id", "lesion_id", "width", "height")
# Another scale than Fitzpatrick's, or a pair of its types: kept apart, for neither can be turned into a type.
SKIN_TONE = re.compile(r"monk ([1-9]|10)|fitzpatrick (1-2|3-4|5-6)")


@dataclass(frozen=True)
class Photo:
    """One row of the manifest.

    Attributes:
        file: path relative to the data set's photo folder, with forward slashes.
        digest: SHA-256 of the file's bytes, 64 hex digits.
        labels: names from the top level down to the condition.
        leaf: id of the condition in the taxonomy.
        fitzpatrick: skin type 1..6, None when unknown.
        source, patient_id, lesion_id: "" when unknown.
        width, height: of the upright photo, in pixels.
        skin_tone: "monk 1" to "monk 10", or a pair of types such as "fitzpatrick 1-2"; "" when unknown.
    """

    file: str
    digest: str
    labels: tuple[str, ...]
    leaf: str
    fitzpatrick: int | None
    source: str
    patient_id: str
    lesion_id: str
    width: int
    height: int
    skin_tone: str = ""


@dataclass(frozen=True)
class Dataset:
    """Photos with their labels; `read_dataset` makes one."""

    folder: Path
    photo_folder: Path
    taxonomy: Taxonomy
    photos: tuple[Photo, ...]

    def path(self, photo: Photo) -> Path:
        """Where the photo's file lies."""
        return self.photo_folder / photo.file

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the manifest's content, 64 hex digits: the same photos and labels, the same digest."""
        return hashlib.sha256(_manifest_bytes(self.taxonomy, self.photos)).hexdigest()


@dataclass(frozen=True)
class Split:
    """Which side each photo is on.

    Attributes:
        assignments: photo digest -> one of SPLITS, or UNUSED.
        clusters: photo digest -> name of its cluster of near duplicates.
        details: how the split was made (method of the duplicates, seed, ratios, ...); empty when not recorded.
    """

    assignments: Mapping[str, str]
    clusters: Mapping[str, str]
    details: Mapping[str, Any] = field(default_factory=dict)

    def photos(self, dataset: Dataset, name: str) -> tuple[Photo, ...]:
        """The data set's photos on one side, in the manifest's order. Raises DataError for an unknown side."""
        if name not in SIDES:
            raise DataError(f"Unknown split {name!r}." + closest(name, SPLITS))
        return tuple(photo for photo in dataset.photos if self.assignments.get(photo.digest) == name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over photos, sides and clusters, 64 hex digits, whatever the order of the rows."""
        rows = sorted((digest, side, self.clusters.get(digest, "")) for digest, side in self.assignments.items())
        return hashlib.sha256(table_bytes(("digest", "split", "cluster"), rows)).hexdigest()


def read_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """Reads and checks a data set folder (the photos themselves are not opened).

    Args:
        folder: as written by `write_dataset` or `derm-toolkit data import`.
    Returns:
        The data set, photos in the order of the manifest.
    Raises:
        DataError: a file is missing, a row is not in order (its number is given), or the files do not belong together.
        FileError: a file cannot be read.
    """
    folder = Path(folder)
    about = _read_json(folder / "dataset.json")
    if about.get("format") != FORMAT:
        raise DataError(
            f"dataset.json must say format {FORMAT}; got {about.get('format')!r}. Update the toolkit, or import again."
        )
    if not isinstance(about.get("photo_folder"), str) or not about["photo_folder"]:
        raise DataError("dataset.json must name the photo_folder.")
    photo_folder = Path(os.path.normpath(folder / about["photo_folder"]))
    if not photo_folder.is_dir():
        raise DataError(
            f"The photos of {str(folder)!r} should be in {str(photo_folder)!r}, which is no folder; import again."
        )
    taxonomy = read_taxonomy(folder / "taxonomy.json")
    photos = _read_manifest(folder / "manifest.csv", taxonomy)
    dataset = Dataset(folder, photo_folder, taxonomy, photos)
    if about.get("manifest_sha256") != dataset.digest or about.get("taxonomy_sha256") != _taxonomy_digest(taxonomy):
        raise DataError(
            f"manifest.csv and taxonomy.json in {str(folder)!r} are not the ones dataset.json was written for: "
            "they were edited, or an import was interrupted. Correct the source table and import again."
        )
    return dataset


def write_dataset(
    folder: str | os.PathLike[str],
    photo_folder: str | os.PathLike[str],
    taxonomy: Taxonomy,
    photos: Iterable[Photo],
    source: Mapping[str, Any] | None = None,
) -> None:
    """Writes a data set folder; dataset.json comes last and vouches for the others.

    Args:
        folder: where to; made when missing.
        photo_folder: where the photos lie.
        taxonomy: the tree of labels.
        photos: at least one; digests and files must be unique.
        source: anything worth recording about the origin, JSON-ready.
    Raises:
        DataError: no photos, a photo twice, or a label that is not in the tree.
        FileError: a file cannot be written.
    """
    folder, rows = Path(folder), tuple(photos)
    check = _RowCheck(taxonomy)
    for number, photo in enumerate(rows, start=2):
        check(photo, f"Row {number} of the manifest")
    if not rows:
        raise DataError("A data set needs at least one photo; got none.")
    manifest = _manifest_bytes(taxonomy, rows)
    about = {
        "format": FORMAT,
        "photo_folder": _relative(Path(photo_folder), folder),
        "photos": len(rows),
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "taxonomy_sha256": _taxonomy_digest(taxonomy),
        "source": dict(source or {}),
    }
    write_text(folder / "taxonomy.json", json.dumps(taxonomy.to_dict(), indent=1, ensure_ascii=False) + "\n")
    write_bytes(folder / "manifest.csv", manifest)
    write_text(folder / "dataset.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def read_taxonomy(path: str | os.PathLike[str]) -> Taxonomy:
    """Reads a taxonomy.json. Raises DataError when it is no JSON, TaxonomyError when it is no tree."""
    return Taxonomy.from_dict(_read_json(Path(path)))


def read_split(path: str | os.PathLike[str], dataset: Dataset, *, allow_leaks: bool = False) -> Split:
    """Reads a split and checks it against the data set.

    Args:
        path: splits.csv; a splits.json beside it (same stem) says how it was made.
        dataset: the data set that was split.
        allow_leaks: accept clusters, patients and lesions on two sides (to measure what leaks do to a figure).
    Raises:
        DataError: a photo is missing from the split or unknown to the data set, a side is unknown, or a cluster, patient
            or lesion is on two sides.
        FileError: the file cannot be read.
    """
    path = Path(path)
    _, rows = read_table(path, SPLIT_COLUMNS)
    known = {photo.digest for photo in dataset.photos}
    assignments: dict[str, str] = {}
    clusters: dict[str, str] = {}
    for number, row in rows:
        where, digest = f"Row {number} of {path.name}", row["digest"]
        if row["split"] not in SIDES:
            raise DataError(f"{where}: unknown split {row['split']!r}." + closest(row["split"], SIDES))
        if digest not in known:
            raise DataError(f"{where}: the photo {row['file']!r} is not in the data set; split the data again.")
        if digest in assignments:
            raise DataError(f"{where}: the photo {row['file']!r} is listed twice.")
        assignments[digest] = row["split"]
        clusters[digest] = row["cluster"] or digest
    missing = [photo.file for photo in dataset.photos if photo.digest not in assignments]
    if missing:
        raise DataError(
            f"{path.name} lacks {len(missing)} of the data set's {len(known)} photos, such as {missing[0]!r}; "
            "split the data again."
        )
    split = Split(assignments, clusters)
    about = path.with_suffix(".json")
    if about.is_file() and (details := _read_json(about)).get("digest") == split.digest:  # else: edited by hand since
        split = Split(assignments, clusters, details)
    if not allow_leaks:
        verify(split, dataset)
    return split


def check_split_path(path: str | os.PathLike[str]) -> None:
    """Raises DataError unless a split may be written to `path`, and its details to the .json beside it."""
    path = Path(path)
    about = path.with_suffix(".json")
    if path.suffix != ".csv":
        raise DataError(f"A split is written to a .csv file; got {path.name!r}.")
    if path.name.lower() in _DATASET_FILES or about.name.lower() in _DATASET_FILES:
        raise DataError(f"{path.name} and {about.name} cannot hold a split: a data set needs these names; choose another.")
    try:
        if path.exists():
            read_table(path, SPLIT_COLUMNS)
        if about.exists() and not {"dataset", "digest"} <= _read_json(about).keys():
            raise DataError(f"{about.name} has no digest.")
    except DataError as error:
        raise DataError(f"{str(path)!r} or {about.name!r} exists and is no split ({error}); choose another name.") from error


def write_split(path: str | os.PathLike[str], split: Split, dataset: Dataset, *, allow_leaks: bool = False) -> None:
    """Writes splits.csv, and `split.details` beside it as JSON; refuses what `read_split` and `check_split_path` refuse.

    Leaks that are allowed are recorded among the details.
    """
    path = Path(path)
    check_split_path(path)
    rows = []
    for photo in dataset.photos:
        side = split.assignments.get(photo.digest)
        if side not in SIDES:
            raise DataError(f"The photo {photo.file!r} needs a side out of {', '.join(SIDES)}; got {side!r}.")
        rows.append((photo.digest, photo.file, side, split.clusters.get(photo.digest, photo.digest)))
    if not allow_leaks:
        verify(split, dataset)
    details = {**split.details, "dataset": dataset.digest, "digest": split.digest}
    leaks = find_leaks(split, dataset)
    details |= {"leaks": [leak.to_dict() for leak in leaks]} if leaks else {}
    write_text(path.with_suffix(".json"), json.dumps(details, indent=1, ensure_ascii=False) + "\n")
    write_bytes(path, table_bytes(SPLIT_COLUMNS, rows))


def verify(split: Split, dataset: Dataset) -> None:
    """Raises DataError when a cluster, a patient or a lesion has photos on two sides: that would be a leak."""
    for leak in find_leaks(split, dataset):
        raise DataError(f"{leak.example}; split the data again{LEAKY_BUT_ALLOWED}.")


class _RowCheck:
    """Checks one photo after the other; remembers what must be unique."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.paths: dict[str, tuple[str, ...]] = {leaf: label_path(taxonomy, leaf) for leaf in taxonomy.leaves}
        self.files: set[str] = set()
        self.digests: set[str] = set()

    def __call__(self, photo: Photo, where: str) -> None:
        pure = PurePosixPath(photo.file)
        if not photo.file or pure.is_absolute() or ".." in pure.parts or "\\" in photo.file:
            raise DataError(
                f"{where}: file must be a path below the photo folder, with '/' between folders; got {photo.file!r}."
            )
        if len(photo.digest) != 64 or set(photo.digest) - set("0123456789abcdef"):
            raise DataError(f"{where}: digest must be a SHA-256 of 64 lower-case hex digits; got {photo.digest[:80]!r}.")
        if photo.leaf not in self.paths:
            raise DataError(f"{where}: unknown condition {photo.leaf!r}." + closest(photo.leaf, self.paths))
        if photo.labels != self.paths[photo.leaf]:
            raise DataError(f"{where}: {photo.leaf!r} belongs to {self.paths[photo.leaf]!r}; got {photo.labels!r}.")
        if photo.fitzpatrick is not None and photo.fitzpatrick not in range(1, 7):
            raise DataError(f"{where}: fitzpatrick must be 1 to 6, or empty when unknown; got {photo.fitzpatrick!r}.")
        if photo.skin_tone and not SKIN_TONE.fullmatch(photo.skin_tone):
            scales = "'monk 1' to 'monk 10', or a pair such as 'fitzpatrick 1-2'"
            raise DataError(f"{where}: skin_tone must be {scales}; got {photo.skin_tone!r}.")
        if photo.width < 1 or photo.height < 1:
            raise DataError(f"{where}: width and height must be positive; got {photo.width} x {photo.height}.")
        for kind, value, seen in (("file", photo.file, self.files), ("digest", photo.digest, self.digests)):
            if value in seen:
                raise DataError(f"{where}: the {kind} {value!r} is listed twice; every photo needs one row.")
            seen.add(value)


def label_path(taxonomy: Taxonomy, leaf: str) -> tuple[str, ...]:
    """Names from the top level down to a leaf id."""
    return tuple(taxonomy.node(taxonomy.ancestor(leaf, level)).name for level in taxonomy.levels)


def _read_manifest(path: Path, taxonomy: Taxonomy) -> tuple[Photo, ...]:
    header, rows = read_table(path)
    require_columns(header, (*_BEFORE_LABELS, *taxonomy.levels, *_AFTER_LABELS), path.name)
    check = _RowCheck(taxonomy)
    photos = []
    for number, row in rows:
        where = f"Row {number} of {path.name}"
        numbers: dict[str, int | None] = {}
        for column in ("fitzpatrick", "width", "height"):
            text = row[column]
            if not (text.isascii() and text.isdecimal() and len(text) < 10) and not (text == "" and column == "fitzpatrick"):
                raise DataError(f"{where}: {column} must be a whole number; got {text!r}.")
            numbers[column] = int(text) if text else None
        photo = Photo(
            file=row["file"],
            digest=row["digest"],
            labels=tuple(row[level] for level in taxonomy.levels),
            leaf=row["leaf"],
            fitzpatrick=numbers["fitzpatrick"],
            source=row["source"],
            patient_id=row["patient_id"],
            lesion_id=row["lesion_id"],
            width=numbers["width"] or 0,
            height=numbers["height"] or 0,
            skin_tone=row.get("skin_tone", ""),
        )
        check(photo, where)
        photos.append(photo)
    if not photos:
        raise DataError(f"{path.name} lists no photos; a data set needs at least one.")
    return tuple(photos)


def _manifest_bytes(taxonomy: Taxonomy, photos: Sequence[Photo]) -> bytes:
    more = ("skin_tone",) if any(photo.skin_tone for photo in photos) else ()

    def cells(photo: Photo) -> tuple[object, ...]:
        skin = "" if photo.fitzpatrick is None else photo.fitzpatrick
        after = (skin, photo.source, photo.patient_id, photo.lesion_id, photo.width, photo.height)
        return (photo.file, photo.digest, photo.leaf, *photo.labels, *after, *(photo.skin_tone for _ in more))

    return table_bytes((*_BEFORE_LABELS, *taxonomy.levels, *_AFTER_LABELS, *more), map(cells, photos))


def _taxonomy_digest(taxonomy: Taxonomy) -> str:
    return hashlib.sha256(json.dumps(taxonomy.to_dict(), sort_keys=True).encode()).hexdigest()


def _relative(photo_folder: Path, folder: Path) -> str:
    """From the data set to its photos; absolute where no relative path exists (another drive)."""
    try:
        return Path(os.path.relpath(photo_folder.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return photo_folder.resolve().as_posix()


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path.name} is missing in {str(path.parent)!r}; make a data set with 'derm-toolkit data import'.")
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is no JSON ({error}).") from error
    if not isinstance(data, dict):
        raise DataError(f"{str(path)!r} must hold one JSON object; got {type(data).__name__}.")
    return data
