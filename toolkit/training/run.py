"""A finished run folder, read and checked: what `evaluate` and the converter start from.

config.toml  taxonomy.json  dataset.json  splits.csv  environment.json  history.csv  log.txt
tensorboard/<graph>/         history.csv again, for TensorBoard
checkpoints/<graph>.npz      the state of each network's training
model/graphs.json            kind, preprocessing, and the graphs: {"id", "file", "given", "labels", "inputs"}
model/<graph>.keras          the best weights
average.json                 of a mean of runs, which has no history: the runs
calibration.json             fitted on the calibration split
evaluation/<split>.json      written by `derm-toolkit evaluate`
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition
from derm_sdk.errors import BundleError, FileError, TaxonomyError, closest
from derm_sdk.inputs import INPUT_KINDS, input_shape
from derm_sdk.preprocess import PREPROCESSING_VERSION
from derm_sdk.taxonomy import Taxonomy

from ..data.cache import PhotoCache
from ..data.manifest import Dataset, Split, read_dataset, read_split
from ..errors import ConfigError, RunError
from ..models import GraphSpec
from .config import Config, Preprocessing, read_config
from .model_files import load_model_file
from .settings import read_settings

if TYPE_CHECKING:
    import keras

AVERAGE = "average.json"  # what marks a run that is the mean of others
FOLDS = "folds.json"  # what marks the folder of a cross-validation
_GRAPH_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: the run folder.
        kind: the family of the model, such as "two_step".
        config: the resolved config.
        taxonomy: the tree of labels.
        preprocessing: what the networks expect of a photo.
        graphs: the networks, the root first.
        composition: how their answers become probabilities of the tree's nodes.
        data: what dataset.json says: {"folder", "dataset", "split"}, the last two being digests; "leaks", if there are.
    """

    folder: Path
    kind: str
    config: Config
    taxonomy: Taxonomy
    preprocessing: Preprocessing
    graphs: tuple[GraphSpec, ...]
    composition: Composition
    data: dict[str, Any]

    def graph(self, graph_id: str) -> GraphSpec:
        """One of `graphs` by its id."""
        return next(spec for spec in self.graphs if spec.id == graph_id)

    def dataset(self, folder: str | os.PathLike[str] | None = None) -> Dataset:
        """The data set of the training.

        Args:
            folder: where it is now; None for where it was then.
        Raises:
            RunError: it is not where it was, or it holds other photos or labels than then.
            DataError, FileError: as `read_dataset`.
        """
        place = Path(folder) if folder is not None else recorded_data(self.folder)
        dataset = read_dataset(place)
        if dataset.digest != self.data["dataset"]:
            raise RunError(
                f"{str(place)!r} does not hold the photos and labels that the run in {str(self.folder)!r} was made with."
            )
        return dataset

    def split(self, dataset: Dataset) -> Split:
        """The split of the training, out of the run folder. One that leaks was allowed to when the run was made.

        Raises:
            RunError: splits.csv is not the one that dataset.json records.
            DataError, FileError: as `read_split`.
        """
        split = read_split(self.folder / "splits.csv", dataset, allow_leaks=True)
        if split.digest != self.data["split"]:
            raise RunError(
                f"splits.csv in {str(self.folder)!r} is not the split that the run was made with; restore it, or name "
                "another split with --splits."
            )
        return split

    @property
    def model_digest(self) -> str:
        """SHA-256, 64 hex digits, over the bytes of the graphs' .keras files, the root's first, then calibration.json.

        Figures say by it which weights they are about. Raises RunError when a file is missing.
        """
        digest = hashlib.sha256()
        for path in (*(self.model_path(spec.id) for spec in self.graphs), self.folder / "calibration.json"):
            try:
                digest.update(path.read_bytes())
            except FileNotFoundError as error:
                raise RunError(f"{str(path)!r} is missing. {_go_on(self.folder)}") from error
            except OSError as error:
                raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
        return digest.hexdigest()

    def exact_cache(self, dataset: Dataset, root: str | os.PathLike[str] | None = None) -> PhotoCache:
        """The cache of the bytes that the networks see; in the data set's folder unless `root` is given."""
        wanted = self.preprocessing
        return PhotoCache(dataset, wanted.size, wanted.fit, decode=wanted.decode, root=root)

    def effort(self) -> tuple[int, float]:
        """Epochs of all networks together and the minutes that they took; of a mean of runs, those of all of them.

        Raises:
            RunError: history.csv, or average.json, is missing or damaged.
        """
        try:
            if (self.folder / AVERAGE).is_file():
                rows = _read_json(self.folder / AVERAGE)["runs"]
                return sum(int(row["epochs"]) for row in rows), sum(float(row["minutes"]) for row in rows)
            with (self.folder / "history.csv").open(encoding="utf-8", newline="") as file:
                seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"How long the run in {str(self.folder)!r} took is not on record ({_first_line(error)})."
            ) from error
        return len(seconds), sum(seconds) / 60

    def model_path(self, graph_id: str) -> Path:
        """The file of a graph."""
        return self.folder / "model" / f"{graph_id}.keras"

    def load_model(self, graph_id: str) -> keras.Model:
        """Loads a graph with its best weights: functional, {input: float32, 0..255} -> logits.

        A picture is [N, S, S, channels], the skin type [N, 7].

        Raises:
            RunError: the file is missing, damaged, holds more than Keras' own layers, or is not what graphs.json says.
        """
        path, spec = self.model_path(graph_id), self.graph(graph_id)
        model = load_model_file(path)
        size = self.preprocessing.size
        expected = [(name, (None, *input_shape(name, size))) for name in spec.inputs]
        if [(each.name, tuple(each.shape)) for each in model.inputs] != expected:
            raise RunError(
                f"The inputs of {str(path)!r} are not those that graphs.json names: {list(spec.inputs)} at {size}."
            )
        if [tuple(each.shape) for each in model.outputs] != [(None, len(spec.labels))]:
            raise RunError(f"{str(path)!r} must have one output of {len(spec.labels)} logits, as graphs.json says.")
        return model

    def calibration(self) -> Calibration:
        """What was fitted on the calibration split. Raises RunError when it is missing, damaged or another model's."""
        path = self.folder / "calibration.json"
        if not path.exists():  # it is written last
            raise RunError(f"calibration.json is missing in {str(self.folder)!r}. {_go_on(self.folder)}")
        try:
            calibration = Calibration.from_dict(_read_json(path))
        except BundleError as error:
            raise RunError(f"{str(path)!r}: {error}") from error
        taxonomy = self.composition.taxonomy
        graphs, nodes = [spec.id for spec in self.graphs], [node.id for node in taxonomy.nodes]
        for what, names, known in (
            ("graph", {**calibration.temperatures, **calibration.offsets}, graphs),
            ("level", {**calibration.answer, **calibration.sets}, taxonomy.levels),
            ("node", [calibration.refer_node] if calibration.refer_node is not None else [], nodes),
        ):
            for name in names:
                if name not in known:
                    raise RunError(f"{str(path)!r} names the {what} {name!r}, which the run lacks." + closest(name, known))
        for spec in self.graphs:
            count = len(calibration.offsets.get(spec.id, spec.labels))
            if count != len(spec.labels):
                raise RunError(f"{str(path)!r} gives {spec.id!r} {count} offsets; it has {len(spec.labels)} labels.")
        return calibration


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Reads a finished run folder; the networks themselves are opened by `Run.load_model`.

    Args:
        folder: as `derm-toolkit train --out` made it.
    Raises:
        RunError: no run, an unfinished one, a missing or damaged file, or one of another version.
        FileError: a file cannot be read.
    """
    folder = Path(folder)
    _check_finished(folder)
    try:
        config = read_config(folder / "config.toml")
    except (ConfigError, FileError) as error:
        raise RunError(f"The config of the run in {str(folder)!r} is not usable. {error}") from error
    table = _read_json(folder / "model" / "graphs.json")
    data = read_data_record(folder)
    try:
        taxonomy = Taxonomy.from_dict(_read_json(folder / "taxonomy.json"))
        specs = tuple(_graph_spec(row) for row in table["graphs"])
        composition = Composition(taxonomy, tuple(spec.head for spec in specs))
        preprocessing = _preprocessing(table["preprocessing"])
        kind = str(table["kind"])
    except (TaxonomyError, KeyError, TypeError, ConfigError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(f"The model of the run in {str(folder)!r} is not usable: {reason}") from error
    run = Run(folder, kind, config, taxonomy, preprocessing, specs, composition, data)
    for spec in specs:
        if not run.model_path(spec.id).is_file():
            raise RunError(f"{str(run.model_path(spec.id))!r} is missing; train again, or restore it.")
    return run


def read_data_record(folder: Path) -> dict[str, Any]:
    """Reads a run's dataset.json: which data set it was made with, where that was, and the digests of data and split."""
    data = _read_json(folder / "dataset.json")
    for key in ("folder", "dataset", "split"):
        if not isinstance(data.get(key), str):
            raise RunError(f"dataset.json of the run in {str(folder)!r} must name the {key}; got {data.get(key)!r}.")
    return data


def recorded_data(folder: Path) -> Path:
    """Where the data set of a run was when it was made. Raises RunError when it is gone."""
    place = Path(os.path.normpath(folder.resolve() / read_data_record(folder)["folder"]))
    if not place.is_dir():
        raise RunError(
            f"The data of the run in {str(folder)!r} were in {str(place)!r}, which is gone; name them with --data."
        )
    return place


def refuse_folds(folder: Path) -> None:
    """Raises RunError for the folder of a cross-validation, which holds several runs and is none itself."""
    if (folder / FOLDS).is_file():
        raise RunError(
            f"{str(folder)!r} holds a cross-validation, not one run; name one of its folds, such as "
            f"{str(folder / 'fold-1')!r}."
        )


def _go_on(folder: Path) -> str:
    return f"If the training was interrupted, go on with 'derm-toolkit train --resume --out {folder}'."


def _check_finished(folder: Path) -> None:
    if not folder.is_dir():
        raise RunError(f"There is no run folder {str(folder)!r}; make one with 'derm-toolkit train'.")
    refuse_folds(folder)
    if not (folder / "model" / "graphs.json").is_file():
        if (folder / "config.toml").is_file():
            raise RunError(
                f"The run in {str(folder)!r} is not finished; go on with 'derm-toolkit train --resume --out {folder}'."
            )
        raise RunError(f"{str(folder)!r} is no run folder: it has no model/graphs.json.")


def _graph_spec(row: Any) -> GraphSpec:
    spec = GraphSpec(row["id"], row["given"], tuple(row["labels"]), tuple(row["inputs"]))
    if not isinstance(spec.id, str) or not _GRAPH_ID.fullmatch(spec.id) or row["file"] != f"{spec.id}.keras":
        raise ConfigError(f"graph ids must be slugs and files ID.keras; got {spec.id!r} and {row['file']!r}.")
    if not spec.inputs or any(name not in INPUT_KINDS for name in spec.inputs):
        raise ConfigError(f"the graph {spec.id!r} has unknown inputs {list(spec.inputs)}.")
    return spec


def _preprocessing(table: Any) -> Preprocessing:
    if not isinstance(table, dict) or table.get("version") != PREPROCESSING_VERSION:
        raise ConfigError(f"its preprocessing is not version {PREPROCESSING_VERSION}, the one of this SDK.")
    return read_settings(Preprocessing, {key: value for key, value in table.items() if key != "version"}, "preprocessing")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(f"{path.name} is missing in {str(path.parent)!r}; restore it, or train again.") from error
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{str(path)!r} is damaged: it is no JSON ({error}).") from error
    if not isinstance(data, dict):
        raise RunError(f"{str(path)!r} must hold one JSON object; got {type(data).__name__}.")
    return data


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
