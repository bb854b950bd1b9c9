"""Photos out of a folder or a zip file, both read as if an enemy had written them; no name in them becomes a path."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from derm_sdk.errors import FileError

from ...errors import DataError
from .bodies import settle, suffix_of
from .journal import Journal
from .plan import Wanted
from .reasons import Refused, one_line

MAX_ENTRIES = 1_000_000
MAX_TABLE_BYTES = 256 << 20  # of a zip's table of contents, which Python's reader holds in memory
MAX_EXPANDED_BYTES = 256 << 30  # of all entries together: a bomb of overlapping ones takes no longer than this
_ZIP_FAILURES = (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, ValueError, struct.error)


@dataclass(frozen=True)
class Entry:
    """A file in an archive: its name, and how to read it (Refused when it is too large or damaged)."""

    name: str
    read: Callable[[], bytes]


@contextlib.contextmanager
def open_archive(path: Path, max_bytes: int) -> Iterator[Iterator[Entry]]:
    """Opens a folder or a zip file; gives its entries. Raises DataError, FileError as `collect`."""
    if path.is_dir():
        yield _files(path, max_bytes)
        return
    try:
        _check_table(path)
        with zipfile.ZipFile(path) as archive:
            yield _zipped(archive, path, max_bytes)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    except _ZIP_FAILURES as error:
        raise DataError(f"{str(path)!r} is no zip file that can be read ({error}).") from error


def _files(folder: Path, max_bytes: int) -> Iterator[Entry]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = Path(place, file)
            yield Entry(path.relative_to(folder).as_posix(), partial(_read_file, path, max_bytes))


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Refused("not_an_image", "no regular file")
        with path.open("rb") as file:
            head = file.read(16)
            data = head + file.read(max_bytes - 15) if suffix_of(head) else head
    except OSError as error:
        raise Refused("not_an_image", f"cannot be read: {error.strerror or error}") from error
    return _bounded(data, max_bytes)


def _check_table(path: Path) -> None:
    """Refuses a zip whose table of contents would not fit, before Python's reader takes it in (APPNOTE 4.3.14 to 4.3.16)."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16) - 22 - 20 - 56))
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) - end < 22:
        return  # no zip file; Python's reader says so
    entries, table = struct.unpack_from("<HI", tail, end + 10)
    large = tail.rfind(b"PK\6\6", 0, end)
    if large >= 0 and len(tail) - large >= 56:
        entries, table = struct.unpack_from("<QQ", tail, large + 32)
    if entries > MAX_ENTRIES or min(table, size) > MAX_TABLE_BYTES:
        raise DataError(f"{path.name} lists {entries:,} entries in {table:,} bytes; at most {MAX_ENTRIES:,} are read.")


def _zipped(archive: zipfile.ZipFile, path: Path, max_bytes: int) -> Iterator[Entry]:
    expanded = 0

    def read(entry: zipfile.ZipInfo) -> bytes:
        nonlocal expanded
        try:
            with archive.open(entry) as file:
                head = file.read(16)
                data = head + file.read(max_bytes - 15) if suffix_of(head) else head
        except (*_ZIP_FAILURES, OSError) as error:
            raise Refused("not_an_image", f"cannot be read: {error}") from error
        expanded += len(data)
        if expanded > MAX_EXPANDED_BYTES:
            raise DataError(
                f"{path.name} expands to more than {MAX_EXPANDED_BYTES >> 30} GiB, which no archive of photos does."
            )
        return _bounded(data, max_bytes)

    for entry in archive.infolist():
        if not entry.is_dir():
            yield Entry(entry.filename, partial(read, entry))


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise Refused("too_large", f"more than {max_bytes:,} bytes")
    return data


class Found:
    """The photos still sought; takes them out of entries: first by their MD5, then, at the end, by name."""

    def __init__(self, sought: Sequence[Wanted], journal: Journal, keep_changed: bool) -> None:
        self._journal = journal
        self._keep_changed = keep_changed
        self._sought = {item.md5: item for item in sought}
        self._named: dict[str, Wanted] = {}
        for item in sought:
            for name in _names(item):
                self._named.setdefault(name, item)
        self._candidates: dict[Wanted, Entry] = {}

    def take_exact(self, entry: Entry) -> list[Wanted]:
        """Takes an entry whose MD5 is sought; gives the photo, or nothing, and remembers an entry that is only named so."""
        item = self._meant(entry.name)
        if item is not None:
            self._candidates.setdefault(item, entry)
        try:
            data = entry.read()
        except Refused:
            return []
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if md5 not in self._sought or not suffix_of(data[:16]):
            return []
        self._put(self._sought[md5], entry, data)
        return [self._sought.pop(md5)]

    def take_by_name(self) -> Iterator[tuple[Wanted, str, str]]:
        """Ends the photos that no MD5 matched: (photo, "changed" or a reason, detail)."""
        for item in self._sought.values():
            entry = self._candidates.get(item)
            if entry is None:
                yield item, "not_in_archive", ""
                continue
            try:
                yield item, self._put(item, entry, entry.read()), ""
            except Refused as refused:
                yield item, refused.reason, one_line(f"{entry.name}: {refused.detail}")

    def _put(self, item: Wanted, entry: Entry, data: bytes) -> str:
        part = self._journal.partial / item.md5
        try:
            part.write_bytes(data)
        except OSError as error:
            raise FileError(f"Cannot write {str(part)!r}: {error.strerror or error}.") from error
        file, size, same = settle(part, self._journal.photos, item.md5, self._keep_changed)
        status = "ok" if same else "changed"
        self._journal.record(item.md5, status, "", detail=one_line(entry.name), file=file, size=size)
        return status

    def _meant(self, name: str) -> Wanted | None:
        """The photo that a name stands for: by its md5hash or url_alphanum in any folder, or by the end of its path."""
        path = PurePosixPath(name.replace("\\", "/").lower())
        for key in (path.stem, path.name):
            if key in self._named:
                return self._named[key]
        parts = path.parts
        for start in range(max(0, len(parts) - 12), len(parts) - 1):
            if "/".join(parts[start:]) in self._named:
                return self._named["/".join(parts[start:])]
        return None


def _names(item: Wanted) -> Iterator[str]:
    yield item.md5
    if item.name:
        yield item.name.lower()
    with contextlib.suppress(ValueError):
        parts = urlsplit(item.url)
        path = unquote(parts.path).strip("/") + (f"?{parts.query}" if parts.query else "")
        if "/" in path:
            yield path.lower()
        if path and parts.netloc:
            yield f"{parts.netloc}/{path}".lower()
