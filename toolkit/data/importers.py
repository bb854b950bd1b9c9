"""A table and a folder of photos -> a data set.

Tables are known by their columns; two kinds name our own labels:

    fitzpatrick17k.csv   md5hash, fitzpatrick_scale, label, nine_partition_label, three_partition_label, qc;
                         photos are named <md5hash>.<jpg|png|...>
    photos.csv           file, condition, category; optional group, fitzpatrick, source, patient_id, lesion_id, skin_tone

Those of other sources (`sources.known`) have labels of their own, which a mapping translates; folders named by labels
(`sources.folders`) do without a table.

Every photo is opened and decoded once, so that training never meets a broken one. Rows without a usable photo or label
are left out and reported by row number; a contradiction in the labels stops the import.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from derm_sdk.errors import DermError, OptionError, closest
from derm_sdk.files import write_text
from derm_sdk.image import MAX_FILE_BYTES, read_image
from derm_sdk.taxonomy import Taxonomy

from ..errors import DataError
from .manifest import Dataset, Photo, label_path, read_dataset, write_dataset
from .rows import Row, parse_fitzpatrick, tidy
from .sources.folders import rows as rows_of_folders
from .sources.known import SOURCES, known_by
from .sources.mapping import Match, plain, read_mapping
from .sources.scin import UNDECIDED
from .table import read_table, require_columns

LEVELS = ("category", "group", "condition")
FITZPATRICK17K_COLUMNS = ("md5hash", "fitzpatrick_scale", "label", "nine_partition_label", "three_partition_label")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

# What can be wrong with a row, and what it means. The first group leaves the row out; the second only remarks on it.
PROBLEMS = {
    "unlabelled": "a label is empty; left out",
    "undecided": "the source names two labels with equal weight; left out",
    "no_counterpart": "the source's label has no counterpart in our tree; left out",
    "broad": "the source's label covers more than our condition; left out (--broad takes it)",
    "unlisted": "the mapping does not list the source's label; left out",
    "missing": "no such photo in the folder; left out",
    "ambiguous": "several photos in the folder could be meant; left out",
    "unreadable": "the photo cannot be decoded; left out",
    "wrongly_labelled": "qc says 'Wrongly labelled'; left out (--keep-wrongly-labelled keeps them)",
    "repeated": "the same bytes and label as an earlier row; left out",
    "contradiction": "the same bytes as an earlier row under another label; left out",
}
REMARKS = {
    "skin_type": "the skin type is none of 1 to 6, I to VI, -1 or empty; taken as unknown",
    "category_differs": "the source calls it benign and our tree malignant, or the other way round; taken as our tree says",
    "re_encoded": "the photo's bytes do not have the MD5 of the table: re-encoded, or another photo",
}


@dataclass
class ImportReport:
    """What an import found.

    Attributes:
        kind: "fitzpatrick17k", "photos", "folders", or the name of another source.
        rows: how many rows were asked for.
        imported: how many photos the data set holds.
        findings: name out of PROBLEMS and REMARKS -> [(row number, file or detail), ...].
    """

    kind: str
    rows: int
    imported: int = 0
    findings: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: {name: [] for name in (*PROBLEMS, *REMARKS)})

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        counts = {name: len(found) for name, found in self.findings.items()}
        findings = {name: [{"row": row, "detail": text} for row, text in found] for name, found in self.findings.items()}
        return {"kind": self.kind, "rows": self.rows, "imported": self.imported, "counts": counts, "findings": findings}


def import_table(
    table: str | os.PathLike[str],
    photo_folder: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str],
    *,
    sources: Sequence[str] = (),
    taxonomy: Taxonomy | None = None,
    mapping: str | os.PathLike[str] | None = None,
    broad: bool = False,
    keep_wrongly_labelled: bool = False,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> tuple[Dataset, ImportReport]:
    """Makes a data set out of a table and a folder of photos.

    Args:
        table: fitzpatrick17k.csv, a photos.csv, the table of another source, or a folder of folders (see the module).
        photo_folder: the photos; they stay where they are. None: `table` is the folder of folders.
        folder: the data set to write: manifest.csv, taxonomy.json, dataset.json, import.json.
        sources: take only rows whose source is one of these; empty takes all.
        taxonomy: the tree to use; None builds it from the labels of the imported photos.
        mapping: from the table's labels to our tree, see `sources.mapping`; None: the source's own, if it has one.
        broad: take labels that cover more than our condition, too.
        keep_wrongly_labelled: keep the rows that the table's own quality control calls wrongly labelled.
        progress: called with (rows done, rows in all).
        threads: how many photos are decoded at once; None: one per core, at most 8.
    Returns:
        The data set, and what was found on the way.
    Raises:
        OptionError: `broad` without a mapping.
        DataError: a column is missing, a label has two parents or is not in the tree, or no row has a usable photo.
        FileError: a file cannot be read or written.
    """
    table, photo_folder = Path(table), Path(photo_folder if photo_folder is not None else table)
    if not photo_folder.is_dir():
        raise DataError(f"--photos must be a folder; {str(photo_folder)!r} is none.")
    kind, levels, rows = read_rows(table, fixed_tree=taxonomy)
    rows = _of_sources(rows, sources, table.name)
    report = ImportReport(kind, len(rows))
    if mapping is None and kind in (source.name for source in SOURCES):
        mapping = kind
    if broad and mapping is None:
        raise OptionError(f"--broad needs a mapping, and {table.name} names our labels; add --mapping, or leave it out.")
    if mapping is not None:
        levels, rows = LEVELS, _translated(rows, read_mapping(mapping), broad, taxonomy, report)
    rows = _labelled(rows, levels, taxonomy, table.name, report)

    photos: list[Photo] = []
    first: dict[str, Row] = {}
    located = _locate(rows, photo_folder, report)
    for done, (row, file, scan) in enumerate(_scan_all(located, photo_folder, threads), start=1):
        if progress is not None:
            progress(done + report.rows - len(located), report.rows)
        photo = _judge(row, file, scan, first, keep_wrongly_labelled, report)
        if photo is not None:
            photos.append(photo)
    if not photos:
        raise DataError(_nothing_left(table.name, photo_folder, report))
    tree = taxonomy or Taxonomy.from_paths(levels, [photo.labels for photo in photos])
    leaf_ids = {label_path(tree, leaf): leaf for leaf in tree.leaves}
    photos = [Photo(**{**vars(photo), "leaf": leaf_ids[photo.labels]}) for photo in photos]

    report.imported = len(photos)
    source = {"table": table.name, "table_sha256": _table_digest(table), "kind": kind}
    if mapping is not None:
        source |= {"mapping": Path(mapping).name, "broad": broad}
    write_text(Path(folder) / "import.json", json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n")
    write_dataset(folder, photo_folder, tree, photos, {**source, "sources": list(sources)})
    return read_dataset(folder), report


def read_rows(table: Path, fixed_tree: Taxonomy | None = None) -> tuple[str, tuple[str, ...], list[Row]]:
    """Reads a table of any kind.

    Args:
        table: the CSV file, or a folder of folders.
        fixed_tree: the tree that will be used, if one is given; then only the condition must be named.
    Returns:
        The kind of table, the levels it has labels for, and its rows.
    Raises:
        DataError: no CSV, no rows, or a column is missing (which one is said).
    """
    if table.is_dir():
        return "folders", ("category", "condition"), rows_of_folders(table)
    header, records = read_table(table)
    if not records:
        raise DataError(f"{table.name} has no rows below its header.")
    if "md5hash" in header:
        require_columns(header, FITZPATRICK17K_COLUMNS, table.name)
        return "fitzpatrick17k", LEVELS, [_fitzpatrick17k_row(number, cells) for number, cells in records]
    own = {"file", "condition"} <= set(header)
    if not own and (known := known_by(header)) is not None:
        return known.name, ("condition",), known.rows(table, records)
    require_columns(header, ("file", "condition") if fixed_tree else ("file", "condition", "category"), table.name)
    # A column that is empty all the way down is no level: small collections have no groups.
    levels = tuple(level for level in LEVELS if level == "condition" or any(cells.get(level) for _, cells in records))
    if fixed_tree is None and "category" not in levels:
        raise DataError(f"The column 'category' of {table.name} is empty; every condition needs a category.")
    return "photos", levels, [_photos_row(number, cells, levels) for number, cells in records]


def _fitzpatrick17k_row(number: int, cells: Mapping[str, str]) -> Row:
    labels = tuple(" ".join(cells[name].split()) for name in ("three_partition_label", "nine_partition_label", "label"))
    md5 = cells["md5hash"].lower()
    return Row(number, md5, labels, cells["fitzpatrick_scale"], "fitzpatrick17k", md5=md5, qc=cells.get("qc", ""))


def _photos_row(number: int, cells: Mapping[str, str], levels: Sequence[str]) -> Row:
    def get(name: str) -> str:
        return cells.get(name, "")

    labels = tuple(" ".join(get(level).split()) for level in levels)
    file = get("file").replace("\\", "/").removeprefix("./")
    ids = (get("source"), get("patient_id"), get("lesion_id"))
    return Row(number, file, labels, get("fitzpatrick"), *ids, qc=get("qc"), skin_tone=get("skin_tone"))


def _translated(
    rows: list[Row], mapping: Mapping[str, Match], broad: bool, tree: Taxonomy | None, report: ImportReport
) -> list[Row]:
    """The rows whose label has a counterpart in our tree, under its names; the report says why the others have none."""
    known = None if tree is None else {tidy(tree.node(leaf).name) for leaf in tree.leaves}
    found = []
    for row in rows:
        label = row.labels[-1]
        match = mapping.get(plain(label), Match((), "unlisted"))
        if not label or label == UNDECIDED:
            problem, detail = "undecided" if label else "unlabelled", row.file
        elif match.match == "unlisted" or (match.match == "broad" and not broad):
            problem, detail = match.match, f"{row.file}: {label!r}"
        elif not match.path or (known is not None and tidy(match.path[-1]) not in known):
            problem, detail = "no_counterpart", f"{row.file}: {label!r}"
        else:
            found.append(dataclasses.replace(row, labels=match.path))
            if row.told_category and (row.told_category == "malignant") != (match.path[0] == "malignant"):
                report.findings["category_differs"].append((row.number, f"{row.file}: {label!r}"))
            continue
        report.findings[problem].append((row.number, detail))
    return found


def _table_digest(table: Path) -> str:
    """SHA-256 of a table's bytes; of a folder, of the paths in it, one a line."""
    if table.is_dir():
        return hashlib.sha256("\n".join(row.file for row in rows_of_folders(table)).encode()).hexdigest()
    return hashlib.sha256(table.read_bytes()).hexdigest()


def _of_sources(rows: list[Row], sources: Sequence[str], name: str) -> list[Row]:
    known = sorted({row.source for row in rows if row.source})
    for source in sources:
        if source not in known:
            raise DataError(f"No row of {name} has the source {source!r}." + closest(source, known))
    return [row for row in rows if not sources or row.source in sources]


def _labelled(rows: list[Row], levels: tuple[str, ...], tree: Taxonomy | None, name: str, report: ImportReport) -> list[Row]:
    """Leaves out rows with an empty label, and makes sure that the others form a tree, or fit the given one.

    A label is spelled as it is where it comes first, or as in the given tree.
    """
    labelled = []
    spelling: dict[tuple[str, str], str] = {}
    for row in rows:
        if all(row.labels):
            names = tuple(
                spelling.setdefault((level, tidy(label)), label) for level, label in zip(levels, row.labels, strict=True)
            )
            labelled.append(dataclasses.replace(row, labels=names))
        else:
            gaps = ", ".join(level for level, label in zip(levels, row.labels, strict=True) if not label)
            report.findings["unlabelled"].append((row.number, f"{row.file}: no {gaps}"))
    if tree is None:
        _check_parents(labelled, levels, name)
        return labelled
    paths = {tidy(path[-1]): path for path in (label_path(tree, leaf) for leaf in tree.leaves)}
    return [_fit_tree(row, levels, tree, paths, name) for row in labelled]


def _check_parents(rows: Sequence[Row], levels: Sequence[str], name: str) -> None:
    first: dict[tuple[int, str], Row] = {}
    for row in rows:
        for depth in range(1, len(levels)):
            other = first.setdefault((depth, row.labels[depth]), row)
            if other.labels[depth - 1] != row.labels[depth - 1]:
                raise DataError(
                    f"{name}: the {levels[depth]} {row.labels[depth]!r} must have one {levels[depth - 1]}, "
                    f"but row {other.number} says {other.labels[depth - 1]!r} and row {row.number} "
                    f"says {row.labels[depth - 1]!r}."
                )


def _fit_tree(row: Row, levels: Sequence[str], tree: Taxonomy, paths: Mapping[str, tuple[str, ...]], name: str) -> Row:
    condition = tidy(row.labels[-1])
    if condition not in paths:
        raise DataError(
            f"Row {row.number} of {name}: the condition {condition!r} is not in the taxonomy." + closest(condition, paths)
        )
    path = paths[condition]
    for level, label in zip(levels[:-1], row.labels[:-1], strict=True):
        wanted = path[tree.levels.index(level)] if level in tree.levels else label
        if tidy(wanted) != tidy(label):
            raise DataError(f"Row {row.number} of {name}: the taxonomy puts {condition!r} under {wanted!r}; got {label!r}.")
    return dataclasses.replace(row, labels=path)


def _locate(rows: Sequence[Row], photo_folder: Path, report: ImportReport) -> list[tuple[Row, str]]:
    """Finds each row's file: by its path, else by the path in any case, else (no suffix given) by the name alone."""
    exact: set[str] = set()
    in_any_case: dict[str, list[str]] = {}
    by_name: dict[str, list[str]] = {}
    for folder, folders, files in os.walk(photo_folder):
        folders.sort()
        for file in sorted(files):
            path = (Path(folder) / file).relative_to(photo_folder).as_posix()
            exact.add(path)
            in_any_case.setdefault(path.lower(), []).append(path)
            if Path(file).suffix.lower() in SUFFIXES:
                by_name.setdefault(Path(file).stem.lower(), []).append(path)
    located = []
    for row in rows:
        key = row.file.lower()
        found = [row.file] if row.file in exact else in_any_case.get(key) or by_name.get(key, [])
        if len(found) == 1:
            located.append((row, found[0]))
        elif found:
            report.findings["ambiguous"].append((row.number, f"{row.file}: {' or '.join(found[:3])}"))
        else:
            report.findings["missing"].append((row.number, row.file))
    return located


@dataclass(frozen=True)
class _Scan:
    sha256: str = ""
    md5: str = ""
    width: int = 0
    height: int = 0
    error: str = ""


def _scan(path: Path, with_md5: bool) -> _Scan:
    """Reads, hashes and decodes one photo; runs in a thread (all three let go of the interpreter)."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            return _Scan(error="larger than 1 GiB")
        pixels = read_image(data)
    except OSError as error:
        return _Scan(error=error.strerror or str(error))
    except DermError as error:
        return _Scan(error=str(error))
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest() if with_md5 else ""
    return _Scan(hashlib.sha256(data).hexdigest(), md5, pixels.shape[1], pixels.shape[0])


def _scan_all(
    located: Sequence[tuple[Row, str]], photo_folder: Path, threads: int | None
) -> Iterator[tuple[Row, str, _Scan]]:
    """Scans every photo, in order, with at most a few photos in memory at once."""
    threads = threads or min(8, os.cpu_count() or 1)
    waiting: deque[tuple[Row, str, Future[_Scan]]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for row, file in located:
            waiting.append((row, file, pool.submit(_scan, photo_folder / file, bool(row.md5))))
            if len(waiting) > 2 * threads:
                row, file, future = waiting.popleft()
                yield row, file, future.result()
        for row, file, future in waiting:
            yield row, file, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _judge(
    row: Row, file: str, scan: _Scan, first: dict[str, Row], keep_wrongly_labelled: bool, report: ImportReport
) -> Photo | None:
    """A scanned row as a photo (its leaf still empty), or None where it is left out; the report says why."""
    findings = report.findings
    if scan.error:
        findings["unreadable"].append((row.number, f"{file}: {scan.error}"))
        return None
    if "wrongly" in row.qc.lower() and not keep_wrongly_labelled:
        findings["wrongly_labelled"].append((row.number, f"{file}: {row.qc}"))
        return None
    other = first.setdefault(scan.sha256, row)
    if other is not row:
        same = other.labels == row.labels
        findings["repeated" if same else "contradiction"].append((row.number, f"{file}: as row {other.number}"))
        return None
    if scan.md5 != row.md5:
        findings["re_encoded"].append((row.number, file))
    try:
        fitzpatrick = parse_fitzpatrick(row.fitzpatrick)
    except OptionError:
        fitzpatrick = None
        findings["skin_type"].append((row.number, f"{file}: {row.fitzpatrick!r}"))
    origin = (row.source, row.patient_id, row.lesion_id)
    return Photo(file, scan.sha256, row.labels, "", fitzpatrick, *origin, scan.width, scan.height, row.skin_tone)


def _nothing_left(name: str, photo_folder: Path, report: ImportReport) -> str:
    counts = ", ".join(f"{len(found)} {problem}" for problem, found in report.findings.items() if found)
    hint = ""
    if len(report.findings["missing"]) == report.rows:
        hint = f" The first photo should be {report.findings['missing'][0][1]!r}: is {str(photo_folder)!r} the right folder?"
    return f"None of the {report.rows} rows of {name} has a usable photo: {counts}.{hint}"
