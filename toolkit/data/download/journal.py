"""What has been done, on disk, one line each: after a kill at any moment the next run goes on from here.

FOLDER/photos/<md5>.jpg   whole photos; a file is moved here when it is complete and checked
FOLDER/partial/<md5>      bodies on their way; an HTTP range fetches the rest
FOLDER/download.jsonl     a line for each photo that is here, or that a host has refused for good
FOLDER/missing.csv        the rows without a photo, and why; written when a run ends
FOLDER/.lock              held while a run is at work
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from derm_sdk.errors import FileError

from ...lock import exclusive
from .bodies import SUFFIXES
from .plan import Wanted
from .reasons import SETTLED, Refused

_LONGEST_LINE = 1 << 16


class Journal:
    """The state of one download folder, held by one process; use it as a context.

    Attributes:
        photos, partial: the two folders.
        is_new: nothing was ever downloaded here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.partial = folder / "partial"
        self.is_new = True
        self._path = folder / "download.jsonl"
        self._known: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Journal:
        self._lock = exclusive(self.folder, "download", "-o")
        self._lock.__enter__()
        try:
            self.photos.mkdir(exist_ok=True)
            self.partial.mkdir(exist_ok=True)
            self.look()
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            for line in self._lines():
                self._known[line["md5"]] = line
            self.is_new = not self._known
        except OSError as error:
            self._lock.__exit__(None, None, None)
            raise FileError(f"Cannot write {str(self.folder)!r}: {error.strerror or error}.") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._file)
        self._lock.__exit__(kind, error, trace)

    def look(self) -> None:
        """Takes note of the photos that are in the folder."""
        self._here = {entry.name: entry.stat().st_size for entry in os.scandir(self.photos) if entry.is_file()}

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The lines that are whole; a kill can cut the last one, and what follows must not be glued to it."""
        line = b"\n"
        with open(self._path, "rb") as file:
            while piece := file.readline(_LONGEST_LINE):
                line = piece
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(record, dict) and all(isinstance(record.get(key), str) for key in ("md5", "status", "file")):
                    yield record
        if not line.endswith(b"\n"):
            os.write(self._file, b"\n")

    def record(self, md5: str, status: str, url: str, detail: str = "", file: str = "", size: int = 0) -> None:
        """Adds a line. status: "ok", "changed" (another photo than the table's, kept), or a reason."""
        line = {"md5": md5, "status": status, "url": url, "detail": detail, "file": file, "bytes": size}
        self._known[md5] = line
        try:
            os.write(self._file, json.dumps(line, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            raise FileError(f"Cannot write {str(self._path)!r}: {error.strerror or error}.") from error

    def record_failure(self, md5: str, refused: Refused, url: str) -> None:
        """Adds a line where the host has refused for good; what may pass is asked again by the next run."""
        if refused.reason in SETTLED:
            self.record(md5, refused.reason, url, refused.detail)

    def status(self, wanted: Wanted, url: str, retry_failed: bool) -> tuple[str, str]:
        """("ok" or "changed", "") when the photo is here, (reason, detail) when it is refused for good, else ("", "").

        A file that the journal does not know (a kill came between the two) is believed when its MD5 is the table's.
        """
        line = self._known.get(wanted.md5, {})
        if line.get("status") in ("ok", "changed") and self._here.get(line.get("file"), -1) == line.get("bytes"):
            return line["status"], ""
        for name in (f"{wanted.md5}{suffix}" for suffix in SUFFIXES):
            if name in self._here and _md5_of(self.photos / name) == wanted.md5:
                self.record(wanted.md5, "ok", url, file=name, size=self._here[name])
                return "ok", ""
        if line.get("status") in SETTLED and line.get("url") == url and not retry_failed:
            return line["status"], str(line.get("detail", ""))
        return "", ""


def _md5_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
