"""What is evaluated: a run folder or a `.derm` file, behind the same few properties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.bundle import read_bundle
from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition
from derm_sdk.fitzpatrick import SKIN_TYPE

from ..data.cache import PhotoCache
from ..data.manifest import SPLIT_COLUMNS, Dataset, Photo, Split
from ..data.table import read_table
from ..errors import DataError
from ..training.feed import SkinType
from ..training.run import Run
from .predict import Logits, Tick, predict_bundle, predict_models


@dataclass(frozen=True)
class Subject:
    """A model that can be asked about photos.

    Attributes:
        name: what it is, for the table's title.
        digest: SHA-256 of what it answers with: `Bundle.digest` or `Run.model_digest`.
        trained_on: digests of the data set and the split of its training; "" where unknown.
        sides: {photo digest: side of the training's split}; None where that is not known.
        takes_skin_type: whether the skin type is one of its inputs.
        composition, calibration: of the model.
        cache: data set, folder or None -> the exact cache that the model needs.
        training_photos: gives {condition id: training photos}, as a prior needs it.
        logits: photos, cache, progress, photo -> skin type to be told -> {graph: float32 [N, labels]}.
        factors: what the conditions' probabilities are multiplied by, for a place where some are rarer; None for nothing.
    """

    name: str
    digest: str
    trained_on: tuple[str, str]
    sides: Mapping[str, str] | None
    takes_skin_type: bool
    composition: Composition
    calibration: Calibration
    cache: Callable[[Dataset, Path | None], PhotoCache]
    training_photos: Callable[[], Any]
    logits: Callable[[Sequence[Photo], PhotoCache, Tick, SkinType], Logits]
    factors: NDArray[np.float64] | None = None


def run_subject(run: Run, workers: int) -> Subject:
    """A run, with its own calibration. Raises RunError when something of it is missing or damaged."""
    calibration = run.calibration()
    models = {spec.id: run.load_model(spec.id) for spec in run.graphs}
    _, rows = read_table(run.folder / "splits.csv", SPLIT_COLUMNS)

    def logits(photos: Sequence[Photo], cache: PhotoCache, progress: Tick, told: SkinType) -> Logits:
        return predict_models(models, photos, cache, workers=workers, progress=progress, skin_type=told)

    def training_photos() -> Mapping[str, int]:
        dataset = run.dataset()
        return Counter(photo.leaf for photo in run.split(dataset).photos(dataset, "train"))

    return Subject(
        name=f"run {run.folder.name}",
        digest=run.model_digest,
        trained_on=(run.data["dataset"], run.data["split"]),
        sides={row["digest"]: row["split"] for _, row in rows},
        takes_skin_type=any(SKIN_TYPE in spec.inputs for spec in run.graphs),
        composition=run.composition,
        calibration=calibration,
        cache=run.exact_cache,
        training_photos=training_photos,
        logits=logits,
    )


def bundle_subject(path: Path, made_of: Path | None = None) -> Subject:
    """A `.derm` file, run as the device runs it.

    Args:
        path: the file.
        made_of: the run that it was made of, whose split says which photos it has seen; None where it is not at hand.
    Raises:
        BundleError: it is damaged.
        DataError: the run's split is not the one that the bundle was trained with.
    """
    bundle = read_bundle(path)
    wanted, training = bundle.preprocessing, bundle.manifest.get("training")
    told_of = training if isinstance(training, Mapping) else {}

    def cache(dataset: Dataset, root: Path | None) -> PhotoCache:
        return PhotoCache(dataset, wanted.size, wanted.fit, decode=wanted.decode, root=root)

    def logits(photos: Sequence[Photo], cache: PhotoCache, progress: Tick, told: SkinType) -> Logits:
        return predict_bundle(bundle, photos, cache, progress, skin_type=told)

    return Subject(
        name=path.name,
        digest=bundle.digest,
        trained_on=(str(told_of.get("dataset_sha256", "")), str(told_of.get("split_sha256", ""))),
        sides=None if made_of is None else _sides_of(made_of, str(told_of.get("split_sha256", ""))),
        takes_skin_type=bundle.takes_skin_type,
        composition=bundle.composition,
        calibration=bundle.calibration,
        cache=cache,
        training_photos=lambda: told_of.get("photos_by_condition"),
        logits=logits,
    )


def _sides_of(made_of: Path, digest: str) -> Mapping[str, str]:
    """The sides of a run's split, which must be the one of a digest."""
    _, rows = read_table(made_of / "splits.csv", SPLIT_COLUMNS)
    split = Split({row["digest"]: row["split"] for _, row in rows}, {row["digest"]: row["cluster"] for _, row in rows})
    if split.digest != digest:
        raise DataError(f"The .derm file was not made of the run {str(made_of)!r}: it was trained with another split.")
    return split.assignments


def is_other_split(subject: Subject, dataset: Dataset, split: Split | None) -> bool:
    """Whether a split deals the photos of the model's training otherwise: its test photos may have been trained on."""
    return split is not None and dataset.digest == subject.trained_on[0] and split.digest != subject.trained_on[1]
