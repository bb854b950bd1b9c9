"""One process at a time in a folder: a lock that the system drops when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from derm_sdk.errors import FileError

from .errors import RunError

NAME = ".lock"

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind; there it is up to the user
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def exclusive(folder: Path, work: str = "training", option: str = "--out") -> Iterator[None]:
    """Holds a folder for this process; makes it where it is missing, and takes it away again if nothing came into it.

    Args:
        folder: the run folder, or that of a download.
        work, option: what goes on in it and how its user named it, for the sentence about another process.
    Raises:
        RunError: another process holds it.
        FileError: the folder cannot be written.
    """
    with _held(folder, f"Another {work} is at work in {str(folder)!r}; wait for it, or choose another {option}."):
        try:
            yield
        finally:
            _take_away_if_empty(folder)


def _held(folder: Path, taken: str) -> IO[bytes]:
    """Opens and locks the lock file. It stays where it is: a lock on a file that another one replaced guards nothing."""
    path = folder / NAME
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file: IO[bytes] = path.open("ab")
        except OSError as error:
            raise FileError(f"Cannot write {str(path)!r}: {error.strerror or error}.") from error
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if fcntl is None or os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
            file.close()  # taken away between opening and locking
        except FileNotFoundError:
            file.close()
        except BlockingIOError as error:
            file.close()
            raise RunError(taken) from error
        except OSError as error:
            if error.errno in (errno.ENOTSUP, errno.EOPNOTSUPP):  # some network drives; there it is up to the user
                return file
            file.close()
            raise FileError(f"Cannot lock {str(path)!r}: {error.strerror or error}.") from error


def _take_away_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if os.listdir(folder) == [NAME]:
            (folder / NAME).unlink()
            folder.rmdir()
