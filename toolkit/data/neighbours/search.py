"""The nearest rows of every row, by faiss: exactly for small collections, by an inverted index for large ones.

Up to 20,000 rows every pair is compared, in blocks: at that size it takes less time than an index takes to build. Above,
rows are reduced to 128 principal components and dealt to about 4 sqrt(n) lists; a query looks into the 24 lists nearest to
it, and what it finds there is put in order by the exact product of the whole rows. The work grows with n sqrt(n), memory
with n: `benchmarks/duplicates_million.py` measures both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Indices = NDArray[np.int64]

EXACT_UP_TO = 20_000
COMPONENTS = 128
PROBES = 24
_TRAINED_ON = 100_000
_BLOCK = 1024
_RANKED = 128  # queries whose candidates are gathered at once: 128 * 65 * 1280 floats are 43 MB


def nearest(rows: Rows, count: int, others: Rows | None = None) -> tuple[Indices, Rows]:
    """The most similar rows of each row, itself left out.

    Args:
        rows: float32 [n, d], each of length 1: a product is a cosine.
        count: how many are wanted of each.
        others: [n, d], searched instead of `rows`; its row i counts as the same thing as row i.
    Returns:
        Indices and cosines, each [n, min(count, n - 1)], the most similar first. Above EXACT_UP_TO rows a neighbour may be
        missed; an index of -1, with a cosine of -1, fills the end of a row for which too few were found.
    """
    others = rows if others is None else others
    count = min(count, len(rows) - 1)
    if len(rows) <= EXACT_UP_TO:
        import faiss

        index = faiss.IndexFlatIP(rows.shape[1])
        index.add(np.ascontiguousarray(others, np.float32))
        return _search(index, rows, count)
    return _ranked(build_index(others), rows, others, count)


def build_index(rows: Rows) -> Any:
    """An inverted index of rows [n, d], in half precision: about 270 bytes a row."""
    import faiss

    components, lists = min(COMPONENTS, rows.shape[1]), max(1, int(4 * len(rows) ** 0.5))
    chosen = np.sort(np.random.default_rng(0).choice(len(rows), min(len(rows), _TRAINED_ON), replace=False))
    sample = np.ascontiguousarray(rows[chosen], np.float32)
    index = faiss.index_factory(rows.shape[1], f"PCA{components},L2norm,IVF{lists},SQfp16", faiss.METRIC_INNER_PRODUCT)
    inner = faiss.extract_index_ivf(index)
    inner.cp.niter, inner.cp.seed = 8, 1
    inner.cp.min_points_per_centroid = 1
    index.train(sample)
    for start in range(0, len(rows), 16 * _BLOCK):
        index.add(np.ascontiguousarray(rows[start : start + 16 * _BLOCK], np.float32))
    inner.nprobe = min(PROBES, lists)
    return index


def _search(index: Any, rows: Rows, count: int, start: int = 0) -> tuple[Indices, Rows]:
    """What the index finds, without each row itself, whose number is its place plus `start`."""
    indices, cosines = np.empty((len(rows), count), np.int64), np.empty((len(rows), count), np.float32)
    for at in range(0, len(rows), _BLOCK):
        block = np.ascontiguousarray(rows[at : at + _BLOCK], np.float32)
        found, found_labels = index.search(block, count + 1)
        own = found_labels == np.arange(start + at, start + at + len(block))[:, None]
        own[:, -1] |= ~own.any(axis=1)  # copies of it filled the list: the last one goes
        kept = np.where(~own)
        indices[at : at + _BLOCK] = found_labels[kept].reshape(len(block), count)
        cosines[at : at + _BLOCK] = found[kept].reshape(len(block), count)
    return indices, cosines


def _ranked(index: Any, rows: Rows, others: Rows, count: int) -> tuple[Indices, Rows]:
    indices, cosines = np.empty((len(rows), count), np.int64), np.empty((len(rows), count), np.float32)
    for start in range(0, len(rows), 16 * _BLOCK):
        block = rows[start : start + 16 * _BLOCK]
        labels, _ = _search(index, block, count, start)
        for at in range(0, len(block), _RANKED):
            part = labels[at : at + _RANKED]
            exact = np.einsum("qd,qkd->qk", block[at : at + _RANKED], others[np.maximum(part, 0)], dtype=np.float32)
            exact[part < 0] = -1
            order = np.argsort(-exact, axis=1, kind="stable")
            place = slice(start + at, start + at + len(part))
            indices[place] = np.take_along_axis(part, order, axis=1)
            cosines[place] = np.take_along_axis(exact, order, axis=1)
    return indices, cosines
