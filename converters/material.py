"""The photos of a conversion: which of the run's photos show what to which step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from derm_sdk.inputs import network_inputs
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Dataset, Photo, Split
from derm_toolkit.models import GraphSpec
from derm_toolkit.training.feed import (
    augmented_photo,
    batches_in_order,
    exact_photo,
    feed,
    shuffled_batches,
    steps_per_epoch,
)
from derm_toolkit.training.run import Run

from .finetuning import Batch, Lessons
from .graphs import convert_graph
from .recipe import Recipe
from .representative import stratified, with_extremes

CORRECTION_PHOTOS = 64
_BATCH = 16  # photos of a step of the fine-tuning: about 2 GB for a network of the flagship's size
_STATISTICS_BATCH = 32
_WORKERS = 2
Progress = Callable[[str, int, int, float], None]


@dataclass(frozen=True)
class Material:
    """A run and its photos.

    Attributes:
        run, dataset, split: the trained model, and what it was trained on.
        cache: the run's exact cache.
    """

    run: Run
    dataset: Dataset
    split: Split
    cache: PhotoCache

    @classmethod
    def of(cls, run: Run, data: str | os.PathLike[str] | None = None) -> Material:
        """Opens the photos of a run; `data` is their folder, when it has moved. Raises DermError as `Run.dataset`."""
        dataset = run.dataset(data)
        return cls(run, dataset, run.split(dataset), run.exact_cache(dataset))

    def photos(self, side: str) -> list[Photo]:
        """The photos of a side of the split."""
        return list(self.split.photos(self.dataset, side))

    def representative(self, count: int) -> list[Photo]:
        """The training photos from which ranges are taken."""
        return stratified(self.photos("train"), count)

    def own(self, given: str | None) -> list[Photo]:
        """The training photos that a graph is about."""
        leaves = set(self.run.taxonomy.leaves_under(given))
        return [photo for photo in self.photos("train") if photo.leaf in leaves]

    def convert(self, spec: GraphSpec, recipe: Recipe, progress: Progress = lambda *_: None) -> bytes:
        """Converts one graph of the run.

        Args:
            spec: which.
            recipe: how.
            progress: called in a fine-tuning with (graph, steps done, steps in all, mean divergence of the epoch so far).
        Raises:
            ConversionError: as `convert_graph`. DermError: a photo cannot be read.
        """
        some = self.representative(recipe.representative_photos)
        own = self.own(spec.given)
        again = stratified(own, recipe.batchnorm_photos)

        def ranges() -> Iterator[dict[str, np.ndarray]]:
            pairs = ((self.cache.read(photo), photo.fitzpatrick) for photo in some)
            return with_extremes(pairs, self.run.preprocessing.size, spec.inputs)

        def correction() -> Iterator[dict[str, np.ndarray]]:
            return self.inputs(stratified(own, CORRECTION_PHOTOS), spec)

        def normalisation() -> Iterator[Batch]:
            return self._batches(again, spec, batches_in_order(len(again), _STATISTICS_BATCH), exact_photo(self.cache))

        lessons = self._lessons(own, spec, partial(progress, spec.id)) if recipe.qat_epochs else None
        return convert_graph(self.run.load_model(spec.id), recipe, ranges, correction, normalisation, lessons)

    def inputs(self, photos: Iterable[Photo], spec: GraphSpec) -> Iterator[dict[str, np.ndarray]]:
        """What a graph is given of some photos, {kind: uint8}."""
        return (network_inputs(self.cache.read(photo), photo.fitzpatrick, spec.inputs) for photo in photos)

    def _lessons(self, own: Sequence[Photo], spec: GraphSpec, progress: Callable[[int, int, float], None]) -> Lessons:
        """Other views of the photos in each epoch, drawn as the run's training drew them."""
        settings, shape = self.run.config.augmentation, self.run.preprocessing
        canvas = PhotoCache(self.dataset, shape.size, shape.fit, margin=settings.margin, decode=shape.decode)

        def batches(epoch: int) -> Iterator[Batch]:
            order = shuffled_batches(len(own), _BATCH, np.random.default_rng((self.run.config.training.seed, epoch)))
            view = augmented_photo(canvas, shape.size, settings, self.run.config.training.seed, epoch)
            return self._batches(own, spec, order, view)

        return Lessons(batches, steps_per_epoch(len(own), _BATCH) if own else 0, progress)

    def _batches(
        self, photos: Sequence[Photo], spec: GraphSpec, order: Sequence[np.ndarray], view: Callable[[Photo], np.ndarray]
    ) -> Iterator[Mapping[str, np.ndarray]]:
        return (batch for _, batch in feed(photos, order, view, spec.inputs, _WORKERS))
