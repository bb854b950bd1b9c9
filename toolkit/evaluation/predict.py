"""Photos -> logits of every graph, in batches, from the exact cache: the bytes that the device computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.calibration import quality_measures

from ..data.cache import PhotoCache
from ..data.manifest import Photo
from ..training.feed import SkinType, batches_in_order, exact_photo, feed, recorded_skin_type

if TYPE_CHECKING:
    import keras

    from derm_sdk import Bundle

Logits = dict[str, NDArray[np.float32]]
Tick = Callable[[int, int], None]


def _quiet(done: int, total: int) -> None:
    """Reports no progress."""


def predict_models(
    models: Mapping[str, keras.Model],
    photos: Sequence[Photo],
    cache: PhotoCache,
    *,
    batch_size: int = 64,
    workers: int = 2,
    progress: Tick = _quiet,
    skin_type: SkinType = recorded_skin_type,
) -> Logits:
    """Runs every model on every photo; one batch of photos is in memory at a time.

    Args:
        models: {graph id: model}; inputs are named after their kind.
        photos: [N] of them.
        cache: the exact cache of the models' size.
        batch_size: photos per batch.
        workers: threads that prepare photos.
        progress: called with (photos done, photos in all).
        skin_type: photo -> 1..6 or None: what models that take it are told; the true one unless given.
    Returns:
        {graph id: float32 [N, labels]}, rows in the order of `photos`.
    """
    inputs = {graph: [each.name for each in model.inputs] for graph, model in models.items()}
    wanted = list(dict.fromkeys(name for names in inputs.values() for name in names))
    found: dict[str, list[Any]] = {graph: [] for graph in models}
    done = 0
    batches = batches_in_order(len(photos), batch_size)
    for indices, batch in feed(photos, batches, exact_photo(cache), wanted, workers, skin_type=skin_type):
        for graph, model in models.items():
            found[graph].append(np.asarray(model.predict_on_batch([batch[name] for name in inputs[graph]]), np.float32))
        done += len(indices)
        progress(done, len(photos))
    none = {graph: np.zeros((0, model.outputs[0].shape[-1]), np.float32) for graph, model in models.items()}
    return {graph: np.concatenate([none[graph], *rows]) for graph, rows in found.items()}


def predict_bundle(
    bundle: Bundle | bytes | str | Path,
    photos: Sequence[Photo],
    cache: PhotoCache,
    progress: Tick = _quiet,
    *,
    skin_type: SkinType = recorded_skin_type,
) -> Logits:
    """Runs a `.derm` file on every photo, as the device does.

    Args:
        bundle: it, its bytes, or its path.
        photos: [N] of them.
        cache: the exact cache of the bundle's size and fit.
        progress: called with (photos done, photos in all).
        skin_type: photo -> 1..6 or None: what a bundle that takes it is told; the true one unless given.
    Returns:
        {graph id: float32 [N, labels]}, rows in the order of `photos`.
    Raises:
        BundleError, RuntimeMissingError: the bundle cannot be opened.
    """
    from derm_sdk import Classifier

    rows: list[Mapping[str, NDArray[Any]]] = []
    with Classifier(bundle) as classifier:
        for photo in photos:
            rows.append(classifier.logits(cache.read(photo), fitzpatrick=skin_type(photo)))
            progress(len(rows), len(photos))
        none = {head.graph: np.zeros((0, len(head.labels)), np.float32) for head in classifier.composition.heads}
    return {graph: np.array([row[graph] for row in rows], np.float32) if rows else none[graph] for graph in none}


def measure_quality(photos: Iterable[Photo], cache: PhotoCache, root_logits: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """The SDK's quality measures of each photo, {measure: float64 [N]}; root_logits is [N, labels]."""
    rows = [quality_measures(cache.read(photo), logits) for photo, logits in zip(photos, root_logits, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]} if rows else {}
