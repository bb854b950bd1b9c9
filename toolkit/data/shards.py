"""Prepared photos in columnar shards: a few large files instead of one per photo, for data sets larger than memory.

    shards.json             format, what the pixels are (side, fit, versions), and of each shard its file, photos and key
    part-00000-<key>.arrow  Arrow IPC, uncompressed: the manifest's columns, pixels [side, side, 3] as fixed-size binary, and
                            their CRC-32

Shards lie in a cache's folder (see `cache`), where `PhotoCache` finds them: training reads from them by memory map. The same
photos give the same bytes, whoever makes them and in whatever order. A shard is written whole, under a name that changes
with its content, and shards.json comes last: what is there can be read while others are made. Any Arrow reader opens them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL

from derm_sdk.errors import FileError
from derm_sdk.files import replacing, write_text
from derm_sdk.image import Pixels
from derm_sdk.preprocess import PREPROCESSING_VERSION

from ..errors import DataError
from .manifest import Photo

if TYPE_CHECKING:
    import pyarrow as pa

    from .cache import PhotoCache

FORMAT = 1
INDEX = "shards.json"
SHARD_PHOTOS = 2048
_BATCH = 64  # photos in memory at a time
_COLUMNS = ("file", "leaf", "source", "patient_id", "lesion_id")


def shard_ranges(count: int, size: int = SHARD_PHOTOS) -> list[tuple[int, int]]:
    """The rows [start, stop) of each shard. `size` is 1 or more."""
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def write_shard(cache: PhotoCache, folder: Path, number: int, photos: Sequence[Photo]) -> dict[str, Any]:
    """Makes one shard, unless it is there.

    Args:
        cache: says what the pixels are, and knows where the photos lie.
        folder: of the shards.
        number: which shard, from 0.
        photos: those in it.
    Returns:
        Its row in shards.json.
    Raises:
        DataError, ImageError, FileError: as `PhotoCache.render`, or the shard cannot be written.
    """
    import pyarrow as pa

    key = shard_key(cache, photos)
    name = f"part-{number:05d}-{key[:12]}.arrow"
    row = {"file": name, "photos": len(photos), "key": key}
    if _has_key(folder / name, key):
        return row
    schema = _schema(cache, key)
    with replacing(folder / name) as file, pa.ipc.new_file(file, schema) as writer:
        for start in range(0, len(photos), _BATCH):
            batch = photos[start : start + _BATCH]
            writer.write_batch(_batch(schema, batch, [cache.render(photo) for photo in batch]))
    return row


def write_index(cache: PhotoCache, folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes shards.json, which vouches for the shards, and removes those of another time."""
    table = {"format": FORMAT, **_about(cache), "photos": sum(row["photos"] for row in rows), "shards": list(rows)}
    write_text(folder / INDEX, json.dumps(table, indent=1) + "\n")
    for path in folder.glob("part-*.arrow"):
        if path.name not in {row["file"] for row in rows}:
            with contextlib.suppress(OSError):  # still open elsewhere, on Windows
                path.unlink()


class Shards:
    """The shards in a folder, read by memory map: what is in memory is an index of 40 bytes per photo. Thread-safe."""

    def __init__(self, folder: Path, side: int) -> None:
        """Opens the shards.

        Args:
            folder: with shards.json.
            side: of the pixels.
        Raises:
            DataError: shards.json or a shard is damaged, is missing, or is of another side.
            FileError: a file cannot be read.
        """
        self.folder, self.side = folder, side
        self._batches: list[pa.RecordBatch] = []
        digests, places = [], []
        for row in _read_index(folder, side):
            for batch in _open_shard(folder / row["file"], row["key"]):
                digests.append(np.frombuffer(b"".join(batch.column("digest").to_pylist()), "S32"))
                places.append(np.stack([np.full(len(batch), len(self._batches)), np.arange(len(batch))], axis=1))
                self._batches.append(batch)
        found = np.concatenate(digests) if digests else np.zeros(0, "S32")
        order = np.argsort(found, kind="stable")
        self._digests = found[order]
        self._places = (np.concatenate(places) if places else np.zeros((0, 2), np.int64))[order].astype(np.int32)

    def __len__(self) -> int:
        return len(self._digests)

    def read(self, digest: str) -> Pixels | None:
        """A photo's pixels, uint8 [side, side, 3], read-only; None where it is not among them, or its pixels are damaged."""
        wanted = np.frombuffer(bytes.fromhex(digest), "S32")
        place = int(np.searchsorted(self._digests, wanted[0]))
        if place >= len(self._digests) or self._digests[place] != wanted[0]:
            return None
        number, row = self._places[place].tolist()
        data = self._batches[number].column("pixels")[row].as_buffer()
        if zlib.crc32(data) != self._batches[number].column("crc32")[row].as_py():
            return None
        pixels = np.frombuffer(data, np.uint8).reshape(self.side, self.side, 3)
        pixels.setflags(write=False)  # Arrow does not say that the map cannot be written to
        return pixels


def open_shards(folder: Path, side: int) -> Shards | None:
    """The shards in a folder; None while they are being made for the first time. Raises as `Shards`."""
    if not (folder / INDEX).is_file():
        return None
    try:
        return Shards(folder, side)
    except ImportError as error:
        raise DataError(f"The shards in {str(folder)!r} are read by pyarrow: pip install 'derm-sdk[many]'.") from error


def _about(cache: PhotoCache) -> dict[str, Any]:
    versions = {"preprocessing": PREPROCESSING_VERSION, "pillow": PIL.__version__}
    return {"side": cache.side, "fit": cache.fit, **versions}


def shard_key(cache: PhotoCache, photos: Sequence[Photo]) -> str:
    """Changes whenever a byte of the shard would."""
    text = json.dumps([FORMAT, _about(cache), [vars(photo) for photo in photos]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _schema(cache: PhotoCache, key: str) -> pa.Schema:
    import pyarrow as pa

    fields = [("digest", pa.binary(32)), *((name, pa.string()) for name in _COLUMNS), ("labels", pa.list_(pa.string()))]
    fields += [("fitzpatrick", pa.int8()), ("width", pa.int32()), ("height", pa.int32())]
    fields += [("crc32", pa.uint32()), ("pixels", pa.binary(cache.side * cache.side * 3))]
    return pa.schema(fields, metadata={"key": key})


def _batch(schema: pa.Schema, photos: Sequence[Photo], pixels: Sequence[Pixels]) -> pa.RecordBatch:
    import pyarrow as pa

    data = [each.tobytes() for each in pixels]
    columns: dict[str, list[Any]] = {name: [getattr(photo, name) for photo in photos] for name in _COLUMNS}
    columns |= {name: [getattr(photo, name) for photo in photos] for name in ("fitzpatrick", "width", "height")}
    columns |= {"digest": [bytes.fromhex(photo.digest) for photo in photos], "labels": [photo.labels for photo in photos]}
    columns |= {"crc32": [zlib.crc32(each) for each in data], "pixels": data}
    return pa.RecordBatch.from_pydict(columns, schema=schema)


def _has_key(path: Path, key: str) -> bool:
    try:
        return bool(list(_open_shard(path, key)))
    except (DataError, FileError):
        return False


def _open_shard(path: Path, key: str) -> Iterator[pa.RecordBatch]:
    """The record batches of a shard, over its memory map."""
    import pyarrow as pa

    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if (reader.schema.metadata or {}).get(b"key") != key.encode():
            raise DataError(f"{str(path)!r} is not the shard that {INDEX} names; prepare the data again.")
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate(full=True)
    except FileNotFoundError as error:
        raise DataError(f"The shard {str(path)!r} is missing; prepare the data again.") from error
    except (pa.ArrowInvalid, pa.ArrowException, KeyError) as error:
        raise DataError(f"{str(path)!r} is no whole shard; remove it and prepare the data again.") from error
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    yield from batches


def _read_index(folder: Path, side: int) -> list[dict[str, Any]]:
    path = folder / INDEX
    try:
        table = json.loads(path.read_bytes())
        rows = [{"file": str(row["file"]), "key": str(row["key"])} for row in table["shards"]]
        whole = table["format"] == FORMAT and table["side"] == side
        if not whole or any(Path(row["file"]).name != row["file"] for row in rows):
            raise ValueError(f"it must be of format {FORMAT} and side {side}, and name its shards")
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is damaged ({error}); remove it and prepare the data again.") from error
    return rows
