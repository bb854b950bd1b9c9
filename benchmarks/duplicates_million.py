"""The neighbours of a million rows: time to build the index and to ask it, memory, and what it misses.

    python benchmarks/duplicates_million.py [--rows 1000000] [--planted 2000]

The rows are made up: 1,280 numbers with the few dozen directions of real features, drawn from crowds of uneven size, with
copies planted among them at cosines from 0.5 to 0.95. They are kept in half precision in a memory-mapped file, as features
would be. Recall is measured against comparing a sample of rows with all others: of the ten nearest, and of planted copies.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from derm_toolkit.data.neighbours.search import EXACT_UP_TO, Neighbours

WIDTH, DIRECTIONS, BLOCK, NEAREST, SAMPLE = 1280, 96, 20_000, 64, 300


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_rows(path: Path, count: int, planted: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows float16 [count, WIDTH], memory-mapped; and the places (original, copy) of what was planted."""
    random = np.random.default_rng(0)
    rows = np.lib.format.open_memmap(path, "w+", np.float16, (count, WIDTH))
    basis = np.linalg.qr(random.normal(size=(WIDTH, DIRECTIONS)))[0].T * (1 / np.arange(1, DIRECTIONS + 1) ** 0.5)[:, None]
    crowds = random.normal(size=(2000, DIRECTIONS))
    popular = random.dirichlet(np.full(2000, 0.3))
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        inner = 0.6 * crowds[random.choice(2000, n, p=popular)] + 0.8 * random.normal(size=(n, DIRECTIONS))
        noise = 0.012 * random.standard_normal((n, WIDTH), np.float32)
        rows[start : start + n] = unit(inner.astype(np.float32) @ basis.astype(np.float32) + noise)
    places = random.choice(count, (planted, 2), replace=False)
    wanted = np.linspace(0.5, 0.95, planted)
    for (original, copy), cosine in zip(places, wanted, strict=True):
        row = unit(rows[original].astype(np.float32)[None])[0]
        other = random.normal(size=DIRECTIONS) @ basis
        other -= (other @ row) * row
        rows[copy] = cosine * row + (1 - cosine**2) ** 0.5 * other / np.linalg.norm(other)
    rows.flush()
    return np.load(path, mmap_mode="r"), places


def brute(rows: np.ndarray, asked: np.ndarray, count: int) -> np.ndarray:
    """The nearest rows of the rows asked for, by comparing with all, themselves left out."""
    queries, best = rows[asked].astype(np.float32), np.full((len(asked), count), -2, np.float32)
    labels = np.zeros((len(asked), count), np.int64)
    for start in range(0, len(rows), BLOCK):
        products = queries @ rows[start : start + BLOCK].astype(np.float32).T
        own = np.flatnonzero((asked >= start) & (asked < start + products.shape[1]))
        products[own, asked[own] - start] = -2
        part = np.argpartition(-products, count, axis=1)[:, :count]
        values = np.concatenate([best, np.take_along_axis(products, part, axis=1)], axis=1)
        found = np.concatenate([labels, part + start], axis=1)
        order = np.argsort(-values, axis=1)[:, :count]
        best, labels = np.take_along_axis(values, order, axis=1), np.take_along_axis(found, order, axis=1)
    return labels


def clock(start: tuple[float, float]) -> str:
    return f"{time.perf_counter() - start[0]:,.0f} s ({time.process_time() - start[1]:,.0f} s of processor time)"


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def memory() -> str:
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB, with the mapped file's pages in it"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--planted", type=int, default=2000)
    options = parser.parse_args()
    if options.rows <= EXACT_UP_TO:
        parser.error(f"--rows must exceed {EXACT_UP_TO}; up to it every pair is compared.")
    with tempfile.TemporaryDirectory() as folder:
        start = now()
        rows, places = make_rows(Path(folder) / "rows.npy", options.rows, options.planted)
        print(f"{options.rows:,} rows made: {clock(start)}, {rows.nbytes / 1e9:.1f} GB on disk", flush=True)
        start = now()
        neighbours = Neighbours(rows)
        print(f"index built: {clock(start)}; {memory()}", flush=True)
        asked = np.concatenate([places[:, 0], np.random.default_rng(1).choice(options.rows, SAMPLE, replace=False)])
        start = now()
        labels, _ = neighbours.nearest(NEAREST, asked)
        seconds = time.perf_counter() - start[0]
        print(f"{len(asked):,} asked for {NEAREST} neighbours: {clock(start)}; all rows would take "
              f"{seconds * options.rows / len(asked) / 60:.0f} minutes at this rate", flush=True)  # fmt: skip
        start = now()
        truth = brute(rows, asked[-SAMPLE:], 10)
        hit = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(labels[-SAMPLE:].tolist(), truth.tolist(), strict=True)])
        print(f"of the 10 nearest of {SAMPLE} rows {hit:.1%} are found; comparing with all took {clock(start)}")
        found = np.array([copy in row for row, (_, copy) in zip(labels.tolist(), places.tolist(), strict=False)])
        for low in (0.5, 0.6, 0.7, 0.8, 0.9):
            cosines = np.linspace(0.5, 0.95, len(found))
            chosen = (cosines >= low) & (cosines < low + 0.1)
            print(f"planted copies at a cosine of {low:.1f} to {min(0.95, low + 0.1):.2f}: {found[chosen].mean():.1%} found")
        print(memory())


if __name__ == "__main__":
    main()
