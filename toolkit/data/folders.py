"""A split as a tree of folders, DIR/side/category/condition/photo, as many training scripts expect it.

Folders are called by the ids of the labels ("basal-cell-carcinoma"), which every file system takes. The tree is made beside
its place and renamed into it, so that it is there as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from derm_sdk.errors import FileError
from derm_sdk.files import write_bytes

from ..errors import DataError
from .manifest import SPLITS, Dataset, Photo, Split

Tick = Callable[[int, int], None]


def check_free(folder: Path) -> None:
    """Raises DataError unless a tree may be made here: nothing is there yet, or an empty folder."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{str(folder)!r} is there already; choose a new folder for the tree.")
    except OSError as error:
        raise FileError(f"Cannot look into {str(folder)!r}: {error.strerror or error}.") from error


def export_folders(
    split: Split, dataset: Dataset, folder: Path, *, copy: bool = False, progress: Tick = lambda done, total: None
) -> dict[str, int]:
    """Writes the tree; unused photos are left out.

    Args:
        split: which side each photo is on.
        dataset: the photos and their labels.
        folder: the tree to make; it must be new, or an empty folder.
        copy: copy the photos, each checked against its digest; else the tree holds links to them.
        progress: called with (photos done, photos in all).
    Returns:
        How many photos are on each side that has any.
    Raises:
        DataError: the folder is not empty, or a photo is gone or has changed.
        FileError: the tree cannot be written.
    """
    check_free(folder)
    photos = [(side, photo) for side in SPLITS for photo in split.photos(dataset, side)]
    if not photos:
        raise DataError("The split has no photo on any side, so there is no tree to make.")
    building = folder.parent / f".{folder.name[:50]}.{secrets.token_hex(8)}.tmp"
    place = _copy if copy else _link
    taken: set[str] = set()
    try:
        for done, (side, photo) in enumerate(photos, start=1):
            target = building / _place(dataset, side, photo, taken)
            target.parent.mkdir(parents=True, exist_ok=True)
            place(dataset, photo, target)
            progress(done, len(photos))
        if folder.is_dir():
            folder.rmdir()
        building.rename(folder)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        hint = "" if copy else " Where links are not allowed, --copy copies the photos."
        raise FileError(f"Cannot write the tree {str(folder)!r}: {error.strerror or error}.{hint}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return {side: count for side in SPLITS if (count := sum(name == side for name, _ in photos))}


def _place(dataset: Dataset, side: str, photo: Photo, taken: set[str]) -> str:
    """Path below the tree, labels by their ids; of two photos of one name the second gets its digest, too."""
    tree, path = dataset.taxonomy, PurePosixPath(photo.file)
    folder = f"{side}/{tree.ancestor(photo.leaf, tree.levels[0])}/{photo.leaf}"
    name = f"{folder}/{path.name}"
    if name.lower() in taken:  # also on file systems that know no upper case
        name = f"{folder}/{path.stem}-{photo.digest[:16]}{path.suffix}"
    taken.add(name.lower())
    return name


def _link(dataset: Dataset, photo: Photo, target: Path) -> None:
    source = dataset.path(photo).resolve()
    if not source.is_file():
        raise DataError(f"The photo {str(source)!r} is gone; put it back, or import the data again without it.")
    os.symlink(source, target)


def _copy(dataset: Dataset, photo: Photo, target: Path) -> None:
    source = dataset.path(photo)
    try:
        data = source.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"The photo {str(source)!r} is gone; put it back, or import the data again without it.") from error
    if hashlib.sha256(data).hexdigest() != photo.digest:
        raise DataError(f"The photo {str(source)!r} has changed since the import; restore it, or import the data again.")
    write_bytes(target, data)
