"""One model out of several trainings of it: the mean of their weights, at the cost of one on the device.

Source: Wortsman et al. 2022 ("Model soups"). It holds for fine-tunings that began with the same pretrained weights and
stayed near each other, and for nothing else: so the validation figure of each is printed beside that of the mean.

The folder is a run folder like any other, without a history; average.json tells what it is the mean of:
{"format", "metric", "validation": the mean's, "runs": [{"folder", "model_sha256", "validation", "epochs", "minutes"}]}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from derm_sdk.calibration import Calibration
from derm_sdk.files import write_bytes, write_text

from ..data.cache import PhotoCache
from ..data.manifest import Photo
from ..errors import RunError
from ..evaluation.predict import predict_models
from .backend import load_keras, usable_cores
from .model_files import save_model, write_graphs
from .reporter import Reporter
from .run import AVERAGE, Run, read_run
from .train import calibrate, fill_cache, relative_place

if TYPE_CHECKING:
    import keras

FORMAT = 1
_KEPT = ("config.toml", "taxonomy.json", "splits.csv", "environment.json")


@dataclass(frozen=True)
class AverageOrder:
    """What to take the mean of.

    Attributes:
        runs: finished runs of the same networks on the same data and split; two or more.
        out: the run folder to make.
        cache: folder of the photo caches; None for the data set's own.
    """

    runs: tuple[Run, ...]
    out: Path
    cache: Path | None = None


def average(order: AverageOrder, reporter: Reporter | None = None) -> Run:
    """Makes a run whose weights are the mean of others', and calibrates it anew.

    Args:
        order: the runs and the folder; the first run's config and records are kept with the mean.
        reporter: where progress is shown.
    Returns:
        The new run.
    Raises:
        RunError: fewer than two runs, runs that differ in their data, split, preprocessing or networks, a run given twice,
            or a folder that is not empty, unless it holds a mean that was not finished.
        DataError, FileError: the photos are gone, or a file cannot be written.
    """
    runs, out, reporter = order.runs, order.out, reporter or Reporter()
    _check_alike(runs)
    unfinished = (out / AVERAGE).is_file() and not (out / "calibration.json").is_file()  # which is written last
    if not unfinished and out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise RunError(f"The folder {str(out)!r} is not empty; choose another --out.")
    first, workers = runs[0], usable_cores()
    records = {name: _record(first, name) for name in _KEPT}
    dataset = first.dataset()
    split = first.split(dataset)
    exact = first.exact_cache(dataset, order.cache)
    validation, calibration = (split.photos(dataset, side) for side in ("validation", "calibration"))
    fill_cache(exact, [*validation, *calibration], workers, reporter)

    # --- The mean of the weights, and how each and the mean do on validation ------------------------------------------
    names, means = [run.folder.name for run in runs], _Means(first)
    told: list[dict[str, Any]] = []
    for name, run in zip(names, runs, strict=True):
        models = {spec.id: run.load_model(spec.id) for spec in run.graphs}
        means.add(models, name)
        score = _macro_f1(run, models, validation, exact, workers, reporter)
        reporter.say(f"{name}: validation macro F1 {score:.3f}.")
        place = relative_place(run.folder, out)
        epochs, minutes = run.effort()
        effort = {"epochs": epochs, "minutes": round(minutes, 2)}
        told.append({"folder": place, "model_sha256": run.model_digest, "validation": score, **effort})
        load_keras().backend.clear_session()
    models = {spec.id: first.load_model(spec.id) for spec in first.graphs}
    means.put(models)
    score = _macro_f1(first, models, validation, exact, workers, reporter)
    reporter.say(f"Their mean: validation macro F1 {score:.3f}.")

    # --- The run folder -----------------------------------------------------------------------------------------------
    table = {"format": FORMAT, "metric": "macro F1", "validation": score, "runs": told}
    write_text(out / AVERAGE, json.dumps(table, indent=1) + "\n")
    for name, content in records.items():
        write_bytes(out / name, content)
    record = {**first.data, "folder": relative_place(dataset.folder, out)}
    write_text(out / "dataset.json", json.dumps(record, indent=1) + "\n")
    for spec in first.graphs:
        save_model(out, spec.id, models[spec.id])
    write_graphs(out, first.kind, first.preprocessing, first.graphs)
    run = read_run(out)
    calibrate(run, split, calibration, exact, workers, reporter)
    reporter.say(f"The run is in {out}. Next: derm-toolkit evaluate {out}")
    return run


def _record(run: Run, name: str) -> bytes:
    """A file that is kept with the mean as it is."""
    try:
        return (run.folder / name).read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"Cannot read {name} of the run {str(run.folder)!r} ({reason}); restore it.") from error


class _Means:
    """The mean of the weights of some models, summed in double precision."""

    def __init__(self, first: Run) -> None:
        self._name = first.folder.name
        self._sums: dict[str, dict[str, NDArray[np.float64]]] = {}
        self._count = 0

    def add(self, models: dict[str, keras.Model], name: str) -> None:
        """Adds a run's. Raises RunError when a weight is missing, too many, or of another shape."""
        for graph, model in models.items():
            weights = {each.path: np.asarray(each.numpy(), np.float64) for each in model.weights}
            sums = self._sums.setdefault(graph, {path: np.zeros_like(value) for path, value in weights.items()})
            shapes, mine = ({path: value.shape for path, value in each.items()} for each in (sums, weights))
            if shapes != mine:
                differs = sorted({path for path, _ in shapes.items() ^ mine.items()})[0]
                raise RunError(f"The networks of {self._name!r} and {name!r} differ in {differs!r}; a mean needs the same.")
            for path, value in weights.items():
                sums[path] += value
        self._count += 1

    def put(self, models: dict[str, keras.Model]) -> None:
        """Gives the mean to the models."""
        for graph, model in models.items():
            for each in model.weights:
                each.assign((self._sums[graph][each.path] / self._count).astype(np.float32))


def _check_alike(runs: Sequence[Run]) -> None:
    """The same data, split and networks: else photos that one was trained on would be test photos of the other."""
    if len(runs) < 2:
        raise RunError(f"A mean needs two runs or more; got {len(runs)}.")
    first = runs[0]
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise RunError("A run is given twice; name each once.")
    for other in runs[1:]:
        pairs = {
            "data set": (first.data["dataset"], other.data["dataset"]),
            "split": (first.data["split"], other.data["split"]),
            "preprocessing": (first.preprocessing, other.preprocessing),
            "networks": ((first.kind, first.graphs), (other.kind, other.graphs)),
        }
        for what, (mine, theirs) in pairs.items():
            if mine != theirs:
                raise RunError(
                    f"The {what} of {str(first.folder)!r} and {str(other.folder)!r} differ"
                    f"{'s' * (what != 'networks')}; a mean needs the same."
                )


def _macro_f1(
    run: Run, models: dict[str, keras.Model], photos: Sequence[Photo], cache: PhotoCache, workers: int, reporter: Reporter
) -> float:
    """Macro F1 of the conditions over whole-photo answers, uncalibrated, by scikit-learn."""
    with reporter.bar("validation") as tick:
        logits = predict_models(models, photos, cache, workers=workers, progress=tick)
    last = run.taxonomy.levels[-1]
    labels = [node.id for node in run.taxonomy.at(last)]
    nodes = Calibration().nodes(run.composition, logits)
    guesses = [labels[place] for place in nodes[:, run.composition.columns(last)].argmax(axis=1)]
    truth = [photo.leaf for photo in photos]
    return float(f1_score(truth, guesses, labels=sorted(set(truth)), average="macro", zero_division=0))
