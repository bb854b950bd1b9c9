"""All files of a conversion, written together: every one of them, or none."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from derm_sdk.errors import FileError
from derm_sdk.files import replacing, write_bytes

Folder = Mapping[str, bytes]  # {name: content}


def check_places(files: list[Path], folder: Path | None = None) -> None:
    """Finds out, before any work is done, what would be in the way of `write_all`.

    Raises:
        FileError: a file is named twice or lies inside the folder; a place is a folder, or cannot be written; the folder
            holds something already.
    """
    try:
        _check_places(files, folder)
    except OSError as error:  # such as a name that is too long
        if isinstance(error, FileError):
            raise
        raise FileError(f"Cannot write {error.filename!r}: {error.strerror or error}.") from error


def _check_places(files: list[Path], folder: Path | None) -> None:
    places = [path.resolve() for path in files]
    for path, place in zip(files, places, strict=True):
        if places.count(place) > 1:
            raise FileError(f"{str(path)!r} is named for two outputs; give each a file of its own.")
        if folder is not None and place.is_relative_to(folder.resolve()):
            raise FileError(
                f"{str(path)!r} lies inside the folder of the plain graphs, which must be new; write it elsewhere."
            )
        if path.is_dir():
            raise FileError(f"Cannot write {str(path)!r}: it is a folder.")
    if folder is not None and (folder.exists() or folder.is_symlink()) and not folder.is_dir():
        raise FileError(f"Cannot write into {str(folder)!r}: it is no folder.")
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        raise FileError(f"The folder {str(folder)!r} is not empty; name a new one for the plain graphs.")
    for place in [*places, *([] if folder is None else [folder.resolve()])]:
        standing = next(parent for parent in place.parents if parent.exists())
        if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
            raise FileError(f"Cannot write {str(place)!r}: {str(standing)!r} is no folder that may be written to.")


def write_all(files: Mapping[Path, bytes], folder: Path | None = None, inside: Folder | None = None) -> None:
    """Writes every file beside its place, and when all of them are on the disk, renames them into it.

    An error, a full disk or a kill before that leaves every place as it was.

    Args:
        files: {path: content}.
        folder: a folder to make, and `inside`, its files; none unless given.
    Raises:
        FileError: one of them cannot be written; then none is.
    """
    check_places(list(files), folder)
    with contextlib.ExitStack() as waiting:
        for path, content in files.items():
            file = waiting.enter_context(replacing(path))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # what a full disk says, it says here
        if folder is not None:
            _make_folder(folder, inside or {})


def _make_folder(folder: Path, inside: Folder) -> None:
    """Makes a folder with all its files at once."""
    scratch = folder.parent / f".{folder.name[:50]}.{secrets.token_hex(8)}.tmp"
    try:
        for name, content in inside.items():
            write_bytes(scratch / name, content)
        if folder.is_dir():
            folder.rmdir()
        scratch.rename(folder)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"Cannot write the folder {str(folder)!r}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
