"""Photos -> batches of a network's inputs, prepared by threads a few batches ahead. Bounded memory, any number of photos."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from derm_sdk.image import Pixels
from derm_sdk.inputs import network_inputs

from ..data.augment import Augmentation, augment, random_stream
from ..data.cache import PhotoCache
from ..data.manifest import Photo

Indices = NDArray[np.int64]
Batch = Mapping[str, Pixels]
SkinType = Callable[[Photo], int | None]
_DROPPING = 1  # sets its random numbers apart from those of the augmentation


def exact_photo(cache: PhotoCache) -> Callable[[Photo], Pixels]:
    """How the device sees a photo: uint8 [S, S, 3] out of the exact cache."""
    return cache.read


def augmented_photo(
    cache: PhotoCache, size: int, settings: Augmentation, seed: int, epoch: int
) -> Callable[[Photo], Pixels]:
    """How a network sees a photo in an epoch of its training: uint8 [S, S, 3], drawn from the canvas."""
    return lambda photo: augment(cache.read(photo), size, settings, random_stream(seed, epoch, photo.digest))


def recorded_skin_type(photo: Photo) -> int | None:
    """The skin type that the data set records: 1..6, or None when unknown."""
    return photo.fitzpatrick


def dropped_skin_type(share: float, seed: int, epoch: int) -> SkinType:
    """The recorded skin type, but unknown for a share of the photos, drawn anew in each epoch.

    So a network learns to answer without a skin type, too. The draw belongs to (seed, epoch, photo), as the augmentation's
    does, and is independent of it.

    Args:
        share: probability that a photo's type is taken away, 0..1.
        seed: of the training, 0 or more.
        epoch: 0 or more.
    Returns:
        photo -> 1..6 or None.
    """

    def skin_type(photo: Photo) -> int | None:
        stream = np.random.Generator(np.random.PCG64((seed, epoch, int(photo.digest, 16), _DROPPING)))
        return None if stream.random() < share else photo.fitzpatrick

    return skin_type


def shuffled_batches(count: int, batch_size: int, stream: np.random.Generator) -> list[Indices]:
    """An epoch's batches: every photo once, in random order, sizes differing by at most one.

    A short rest would be a noisy step, and one of a single photo breaks batch normalisation.
    """
    return np.array_split(stream.permutation(count), steps_per_epoch(count, batch_size))


def batches_in_order(count: int, batch_size: int) -> list[Indices]:
    """Every photo once, in order, sizes differing by at most one; no batch where there is no photo."""
    return np.array_split(np.arange(count), -(-count // batch_size)) if count else []


def steps_per_epoch(count: int, batch_size: int) -> int:
    """How many batches `shuffled_batches` makes; never one of a single photo, where there are two."""
    return max(1, min(-(-count // batch_size), count // 2))


def feed(
    photos: Sequence[Photo],
    batches: Sequence[Indices],
    view: Callable[[Photo], Pixels],
    inputs: Sequence[str],
    workers: int,
    *,
    skin_type: SkinType = recorded_skin_type,
) -> Iterator[tuple[Indices, Batch]]:
    """Yields (indices, {input: uint8}) batch by batch, in the order of `batches`.

    A picture is [N, S, S, channels], the skin type [N, 7].

    Args:
        photos: all of them.
        batches: which photos are in each batch.
        view: photo -> uint8 [S, S, 3]; runs in several threads at once.
        inputs: names out of derm_sdk.inputs.INPUT_KINDS, made by the device's own code.
        workers: threads; at most workers + 2 batches exist at a time.
        skin_type: photo -> 1..6 or None; without effect unless the inputs hold "skin_type". Runs in several threads at once.
    Raises:
        DermError: as `view`.
    """
    cv2.setNumThreads(1)  # the parallelism is over batches

    def prepare(indices: Indices) -> tuple[Indices, Batch]:
        arrays: dict[str, Pixels] = {}
        for place, index in enumerate(indices):
            photo = photos[index]
            for name, array in network_inputs(view(photo), skin_type(photo), inputs).items():
                if name not in arrays:
                    arrays[name] = np.empty((len(indices), *array.shape), np.uint8)
                arrays[name][place] = array
        return indices, arrays

    pool = ThreadPoolExecutor(workers, thread_name_prefix="feed")
    try:
        waiting = iter(batches)
        ahead: deque[Future[tuple[Indices, Batch]]] = deque(
            pool.submit(prepare, each) for each in islice(waiting, workers + 1)
        )
        while ahead:
            ready = ahead.popleft().result()
            ahead.extend(pool.submit(prepare, each) for each in islice(waiting, 1))
            yield ready
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
