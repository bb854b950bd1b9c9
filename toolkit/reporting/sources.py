"""What a run folder has to tell, read part by part: a missing part is None, a damaged one is an error."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derm_sdk.calibration import Calibration
from derm_sdk.errors import DermError, FileError
from derm_sdk.taxonomy import Taxonomy

from ..data.leaks import leak_sentence
from ..data.manifest import Dataset, read_dataset
from ..data.table import read_table
from ..errors import RunError
from ..evaluation.predictions import Predictions, read_predictions
from ..evaluation.seen import doubts
from ..training.run import read_data_record, read_run, recorded_data, refuse_folds

MAX_BYTES = 1 << 26  # of a text file of a run


@dataclass(frozen=True)
class Sources:
    """A run, as a report sees it.

    Attributes:
        folder: the run folder.
        side: which photos the figures are about.
        config: config.toml, every default written out.
        taxonomy, calibration, environment: None where the file is missing.
        history: rows of history.csv; none where it is missing.
        splits: photo digest -> (side, cluster); empty where splits.csv is missing.
        split_details: splits.json; empty where it is missing.
        record: dataset.json; empty where it is missing.
        figures: evaluation/<side>.json; None before `evaluate`.
        predictions: evaluation/<side>.npz; None before `evaluate`.
        dataset: the data set, where it still is where it was, or was named; else None.
        doubts: sentences that a reader must know before any figure, such as that they are of other weights.
    """

    folder: Path
    side: str
    config: Mapping[str, Any]
    taxonomy: Taxonomy | None
    environment: Mapping[str, Any] | None
    history: tuple[Mapping[str, str], ...]
    splits: Mapping[str, tuple[str, str]]
    split_details: Mapping[str, Any]
    record: Mapping[str, Any]
    calibration: Calibration | None
    figures: Mapping[str, Any] | None
    predictions: Predictions | None
    dataset: Dataset | None
    doubts: tuple[str, ...]

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.folder.resolve().name

    @property
    def evaluate_command(self) -> str:
        """The command that makes the figures."""
        return f"derm-toolkit evaluate {self.folder}" + ("" if self.side == "test" else f" --split {self.side}")


def read_sources(folder: Path, side: str = "test", data: Path | None = None) -> Sources:
    """Reads all of a run folder but its networks.

    Args:
        folder: the run folder, finished or not.
        side: which evaluation.
        data: the data set's folder; None for where it was. It is not needed.
    Raises:
        RunError, DataError: there is no run, or one of its files is damaged.
        FileError: a file cannot be read.
    """
    if not folder.is_dir():
        raise RunError(f"There is no run folder {str(folder)!r}; make one with 'derm-toolkit train'.")
    refuse_folds(folder)
    if not (folder / "config.toml").is_file():
        raise RunError(f"{str(folder)!r} is no run folder: it has no config.toml.")
    taxonomy, calibration = _json(folder / "taxonomy.json"), _json(folder / "calibration.json")
    record = _json(folder / "dataset.json")
    try:
        tree = None if taxonomy is None else Taxonomy.from_dict(taxonomy)
        numbers = None if calibration is None else Calibration.from_dict(calibration)
    except DermError as error:
        raise RunError(f"The run in {str(folder)!r} is damaged: {error}") from error
    predictions_path = folder / "evaluation" / f"{side}.npz"
    figures = _json(folder / "evaluation" / f"{side}.json")
    predictions = read_predictions(predictions_path) if predictions_path.is_file() else None
    return Sources(
        folder=folder,
        side=side,
        config=_toml(folder / "config.toml"),
        taxonomy=tree,
        environment=_json(folder / "environment.json"),
        history=_rows(folder / "history.csv", ("graph", "epoch")),
        splits={row["digest"]: (row["split"], row["cluster"] or row["digest"]) for row in _split_rows(folder)},
        split_details=_json(folder / "splits.json") or {},
        record=record or {},
        calibration=numbers,
        figures=figures,
        predictions=predictions,
        dataset=_dataset(folder, record, data),
        doubts=_doubts(folder, side, record, figures, predictions),
    )


def _doubts(
    folder: Path,
    side: str,
    record: Mapping[str, Any] | None,
    figures: Mapping[str, Any] | None,
    predictions: Predictions | None,
) -> tuple[str, ...]:
    found = []
    try:
        digest = read_run(folder).model_digest
    except DermError as error:
        digest = None
        found.append(f"The run is not whole: {error}")
    told = {"figures": figures, "predictions": None if predictions is None else predictions.meta}
    for what, source in told.items():
        if source is not None and digest is not None and source.get("model_sha256") != digest:
            found.append(f"The {what} are of other weights than the run has now; evaluate it again.")
    of_split = leak_sentence((record or {}).get("leaks"))
    of_figures = doubts(figures or {})
    found += ([of_split] if of_split and of_split not in of_figures else []) + of_figures
    if side == "train":
        found.append("These are photos that the networks were trained on: the figures flatter the model.")
    elif side in ("validation", "calibration"):
        found.append(f"Something was chosen or fitted on the {side} photos: the figures flatter the model a little.")
    return tuple(found)


def _dataset(folder: Path, record: Mapping[str, Any] | None, data: Path | None) -> Dataset | None:
    """The training's data set; a named one must be it, one that is gone is None."""
    if data is None and record is None:
        return None
    try:
        dataset = read_dataset(data if data is not None else recorded_data(folder))
        expected = read_data_record(folder)["dataset"]
    except DermError:
        if data is not None:
            raise
        return None
    if dataset.digest != expected:
        if data is not None:
            raise RunError(f"{str(data)!r} does not hold the photos and labels that the run was made with.")
        return None
    return dataset


def _split_rows(folder: Path) -> list[Mapping[str, str]]:
    return list(_rows(folder / "splits.csv", ("digest", "split", "cluster")))


def _rows(path: Path, columns: tuple[str, ...]) -> tuple[Mapping[str, str], ...]:
    if not path.is_file() or path.stat().st_size == 0:
        return ()
    return tuple(row for _, row in read_table(path, columns)[1])


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        data = json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{str(path)!r} is damaged: it is no JSON ({error}).") from error
    if not isinstance(data, dict):
        raise RunError(f"{str(path)!r} must hold one JSON object; got {type(data).__name__}.")
    return data


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{str(path)!r} is damaged: it is no TOML ({error}).") from error


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RunError(f"{str(path)!r} is larger than a run's file can be ({MAX_BYTES:,} bytes).")
        return path.read_bytes()
    except OSError as error:
        if isinstance(error, DermError):
            raise
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
