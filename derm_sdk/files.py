"""Whole or not at all: files are written beside their place, synced, and renamed into it."""

from __future__ import annotations

import contextlib
import os
import tempfile
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
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".tmp", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
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


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
