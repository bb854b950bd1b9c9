"""What is compared when near duplicates are sought: of every photo a thumbnail, EfficientNet-Lite0 features, and points.

Descriptors are cached in chunks, keyed by photo digest: an interrupted run goes on where it stopped, and a data set that
grew costs only its new photos. A damaged or foreign chunk is ignored and computed again (`neighbours.store`).
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.image import read_image
from derm_sdk.preprocess import PREPROCESSING_VERSION, derive_inputs, resize

from ..models.weights import SOURCES, find_weights
from .manifest import Dataset, Photo
from .neighbours import keypoints
from .neighbours.store import RecordStore

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
        points: records of `neighbours.keypoints`, on disk where there is a cache; none for the method "hash".
    """

    pixels: tuple[str, ...]
    thumbnails: NDArray[np.uint8]
    features: Features
    points: Sequence[Any] = ()


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
        method: "embedding" (all of them; about 30 photos a second and core) or "hash" (thumbnail alone).
        cache: a folder for the chunks; None keeps nothing.
        progress: called with (photos done, photos in all).
    Raises:
        ImageError, FileError: a photo cannot be read.
        WeightsError: the ImageNet weights are missing or damaged.
    """
    store = RecordStore(Path(cache) / f"{method}-{_version(method)}", _dtype(method)) if cache is not None else None
    known: dict[str, Any] = store.read() if store is not None else {}
    missing = [photo for photo in dataset.photos if photo.digest not in known]
    done = len(dataset.photos) - len(missing)
    embed = _embedder() if method == "embedding" and missing else None
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        records = np.zeros(len(chunk), _dtype(method))
        filled = 0
        for batch in _batches(dataset, chunk, method):
            records[filled : filled + len(batch)] = _describe_batch(batch, embed, method)
            filled += len(batch)
            if progress is not None:
                progress(done + start + filled, len(dataset.photos))
        if store is not None:
            store.write(records)
        else:
            known.update((photo.digest, record) for photo, record in zip(chunk, records, strict=True))
    if store is not None and missing:
        known = store.read()
    found = [known[photo.digest] for photo in dataset.photos]
    return Descriptors(
        tuple(record["pixels"].decode() for record in found),
        np.stack([record["thumbnail"] for record in found]),
        np.stack([record["features"] for record in found]),
        [record["points"] for record in found] if method == "embedding" else (),
    )


# --- Computing --------------------------------------------------------------------------------------------------------

_Loaded = tuple[NDArray[Any], NDArray[np.uint8]]  # a record that lacks its features, and the picture for them
_Embed = Callable[[NDArray[np.uint8]], Features]


def _load(path: Path, key: str, method: str) -> _Loaded:
    pixels = read_image(path)
    record = np.zeros((), _dtype(method))
    record["key"] = key
    record["pixels"] = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
    record["thumbnail"] = derive_inputs(resize(pixels, THUMBNAIL, "stretch"), ("gray",))["gray"][..., 0]
    if method == "embedding":
        record["points"] = keypoints.describe_points(pixels, key)
    return record, resize(pixels, SIZE, "stretch")


def _batches(dataset: Dataset, photos: Sequence[Photo], method: str) -> Iterator[list[_Loaded]]:
    """Loads photos in threads, two batches ahead at most."""
    waiting: deque[Future[_Loaded]] = deque()
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    try:
        batch: list[_Loaded] = []
        for photo in photos:
            waiting.append(pool.submit(_load, dataset.path(photo), photo.digest, method))
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


def _describe_batch(batch: Sequence[_Loaded], embed: _Embed | None, method: str) -> NDArray[Any]:
    records = np.zeros(len(batch), _dtype(method))
    for place, (record, _) in enumerate(batch):
        records[place] = record
    if embed is not None:
        images = np.zeros((BATCH, SIZE, SIZE, 3), np.uint8)  # always a whole batch: one graph, and the same bits each time
        images[: len(batch)] = [image for _, image in batch]
        records["features"] = embed(images)[: len(batch)]
    return records


def _embedder() -> _Embed:
    from ..training.backend import load_keras

    load_keras()  # quietly
    from ..models.efficientnet_lite import efficientnet_lite
    from ..models.weights import load_pretrained

    model = load_pretrained(efficientnet_lite("lite0", SIZE), "lite0")
    return lambda images: np.asarray(model.predict_on_batch(images.astype(np.float32)), np.float32)


# --- The cache --------------------------------------------------------------------------------------------------------


def _dtype(method: str) -> np.dtype[Any]:
    fields: list[Any] = [("key", "S64"), ("pixels", "S64"), ("thumbnail", np.uint8, (THUMBNAIL, THUMBNAIL))]
    width = 1280 if method == "embedding" else 0
    points = [("points", keypoints.RECORD)] if method == "embedding" else []
    return np.dtype([*fields, ("features", np.float32, (width,)), *points])


def _version(method: str) -> str:
    """Changes whenever a descriptor would."""
    weights = f"{SOURCES['lite0'].sha256} {keypoints.VERSION}" if method == "embedding" else ""
    return hashlib.sha256(f"2 {PREPROCESSING_VERSION} {SIZE} {THUMBNAIL} {weights}".encode()).hexdigest()[:12]
