"""Pairs of photos that may be the same, each with its score and the reason it was found."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .geometry import LEAST_POINTS, VERSION, Alignment, align
from .search import Indices, Rows
from .store import RecordStore

KINDS = {
    "same pixels": "the same pixels in other bytes",
    "same picture": "one can be laid over the other: a copy, however cropped, turned, mirrored or stamped, or a second shot",
    "same thumbnail": "the same at 16 x 16 pixels",
    "alike": "much alike to the network: another shot, or another patient who looks the same",
}
LEAST_COSINE = 0.10
_CHUNK = 2048
_RECORD = np.dtype(
    [
        *(("key", "S64"), ("points", np.uint16), ("correlation", np.float32), ("overlap", np.float32)),
        *(("mirrored", np.bool_), ("spread", np.float32)),
    ]
)


@dataclass(frozen=True)
class Pair:
    """Two photos that were found to resemble each other.

    Attributes:
        first, second: their places in the data set, first < second.
        kind: one of KINDS.
        cosine: of their standardised features, -1..1; None for a method without features.
        alignment: how one lies in the other; None where that was not tried.
        together: whether they ended up in one cluster.
    """

    first: int
    second: int
    kind: str
    cosine: float | None = None
    alignment: Alignment | None = None
    together: bool = True

    @property
    def score(self) -> float:
        """How surely they belong together, 0..1: 1 for the same pixels, else the correlation or the cosine that counts."""
        if self.kind == "same pixels":
            return 1.0
        if self.kind == "same picture" and self.alignment is not None:
            return round(self.alignment.correlation, 3)
        return round(max(0.0, self.cosine or 0.0), 3)


def candidates(indices: Indices, cosines: Rows, others: Sequence[tuple[int, int]] = ()) -> Indices:
    """Pairs worth an alignment, each photo with its nearest neighbours, and others: places [n, 2], every pair once."""
    rows, ranks = np.nonzero((cosines >= LEAST_COSINE) & (indices >= 0))
    both = np.stack([rows, indices[rows, ranks]], axis=1)
    both.sort(axis=1)
    return np.unique(np.concatenate([both, np.array(others, both.dtype).reshape(-1, 2)]), axis=0)


def alignments(
    points: Sequence[Any],
    wanted: Indices,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[tuple[int, int], Alignment]:
    """Lays photos over each other, in threads; what the cache knows is not done again.

    Args:
        points: records of `keypoints.describe_points`, one per photo.
        wanted: [n, 2], places of photos, the smaller first.
        cache: a folder; None keeps nothing.
        progress: called with (pairs done, pairs in all).
    Returns:
        The pairs that have at least LEAST_POINTS points in common.
    """
    from threadpoolctl import threadpool_limits

    store = RecordStore(Path(cache) / f"alignments-{VERSION}", _RECORD) if cache is not None else None
    records = np.zeros(len(wanted), _RECORD)
    records["key"] = [_key(points[a]["key"], points[b]["key"]) for a, b in wanted.tolist()]
    missing = np.flatnonzero(~store.look_up(records)) if store is not None else np.arange(len(wanted))
    done = len(wanted) - len(missing)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # threads in threads wait
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            runs = [wanted[chunk[at : at + 64]].tolist() for at in range(0, len(chunk), 64)]
            filled = 0
            for found in pool.map(lambda run: [align(points[a], points[b]) for a, b in run], runs):
                for alignment in found:
                    records[chunk[filled]] = (records["key"][chunk[filled]], *_values(alignment))
                    filled += 1
                if progress is not None:
                    progress(done + start + filled, len(wanted))
            if store is not None:
                store.write(records[chunk])
    return {
        (int(a), int(b)): Alignment(
            int(each["points"]),
            float(each["correlation"]),
            float(each["overlap"]),
            bool(each["mirrored"]),
            float(each["spread"]),
        )
        for enough in [records["points"] >= LEAST_POINTS]
        for (a, b), each in zip(wanted[enough], records[enough], strict=True)
    }


def _values(alignment: Alignment) -> tuple[int, float, float, bool, float]:
    return alignment.points, alignment.correlation, alignment.overlap, alignment.mirrored, alignment.spread


def _key(first: bytes, second: bytes) -> bytes:
    """The order counts: an alignment one way is not exactly that of the other way."""
    return hashlib.sha256(bytes(first) + bytes(second)).hexdigest().encode()
