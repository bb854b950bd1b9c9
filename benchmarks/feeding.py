"""How many photos a second the input pipeline prepares, against how many the network takes; and whether memory stays flat.

    python benchmarks/feeding.py [CONFIG ...]

The photos are drawn ones, in their cache, as after the first epoch of a training. Pipeline (canvas, augmentation, mixing,
derived inputs, batches) and network (a step on one batch) are measured alone, in turns, on all cores; the last column is the
ratio of their medians.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from training import rate_of, trainer

from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.importers import import_table
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.data.synth import make_photos
from derm_toolkit.models import FAMILIES, single_view, untrained
from derm_toolkit.training.backend import usable_cores
from derm_toolkit.training.config import Config, find_config, read_config
from derm_toolkit.training.feed import augmented_photo, dropped_skin_type, feed, shuffled_batches
from derm_toolkit.training.mixing import Mixer

PHOTOS, ROUNDS, EPOCHS = 400, 5, 6


def main() -> None:
    names = sys.argv[1:] or ["hierarchical", "lenet_8", "two_step"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder / "drawn", PHOTOS, 0, 256)
        dataset, _ = import_table(folder / "drawn" / "photos.csv", folder / "drawn" / "photos", folder / "data")
        print(f"photos/s on {usable_cores()} cores, medians of {ROUNDS}")
        memory(names[0], dataset)  # before a network is in memory, too
        for config_name in names:
            compare(config_name, dataset)


def compare(name: str, dataset: Dataset) -> None:
    """One row per network and size of a config."""
    config = read_config(find_config(name))
    config = dataclasses.replace(config, model=single_view(untrained(config.model)))  # weights do not change the time
    recipe, family = config.training, FAMILIES[config.model.kind]
    for spec in family.graphs(dataset.taxonomy, config.model)[:2]:  # all experts are alike
        for size in recipe.sizes or (config.preprocessing.size,):
            step = trainer(family, spec, config.model, size, recipe, recipe.batch_size)
            fed, taken = [], []
            for epoch in range(ROUNDS):
                start = time.perf_counter()
                count = sum(len(indices) for indices, _ in epoch_of(config, dataset, spec.inputs, size, epoch))
                fed.append(count / (time.perf_counter() - start))
                taken.append(rate_of(step, recipe.batch_size, 2.0))
            pipeline, network = statistics.median(fed), statistics.median(taken)
            print(
                f"{name:14s} {spec.id[:16]:16s} {size:4d} px  pipeline {pipeline:6.0f}  network {network:6.1f}"
                f"  x {pipeline / network:5.1f}",
                flush=True,
            )


def epoch_of(config: Config, dataset: Dataset, inputs: Any, size: int, epoch: int) -> Iterator[Any]:
    """What the training loop is given in one epoch."""
    recipe, photos = config.training, dataset.photos
    shape, margin = config.preprocessing, config.augmentation.margin
    canvas = PhotoCache(dataset, shape.size, shape.fit, margin=margin, decode=shape.decode)
    canvas.fill(photos, usable_cores())
    view = augmented_photo(canvas, size, config.augmentation, recipe.seed, epoch)
    mixer = Mixer(
        photos, view, mixup=recipe.mixup, cutmix=recipe.cutmix, share=recipe.mix_share, seed=recipe.seed, epoch=epoch
    )
    batches = shuffled_batches(len(photos), recipe.batch_size, np.random.default_rng(epoch))
    skin_type = dropped_skin_type(recipe.skin_type_dropout, recipe.seed, epoch)
    yield from feed(photos, batches, mixer.view, inputs, usable_cores(), skin_type=skin_type)


def memory(name: str, dataset: Dataset) -> None:
    """Resident memory after each of some epochs of the pipeline."""
    config = read_config(find_config(name))
    spec = FAMILIES[config.model.kind].graphs(dataset.taxonomy, config.model)[0]
    sizes = []
    for epoch in range(EPOCHS):
        for _ in epoch_of(config, dataset, spec.inputs, config.preprocessing.size, epoch):
            pass
        sizes.append(resident_mb())
    print(f"{name}: resident memory after each epoch, MB: {', '.join(f'{size:.0f}' for size in sizes)}")


def resident_mb() -> float:
    """Of this process; Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
