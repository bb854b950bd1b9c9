"""Quantisation-aware fine-tuning: a few epochs in which the rounded network learns to answer as the float network does.

No label is needed: the float network's answers are what is learned (Hinton et al. 2015), on other views of the training
photos. It starts from the weights that the other remedies leave, at a small rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from .errors import ConversionError
from .fake_quantisation import Ranges, fake_quantised
from .folding import WEIGHTED

RATE = 2e-5
Batch = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Lessons:
    """What a network is fine-tuned on.

    Attributes:
        batches: epoch, from 0 -> batches of photos, {kind: uint8 [N, ...]}.
        steps: batches per epoch.
        progress: called after each step with (steps done, steps in all, mean divergence of the epoch so far, in nats).
    """

    batches: Callable[[int], Iterable[Batch]]
    steps: int
    progress: Callable[[int, int, float], None] = lambda done, total, divergence: None


def finetune(teacher: keras.Model, folded: keras.Model, ranges: Ranges, epochs: int, lessons: Lessons) -> None:
    """Fine-tunes the weights of a folded network, in place.

    Args:
        teacher: the float network, with the same inputs, in a batch of any size.
        folded: what the other remedies made of it, float32 inputs; its kernels and biases are replaced.
        ranges: of its activations; see `derm_converters.fake_quantisation.activation_ranges`.
        epochs: how many.
        lessons: the photos.
    Raises:
        ConversionError: there is no photo, or the divergence is no longer a number.
    """
    total = epochs * lessons.steps
    if not total:
        raise ConversionError("The fine-tuning needs training photos; there was none.")
    student = fake_quantised(folded, ranges)
    schedule = keras.optimizers.schedules.CosineDecay(RATE, total)
    student.compile(keras.optimizers.Adam(schedule), loss=divergence, jit_compile=False)
    done = 0
    for epoch in range(epochs):
        sums, count = 0.0, 0
        for batch in lessons.batches(epoch):
            inputs = [np.asarray(batch[tensor.name], np.float32) for tensor in folded.inputs]
            answers = teacher.predict_on_batch(inputs)
            sums += _step(student, inputs, answers)
            count, done = count + 1, done + 1
            if not np.isfinite(sums):
                raise ConversionError(f"The fine-tuning diverged in step {done} of {total}; leave it out.")
            lessons.progress(done, total, sums / count)
    for layer in folded.layers:
        if isinstance(layer, WEIGHTED):
            layer.set_weights(student.get_layer(layer.name).get_weights())


def divergence(answers: Any, found: Any) -> Any:
    """Kullback-Leibler divergence of two sets of logits, [N, labels] -> [N], in nats: sum p log(p / q), p the first."""
    p = ops.softmax(answers)
    return ops.sum(p * (ops.log_softmax(answers) - ops.log_softmax(found)), axis=-1)


def _step(student: keras.Model, inputs: list[np.ndarray], answers: np.ndarray) -> float:
    """One step; the mean divergence of its photos before it."""
    student.reset_metrics()  # train_on_batch gives the mean since the last reset
    return float(np.ravel(student.train_on_batch(inputs, answers))[0])
