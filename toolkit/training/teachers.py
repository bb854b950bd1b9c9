"""Distillation: finished models look at the same pictures as the network in training, and their answers join its targets.

Source: Hinton et al. 2015; Beyer et al. 2022 ("A good teacher is patient and consistent": both see the same view).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derm_sdk.bundle import read_bundle
from derm_sdk.runtime import Network

from ..errors import RunError
from ..models import FAMILIES, untrained

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Pictures = Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class Teacher:
    """One network that was trained before.

    Attributes:
        labels: ids, in the order of its logits.
        inputs: kinds that it takes.
        size: side of the pictures that it takes; None for any.
        logits: batch -> float64 [N, labels].
    """

    labels: Sequence[str]
    inputs: Sequence[str]
    size: int | None
    logits: Callable[[Pictures], Floats]


class Teachers:
    """The mean answer of some finished models."""

    def __init__(
        self,
        paths: Sequence[str],
        labels: Sequence[str],
        inputs: Sequence[str],
        sizes: Sequence[int],
        temperature: float,
        threads: int,
    ) -> None:
        """Opens the models.

        Args:
            paths: of run folders or `.derm` files with one network each, which tells the same labels apart.
            labels: ids, in the order of the student's logits.
            inputs: kinds that the student takes, and so all that its batches hold.
            sizes: sides of the pictures that will come.
            temperature: divides the teachers' logits.
            threads: that run the graphs of `.derm` files; a run is run by the Keras backend, with its own threads.
        Raises:
            RunError: no finished run, or a model of several networks, other labels, other inputs or another size.
            BundleError, FileError, RuntimeMissingError: a file cannot be opened.
        """
        self.temperature = temperature
        self._members: list[tuple[Teacher, list[int]]] = []
        for path in paths:
            teacher = _bundle(path, threads) if os.path.isfile(path) else _run(path)
            if set(teacher.labels) != set(labels):
                raise RunError(f"The model in {path!r} cannot teach: it must be one network over the same labels.")
            if missing := set(teacher.inputs) - set(inputs):
                raise RunError(f"The model in {path!r} cannot teach: it takes {sorted(missing)}, the student does not.")
            if teacher.size and {*sizes} != {teacher.size}:
                raise RunError(
                    f"The file {path!r} cannot teach: it takes pictures of {teacher.size} pixels, and training.sizes holds "
                    f"{sorted({*sizes} - {teacher.size})[0]}. Name its run folder instead, or sizes = [{teacher.size}]."
                )
            self._members.append((teacher, [teacher.labels.index(label) for label in labels]))

    def answers(self, batch: Pictures) -> Floats32:
        """The teachers' mean probabilities, float32 [N, labels], in the student's order."""
        total = 0.0
        for teacher, order in self._members:
            logits = teacher.logits(batch)[:, order]
            shares = np.exp((logits - logits.max(axis=1, keepdims=True)) / self.temperature)
            total = total + shares / shares.sum(axis=1, keepdims=True)
        return np.asarray(total / len(self._members), np.float32)


def _run(folder: str) -> Teacher:
    """A finished run, on the Keras backend: pictures of any size, as the pooling takes them."""
    from .run import read_run

    run = read_run(folder)
    spec = run.graphs[0]
    if len(run.graphs) != 1:
        raise RunError(f"The model in {folder!r} cannot teach: it must be one network over the same labels.")
    model = FAMILIES[run.config.model.kind].build(spec, untrained(run.config.model), None)
    model.set_weights(run.load_model(spec.id).get_weights())

    def logits(batch: Pictures) -> Floats:
        return np.asarray(model.predict_on_batch([batch[name] for name in spec.inputs]), np.float64)

    return Teacher(spec.labels, spec.inputs, None, logits)


def _bundle(path: str, threads: int) -> Teacher:
    """A `.derm` file, as the device runs it: on a CPU, several times as quick as the run that it was made of."""
    bundle = read_bundle(path)
    if len(bundle.graphs) != 1:
        raise RunError(f"The model in {path!r} cannot teach: it must be one network over the same labels.")
    spec = bundle.graphs[0]
    networks = [Network(spec, bundle.graph_data[spec.id], threads=1) for _ in range(threads)]
    pool = ThreadPoolExecutor(threads, thread_name_prefix="teacher")

    def share(network: Network, batch: Pictures, places: NDArray[np.int64]) -> list[Floats]:
        return [network.logits({name: array[place] for name, array in batch.items()}) for place in places]

    def logits(batch: Pictures) -> Floats:
        places = np.array_split(np.arange(len(next(iter(batch.values())))), threads)
        return np.array([row for rows in pool.map(share, networks, [batch] * threads, places) for row in rows])

    return Teacher(spec.labels, [tensor.kind for tensor in spec.inputs], bundle.preprocessing.size, logits)
