"""A data set prepared in parts: shards of resized photos, and descriptors of near duplicates, on one machine or many.

The parts are the same however many workers there are, and each is a pure function of the photos in it: the same bytes come
out. On several machines, Dask hands them out; the data set, its photos and its cache must lie where all of them see them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from derm_sdk.errors import OptionError

from ..errors import DataError
from .cache import SHARDS, PhotoCache
from .descriptors import CHUNK, describe
from .manifest import Dataset, read_dataset
from .shards import SHARD_PHOTOS, shard_key, shard_ranges, write_index, write_shard

if TYPE_CHECKING:
    from distributed import Client

Tick = Callable[[int, int], None]
_PARTS_AT_ONCE = 4  # per worker; those behind them wait here, not in the scheduler's memory


@dataclass(frozen=True)
class Recipe:
    """What is made of the photos; small enough to travel to every worker.

    Attributes:
        folder: of the data set, as the workers see it.
        dataset: its digest; a worker that sees another data set there refuses.
        size, fit, decode, margin: as for `PhotoCache`.
        root: folder of all caches; None for the data set's own.
    """

    folder: str
    dataset: str
    size: int
    fit: str
    decode: str = "full"
    margin: float | None = None
    root: str | None = None

    def cache(self) -> PhotoCache:
        """The cache that is filled."""
        dataset = _dataset(self.folder, self.dataset)
        return PhotoCache(dataset, self.size, self.fit, margin=self.margin, decode=self.decode, root=self.root)


def prepare_shards(
    recipe: Recipe, workers: int = 1, scheduler: str | None = None, tick: Tick = lambda done, total: None,
    shard_photos: int = SHARD_PHOTOS,
) -> int:  # fmt: skip
    """Makes the shards of every photo; what is there already is kept.

    Args:
        recipe: which photos, and what is made of them.
        workers: processes on this machine.
        scheduler: address of a Dask scheduler, such as "tcp://host:8786", in place of processes here.
        tick: called with (shards done, shards in all).
        shard_photos: photos in a shard.
    Returns:
        How many shards there are.
    Raises:
        OptionError: Dask is asked for and not installed, or there is no scheduler at the address.
        DataError, ImageError, FileError: a photo cannot be used; the shards that were made stay.
    """
    cache = recipe.cache()
    ranges = shard_ranges(len(cache.dataset.photos), shard_photos)
    parts = [(recipe, number, start, stop) for number, (start, stop) in enumerate(ranges)]
    rows = run_parts(_make_shard, parts, workers, scheduler, tick)
    for row, (start, stop) in zip(rows, ranges, strict=True):
        if row["key"] != shard_key(cache, cache.dataset.photos[start:stop]):
            raise DataError(
                "A worker has another version of Pillow or of this SDK, so that its bytes are others; install the same."
            )
    write_index(cache, cache.folder / SHARDS, rows)
    return len(rows)


def prepare_descriptors(
    recipe: Recipe, method: str, workers: int = 1, scheduler: str | None = None, tick: Tick = lambda done, total: None
) -> int:
    """Makes the descriptors that near duplicates are sought by, in the data set's folder; arguments as `prepare_shards`."""
    count = len(_dataset(recipe.folder, recipe.dataset).photos)
    # Whole chunks of the store, so that the files are those that one process would write.
    size = CHUNK * max(1, min(16, math.ceil(count / (CHUNK * max(1, 4 * workers)))))
    parts = [(recipe, method, start, stop) for start, stop in shard_ranges(count, size)]
    return sum(run_parts(_describe_part, parts, workers, scheduler, tick))


def run_parts(
    function: Callable[..., Any], parts: Sequence[tuple[Any, ...]], workers: int, scheduler: str | None, tick: Tick
) -> list[Any]:
    """Calls a function for each part, here or on Dask's workers; the results in the order of the parts."""
    if workers <= 1 and scheduler is None:
        found = []
        for part in parts:
            found.append(function(*part))
            tick(len(found), len(parts))
        return found
    results: list[Any] = [None] * len(parts)
    with _client(workers, scheduler) as client:
        from distributed import as_completed

        waiting = iter(enumerate(parts))
        at_once = _PARTS_AT_ONCE * max(1, len(client.scheduler_info()["workers"]))
        running: dict[Any, int] = {}
        queue = as_completed()
        done = 0
        while True:
            while len(running) < at_once and (item := next(waiting, None)) is not None:
                future = client.submit(function, *item[1], pure=False)
                running[future] = item[0]
                queue.add(future)
            if not running:
                return results
            future = next(queue)
            results[running.pop(future)] = future.result()
            done += 1
            tick(done, len(parts))


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Client]:
    """A Dask client: of processes here, or of a scheduler elsewhere."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise OptionError("Several workers are handed their parts by Dask: pip install 'derm-sdk[many]'.") from error
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="20s")
        except (OSError, ValueError) as error:
            raise OptionError(f"There is no Dask scheduler at {scheduler!r}.") from error
        with client:
            yield client
        return
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    with LocalCluster(**options, host="127.0.0.1") as cluster, Client(cluster) as client:
        yield client


@lru_cache(maxsize=2)
def _dataset(folder: str, digest: str) -> Dataset:
    """The data set, read once per process."""
    dataset = read_dataset(folder)
    if dataset.digest != digest:
        raise DataError(
            f"{folder!r} does not hold the data set that is to be prepared; do all machines see the same folder?"
        )
    return dataset


def _make_shard(recipe: Recipe, number: int, start: int, stop: int) -> dict[str, Any]:
    cache = recipe.cache()
    return write_shard(cache, cache.folder / SHARDS, number, cache.dataset.photos[start:stop])


def _describe_part(recipe: Recipe, method: str, start: int, stop: int) -> int:
    dataset = _dataset(recipe.folder, recipe.dataset)
    part = dataclasses.replace(dataset, photos=dataset.photos[start:stop])
    describe(part, method, dataset.folder / "descriptors")
    return stop - start
