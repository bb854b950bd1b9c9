"""The nearest rows of every row, by faiss: exactly for small collections, by an inverted index for large ones.

Up to 20,000 rows every pair is compared, in blocks: at that size it takes less time than an index takes to build. Above,
rows are reduced to 128 principal components and dealt to about 4 sqrt(n) lists; a query looks into the 128 lists nearest to
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
PROBES = 128
_TRAINED_ON = 100_000
_BLOCK = 1024
_RANKED = 128  # queries whose candidates are gathered at once: 128 * 64 * 1280 floats are 42 MB


class Neighbours:
    """Rows that can be asked which of them are nearest.

    Args:
        rows: float32 or float16 [n, d], each of length 1, so that a product is a cosine; may be memory-mapped.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.exact = len(rows) <= EXACT_UP_TO
        self._index = _flat_index(rows) if self.exact else _inverted_index(rows)

    def nearest(self, count: int, places: Indices | None = None, queries: Rows | None = None) -> tuple[Indices, Rows]:
        """The most similar rows of each row, itself left out.

        Args:
            count: how many are wanted of each.
            places: [q], of the rows to ask for; None asks for all.
            queries: [n, d], other looks of the same rows to ask with, such as mirrored ones; None asks with the rows.
        Returns:
            Places and cosines, each [q, min(count, n - 1)], the most similar first. Above EXACT_UP_TO rows a neighbour may
            be missed; a place of -1, with a cosine of -1, fills the end of a row for which too few were found.
        """
        count = min(count, len(self.rows) - 1)
        places = np.arange(len(self.rows)) if places is None else places
        queries = self.rows if queries is None else queries
        found, cosines = np.empty((len(places), count), np.int64), np.empty((len(places), count), np.float32)
        for at in range(0, len(places), _BLOCK):
            block = slice(at, at + _BLOCK)
            asked = np.ascontiguousarray(queries[places[block]], np.float32)
            found[block], cosines[block] = _without_itself(*self._index.search(asked, count + 1), places[block])
            if not self.exact:
                for start in range(at, min(at + _BLOCK, len(places)), _RANKED):
                    part = slice(start, min(start + _RANKED, at + _BLOCK))
                    found[part], cosines[part] = _ranked(self.rows, asked[start - at : start - at + _RANKED], found[part])
        return found, cosines


def _flat_index(rows: Rows) -> Any:
    import faiss

    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(np.ascontiguousarray(rows, np.float32))
    return index


def _inverted_index(rows: Rows) -> Any:
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


def _without_itself(cosines: Rows, labels: Indices, own: Indices) -> tuple[Indices, Rows]:
    itself = labels == own[:, None]
    itself[:, -1] |= ~itself.any(axis=1)  # copies of it filled the list: the last one goes
    shape = len(labels), labels.shape[1] - 1
    return labels[~itself].reshape(shape), cosines[~itself].reshape(shape)


def _ranked(rows: Rows, asked: Rows, found: Indices) -> tuple[Indices, Rows]:
    """What an inverted index found, in the order of the exact cosines."""
    exact = np.einsum("qd,qkd->qk", asked, np.asarray(rows[np.maximum(found, 0)], np.float32))
    exact[found < 0] = -1
    order = np.argsort(-exact, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(exact, order, axis=1)
