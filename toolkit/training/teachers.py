"""Distillation: finished models look at the same pictures as the network in training, and their answers join its targets.

Source: Hinton et al. 2015; Beyer et al. 2022 ("A good teacher is patient and consistent": both see the same view).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from derm_sdk.bundle import read_bundle
from derm_sdk.runtime import Network

from ..data.manifest import Split
from ..errors import RunError
from ..models import FAMILIES, untrained
from .feed import Batch, Indices
from .run import read_run

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Spec = TypeVar("Spec")


@dataclass(frozen=True)
class Teacher:
    """One network that was trained before, not yet opened.

    Attributes:
        path: its run folder or `.derm` file.
        labels: ids, in the order of its logits.
        inputs: kinds that it takes.
        size: side of the pictures that it takes; None for any.
        apart: whether it runs beside the Keras backend, in threads of its own.
        open: makes it ready to run on so many threads of its own: batch -> float64 [N, labels].
    """

    path: str
    labels: Sequence[str]
    inputs: Sequence[str]
    size: int | None
    apart: bool
    open: Callable[[int], Callable[[Batch], Floats]]


def find_teachers(paths: Sequence[str], labels: Sequence[str], inputs: Sequence[str], sizes: Sequence[int]) -> list[Teacher]:
    """Looks whether some finished models can teach a network.

    Args:
        paths: of run folders or `.derm` files with one network each, which tells the same labels apart.
        labels: ids, the student's.
        inputs: kinds that the student takes, and so all that its batches hold.
        sizes: sides of the pictures that will come.
    Raises:
        RunError: no finished run, or a model of several networks, other labels, other inputs or another size.
        BundleError, FileError: a file is damaged or cannot be read.
    """
    found = [_bundle(path) if os.path.isfile(path) else _run(path) for path in paths]
    for teacher in found:
        if set(teacher.labels) != set(labels):
            raise RunError(f"{teacher.path!r} cannot teach: it must be one network over the same labels.")
        if missing := sorted(set(teacher.inputs) - set(inputs)):
            raise RunError(f"{teacher.path!r} cannot teach: it takes {missing[0]!r}, which the student does not.")
        if teacher.size and (others := sorted(set(sizes) - {teacher.size})):
            raise RunError(
                f"{teacher.path!r} cannot teach: it takes pictures of {teacher.size} pixels, and training.sizes holds "
                f"{others[0]}; name its run folder instead, or say training.sizes=[{teacher.size}]."
            )
    return found


def check_knowledge(paths: Sequence[str], split: Split) -> None:
    """Refuses teachers that were trained on photos which a split keeps from the student: they would hand them on.

    Args:
        paths: as for `find_teachers`.
        split: the student's.
    Raises:
        RunError: a teacher knows such a photo, or does not say which photos it knows.
        BundleError, DataError, FileError: a file is damaged or cannot be read.
    """
    for path in paths:
        if os.path.isfile(path):
            if read_bundle(path).manifest.get("training", {}).get("split_sha256") != split.digest:
                raise RunError(
                    f"{path!r} cannot teach: it was made on another split, and a .derm file does not say on which photos; "
                    "name its run folder, or train it on this split."
                )
            continue
        run = read_run(path)
        sides = {} if run.data["split"] == split.digest else run.split(run.dataset()).assignments
        known = [digest for digest, side in sides.items() if side == "train" != split.assignments.get(digest, side)]
        if known:
            raise RunError(
                f"{path!r} cannot teach: it was trained on {len(known)} photos that this split keeps for validation, "
                "calibration or test; train it on this split."
            )


class Teachers:
    """The mean answer of some finished models.

    Args:
        found: the models, as `find_teachers` gives them.
        labels: ids, in the order of the student's logits.
        temperature: divides the teachers' logits.
        threads: that run the graphs of `.derm` files; a run is run by the Keras backend, with its own threads.
    Raises:
        RunError, RuntimeMissingError: a model cannot be opened.
    """

    def __init__(self, found: Sequence[Teacher], labels: Sequence[str], temperature: float, threads: int) -> None:
        self.temperature = temperature
        self._apart = all(teacher.apart for teacher in found)
        self._members = [(teacher.open(threads), [teacher.labels.index(label) for label in labels]) for teacher in found]

    def answers(self, batch: Batch) -> Floats32:
        """The teachers' mean probabilities, float32 [N, labels], in the student's order."""
        total: Any = 0.0
        for logits_of, order in self._members:
            logits = logits_of(batch)[:, order]
            shares = np.exp((logits - logits.max(axis=1, keepdims=True)) / self.temperature)
            total = total + shares / shares.sum(axis=1, keepdims=True)
        return np.asarray(total / len(self._members), np.float32)

    def follow(self, batches: Iterable[tuple[Indices, Batch]]) -> Iterator[tuple[Indices, Batch, Floats32]]:
        """Yields each batch with the answers to it.

        Where every teacher runs apart, they look at the next batch while the student learns from this one.
        """
        if not self._apart:
            yield from ((indices, batch, self.answers(batch)) for indices, batch in batches)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="teachers") as pool:
            asked: deque[tuple[Indices, Batch, Future[Floats32]]] = deque()
            for indices, batch in batches:
                asked.append((indices, batch, pool.submit(self.answers, batch)))
                if len(asked) > 1:
                    yield _answered(*asked.popleft())
            yield from (_answered(*each) for each in asked)


def _answered(indices: Indices, batch: Batch, answers: Future[Floats32]) -> tuple[Indices, Batch, Floats32]:
    return indices, batch, answers.result()


def _run(folder: str) -> Teacher:
    """A finished run, on the Keras backend: pictures of any size, since its network pools them."""
    run = read_run(folder)
    spec = _only(folder, run.graphs)

    def opened(_: int) -> Callable[[Batch], Floats]:
        model = FAMILIES[run.config.model.kind].build(spec, untrained(run.config.model), None)
        model.set_weights(run.load_model(spec.id).get_weights())
        return lambda batch: np.asarray(model.predict_on_batch([batch[name] for name in spec.inputs]), np.float64)

    return Teacher(folder, spec.labels, spec.inputs, None, False, opened)


def _bundle(path: str) -> Teacher:
    """A `.derm` file, as the device runs it: on a CPU, quicker than the run that it was made of."""
    bundle = read_bundle(path)
    spec = _only(path, bundle.graphs)

    def opened(threads: int) -> Callable[[Batch], Floats]:
        networks = [Network(spec, bundle.graph_data[spec.id], threads=1) for _ in range(threads)]
        pool = ThreadPoolExecutor(threads, thread_name_prefix="teacher")

        def share(network: Network, batch: Batch, places: NDArray[np.int64]) -> list[Floats]:
            return [network.logits({name: array[place] for name, array in batch.items()}) for place in places]

        def logits(batch: Batch) -> Floats:
            places = np.array_split(np.arange(len(next(iter(batch.values())))), threads)
            return np.array([row for rows in pool.map(share, networks, [batch] * threads, places) for row in rows])

        return logits

    return Teacher(path, spec.labels, [tensor.kind for tensor in spec.inputs], bundle.preprocessing.size, True, opened)


def _only(path: str, graphs: Sequence[Spec]) -> Spec:
    if len(graphs) != 1:
        raise RunError(f"{path!r} cannot teach: it must be one network over the same labels; it has {len(graphs)}.")
    return graphs[0]
