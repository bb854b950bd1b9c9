"""A model asked about a side of a split, and all its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..data.manifest import Dataset, Split
from ..errors import DataError
from ..training.reporter import Reporter
from .bootstrap import units
from .metrics import REPLICATES, Answers, evaluate
from .subject import Subject, check_labels, is_other_split

FORMAT = 1


def evaluate_subject(
    subject: Subject,
    dataset: Dataset,
    split: Split | None,
    side: str,
    cache_root: Path | None = None,
    workers: int = 2,
    seed: int = 0,
    reporter: Reporter | None = None,
    *,
    allow_other_split: bool = False,
) -> dict[str, Any]:
    """Runs a model on the photos of a side and computes its figures.

    Args:
        subject: the model.
        dataset: whose conditions the model knows.
        split: None where there is none; then `side` must be "all".
        side: one of SPLITS, or "all".
        cache_root: folder of the photo caches; None for the data set's own.
        workers: threads that prepare photos.
        seed: of the bootstrap.
        reporter: where progress is shown.
        allow_other_split: take a split of the training's photos that is not the training's, and record that.
    Returns:
        JSON-ready: what was evaluated on what, and the figures of `metrics.evaluate`.
    Raises:
        DataError: the side is empty, a condition is unknown to the model, a photo is gone, or the split is not the one that
            the model was trained with, on the same photos.
    """
    reporter = reporter or Reporter()
    check_labels(subject, dataset)
    other_split = side != "all" and is_other_split(subject, dataset, split)
    if split is not None and other_split and not allow_other_split:
        raise DataError(
            f"The model was trained on these photos with the split {subject.trained_on[1][:12] or 'unknown'}, but this one "
            f"is {split.digest[:12]}: photos of its side {side!r} may have been trained on. Name the training's own split "
            "with --splits, or say --allow-other-split."
        )
    photos = dataset.photos if side == "all" or split is None else split.photos(dataset, side)
    if not photos:
        raise DataError(f"The split has no photo on the side {side!r}; choose another with --split.")
    cache = subject.cache(dataset, cache_root)
    with reporter.bar("photos") as tick:
        cache.fill(photos, workers, tick)
    with reporter.bar("model") as tick:
        logits = subject.logits(photos, cache, tick)
    answers = Answers(
        composition=subject.composition,
        calibration=subject.calibration,
        nodes=subject.calibration.nodes(subject.composition, {k: np.asarray(v, np.float64) for k, v in logits.items()}),
        leaves=[photo.leaf for photo in photos],
        skin_types=[photo.fitzpatrick for photo in photos],
        clusters=units(photos, split),
    )
    about = {
        "format": FORMAT,
        "model": subject.name,
        "model_sha256": subject.digest,
        "side": side,
        "dataset": dataset.digest,
        "split": split.digest if split else None,
        "interval": f"95 %, {REPLICATES} bootstrap replicates of whole clusters, seed {seed}",
    }
    about |= {"other_split": True} if other_split else {}
    return about | evaluate(answers, seed=seed)
