"""What mirror images give a trained network: its answers to each view of a photo by itself, and their mean.

    python benchmarks/views.py RUN [--side validation --side calibration]

RUN is a run of a `hierarchical` config. The figures are of its logits as they are, without calibration, on photos that it
was not trained on. The last line is the change of the macro F1 from the first view to the mean of four, photos drawn anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.evaluation.predict import predict_models
from derm_toolkit.models import FAMILIES, single_view, untrained
from derm_toolkit.training.run import read_run

VIEWS = {"as it is": (1, 1), "mirrored": (1, -1), "upside down": (-1, 1), "both": (-1, -1)}


class Mirrored:
    """A network that is shown a mirror image of every picture; `predict_models` takes it for one of Keras'."""

    def __init__(self, network: Any, steps: tuple[int, int]) -> None:
        self.inputs, self.outputs, self._network, self._steps = network.inputs, network.outputs, network, steps

    def predict_on_batch(self, batch: list[Any]) -> Any:
        down, across = self._steps
        turned = [np.ascontiguousarray(x[:, ::down, ::across]) if np.ndim(x) == 4 else x for x in batch]
        return self._network.predict_on_batch(turned)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--side", action="append", choices=["validation", "calibration", "test"])
    asked = parser.parse_args()
    run = read_run(asked.run)
    dataset, shape, spec = run.dataset(), run.preprocessing, run.graphs[0]
    split = run.split(dataset)
    photos = [photo for side in asked.side or ["validation", "calibration"] for photo in split.photos(dataset, side)]
    network = FAMILIES[run.config.model.kind].build(spec, untrained(single_view(run.config.model)), shape.size)
    network.set_weights(run.load_model(spec.id).get_weights())
    exact = PhotoCache(dataset, shape.size, shape.fit, decode=shape.decode)
    exact.fill(photos, 2, lambda *_: None)
    logits = {
        name: np.asarray(predict_models({spec.id: Mirrored(network, steps)}, photos, exact)[spec.id], np.float64)
        for name, steps in VIEWS.items()
    }
    logits["mean of two"] = (logits["as it is"] + logits["mirrored"]) / 2
    logits["mean of four"] = sum(logits[name] for name in VIEWS) / len(VIEWS)
    truth = np.array([spec.labels.index(photo.leaf) for photo in photos])
    malignant = np.array([run.taxonomy.is_below(label, "malignant") for label in spec.labels])
    print(f"{len(photos)} photos\n\n| view | condition accuracy | macro F1 | log loss | AUROC |\n|---|---|---|---|---|")
    for name, each in logits.items():
        shares = np.exp(each - each.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        best, loss = each.argmax(axis=1), -np.log(shares[np.arange(len(truth)), truth]).mean()
        auroc = roc_auc_score(malignant[truth], shares[:, malignant].sum(axis=1))
        f1 = f1_score(truth, best, average="macro")
        print(f"| {name} | {(best == truth).mean():.3f} | {f1:.3f} | {loss:.3f} | {auroc:.3f} |")
    print("\nmacro F1, {:+.3f} ({:+.3f} to {:+.3f})".format(*change(truth, logits["as it is"], logits["mean of four"])))


def change(truth: np.ndarray, one: np.ndarray, four: np.ndarray, rounds: int = 1000) -> tuple[float, float, float]:
    """How much greater the macro F1 of the mean is, with its 95 % bootstrap interval."""
    stream, found = np.random.default_rng(0), []
    for count in range(rounds + 1):
        rows = np.arange(len(truth)) if not count else stream.integers(0, len(truth), len(truth))
        scores = [f1_score(truth[rows], each[rows].argmax(axis=1), average="macro") for each in (one, four)]
        found.append(scores[1] - scores[0])
    low, high = np.percentile(found[1:], [2.5, 97.5])
    return found[0], float(low), float(high)


if __name__ == "__main__":
    main()
