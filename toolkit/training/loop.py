"""The training of one network, from its first step to its best weights."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, f1_score

from derm_sdk.taxonomy import Taxonomy

from ..data.augment import Augmentation
from ..data.cache import PhotoCache
from ..data.manifest import Photo
from ..errors import TrainingError
from ..evaluation.predict import predict_models
from ..models import GraphSpec
from .backend import seed_everything
from .checkpoint import Progress, read_progress, restore_checkpoint, write_checkpoint
from .config import Training
from .devices import OneDevice
from .feed import augmented_photo, dropped_skin_type, feed, shuffled_batches, steps_per_epoch
from .mixing import Mixer
from .normalisation import fuse_normalisations
from .objective import objective, upward_sums
from .optimizers import build_optimizer
from .recipe import MovingAverage, class_weights, derived_seed, learning_rate, log_shares, smoothed_targets
from .reporter import Meter, metric_name
from .stages import freeze, part_of
from .teachers import Teachers, find_teachers

if TYPE_CHECKING:
    import keras

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Job:
    """Everything that the training of one network needs.

    Attributes:
        spec: the network.
        taxonomy: the tree of labels.
        build: makes it as it trains, for pictures of a side, or of any side for None; with the weights that it begins
            with, or with random ones, when it is given others anyway.
        build_kept: makes it as it answers, for pictures of `size`; it is given the trained weights.
        photos, classes: of the training split: the photos, and the place of each one's label in `spec.labels`.
        validation_photos, validation_classes: the same of the validation split.
        canvas, exact: the caches for training and for validation.
        size: side of the inputs in pixels.
        epochs: passes over the photos, at most.
        recipe, augmentation: from the config.
        workers: threads that prepare photos.
        devices: where it trains.
        checkpoint: the file of its state; training continues from it where it exists.
    """

    spec: GraphSpec
    taxonomy: Taxonomy
    build: Callable[[int | None, bool], keras.Model]
    build_kept: Callable[[], keras.Model]
    photos: Sequence[Photo]
    classes: Classes
    validation_photos: Sequence[Photo]
    validation_classes: Classes
    canvas: PhotoCache
    exact: PhotoCache
    size: int
    epochs: int
    recipe: Training
    augmentation: Augmentation
    workers: int
    devices: OneDevice
    checkpoint: Path


def train_graph(job: Job, meter: Meter, after_epoch: Callable[[Progress], None]) -> Progress:
    """Trains a network until its last epoch, or until its validation metric stops rising.

    Args:
        job: what to train, and how.
        meter: shows how far it is.
        after_epoch: called after each epoch, once its checkpoint is written.
    Returns:
        The final state; `best` holds the weights to keep.
    Raises:
        TrainingError: the loss is no longer a number; the best weights so far are in the checkpoint.
        DermError: a photo cannot be read, or a file cannot be written.
    """
    recipe, labels = job.recipe, len(job.spec.labels)

    # --- Model, loss, moving average --------------------------------------------------------------------------------
    seed_everything(derived_seed(recipe.seed, job.spec.id), deterministic=recipe.deterministic)
    sizes = recipe.sizes or (job.size,)
    with job.devices.scope(), precision(recipe.precision):
        model = job.build(job.size if set(sizes) == {job.size} else None, not job.checkpoint.is_file())
    fuse_normalisations(model)
    judge = job.build(job.size, False)  # its twin on one device, in float32
    per_epoch = steps_per_epoch(len(job.photos), recipe.batch_size)
    steps, warmup = job.epochs * per_epoch, round(recipe.warmup_epochs * per_epoch)
    slowest = 1 - 4 / max(steps, 5)  # of a short training, the average must not hold its beginning
    average = MovingAverage(model.weights, min(recipe.average, slowest)) if recipe.average else None
    targets = weighted_targets(job.classes, labels, recipe)
    teachers = opened_teachers(job, sizes) if recipe.teachers else None

    # --- Resume ---------------------------------------------------------------------------------------------------
    frozen, progress = part_of(recipe.frozen, 0, job.epochs), Progress()
    if job.checkpoint.is_file():
        frozen = part_of(recipe.frozen, max(0, read_progress(job.checkpoint).epoch - 1), job.epochs)
    compile_model(model, job, frozen)
    if job.checkpoint.is_file():
        progress = restore_checkpoint(job.checkpoint, model, average)
    meter.start(job.spec.id, job.epochs, len(job.photos), progress.epoch)

    while not progress.finished:
        started, epoch = time.perf_counter(), progress.epoch
        # --- What this part of the training asks for --------------------------------------------------------------
        size = part_of(sizes, epoch, job.epochs)
        if part_of(recipe.frozen, epoch, job.epochs) != frozen:
            frozen = part_of(recipe.frozen, epoch, job.epochs)
            compile_model(model, job, frozen)

        # --- One pass over the photos -----------------------------------------------------------------------------
        seed = derived_seed(recipe.seed, job.spec.id, epoch)
        # On torch, dropout draws from a global stream that no checkpoint holds; so every epoch begins its own.
        seed_everything(seed, deterministic=recipe.deterministic)
        batches = shuffled_batches(len(job.photos), recipe.batch_size, np.random.Generator(np.random.PCG64(seed)))
        mixer = Mixer(
            job.photos,
            augmented_photo(job.canvas, size, job.augmentation, recipe.seed, epoch),
            mixup=recipe.mixup,
            cutmix=recipe.cutmix,
            share=recipe.mix_share,
            seed=recipe.seed,
            epoch=epoch,
        )
        skin_type = dropped_skin_type(recipe.skin_type_dropout, recipe.seed, epoch)
        step, seen, rate, loss = epoch * per_epoch, 0, 0.0, 0.0
        fed = feed(job.photos, batches, mixer.view, job.spec.inputs, job.workers, skin_type=skin_type)
        for indices, batch, answers in teachers.follow(fed) if teachers else ((*each, None) for each in fed):
            wanted = mixer.targets(indices, targets, size)
            if answers is not None:
                weight = recipe.distillation * wanted.sum(axis=1, keepdims=True)
                wanted = (1 - recipe.distillation) * wanted + weight * answers
            rate = learning_rate(step, steps, warmup, recipe.learning_rate, recipe.schedule)
            model.optimizer.learning_rate = rate
            now = job.devices.step(model, [batch[name] for name in job.spec.inputs], wanted)
            step, seen = step + 1, seen + len(indices)
            loss += (now - loss) * len(indices) / seen
            if not math.isfinite(loss):
                raise TrainingError(_not_a_number(job, epoch + 1, step - epoch * per_epoch, progress))
            if average:
                average.step(step)
            meter.step(len(indices), loss)
        trained = time.perf_counter()

        # --- Validation, over the whole split, with the weights that would be kept ---------------------------------
        kept = average.arrays() if average else model.get_weights()
        judge.set_weights(kept)
        scores = validate(judge, job)

        # --- The best so far; is it time to stop? -----------------------------------------------------------------
        progress.epoch = epoch + 1
        score = scores[f"validation_{recipe.metric}"] * (-1 if recipe.metric == "loss" else 1)
        if (score, -scores["validation_loss"]) > (progress.best_score, -progress.best_loss):
            progress.best_score, progress.best_loss = score, scores["validation_loss"]
            progress.best_epoch, progress.best = epoch + 1, kept
        waited = progress.epoch - progress.best_epoch
        progress.finished = progress.epoch >= job.epochs or waited >= recipe.patience

        # --- Write down, whole -------------------------------------------------------------------------------------
        row = {"graph": job.spec.id, "epoch": progress.epoch, "loss": loss, **scores, "learning_rate": rate}
        row["seconds"] = time.perf_counter() - started
        row["photos_per_second"] = len(job.photos) / (trained - started)
        progress.history.append(row)
        write_checkpoint(job.checkpoint, progress, model, average)
        after_epoch(progress)
        best = f"{metric_name(recipe.metric)} {abs(progress.best_score):.3f}"
        meter.epoch(row, best, progress.best_epoch == progress.epoch)
    return progress


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside compute with this Keras dtype policy; their weights stay float32."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def compile_model(model: keras.Model, job: Job, frozen: float) -> None:
    """Freezes a share of the backbone, and gives the model its loss and a fresh optimiser that is ready to be restored."""
    import keras

    recipe = job.recipe
    freeze(model, frozen)
    log_prior = recipe.logit_adjustment * log_shares(job.classes, len(job.spec.labels))
    loss = objective(
        upward_sums(job.taxonomy, job.spec.labels), hierarchy=recipe.hierarchy, focal=recipe.focal, log_prior=log_prior
    )
    with job.devices.scope():
        # Not XLA on TensorFlow: on a CPU it runs convolutions several times slower.
        optimizer = build_optimizer(model, recipe, job.devices.optimizer)
        model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")
        model.optimizer.build(model.trainable_variables)  # with float16, Keras has wrapped it to scale the loss


def opened_teachers(job: Job, sizes: Sequence[int]) -> Teachers:
    """The finished models that the config names, opened for pictures of these sides."""
    recipe, spec = job.recipe, job.spec
    found = find_teachers(recipe.teachers, spec.labels, spec.inputs, sizes)
    return Teachers(found, spec.labels, recipe.distillation_temperature, job.workers)


def weighted_targets(classes: Classes, labels: int, recipe: Training) -> NDArray[np.float32]:
    """Smoothed one-hot targets times the weight of the photo's class, float32 [N, labels]."""
    weights = class_weights(classes, labels, recipe.class_weight_power)
    return smoothed_targets(classes, labels, recipe.label_smoothing) * weights[classes][:, None]


def validate(model: keras.Model, job: Job) -> dict[str, float]:
    """Loss (plain cross-entropy) and the metrics on the validation split, computed once over all of it.

    Macro F1 and balanced accuracy are means over the labels that occur in the split.
    """
    graph, truth = job.spec.id, job.validation_classes
    logits = predict_models({graph: model}, job.validation_photos, job.exact, workers=job.workers)[graph].astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    predicted = logits.argmax(axis=1)
    present = np.unique(truth)

    def f1(average: str) -> float:
        return float(f1_score(truth, predicted, labels=present, average=average, zero_division=0.0))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label that is answered but does not occur
        balanced = float(balanced_accuracy_score(truth, predicted))
    return {
        "validation_loss": float(-log_probabilities[np.arange(len(truth)), truth].mean()),
        "validation_accuracy": float((predicted == truth).mean()),
        "validation_balanced_accuracy": balanced,
        "validation_macro_f1": f1("macro"),
        "validation_weighted_f1": f1("weighted"),
    }


def best_model(job: Job, progress: Progress) -> Any:
    """The network with its best weights, without an optimiser: what the run folder keeps."""
    model = job.build_kept()
    model.set_weights(progress.best)
    return model


def _not_a_number(job: Job, epoch: int, step: int, progress: Progress) -> str:
    best = f"epoch {progress.best_epoch}, {metric_name(job.recipe.metric)} {abs(progress.best_score):.3f}"
    kept = f"the best weights so far ({best}) are kept"
    return (
        f"The loss of {job.spec.id!r} stopped being a number in epoch {epoch}, step {step}; "
        f"{kept if progress.best else 'no epoch was finished'}. Lower training.learning_rate and start a new run."
    )
