"""One training at a time in a run folder: a lock that the system drops when its process ends, however it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from derm_sdk.errors import FileError

from ..errors import RunError

NAME = ".lock"

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind; there it is up to the user
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds a run folder for this process; makes it where it is missing, and takes it away again if nothing came into it.

    Raises:
        RunError: another training holds it.
        FileError: the folder cannot be written.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file: IO[bytes] = path.open("ab")
    except OSError as error:
        raise FileError(f"Cannot write {str(path)!r}: {error.strerror or error}.") from error
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(
                    f"Another training is at work in {str(folder)!r}; wait for it, or choose another --out."
                ) from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
                folder.rmdir()
