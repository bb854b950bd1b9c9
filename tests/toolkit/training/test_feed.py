"""The feed: the same batches for any number of workers, in order, a few at a time."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import derm_sdk
from derm_toolkit.data.augment import Augmentation
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.errors import DataError
from derm_toolkit.training.feed import (
    augmented_photo,
    batches_in_order,
    dropped_skin_type,
    exact_photo,
    feed,
    shuffled_batches,
)


def test_exact_batches_are_what_the_device_prepares(tiny_data: Dataset):
    cache, inputs = PhotoCache(tiny_data, 16, "crop"), ("equalized", "otsu", "gray", "rgb")
    photos = tiny_data.photos[:7]
    for indices, batch in feed(photos, batches_in_order(7, 3), exact_photo(cache), inputs, 2):
        for place, index in enumerate(indices):
            expected = derm_sdk.prepare(tiny_data.path(photos[index]), 16, "crop", inputs)
            for name in inputs:
                assert np.array_equal(batch[name][place], expected[name])


def test_the_number_of_workers_changes_no_byte(tiny_data: Dataset):
    cache = PhotoCache(tiny_data, 16, "crop", margin=1.25)
    settings = Augmentation(rotation=40.0, crop=(0.5, 1.0), brightness=(0.5, 1.5), channel_shift=9.0)
    view = augmented_photo(cache, 16, settings, seed=5, epoch=2)
    batches = shuffled_batches(30, 4, np.random.default_rng(1))
    streams = [list(feed(tiny_data.photos[:30], batches, view, ("rgb", "otsu"), workers)) for workers in (1, 2, 7)]
    for other in streams[1:]:
        for (indices, batch), (other_indices, other_batch) in zip(streams[0], other, strict=True):
            assert np.array_equal(indices, other_indices)
            assert all(np.array_equal(batch[name], other_batch[name]) for name in batch)


def test_the_skin_type_comes_in_the_batch_where_it_is_asked_for(tiny_data: Dataset):
    photos, cache = tiny_data.photos[:9], PhotoCache(tiny_data, 16, "crop")
    fed = [batch for _, batch in feed(photos, batches_in_order(9, 4), exact_photo(cache), ("rgb", "skin_type"), 2)]
    types = np.concatenate([batch["skin_type"] for batch in fed])
    assert (types.dtype, types.shape) == (np.uint8, (9, 7))
    assert types.argmax(axis=1).tolist() == [photo.fitzpatrick or 0 for photo in photos]
    assert (types.sum(axis=1, dtype=int) == 255).all()
    told = feed(photos, batches_in_order(9, 4), exact_photo(cache), ("skin_type",), 2, skin_type=lambda photo: 5)
    assert all((batch["skin_type"].argmax(axis=1) == 5).all() for _, batch in told)


def test_a_dropped_skin_type_belongs_to_seed_epoch_and_photo(tiny_data: Dataset):
    known = [photo for photo in tiny_data.photos if photo.fitzpatrick]

    def drawn(share: float, seed: int, epoch: int, photos=known) -> dict[str, int | None]:
        view = dropped_skin_type(share, seed, epoch)
        return {photo.digest: view(photo) for photo in photos}

    first = drawn(0.4, 3, 0)
    assert first == drawn(0.4, 3, 0, known[::-1])
    assert first != drawn(0.4, 3, 1) and first != drawn(0.4, 4, 0)
    assert all(first[photo.digest] in (None, photo.fitzpatrick) for photo in known)
    kept = [value for epoch in range(20) for value in drawn(0.4, 3, epoch).values()]
    assert 0.36 < sum(value is None for value in kept) / len(kept) < 0.44
    assert drawn(0, 3, 0) == {photo.digest: photo.fitzpatrick for photo in known}
    assert set(drawn(1, 3, 0).values()) == {None}


def test_only_a_few_batches_are_prepared_ahead(tiny_data: Dataset):
    seen, lock = [], threading.Lock()

    def view(photo):
        with lock:
            seen.append(photo)
        return np.zeros((16, 16, 3), np.uint8)

    stream = feed(tiny_data.photos[:60], batches_in_order(60, 2), view, ("rgb",), 2)
    next(stream)
    stream.close()
    assert len(seen) <= 2 * (2 + 2)


def test_an_error_in_a_worker_reaches_the_caller(tiny_data: Dataset):
    def view(photo):
        raise DataError("the photo is gone")

    with pytest.raises(DataError, match="the photo is gone"):
        list(feed(tiny_data.photos[:9], batches_in_order(9, 2), view, ("rgb",), 2))
