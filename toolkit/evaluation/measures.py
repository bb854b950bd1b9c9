"""The figures of some photos: of one level of the tree, of the merged conditions, and of what is referred.

Each class is a `Measure`: it prepares what does not change, and then gives its figures for any weights of the photos.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from derm_sdk.errors import OptionError

from .bootstrap import Floats
from .conformal import prediction_sets
from .predictions import Predictions
from .scores import (
    CalibrationError,
    ClassCounts,
    Classes,
    Flags,
    Ranking,
    brier_scores,
    class_scores,
    in_top,
    log_losses,
    share,
    weighted_means,
)
from .synonyms import Merged

LEAST_PHOTOS = 20
SPECIFICITIES = (0.8, 0.9, 0.95)
CORRECTED = ("ece", "ece_uncalibrated")  # figures that take noise for a difference


class LevelMeasure:
    """The figures of one set of classes, on the photos whose true class the model knows.

    Attributes:
        rows: int [n], the photos that are judged.
        classes: number of classes that occur in their truth.
        counts: {figure: number of photos it is about}, of those that are about fewer than n.
        baselines: {figure: what always saying the same would reach}, of the figures for which there is such a thing.
    """

    def __init__(self, truth: Classes, probabilities: Floats, uncalibrated: Floats, rows: NDArray[np.int64]) -> None:
        """Truth is int [N], -1 where unknown; probabilities are float [N, classes]; rows int [m], the photos asked about."""
        self.rows = rows[truth[rows] >= 0]
        self._truth = truth[self.rows]
        self.counts: dict[str, int] = {}
        of_rows, before = probabilities[self.rows].astype(np.float64), uncalibrated[self.rows].astype(np.float64)
        count = probabilities.shape[1]
        guess = of_rows.argmax(axis=1)
        self.classes = len(np.unique(self._truth))
        self.baselines = baselines(np.bincount(self._truth, minlength=count)) if len(self.rows) else {}
        self._counts = ClassCounts(self._truth, guess, count)
        self._errors = {
            "ece": CalibrationError(of_rows.max(axis=1), guess == self._truth),
            "ece_uncalibrated": CalibrationError(before.max(axis=1), before.argmax(axis=1) == self._truth),
        }
        self._means = {
            "log_loss": log_losses(of_rows, self._truth),
            "log_loss_uncalibrated": log_losses(before, self._truth),
            "brier": brier_scores(of_rows, self._truth),
            "brier_uncalibrated": brier_scores(before, self._truth),
        }
        if count > 3:
            self._means["top3"] = in_top(of_rows, self._truth, 3).astype(np.float64)
        self._shares: dict[str, tuple[Flags, Flags]] = {}

    def add_answers(self, predictions: Predictions, level: str, columns: NDArray[np.int64]) -> LevelMeasure:
        """Adds how often the truth is in the prediction set, its size, and how often and how rightly the model answers."""
        probabilities = predictions.probabilities[self.rows][:, columns]
        photos = np.arange(len(self.rows))
        inside = prediction_sets(probabilities, predictions.calibration.sets.get(level, 0.0))
        self._means["set_coverage"] = inside[photos, self._truth].astype(np.float64)
        self._means["set_size"] = inside.sum(axis=1).astype(np.float64)
        given = answered_classes(predictions, level)[self.rows]
        self._means["answered"] = (given >= 0).astype(np.float64)
        self._shares["answered_accuracy"] = given == self._truth, given >= 0
        self.counts["answered_accuracy"] = int((given >= 0).sum())
        return self

    def n(self, figure: str) -> int:
        """How many photos a figure is about."""
        return self.counts.get(figure, len(self.rows))

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """The figures in every replicate."""
        weights = of_rows(weights, self.rows)
        found = class_scores(*self._counts(weights))
        means = weighted_means(np.stack(list(self._means.values())), weights)
        found |= dict(zip(self._means, means, strict=True))
        found |= {name: error(weights) for name, error in self._errors.items()}
        return found | {name: share(*flags, weights) for name, flags in self._shares.items()}


class ReferMeasure:
    """How well the photos below one node, usually "malignant", are found and referred.

    Attributes:
        rows: int [n], the photos of which the model knows whether they are below the node.
        counts: {figure: number of photos it is about}.
    """

    def __init__(self, predictions: Predictions, node: str, rows: NDArray[np.int64]) -> None:
        """`node` is an id of the tree, rows int [m] the photos asked about."""
        taxonomy = predictions.taxonomy
        level = taxonomy.node(node).level
        truth = predictions.true_classes(level)
        place = [each.id for each in taxonomy.at(level)].index(node)
        self.rows = rows[truth[rows] >= 0]
        self._positive = truth[self.rows] == place
        columns = predictions.columns(level)
        probabilities = predictions.probabilities[self.rows]
        self._ranking = Ranking(probabilities[:, columns[place]].astype(np.float64), self._positive)
        missed = probabilities[:, columns].argmax(axis=1) != place
        self._shares: dict[str, tuple[Flags, Flags]] = {"severe_errors": (missed, self._positive)}
        referred = predictions.refer[self.rows]
        self._shares["severe_errors_not_referred"] = (missed & ~referred, self._positive)
        if predictions.calibration.refer_node is not None:
            self._shares["sensitivity"] = (referred, self._positive)
            self._shares["specificity"] = (~referred, ~self._positive)
        positives = int(self._positive.sum())
        self.counts = {"specificity": len(self.rows) - positives, "auroc": len(self.rows), "positives": positives}

    def n(self, figure: str) -> int:
        """How many photos a figure is about: the node's photos, except for the specificity and the AUROC."""
        return self.counts.get(figure, self.counts["positives"])

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """The figures in every replicate."""
        weights = of_rows(weights, self.rows)
        area, sensitivities = self._ranking(weights, SPECIFICITIES)
        found = {"auroc": area}
        found |= {f"sensitivity_at_{100 * s:.0f}": each for s, each in zip(SPECIFICITIES, sensitivities, strict=True)}
        return found | {name: share(*flags, weights) for name, flags in self._shares.items()}


def of_rows(weights: Floats, rows: NDArray[np.int64]) -> Floats:
    """The weights [B, n] of some photos, a photo's numbers beside each other in memory; all of them are not copied."""
    return weights if len(rows) == weights.shape[1] else weights.T[rows].T


def level_measure(predictions: Predictions, level: str, rows: NDArray[np.int64]) -> LevelMeasure:
    """The figures of a level of the tree."""
    columns = predictions.columns(level)
    truth = predictions.true_classes(level)
    measure = LevelMeasure(truth, predictions.probabilities[:, columns], predictions.uncalibrated[:, columns], rows)
    return measure.add_answers(predictions, level, columns)


def merged_measure(predictions: Predictions, merged: Merged, rows: NDArray[np.int64]) -> LevelMeasure:
    """The figures of the conditions after merging synonyms: probabilities added up, any of the labels right."""
    level = predictions.taxonomy.levels[-1]
    columns, truth = predictions.columns(level), predictions.true_classes(level)
    merged_truth = np.where(truth >= 0, merged.places[truth], -1)
    added = [_add_up(each[:, columns], merged) for each in (predictions.probabilities, predictions.uncalibrated)]
    return LevelMeasure(merged_truth, added[0], added[1], rows)


def answered_classes(predictions: Predictions, level: str) -> Classes:
    """Per photo the place among the level's nodes of what the model answered, int [N]; -1 where it did not go so deep."""
    taxonomy = predictions.taxonomy
    place = {node.id: index for index, node in enumerate(taxonomy.at(level))}
    depth = taxonomy.levels.index(level)
    of_node: dict[str, int] = {"": -1}
    for node in taxonomy.nodes:
        deep = taxonomy.levels.index(node.level) >= depth
        of_node[node.id] = place[taxonomy.ancestor(node.id, level)] if deep else -1
    return np.array([of_node[node] for node in predictions.answer.tolist()], np.int64)


def refer_node(predictions: Predictions) -> str | None:
    """The node that the calibration refers, else one named "malignant"; None for a tree without either."""
    try:
        return predictions.calibration.refer_node or predictions.taxonomy.node("malignant").id
    except OptionError:
        return None


def baselines(counts: NDArray[np.int64]) -> dict[str, float]:
    """What knowing nothing but the photos' own class counts reaches.

    The classes are always guessed in the order of their size; the probabilities of log loss and Brier score are the
    classes' shares. Both use the very photos that are judged, so they are the best that a constant answer can do.

    Args:
        counts: int [classes], photos per class, at least one in all.
    """
    shares = np.sort(counts[counts > 0] / counts.sum())[::-1]
    f1 = 2 * shares[0] / (1 + shares[0])
    found = {
        "accuracy": shares[0],
        "balanced_accuracy": 1 / len(shares),
        "macro_f1": f1 / len(shares),
        "weighted_f1": shares[0] * f1,
        "precision": shares[0] / len(shares),
        "recall": 1 / len(shares),
        "log_loss": -(shares * np.log(shares)).sum(),
        "brier": 1 - np.square(shares).sum(),
    }
    found |= {"top3": shares[:3].sum()} if len(counts) > 3 else {}
    return {name: float(value) for name, value in found.items()}


def _add_up(probabilities: NDArray[np.float32], merged: Merged) -> NDArray[np.float32]:
    added = np.zeros((len(probabilities), len(merged.names)), np.float32)
    for column, place in enumerate(merged.places):
        added[:, place] += probabilities[:, column]
    return added
