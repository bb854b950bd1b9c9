"""Distillation: finished runs look at the same pictures as the network in training, and their answers join its targets.

Source: Hinton et al. 2015; Beyer et al. 2022 ("A good teacher is patient and consistent": both see the same view).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..models import FAMILIES, GraphSpec, untrained

Floats32 = NDArray[np.float32]


class Teachers:
    """The mean answer of some finished runs."""

    def __init__(self, folders: Sequence[str], labels: Sequence[str], temperature: float) -> None:
        """Opens the runs.

        Args:
            folders: of runs with one network each, which tells the same labels apart.
            labels: ids, in the order of the student's logits.
            temperature: divides the teachers' logits.
        Raises:
            RunError: no finished run, one of several networks, or other labels.
        """
        from .run import read_run

        self.temperature = temperature
        self._members: list[tuple[Any, GraphSpec, list[int]]] = []
        for folder in folders:
            run = read_run(folder)
            spec = run.graphs[0]
            if len(run.graphs) != 1 or set(spec.labels) != set(labels):
                raise RunError(f"The run in {folder!r} cannot teach: it must be one network over the same labels.")
            model = FAMILIES[run.config.model.kind].build(spec, untrained(run.config.model), None)
            model.set_weights(run.load_model(spec.id).get_weights())
            self._members.append((model, spec, [spec.labels.index(label) for label in labels]))

    def answers(self, batch: Mapping[str, NDArray[np.uint8]]) -> Floats32:
        """The teachers' mean probabilities, float32 [N, labels], in the student's order."""
        total: Any = 0.0
        for model, spec, order in self._members:
            logits = np.asarray(model.predict_on_batch([batch[name] for name in spec.inputs]), np.float64)[:, order]
            shares = np.exp((logits - logits.max(axis=1, keepdims=True)) / self.temperature)
            total = total + shares / shares.sum(axis=1, keepdims=True)
        return np.asarray(total / len(self._members), np.float32)
