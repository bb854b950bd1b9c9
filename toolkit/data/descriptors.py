"""What is compared when near duplicates are sought: a thumbnail of every photo, and its EfficientNet-Lite0 features.

Descriptors are cached in chunks, keyed by photo digest: an interrupted run goes on where it stopped, and a data set that
grew costs only its new photos. A damaged or foreign chunk is ignored and computed again.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.files import write_bytes
from derm_sdk.image import read_image
from derm_sdk.preprocess import PREPROCESSING_VERSION, derive_inputs, resize

from ..models.weights import SOURCES, find_weights
from .manifest import Dataset, Photo

THUMBNAIL = 16
SIZE = 224
CHUNK = 256
BATCH = 32
METHODS = ("embedding", "hash")

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Descriptors:
    """One row per photo of the data set, in its order.

    Attributes:
        pixels: SHA-256 over size and pixels of the decoded photo.
        thumbnails: gray uint8 [n, 16, 16], the whole photo, area-averaged.
        features: float32 [n, 1280], or [n, 0] for the method "hash".
    """

    pixels: tuple[str, ...]
    thumbnails: NDArray[np.uint8]
    features: Features


def available_method() -> str:
    """ "embedding" where the ImageNet weights and Keras are installed, else "hash"."""
    import importlib.util

    found = find_weights("lite0") is not None and importlib.util.find_spec("keras") is not None
    return "embedding" if found else "hash"


def describe(
    dataset: Dataset,
    method: str,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Descriptors:
    """Computes, or reads from the cache, the descriptors of every photo.

    Args:
        dataset: whose photos.
        method: "embedding" (thumbnail and features; about 60 photos a second and core) or "hash" (thumbnail alone).
        cache: a folder for the chunks; None keeps nothing.
        progress: called with (photos done, photos in all).
    Raises:
        ImageError, FileError: a photo cannot be read.
        WeightsError: the ImageNet weights are missing or damaged.
    """
    folder = Path(cache) / f"{method}-{_version(method)}" if cache is not None else None
    known = _read_chunks(folder, method) if folder is not None else {}
    missing = [photo for photo in dataset.photos if photo.digest not in known]
    done = len(dataset.photos) - len(missing)
    embed = _embedder() if method == "embedding" and missing else None
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        rows: list[_Row] = []
        for batch in _batches(dataset, chunk):
            rows += _describe_batch(batch, embed)
            if progress is not None:
                progress(done + start + len(rows), len(dataset.photos))
        if folder is not None:
            _write_chunk(folder, chunk, rows)
        known.update((photo.digest, row) for photo, row in zip(chunk, rows, strict=True))
    found = [known[photo.digest] for photo in dataset.photos]
    return Descriptors(
        tuple(pixels for pixels, _, _ in found),
        np.stack([thumbnail for _, thumbnail, _ in found]),
        np.stack([features for _, _, features in found]),
    )


# --- Computing --------------------------------------------------------------------------------------------------------

_Row = tuple[str, NDArray[np.uint8], Features]
_Loaded = tuple[str, NDArray[np.uint8], NDArray[np.uint8]]
_Embed = Callable[[NDArray[np.uint8]], Features]


def _load(path: Path) -> _Loaded:
    pixels = read_image(path)
    digest = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
    thumbnail = derive_inputs(resize(pixels, THUMBNAIL, "stretch"), ("gray",))["gray"][..., 0]
    return digest, thumbnail, resize(pixels, SIZE, "stretch")


def _batches(dataset: Dataset, photos: Sequence[Photo]) -> Iterator[list[_Loaded]]:
    """Loads photos in threads, two batches ahead at most."""
    waiting: deque[Future[_Loaded]] = deque()
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    try:
        batch: list[_Loaded] = []
        for photo in photos:
            waiting.append(pool.submit(_load, dataset.path(photo)))
            if len(waiting) > 2 * BATCH:
                batch.append(waiting.popleft().result())
            if len(batch) == BATCH:
                yield batch
                batch = []
        for future in waiting:
            batch.append(future.result())
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _describe_batch(batch: Sequence[_Loaded], embed: _Embed | None) -> list[_Row]:
    if embed is None:
        features = np.zeros((len(batch), 0), np.float32)
    else:
        images = np.zeros((BATCH, SIZE, SIZE, 3), np.uint8)  # always a whole batch: one graph, and the same bits each time
        images[: len(batch)] = [image for _, _, image in batch]
        features = embed(images)[: len(batch)]
    return [(pixels, thumbnail, row) for (pixels, thumbnail, _), row in zip(batch, features, strict=True)]


def _embedder() -> _Embed:
    from ..training.backend import load_keras

    load_keras()  # quietly
    from ..models.efficientnet_lite import efficientnet_lite
    from ..models.weights import load_pretrained

    model = load_pretrained(efficientnet_lite("lite0", SIZE), "lite0")
    return lambda images: np.asarray(model.predict_on_batch(images.astype(np.float32)), np.float32)


# --- The cache --------------------------------------------------------------------------------------------------------


def _version(method: str) -> str:
    """Changes whenever a descriptor would."""
    weights = SOURCES["lite0"].sha256 if method == "embedding" else ""
    return hashlib.sha256(f"1 {PREPROCESSING_VERSION} {SIZE} {THUMBNAIL} {weights}".encode()).hexdigest()[:12]


def _write_chunk(folder: Path, photos: Sequence[Photo], rows: Sequence[_Row]) -> None:
    file = io.BytesIO()
    arrays: dict[str, Any] = {
        "digests": np.array([photo.digest for photo in photos], "S64"),
        "pixels": np.array([pixels for pixels, _, _ in rows], "S64"),
        "thumbnails": np.stack([thumbnail for _, thumbnail, _ in rows]),
        "features": np.stack([features for _, _, features in rows]),
    }
    np.savez(file, **arrays)
    name = hashlib.sha256("".join(photo.digest for photo in photos).encode()).hexdigest()[:16]
    write_bytes(folder / f"{name}.npz", file.getvalue())


def _read_chunks(folder: Path, method: str) -> dict[str, _Row]:
    known: dict[str, _Row] = {}
    width = 1280 if method == "embedding" else 0
    for path in sorted(folder.glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as file:
                digests, pixels = file["digests"].astype(str), file["pixels"].astype(str)
                thumbnails, features = file["thumbnails"], file["features"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            continue
        count = len(digests)
        shapes = (pixels.shape, thumbnails.shape, features.shape)
        if shapes != ((count,), (count, THUMBNAIL, THUMBNAIL), (count, width)):
            continue
        if thumbnails.dtype != np.uint8 or features.dtype != np.float32 or not np.isfinite(features).all():
            continue
        known.update((str(d), (str(p), t, f)) for d, p, t, f in zip(digests, pixels, thumbnails, features, strict=True))
    return known
