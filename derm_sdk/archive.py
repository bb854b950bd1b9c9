"""The container of a .derm file: a ZIP that any unzip opens, so plain that reading it needs no zip library.

Every entry is stored, not compressed; its data begins at a multiple of 64 bytes; entries follow one another without a hole;
time stamps are fixed. So the same content gives the same bytes, and a graph can be used straight from a memory map.
docs/bundle.md has the table of bytes.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from typing import TypeAlias

from .errors import BundleError

Buffer: TypeAlias = "bytes | memoryview"

ALIGNMENT = 64
MAX_ENTRIES = 256
MAX_BYTES = (1 << 32) - (1 << 20)  # sizes are 32-bit numbers; the rest is room for the headers
_NAME = re.compile(r"[a-z0-9_-][a-z0-9_.-]*(/[a-z0-9_-][a-z0-9_.-]*)?")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_DATE_1980 = 0x21
_PADDING_ID = 0xD935  # the extra field in which Android's zipalign puts its padding


def pack(entries: Mapping[str, bytes]) -> bytes:
    """Packs entries into the container, in the order given.

    Args:
        entries: {name: content}; names are lower-case ASCII with at most one folder.
    Returns:
        The bytes of the file; the same entries give the same bytes.
    Raises:
        BundleError: a name that readers would refuse, too many entries, or 4 GiB and more.
    """
    if len(entries) > MAX_ENTRIES or sum(map(len, entries.values())) >= MAX_BYTES:
        raise BundleError(
            f"A .derm file holds at most {MAX_ENTRIES} entries and less than 4 GiB; got {len(entries)} entries."
        )
    local, central, offset = bytearray(), bytearray(), 0
    for name, data in entries.items():
        _check_name(name)
        own, listed = _headers(name, zlib.crc32(data), len(data), offset)
        local += own + data
        central += listed
        offset = len(local)
    end = _END.pack(b"PK\5\6", 0, 0, len(entries), len(entries), len(central), offset, 0)
    return bytes(local + central + end)


def unpack(data: memoryview) -> dict[str, memoryview]:
    """Finds the entries of a container, as views into `data`.

    Args:
        data: the bytes of the whole file.
    Returns:
        {name: content}, in the order of the file. Nothing is copied.
    Raises:
        BundleError: anything that `pack` does not write: compression, encryption, holes, overlaps, odd names, comments.
    """
    if len(data) < 4 or bytes(data[:4]) != b"PK\3\4":
        raise BundleError("This is no .derm file: it does not begin with PK\\3\\4.")
    if len(data) < _END.size or bytes(data[-_END.size :][:4]) != b"PK\5\6":
        raise BundleError("The .derm file is cut off, or something was put behind its end.")
    _, disk, start_disk, here, count, central_size, central_start, comment = _END.unpack(data[-_END.size :])
    if disk or start_disk or comment or here != count or not 1 <= count <= MAX_ENTRIES:
        raise BundleError(f"The .derm file's table of contents is damaged ({count} entries).")
    if central_start + central_size != len(data) - _END.size:
        raise BundleError("The .derm file's table of contents is not where its end says it is.")

    entries: dict[str, memoryview] = {}
    place, expected = central_start, 0
    for _ in range(count):
        if place + _CENTRAL.size > len(data) - _END.size:
            raise BundleError("The .derm file's table of contents is cut off.")
        fields = _CENTRAL.unpack(data[place : place + _CENTRAL.size])
        magic, flags, method, crc, packed, size = fields[0], fields[3], fields[4], *fields[7:10]
        name_length, extra_length, comment_length, offset = fields[10], fields[11], fields[12], fields[16]
        name = _decode_name(bytes(data[place + _CENTRAL.size : place + _CENTRAL.size + name_length]))
        place += _CENTRAL.size + name_length
        if magic != b"PK\1\2" or extra_length or comment_length:
            raise BundleError(f"The .derm file was packed by another tool: {name!r} has fields that we do not write.")
        if flags & 1:
            raise BundleError(f"{name!r} in the .derm file is encrypted; entries must be plain.")
        if method != 0 or packed != size:
            raise BundleError(f"{name!r} in the .derm file is compressed; entries must be stored (was it zipped again?).")
        if flags:
            raise BundleError(f"{name!r} in the .derm file has flags ({flags:#x}) that we do not write.")
        own, listed = _headers(name, crc, size, offset)
        if data[place - len(listed) : place] != listed:
            raise BundleError(f"The .derm file was packed by another tool: times or versions of {name!r} are not ours.")
        if name in entries:
            raise BundleError(f"{name!r} is in the .derm file twice.")
        if offset != expected:
            raise BundleError(f"{name!r} in the .derm file overlaps its neighbour or leaves a hole before it.")
        _check_local(data, offset, central_start, name, (flags, method, crc, packed, size))
        start = offset + len(own)
        if data[offset:start] != own:
            raise BundleError(f"The .derm file was packed by another tool: the padding or time of {name!r} is not ours.")
        expected = start + size
        if expected > central_start:
            raise BundleError(f"{name!r} in the .derm file reaches over its end.")
        if zlib.crc32(data[start:expected]) != crc:
            raise BundleError(f"{name!r} in the .derm file is damaged: its checksum is wrong.")
        entries[name] = data[start:expected]
    if expected != central_start or place != len(data) - _END.size:
        raise BundleError("The .derm file holds bytes that belong to no entry.")
    return entries


def _headers(name: str, crc: int, size: int, offset: int) -> tuple[bytes, bytes]:
    """The only two headers that an entry may have: the one before its data, with name and padding, and the listed one."""
    coded = name.encode()
    padding = -(offset + _LOCAL.size + len(coded) + 6) % ALIGNMENT
    extra = struct.pack("<HHH", _PADDING_ID, 2 + padding, ALIGNMENT) + bytes(padding)
    own = _LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, _DATE_1980, crc, size, size, len(coded), len(extra))
    listed = _CENTRAL.pack(b"PK\1\2", 20, 20, 0, 0, 0, _DATE_1980, crc, size, size, len(coded), 0, 0, 0, 0, 0, offset)
    return own + coded + extra, listed + coded


def _check_local(data: memoryview, offset: int, limit: int, name: str, expected: tuple[int, ...]) -> None:
    """Compares an entry's own header with the table of contents, and names what differs."""
    if offset + _LOCAL.size > limit:
        raise BundleError(f"{name!r} in the .derm file reaches over its end.")
    magic, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(
        data[offset : offset + _LOCAL.size]
    )
    own_name = bytes(data[offset + _LOCAL.size : offset + _LOCAL.size + name_length])
    if magic != b"PK\3\4" or (flags, method, crc, packed, size) != expected or own_name != name.encode():
        raise BundleError(f"The two headers of {name!r} in the .derm file disagree.")
    if (offset + _LOCAL.size + name_length + extra_length) % ALIGNMENT:
        raise BundleError(f"{name!r} in the .derm file is not aligned to {ALIGNMENT} bytes (was it zipped again?).")


def _decode_name(raw: bytes) -> str:
    name = raw.decode("ascii", "replace")
    _check_name(name)
    return name


def _check_name(name: str) -> None:
    if len(name) > 200 or ".." in name or not _NAME.fullmatch(name):
        raise BundleError(
            f"{name!r} is no name for an entry of a .derm file: lower-case ASCII, at most one folder, no '..'."
        )
