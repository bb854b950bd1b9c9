"""What is evaluated: a run folder or a `.derm` file, behind the same few properties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition

from ..data.cache import PhotoCache
from ..data.manifest import Dataset, Photo
from ..errors import DataError
from ..training.run import Run
from .predict import Logits, Tick, predict_bundle, predict_models


@dataclass(frozen=True)
class Subject:
    """A model that can be asked about photos.

    Attributes:
        name: what it is, for the table's title.
        composition, calibration: of the model.
        cache: data set, folder or None -> the exact cache that the model needs.
        logits: photos, cache, progress -> {graph: float32 [N, labels]}.
    """

    name: str
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

    return Subject(f"run {run.folder.name}", run.composition, calibration, run.exact_cache, logits)


def bundle_subject(path: Path) -> Subject:
    """A `.derm` file, run as the device runs it. Raises BundleError or RuntimeMissingError when it cannot be."""
    from derm_sdk import Classifier

    with Classifier(path) as classifier:
        composition, calibration, wanted = classifier.composition, classifier.calibration, classifier.preprocessing

    def cache(dataset: Dataset, root: Path | None) -> PhotoCache:
        return PhotoCache(dataset, wanted.size, wanted.fit, decode=wanted.decode, root=root)

    def logits(photos: Sequence[Photo], cache: PhotoCache, progress: Tick) -> Logits:
        return predict_bundle(path, photos, cache, progress)

    return Subject(path.name, composition, calibration, cache, logits)


def check_labels(subject: Subject, dataset: Dataset) -> None:
    """Raises DataError unless every condition of the data set is one of the model's, under the same parents."""
    ours, theirs = subject.composition.taxonomy, dataset.taxonomy
    for leaf in theirs.leaves:
        node = theirs.node(leaf)
        if leaf not in ours.leaves:
            raise DataError(f"The model does not know the condition {node.name!r} of {str(dataset.folder)!r}.")
        paths = [{tree.ancestor(leaf, level) for level in tree.levels} for tree in (ours, theirs)]
        if not paths[1] <= paths[0]:
            raise DataError(f"The model files {node.name!r} under other labels than {str(dataset.folder)!r} does.")
