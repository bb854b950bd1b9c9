"""Records about photos on disk, in chunks that are memory-mapped: what was computed once is not computed again.

A chunk is a .npy file of a structured array whose field `key` says what a record is about; its name is the SHA-256 of its
bytes, so that a damaged, cut or foreign file is known by its name, ignored, and its records computed again. Chunks are
written whole, never changed, and may be added by several processes at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.files import write_bytes


class RecordStore:
    """Records of one dtype in a folder.

    Args:
        folder: for the chunks; made when the first is written.
        dtype: structured, with a field `key` of fixed-length bytes.
    """

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        self.folder = folder
        self.dtype = dtype

    def read(self) -> dict[str, Any]:
        """Key -> record (np.void), backed by the files: nothing is in memory until it is looked at."""
        return {
            bytes(key).decode("ascii", "replace"): chunk[i] for chunk in self._chunks() for i, key in enumerate(chunk["key"])
        }

    def look_up(self, records: NDArray[Any]) -> NDArray[np.bool_]:
        """Fills in, in place, the records [n] whose keys are known; returns which these are."""
        chunks = list(self._chunks())
        if not chunks or not len(records):
            return np.zeros(len(records), np.bool_)
        stored = np.concatenate(chunks)
        stored = stored[np.argsort(stored["key"], kind="stable")]
        places = np.minimum(np.searchsorted(stored["key"], records["key"]), len(stored) - 1)
        known = stored["key"][places] == records["key"]
        records[known] = stored[places[known]]
        return known

    def write(self, records: NDArray[Any]) -> None:
        """Adds a chunk of records [n], of this store's dtype."""
        file = io.BytesIO()
        np.save(file, records.astype(self.dtype, copy=False), allow_pickle=False)
        data = file.getvalue()
        write_bytes(self.folder / f"{hashlib.sha256(data).hexdigest()[:32]}.npy", data)

    def _chunks(self) -> Iterator[NDArray[Any]]:
        for path in sorted(self.folder.glob("*.npy")):
            with contextlib.suppress(OSError, ValueError, EOFError):
                if _digest(path)[:32] == path.stem:
                    chunk = np.load(path, mmap_mode="r", allow_pickle=False)
                    if chunk.dtype == self.dtype and chunk.ndim == 1:
                        yield chunk


def _digest(path: Path) -> str:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return hashlib.sha256(mapped).hexdigest()
