"""The training of one network, from its first step to its best weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from ..data.augment import Augmentation
from ..data.cache import PhotoCache
from ..data.manifest import Photo
from ..errors import TrainingError
from ..evaluation.predict import predict_models
from ..models import GraphSpec
from .backend import seed_everything
from .checkpoint import Progress, restore_checkpoint, write_checkpoint
from .config import Training
from .feed import augmented_photo, feed, shuffled_batches, steps_per_epoch
from .recipe import MovingAverage, class_weights, derived_seed, learning_rate, smoothed_targets
from .reporter import Meter

if TYPE_CHECKING:
    import keras

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Job:
    """Everything that the training of one network needs.

    Attributes:
        spec: the network.
        build: makes it, with random weights.
        photos, classes: of the training split: the photos, and the place of each one's label in `spec.labels`.
        validation_photos, validation_classes: the same of the validation split.
        canvas, exact: the caches for training and for validation.
        size: side of the inputs in pixels.
        epochs: passes over the photos, at most.
        recipe, augmentation: from the config.
        workers: threads that prepare photos.
        checkpoint: the file of its state; training continues from it where it exists.
    """

    spec: GraphSpec
    build: Callable[[], keras.Model]
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
    checkpoint: Path


def train_graph(job: Job, meter: Meter, after_epoch: Callable[[Progress], None]) -> Progress:
    """Trains a network until its last epoch, or until its validation macro F1 stops rising.

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

    # --- Model, optimiser, moving average -------------------------------------------------------------------------
    seed_everything(derived_seed(recipe.seed, job.spec.id), deterministic=recipe.deterministic)
    model = compile_model(job.build(), recipe)
    per_epoch = steps_per_epoch(len(job.photos), recipe.batch_size)
    steps, warmup = job.epochs * per_epoch, round(recipe.warmup_epochs * per_epoch)
    slowest = 1 - 4 / max(steps, 5)  # of a short training, the average must not hold its beginning
    average = MovingAverage(model.weights, min(recipe.average, slowest)) if recipe.average else None

    # --- Resume ---------------------------------------------------------------------------------------------------
    progress = restore_checkpoint(job.checkpoint, model, average) if job.checkpoint.is_file() else Progress()
    weights = class_weights(job.classes, labels, recipe.class_weight_power)
    targets = smoothed_targets(job.classes, labels, recipe.label_smoothing)
    meter.start(job.spec.id, job.epochs, len(job.photos), progress.epoch)

    while not progress.finished:
        # --- One pass over the photos -----------------------------------------------------------------------------
        started, epoch = time.perf_counter(), progress.epoch
        seed = derived_seed(recipe.seed, job.spec.id, epoch)
        # On torch, dropout draws from a global stream that no checkpoint holds; so every epoch begins its own.
        seed_everything(seed, deterministic=recipe.deterministic)
        order = np.random.Generator(np.random.PCG64(seed))
        batches = shuffled_batches(len(job.photos), recipe.batch_size, order)
        view = augmented_photo(job.canvas, job.size, job.augmentation, recipe.seed, epoch)
        step, seen, rate, loss = epoch * per_epoch, 0, 0.0, 0.0
        for indices, batch in feed(job.photos, batches, view, job.spec.inputs, job.workers):
            rate = learning_rate(step, steps, warmup, recipe.learning_rate)
            model.optimizer.learning_rate = rate
            inputs = [batch[name] for name in job.spec.inputs]
            now = float(model.train_on_batch(inputs, targets[indices], sample_weight=weights[job.classes[indices]]))
            step, seen = step + 1, seen + len(indices)
            loss += (now - loss) * len(indices) / seen
            if not math.isfinite(loss):
                raise TrainingError(_not_a_number(job.spec.id, epoch + 1, step - epoch * per_epoch, progress))
            if average:
                average.step(step)
            meter.step(len(indices), loss)
        trained = time.perf_counter()

        # --- Validation, over the whole split, with the weights that would be kept ---------------------------------
        current = model.get_weights()
        kept = average.arrays() if average else current
        model.set_weights(kept)
        scores = validate(model, job)
        model.set_weights(current)

        # --- The best so far; is it time to stop? -----------------------------------------------------------------
        progress.epoch = epoch + 1
        if (scores["validation_macro_f1"], -scores["validation_loss"]) > (progress.best_score, -progress.best_loss):
            progress.best_score, progress.best_loss = scores["validation_macro_f1"], scores["validation_loss"]
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
        meter.epoch(row, progress.best_score)
    return progress


def compile_model(model: keras.Model, recipe: Training) -> keras.Model:
    """Gives a model its loss and an AdamW that is ready to be restored."""
    import keras

    optimizer = keras.optimizers.AdamW(
        learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay, global_clipnorm=recipe.clip_norm or None
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(model.trainable_variables)
    # Not XLA on TensorFlow: on a CPU it runs convolutions several times slower.
    jit = keras.backend.backend() == "jax"
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=jit)
    return model


def validate(model: keras.Model, job: Job) -> dict[str, float]:
    """Loss (plain cross-entropy), accuracy and macro F1 on the validation split, computed once over all of it.

    Macro F1 is the mean over the labels that occur in the split.
    """
    graph, truth = job.spec.id, job.validation_classes
    logits = predict_models({graph: model}, job.validation_photos, job.exact, workers=job.workers)[graph].astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    predicted = logits.argmax(axis=1)
    return {
        "validation_loss": float(-log_probabilities[np.arange(len(truth)), truth].mean()),
        "validation_accuracy": float((predicted == truth).mean()),
        "validation_macro_f1": float(
            f1_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0.0)
        ),
    }


def best_model(job: Job, progress: Progress) -> Any:
    """The network with its best weights, without an optimiser: what the run folder keeps."""
    model = job.build()
    model.set_weights(progress.best)
    return model


def _not_a_number(graph: str, epoch: int, step: int, progress: Progress) -> str:
    kept = f"the best weights so far (epoch {progress.best_epoch}, macro F1 {progress.best_score:.3f}) are kept"
    return (
        f"The loss of {graph!r} stopped being a number in epoch {epoch}, step {step}; "
        f"{kept if progress.best else 'no epoch was finished'}. Lower training.learning_rate and start a new run."
    )
