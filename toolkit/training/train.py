"""A whole training: data and config in, a run folder out (see `run` for what is in it)."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from derm_sdk.errors import OptionError
from derm_sdk.files import write_text

from ..data.cache import PhotoCache, remove_leftovers
from ..data.leaks import find_leaks, leak_sentence
from ..data.manifest import Dataset, Photo, Split, verify, write_split
from ..errors import ConfigError, DataError, RunError, TrainingError
from ..evaluation.calibrate import fit_run
from ..evaluation.predict import measure_quality, predict_models
from ..lock import NAME as LOCK
from ..models import FAMILIES, GraphSpec, single_view, untrained
from .backend import environment, usable_cores
from .checkpoint import Progress, read_progress
from .config import Config, Targets, difference, read_config
from .devices import OneDevice, choose_devices
from .events import can_write_events, write_events
from .loop import Classes, Job, best_model, train_graph
from .model_files import model_path, save_model, write_graphs
from .reporter import Reporter, metric_name
from .run import AVERAGE, Run, read_data_record, read_run
from .teachers import check_knowledge, find_teachers

_HISTORY = (
    "graph",
    "epoch",
    "loss",
    "validation_loss",
    "validation_accuracy",
    "validation_balanced_accuracy",
    "validation_macro_f1",
    "validation_weighted_f1",
    "learning_rate",
    "seconds",
    "photos_per_second",
)
_DECISIVE = ("keras", "tensorflow", "tensorflow-cpu", "torch", "jax", "numpy")  # packages that decide about bits
_LEFTOVERS = (".", "checkpoints", "model", "evaluation")


@dataclass(frozen=True)
class Order:
    """What to train on what, and where to.

    Attributes:
        config: the resolved config.
        dataset, split: the photos and their sides.
        out: the run folder.
        resume: go on with the training in `out`.
        cache: folder of the photo caches; None for the data set's own.
        allow_leaks: train on a split with clusters, patients or lesions on two sides, and record that.
    """

    config: Config
    dataset: Dataset
    split: Split
    out: Path
    resume: bool = False
    cache: Path | None = None
    allow_leaks: bool = False


def train(order: Order, reporter: Reporter | None = None) -> Run:
    """Trains every network of the config's model, one after the other, and calibrates the whole.

    An interruption costs at most the epoch under way; with `resume` the training then ends in the same weights, bit for
    bit, on the same machine, backend and number of threads.

    Args:
        order: what to train.
        reporter: where progress is shown; a log.txt in the run folder is kept either way.
    Returns:
        The finished run.
    Raises:
        RunError: the folder is not empty (without `resume`), its training cannot be continued, or a teacher cannot teach.
        ConfigError: calibration.refer_node is not in the tree.
        DataError: a label has no photo to learn from, a photo is gone, or the split leaks.
        TrainingError: the loss is no longer a number.
        FileError: a file cannot be written.
    """
    config, dataset, out = order.config, order.dataset, order.out
    reporter = reporter or Reporter()

    # --- What is to be trained, and is there something to learn from? ---------------------------------------------
    specs, photos = _networks(order), _sides(order)
    warnings = check_order(order)

    # --- The run folder ---------------------------------------------------------------------------------------------
    devices = choose_devices(config.training.devices, config.training.precision)
    open_run_folder(order)
    reporter.log = out / "log.txt"
    facts = environment(config.training.seed)
    warnings += _record_environment(out / "environment.json", facts)
    workers = config.training.workers or usable_cores()
    reporter.say(
        f"{'Resuming' if order.resume else 'Training'} {config.model.kind} on {len(photos['train'])} photos, "
        f"{len(specs)} network{'s' * (len(specs) > 1)}; "
        f"Keras {facts['packages']['keras']} on {facts['backend']} ({facts['device']}), "
        f"{f'{devices.count} devices, ' if devices.count > 1 else ''}{workers} worker{'s' * (workers > 1)}."
    )
    for warning in warnings:
        reporter.say(f"Note: {warning}")

    # --- Caches -----------------------------------------------------------------------------------------------------
    shape = config.preprocessing
    exact = PhotoCache(dataset, shape.size, shape.fit, decode=shape.decode, root=order.cache)
    margin = config.augmentation.margin
    canvas = PhotoCache(dataset, shape.size, shape.fit, margin=margin, decode=shape.decode, root=order.cache)
    fill_cache(canvas, photos["train"], workers, reporter)
    fill_cache(exact, [*photos["validation"], *photos["calibration"]], workers, reporter)

    metric = metric_name(config.training.metric)
    with_events = can_write_events()
    if not with_events:
        reporter.say("Note: no logs for TensorBoard are kept; 'pip install tensorboard' for them. history.csv has the same.")

    # --- The networks -----------------------------------------------------------------------------------------------
    histories: list[dict[str, Any]] = []
    with reporter.meter() as meter:
        for spec in specs:
            job = _job(order, spec, photos["train"], photos["validation"], canvas, exact, workers, devices)
            if job.checkpoint.is_file() and model_path(out, spec.id).is_file() and read_progress(job.checkpoint).finished:
                progress = read_progress(job.checkpoint)
                reporter.say(f"{spec.id}: finished before, epoch {progress.best_epoch} was best.")
            else:
                try:
                    progress = train_graph(job, meter, partial(_write_logs, out, list(histories), with_events))
                except TrainingError as error:
                    kept = _keep_best(order, spec, job)
                    reporter.record(f"Stopped: {error}{kept}")
                    raise TrainingError(f"{error}{kept}") from error
                save_model(out, spec.id, best_model(job, progress))
                reporter.say(
                    f"{spec.id}: kept epoch {progress.best_epoch}, validation {metric} {abs(progress.best_score):.3f}."
                )
            _write_logs(out, histories, with_events, progress)
            histories += progress.history
    write_graphs(out, FAMILIES[config.model.kind].KIND, shape, specs)

    # --- Calibration ------------------------------------------------------------------------------------------------
    run = read_run(out)
    calibrate(run, order.split, photos["calibration"], exact, workers, reporter)
    reporter.say(f"The run is in {out}. Next: derm-toolkit evaluate {out}")
    return run


def check_order(order: Order) -> list[str]:
    """Looks whether there is something to learn from, before anything is written.

    Returns:
        Sentences about what is merely thin.
    Raises:
        ConfigError, DataError, RunError: as `train`.
    """
    notes, recipe = check_leaks(order), order.config.training
    for spec in _networks(order) if recipe.teachers else ():
        find_teachers(recipe.teachers, spec.labels, spec.inputs, recipe.sizes or (order.config.preprocessing.size,))
    check_knowledge(recipe.teachers, order.split)
    return (
        notes + check_refer_node(order.dataset, order.config) + _check_photos(order.dataset, _networks(order), _sides(order))
    )


def check_leaks(order: Order) -> list[str]:
    """Raises DataError for a split that leaks, unless leaks are allowed; then a sentence about them, if there are any."""
    if not order.allow_leaks:
        verify(order.split, order.dataset)
    leaks = [leak.to_dict() for leak in find_leaks(order.split, order.dataset)]
    return [told] if (told := leak_sentence(leaks)) else []


def check_same(order: Order) -> None:
    """Raises RunError unless config, data and split are those of the training in the run folder."""
    changed = difference(read_config(order.out / "config.toml"), order.config)
    if changed:
        raise RunError(
            f"{changed} differs from the run in {str(order.out)!r}; resume with its own config, or start a new run."
        )
    if (order.out / "dataset.json").is_file():
        before = read_data_record(order.out)
        for key, now in (("dataset", order.dataset.digest), ("split", order.split.digest)):
            if before.get(key) != now:
                raise RunError(f"The {key} differs from that of the run in {str(order.out)!r}; start a new run for it.")


def calibrate(run: Run, split: Split, photos: Sequence[Photo], exact: PhotoCache, workers: int, reporter: Reporter) -> None:
    """Fits the run's calibration on the calibration split and writes calibration.json."""
    models = {spec.id: run.load_model(spec.id) for spec in run.graphs}
    with reporter.bar("calibration") as tick:
        logits = predict_models(models, photos, exact, workers=workers, progress=tick)
    calibration = fit_run(
        run.config,
        run.composition,
        logits,
        photos,
        measure_quality(photos, exact, logits[run.composition.root.graph]),
        split.photos(exact.dataset, "train"),
        {"split": "calibration", "digest": split.digest},
    )
    write_text(run.folder / "calibration.json", json.dumps(calibration.to_dict(), indent=1) + "\n")
    warmest = ", ".join(f"{graph} {value:.2f}" for graph, value in calibration.temperatures.items())
    reporter.say(f"Calibrated on {len(photos)} photos; temperatures: {warmest}.")


def fill_cache(cache: PhotoCache, photos: Sequence[Photo], workers: int, reporter: Reporter) -> None:
    """Makes what a cache lacks, with a progress bar, and says how long it took when it was noticeable."""
    started = time.perf_counter()
    with reporter.bar(f"{cache.folder.name}") as tick:
        made = cache.fill(photos, workers, tick)
    if made:
        seconds = time.perf_counter() - started
        reporter.say(f"Cached {made} photos in {cache.folder} ({made / seconds:.0f} photos/s).")


def _networks(order: Order) -> tuple[GraphSpec, ...]:
    if order.config.model.kind == "adopted":
        raise ConfigError(
            "A network that was trained elsewhere is not trained here; take it over with 'derm-toolkit adopt'."
        )
    return tuple(FAMILIES[order.config.model.kind].graphs(order.dataset.taxonomy, order.config.model))


def _sides(order: Order) -> dict[str, tuple[Photo, ...]]:
    return {name: order.split.photos(order.dataset, name) for name in ("train", "validation", "calibration")}


def check_refer_node(dataset: Dataset, config: Config) -> list[str]:
    """Refuses a label to refer that the tree lacks, unless it is only the default, which not every tree has."""
    wanted = config.calibration.refer_node
    try:
        if wanted:
            dataset.taxonomy.node(wanted)
    except OptionError as error:
        if wanted == Targets.refer_node:
            return [f"the data have no label {wanted!r}, so no photo is referred; name one in calibration.refer_node."]
        raise ConfigError(f'calibration.refer_node must be a label of the data, or "" for none. {error}') from error
    return []


def _record_environment(path: Path, facts: Mapping[str, Any]) -> list[str]:
    """Writes what a run is made with; one begun before keeps its record, and what differs from it is noted."""
    try:
        before = json.loads(path.read_bytes())
        packages = before["packages"]
    except (OSError, ValueError, KeyError, TypeError):  # a new run, or nothing to compare with
        write_text(path, json.dumps(facts, indent=1) + "\n")
        return []
    pairs = [(name, before.get(name), facts[name]) for name in ("backend", "device", "cores")]
    pairs += [(name, packages.get(name), version) for name, version in facts["packages"].items() if name in _DECISIVE]
    changes = [f"{name} {then!r} -> {now!r}" for name, then, now in pairs if then != now]
    return [f"not as when the run began: {', '.join(changes)}; it may end in other weights."] if changes else []


def _check_photos(dataset: Dataset, specs: Sequence[GraphSpec], photos: dict[str, tuple[Photo, ...]]) -> list[str]:
    """Refuses labels without a training photo and graphs without a validation photo; notes what is merely thin."""
    names = {node.id: node.name for node in dataset.taxonomy.nodes}
    if len(specs[0].labels) < 2:
        raise DataError("There must be two categories or more to tell apart; the data set has one.")
    if not photos["calibration"]:
        raise DataError("The calibration split has no photo; split the data with a share for calibration.")
    notes = []
    for spec in specs:
        below = set(dataset.taxonomy.leaves_under(spec.given))
        counts = {name: Counter(photo.leaf for photo in photos[name] if photo.leaf in below) for name in photos}
        for label in spec.labels:
            leaves = dataset.taxonomy.leaves_under(label)
            if not any(counts["train"][leaf] for leaf in leaves):
                raise DataError(
                    f"The training split has no photo of {names[label]!r}; add some, or import without that label."
                )
            if not any(counts["validation"][leaf] for leaf in leaves):
                notes.append(f"the validation split has no photo of {names[label]!r}; its F1 cannot count.")
        if not counts["validation"]:
            about = f"of {names[spec.given]!r}" if spec.given else "at all"
            raise DataError(
                f"The validation split has no photo {about}, so {spec.id!r} cannot be judged; split the data anew."
            )
    return notes


def open_run_folder(order: Order) -> None:
    """Makes the run folder with its config and data records, or checks that it holds the training to resume.

    Raises:
        RunError: the folder is not empty, or holds another training.
    """
    out = order.out
    data = {
        "folder": relative_place(order.dataset.folder, out),
        "dataset": order.dataset.digest,
        "split": order.split.digest,
        "photos": len(order.dataset.photos),
    }
    leaks = [leak.to_dict() for leak in find_leaks(order.split, order.dataset)]
    data |= {"leaks": leaks} if leaks else {}
    config_file, data_file = out / "config.toml", out / "dataset.json"
    if (out / AVERAGE).is_file():
        raise RunError(f"{str(out)!r} is the mean of other runs: there is no training to resume; make it anew.")
    if order.resume and config_file.is_file():
        check_same(order)
        for folder in _LEFTOVERS:
            remove_leftovers(out / folder)
    elif out.is_dir() and any(path.name != LOCK for path in out.iterdir()):
        raise RunError(f"The folder {str(out)!r} is not empty; go on with --resume, or choose another --out.")
    write_text(config_file, order.config.to_toml())
    write_text(out / "taxonomy.json", json.dumps(order.dataset.taxonomy.to_dict(), indent=1, ensure_ascii=False) + "\n")
    write_split(out / "splits.csv", order.split, order.dataset, allow_leaks=order.allow_leaks)
    write_text(data_file, json.dumps(data, indent=1) + "\n")


def _job(
    order: Order,
    spec: GraphSpec,
    train_photos: Sequence[Photo],
    validation_photos: Sequence[Photo],
    canvas: PhotoCache,
    exact: PhotoCache,
    workers: int,
    devices: OneDevice,
) -> Job:
    config, taxonomy, family = order.config, order.dataset.taxonomy, FAMILIES[order.config.model.kind]
    in_training = single_view(config.model)
    place = {leaf: column for column, label in enumerate(spec.labels) for leaf in taxonomy.leaves_under(label)}

    def of_graph(photos: Sequence[Photo]) -> tuple[list[Photo], Classes]:
        mine = [photo for photo in photos if photo.leaf in place]
        return mine, np.array([place[photo.leaf] for photo in mine], np.int64)

    mine, classes = of_graph(train_photos)
    others, other_classes = of_graph(validation_photos)
    return Job(
        spec=spec,
        taxonomy=taxonomy,
        build=lambda size, pretrained: family.build(spec, in_training if pretrained else untrained(in_training), size),
        build_kept=lambda: family.build(spec, untrained(config.model), config.preprocessing.size),
        photos=mine,
        classes=classes,
        validation_photos=others,
        validation_classes=other_classes,
        canvas=canvas,
        exact=exact,
        size=config.preprocessing.size,
        epochs=config.training.epochs if spec.given is None else config.training.expert_epochs,
        recipe=config.training,
        augmentation=config.augmentation,
        workers=workers,
        devices=devices,
        checkpoint=order.out / "checkpoints" / f"{spec.id}.npz",
    )


def _keep_best(order: Order, spec: GraphSpec, job: Job) -> str:
    """After a training that broke off for good: saves its best weights so far, where there are any, and says where."""
    if job.checkpoint.is_file():
        progress = read_progress(job.checkpoint)
        if progress.best:
            save_model(order.out, spec.id, best_model(job, progress))
            return f" The best weights are in {str(model_path(order.out, spec.id))!r}."
    return ""


def _write_logs(out: Path, before: Sequence[dict[str, Any]], with_events: bool, now: Progress) -> None:
    """Writes history.csv, the finished networks' rows, then those of the one in training, and that one's events."""
    rows = [*before, *now.history]
    if with_events:
        write_events(out / "tensorboard" / rows[-1]["graph"], now.history)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _HISTORY, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
    write_text(out / "history.csv", text.getvalue())


def relative_place(place: Path, out: Path) -> str:
    """From the run folder to the data set; absolute where no relative path exists (another drive)."""
    try:
        return Path(os.path.relpath(place.resolve(), out.resolve())).as_posix()
    except ValueError:
        return place.resolve().as_posix()
