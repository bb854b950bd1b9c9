"""A log of JSON lines that survives what happens to small devices: power cuts, full cards, years of running."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

_CHUNK = 1 << 16


class JsonLog:
    """Appends one JSON object a line, synced before `append` returns, in at most `keep + 1` files of `max_bytes` each.

    The file at `path` is the newest; `path.1` to `path.<keep>` are older. A line that a power cut left unfinished is cut off
    when the log is next opened; lines before it are whole.
    """

    def __init__(self, path: Path, max_bytes: int = 10_000_000, keep: int = 5) -> None:
        """Opens or begins the log. Raises OSError."""
        self._path, self._max_bytes, self._keep = path, max_bytes, keep
        self._file = self._open()

    def append(self, entry: dict[str, Any]) -> None:
        """Writes one line. Raises OSError; the log is then as before, and the same entry may be tried again."""
        line = json.dumps(entry, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        size = os.fstat(self._file).st_size
        if size and size + len(line) > self._max_bytes:
            self._rotate()
            size = 0
        try:
            written = os.write(self._file, line)
            if written != len(line):
                raise OSError(f"Only {written} of {len(line)} bytes could be written; the card is full.")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            raise

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)

    def _open(self) -> int:
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, _whole_lines(file))
        except BlockingIOError:
            os.close(file)
            raise OSError("another program writes to it; stop one of the two") from None
        except OSError:
            os.close(file)
            raise
        return file

    def _rotate(self) -> None:
        """Renames from the oldest on, so that a power cut in between loses no file."""
        if self._path.exists():  # else the last rotation came no further
            for number in range(self._keep, 0, -1):
                older = self._path if number == 1 else self._numbered(number - 1)
                if older.exists():
                    os.replace(older, self._numbered(number))
            self._path.unlink(missing_ok=True)
        newest = self._open()
        os.close(self._file)
        self._file = newest

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _whole_lines(file: int) -> int:
    """Bytes up to and with the last line break."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _CHUNK)
        place = os.pread(file, end - start, start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0
