"""What is evaluated: a run folder or a `.derm` file, behind the same few properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from derm_sdk.bundle import read_bundle
from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition

from ..data.cache import PhotoCache
from ..data.manifest import Dataset, Photo, Split
from ..errors import DataError
from ..training.run import Run
from .predict import Logits, Tick, predict_bundle, predict_models


@dataclass(frozen=True)
class Subject:
    """A model that can be asked about photos.

    Attributes:
        name: what it is, for the table's title.
        digest: SHA-256 of what it answers with: `Bundle.digest` or `Run.model_digest`.
        trained_on: digests of the data set and the split of its training; "" where unknown.
        composition, calibration: of the model.
        cache: data set, folder or None -> the exact cache that the model needs.
        logits: photos, cache, progress -> {graph: float32 [N, labels]}.
    """

    name: str
    digest: str
    trained_on: tuple[str, str]
    composition: Composition
    calibration: Calibration
    cache: Callable[[Dataset, Path | None], PhotoCache]
    logits: Callable[[Sequence[Photo], PhotoCache, Tick], Logits]


def run_subject(run: Run, workers: int) -> Subject:
    """A run, with its own calibration. Raises RunError when something of it is missing or damaged."""
    calibration = run.calibration()
    models = {spec.id: run.load_model(spec.id) for spec in run.graphs}

    def logits(photos: Sequence[Photo], cache: PhotoCache, progress: Tick) -> Logits:
        return predict_models(models, photos, cache, workers=workers, progress=progress)

    trained_on = run.data["dataset"], run.data["split"]
    return Subject(
        f"run {run.folder.name}", run.model_digest, trained_on, run.composition, calibration, run.exact_cache, logits
    )


def bundle_subject(path: Path) -> Subject:
    """A `.derm` file, run as the device runs it. Raises BundleError when it is damaged."""
    bundle = read_bundle(path)
    wanted, training = bundle.preprocessing, bundle.manifest.get("training")
    told = training if isinstance(training, Mapping) else {}

    def cache(dataset: Dataset, root: Path | None) -> PhotoCache:
        return PhotoCache(dataset, wanted.size, wanted.fit, decode=wanted.decode, root=root)

    def logits(photos: Sequence[Photo], cache: PhotoCache, progress: Tick) -> Logits:
        return predict_bundle(bundle, photos, cache, progress)

    trained_on = str(told.get("dataset_sha256", "")), str(told.get("split_sha256", ""))
    return Subject(path.name, bundle.digest, trained_on, bundle.composition, bundle.calibration, cache, logits)


def check_labels(subject: Subject, dataset: Dataset) -> None:
    """Raises DataError unless every condition of the data set is one of the model's, under the same parents.

    Levels that only one of them has, such as groups, are not compared.
    """
    ours, theirs = subject.composition.taxonomy, dataset.taxonomy
    common = [level for level in theirs.levels if level in ours.levels]
    for leaf in theirs.leaves:
        node = theirs.node(leaf)
        if leaf not in ours.leaves:
            raise DataError(f"The model does not know the condition {node.name!r} of {str(dataset.folder)!r}.")
        if any(ours.ancestor(leaf, level) != theirs.ancestor(leaf, level) for level in common):
            raise DataError(f"The model files {node.name!r} under other labels than {str(dataset.folder)!r} does.")


def is_other_split(subject: Subject, dataset: Dataset, split: Split | None) -> bool:
    """Whether a split deals the photos of the model's training otherwise: its test photos may have been trained on."""
    return split is not None and dataset.digest == subject.trained_on[0] and split.digest != subject.trained_on[1]
