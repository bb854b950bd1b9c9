"""Cross-validation: the same config trained once per fold, each fold a run of its own, every photo tested exactly once.

folds.json            number of folds, seed and splits; at the end also the figures (`evaluation.folds.fold_figures`)
config.toml           of every fold
dataset.json          which data set, and where it was
splits/fold-N.csv     written once; each photo, with all that it is related to, is in the test part of one fold
fold-N/               a run folder (see `run`), evaluated on its test part
evaluation/test.npz   what was said of each photo by the network that has not seen it
log.txt
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derm_sdk.errors import FileError
from derm_sdk.files import write_text

from ..data.duplicates import Clusters, find_clusters
from ..data.manifest import Dataset, Split, read_split, write_split
from ..data.split import make_folds
from ..errors import DataError, RunError
from ..evaluation.folds import fold_figures, pool
from ..evaluation.predictions import write_predictions
from ..lock import NAME as LOCK
from .config import Config, difference, read_config
from .finish import finish
from .reporter import Reporter
from .run import FOLDS, read_data_record
from .train import Order, check_order, relative_place

FORMAT = 1


@dataclass(frozen=True)
class FoldsOrder:
    """What to cross-validate.

    Attributes:
        config: the resolved config.
        dataset: the photos.
        out: the folder of the whole.
        folds: how many, 3 to 20; None takes those of `out`, which then must be begun.
        seed: of the order in which the groups are dealt to the folds; None for 0, or that of `out`.
        groups: a split whose clusters of near duplicates are kept together; None to look for them.
        resume: go on with what is in `out`.
        cache: folder of the photo caches; None for the data set's own.
    """

    config: Config
    dataset: Dataset
    out: Path
    folds: int | None
    seed: int | None = None
    groups: Split | None = None
    resume: bool = False
    cache: Path | None = None


def train_folds(order: FoldsOrder, reporter: Reporter | None = None) -> dict[str, Any]:
    """Trains and evaluates every fold, and computes the figures over all of them.

    What is finished is kept: with `resume`, an interruption costs at most the epoch under way.

    Args:
        order: what to cross-validate.
        reporter: where progress is shown.
    Returns:
        What folds.json holds.
    Raises:
        OptionError: fewer than 3 folds or more than 20.
        RunError: `out` is not empty (without `resume`), or holds other folds, data or another config.
        DataError: a label has no photo to learn from in a fold; nothing is trained then.
        DermError: as `train` and `evaluate_subject`.
    """
    reporter = reporter or Reporter()
    begun = order.resume and (order.out / "config.toml").is_file()
    table = _begun(order) if begun else _new(order, reporter)
    splits = {name: _read_fold(order, name, digest) for name, digest in table["splits"].items()}
    reporter.log = order.out / "log.txt"

    parts, train_photos = {}, {}
    for number, (name, split) in enumerate(splits.items(), start=1):
        reporter.say(f"Fold {number} of {len(splits)}, in {order.out / name}:")
        fold = Order(order.config, order.dataset, split, order.out / name, True, order.cache)
        _, parts[name] = finish(fold, Reporter(console=reporter.console))
        train_photos[name] = len(split.photos(order.dataset, "train"))

    pooled = pool(parts, f"{len(parts)} folds {order.out.resolve().name}")
    write_predictions(order.out / "evaluation" / "test.npz", pooled)
    table["figures"] = fold_figures(parts, pooled, train_photos)
    _write(order, table)
    return table


def is_folds(folder: Path) -> bool:
    """Whether a folder is that of a cross-validation."""
    return (folder / FOLDS).is_file()


def _new(order: FoldsOrder, reporter: Reporter) -> dict[str, Any]:
    """Deals the photos, looks whether every fold can be trained, and writes the folder; config.toml comes last."""
    out, dataset = order.out, order.dataset
    unfinished = {"splits", "dataset.json", FOLDS, LOCK} if order.resume else {LOCK}
    if out.is_dir() and any(path.name not in unfinished for path in out.iterdir()):
        raise RunError(f"The folder {str(out)!r} is not empty; go on with --resume, or choose another --out.")
    clusters = _clusters(order, reporter)
    results = make_folds(dataset, clusters, order.folds or 0, order.seed or 0)
    splits = {f"fold-{number}": result.split for number, result in enumerate(results, start=1)}
    for name, split in splits.items():
        try:
            check_order(Order(order.config, dataset, split, out / name))
        except DataError as error:
            raise DataError(f"In {name}: {error}") from error
    for name, split in splits.items():
        write_split(out / "splits" / f"{name}.csv", split, dataset)
    table = {
        "format": FORMAT,
        "folds": len(splits),
        "seed": order.seed or 0,
        "near_duplicates": clusters.method,
        "splits": {name: split.digest for name, split in splits.items()},
        "figures": None,
    }
    record = {
        "folder": relative_place(dataset.folder, out),
        "dataset": dataset.digest,
        "split": hashlib.sha256("\n".join(table["splits"].values()).encode()).hexdigest(),
        "photos": len(dataset.photos),
    }
    write_text(out / "dataset.json", json.dumps(record, indent=1) + "\n")
    _write(order, table)
    write_text(out / "config.toml", order.config.to_toml())
    return table


def _begun(order: FoldsOrder) -> dict[str, Any]:
    """What folds.json of a cross-validation under way says; raises RunError where the order is another."""
    path = order.out / FOLDS
    try:
        table = json.loads(path.read_bytes())
        count, seed, splits = table["folds"], table["seed"], table["splits"]
        if table["format"] != FORMAT or not isinstance(splits, dict) or len(splits) != count:
            raise ValueError(f"it must be of format {FORMAT} and name its splits")
        if list(splits) != [f"fold-{number}" for number in range(1, count + 1)]:
            raise ValueError("its folds must be fold-1, fold-2 and so on")
    except FileNotFoundError as error:
        raise RunError(f"{str(order.out)!r} holds one training, not folds; choose another --out for --folds.") from error
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise RunError(f"{str(path)!r} is damaged ({reason}); restore it, or start anew.") from error
    for name, wanted, has in (("--folds", order.folds, count), ("--folds-seed", order.seed, seed)):
        if wanted not in (None, has):
            raise RunError(f"{str(order.out)!r} was begun with {name} {has}, not {wanted}; leave it out, or start anew.")
    changed = difference(read_config(order.out / "config.toml"), order.config)
    if changed:
        raise RunError(
            f"{changed} differs from the folds in {str(order.out)!r}; resume with their own config, or start anew."
        )
    if read_data_record(order.out)["dataset"] != order.dataset.digest:
        raise RunError(f"The dataset differs from that of the folds in {str(order.out)!r}; start anew with it.")
    return dict(table)


def _read_fold(order: FoldsOrder, name: str, digest: object) -> Split:
    split = read_split(order.out / "splits" / f"{name}.csv", order.dataset)
    if split.digest != digest:
        raise RunError(f"splits/{name}.csv in {str(order.out)!r} is not the split that {FOLDS} names; restore it.")
    return split


def _clusters(order: FoldsOrder, reporter: Reporter) -> Clusters:
    """The groups of near duplicates: those of the split that is there, else looked for."""
    if order.groups is not None:
        about = order.groups.details.get("duplicates")
        method = str(about.get("method", "recorded")) if isinstance(about, dict) else "recorded"
        return Clusters(method, order.groups.clusters)
    with reporter.bar("near duplicates") as tick:
        return find_clusters(order.dataset, "auto", order.dataset.folder / "descriptors", tick)


def _write(order: FoldsOrder, table: dict[str, Any]) -> None:
    write_text(order.out / FOLDS, json.dumps(table, indent=1) + "\n")
