"""Whole or not at all: files are written beside their place, synced, and renamed into it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import FileError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary neighbour of `path` for writing; on a clean exit it takes the place of `path`.

    An error inside the block, a full disk, or a kill leaves `path` as it was; only a kill leaves the neighbour behind.

    Args:
        path: the file to write; its folder is made when missing.
    Raises:
        FileError: the file cannot be written (no permission, disk full, a folder in its place).
    """
    target = Path(path)
    temporary = ""
    try:
        handle, temporary = _open_neighbour(target)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        temporary = ""
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"Cannot write {str(target)!r}: {error.strerror or error}.") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all. Raises FileError as `replacing` does."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` to `path` as UTF-8, whole or not at all. Raises FileError as `replacing` does."""
    write_bytes(path, text.encode())


def _open_neighbour(target: Path) -> tuple[int, str]:
    """Opens a new file beside `target`. The system itself takes the umask off its mode; to ask for it is to change it."""
    path = str(target.parent / f".{target.name[:50]}.{secrets.token_hex(8)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666), path
    except ValueError as error:  # a null character in the path
        raise FileError(f"Cannot write {str(target)!r}: {error}.") from error
