"""Figures of a model on a split, each with its 95 % interval, its n, and what always guessing the largest class would reach.

Point values come from scikit-learn, intervals from the cluster bootstrap. Means over classes (balanced accuracy, macro
F1, precision, recall) are over the classes that occur in the truth: a class without photos cannot be found. A cell with
fewer than 20 photos gives its n only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition
from derm_sdk.errors import OptionError

from .bootstrap import Floats, aurocs, class_scores, interval, weight_blocks, weighted_means

LEAST_PHOTOS = 20
REPLICATES = 1000
ECE_BINS = 10
Spread = Callable[[Floats], Floats]
SKIN_TYPES: tuple[int | None, ...] = (1, 2, 3, 4, 5, 6, None)


@dataclass(frozen=True)
class Answers:
    """What a model said about a split, and what is true.

    Attributes:
        composition, calibration: of the model.
        nodes: float64 [N, nodes], calibrated probabilities, as `Calibration.nodes` gives them.
        leaves: [N] true conditions, ids.
        skin_types: [N], 1..6 or None.
        clusters: [N] names of what is resampled together, from `bootstrap.units`.
    """

    composition: Composition
    calibration: Calibration
    nodes: Floats
    leaves: Sequence[str]
    skin_types: Sequence[int | None]
    clusters: Sequence[str]

    def only(self, rows: NDArray[np.int64]) -> Answers:
        """The answers about some of the photos."""
        return Answers(
            self.composition,
            self.calibration,
            self.nodes[rows],
            [self.leaves[row] for row in rows],
            [self.skin_types[row] for row in rows],
            [self.clusters[row] for row in rows],
        )


def evaluate(answers: Answers, *, replicates: int = REPLICATES, seed: int = 0) -> dict[str, Any]:
    """All figures of a split, over all photos and by skin type.

    Args:
        answers: of the model about the split.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    Returns:
        JSON-ready: {"all": figures, "skin_types": {"1": figures, ..., "unknown": figures}}, where figures are {"n",
        "clusters", "levels": {level: {metric: cell}}, "refer": {metric: cell}}, a cell is {"value", "low", "high"} or
        None where it is not defined, and below 20 photos figures are {"n"} alone.
    """
    types = np.array([0 if each is None else each for each in answers.skin_types], np.int64)
    groups = {}
    for skin_type in SKIN_TYPES:
        rows = np.flatnonzero(types == (skin_type or 0))
        groups["unknown" if skin_type is None else str(skin_type)] = figures(answers.only(rows), replicates, seed)
    return {"all": figures(answers, replicates, seed), "skin_types": groups}


def figures(answers: Answers, replicates: int, seed: int) -> dict[str, Any]:
    """The figures of some photos; {"n"} alone where they are fewer than 20."""
    count = len(answers.leaves)
    if count < LEAST_PHOTOS:
        return {"n": count}
    levels = {level: level_figures(answers, level) for level in answers.composition.taxonomy.levels}
    top = answers.composition.taxonomy.levels[0]
    levels[top]["ece"] = _calibration_error(answers, top)
    found: dict[str, Any] = {"n": count, "clusters": len(set(answers.clusters)), "levels": levels}
    refer = refer_figures(answers)
    found |= {"refer": refer} if refer else {}
    cells = _cells_in(found)
    for weights in weight_blocks(answers.clusters, replicates, seed):
        for cell in cells:
            cell.replicates.append(cell.spread(weights))
    return dict(_resolved(found))


@dataclass
class Cell:
    """A figure whose interval is still to come.

    Attributes:
        value: over all photos.
        spread: weights [b, N] -> the figure in each of these replicates, [b].
        replicates: what `spread` gave so far.
    """

    value: float
    spread: Spread
    replicates: list[Floats] = field(default_factory=list)

    def resolve(self) -> dict[str, float] | None:
        """JSON-ready, with the interval; None where the figure is not defined."""
        limits = interval(np.concatenate(self.replicates))
        if limits is None or not np.isfinite(self.value):
            return None
        return {"value": self.value, "low": limits[0], "high": limits[1]}


def _cells_in(found: Any) -> list[Cell]:
    if isinstance(found, dict):
        return [cell for each in found.values() for cell in _cells_in(each)]
    return [found] if isinstance(found, Cell) else []


def _resolved(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _resolved(each) for name, each in found.items()}
    return found.resolve() if isinstance(found, Cell) else found


def level_figures(answers: Answers, level: str) -> dict[str, Any]:
    """The figures of one level of the tree, cells unresolved."""
    taxonomy, columns = answers.composition.taxonomy, answers.composition.columns(level)
    place = {node.id: index for index, node in enumerate(taxonomy.at(level))}
    truth = np.array([place[taxonomy.ancestor(leaf, level)] for leaf in answers.leaves], np.int64)
    probabilities = answers.nodes[:, columns]
    predicted = probabilities.argmax(axis=1)
    surprise = -np.log(np.clip(probabilities[np.arange(len(truth)), truth], 1e-15, 1.0))
    points = point_scores(truth, predicted)
    scores = _once_per_block(lambda weights: class_scores(truth, predicted, len(columns), weights))
    found: dict[str, Any] = {
        name: Cell(points[name], lambda weights, name=name: scores(weights)[name])  # type: ignore[misc]
        for name in points
    }
    found["log_loss"] = Cell(float(surprise.mean()), lambda weights: weighted_means(surprise, weights))
    found["majority_accuracy"] = {"value": float(np.bincount(truth).max() / len(truth))}
    found["classes"] = {"value": len(np.unique(truth))}
    return found | _answer_figures(answers, level, probabilities, truth)


def _once_per_block(scores: Callable[[Floats], dict[str, Floats]]) -> Callable[[Floats], dict[str, Floats]]:
    """Several cells ask for parts of the same scores, one after the other: they are computed for the first only."""
    kept: list[Any] = [None, {}]

    def ask(weights: Floats) -> dict[str, Floats]:
        if kept[0] is not weights:
            kept[:] = weights, scores(weights)
        return dict(kept[1])

    return ask


def point_scores(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy and the means over classes, by scikit-learn; classes absent from the truth do not count."""
    present = np.unique(truth)
    options: dict[str, Any] = {"labels": present, "zero_division": 0.0}
    recall = float(sk.recall_score(truth, predicted, average="macro", **options))
    return {
        "accuracy": float(sk.accuracy_score(truth, predicted)),
        "balanced_accuracy": recall,
        "macro_f1": float(sk.f1_score(truth, predicted, average="macro", **options)),
        "weighted_f1": float(sk.f1_score(truth, predicted, average="weighted", **options)),
        "precision": float(sk.precision_score(truth, predicted, average="macro", **options)),
        "recall": recall,
    }


def refer_figures(answers: Answers) -> dict[str, Any] | None:
    """AUROC of the referred node ("malignant"), sensitivity and specificity of `refer`, cells unresolved; None for a tree
    without it.
    """
    composition, calibration = answers.composition, answers.calibration
    node = calibration.refer_node or _malignant(composition)
    if node is None:
        return None
    below = set(composition.taxonomy.leaves_under(node))
    positive = np.array([leaf in below for leaf in answers.leaves], np.bool_)
    scores = answers.nodes[:, composition.column(node)]
    both = 0 < positive.sum() < len(positive)
    auroc = float(sk.roc_auc_score(positive, scores)) if both else np.nan
    found = {
        "node": node,
        "positives": int(positive.sum()),
        "auroc": Cell(auroc, lambda weights: aurocs(scores, positive, weights)) if both else None,
    }
    if calibration.refer_node is not None:
        referred = calibration.refers(composition, answers.nodes)
        found["threshold"] = calibration.refer_threshold
        found["sensitivity"] = _share(referred, positive)
        found["specificity"] = _share(~referred, ~positive)
    return found


def expected_calibration_error(confidence: Floats, right: NDArray[np.bool_], weights: Floats) -> Floats:
    """ECE over 10 bins of equal width, in every replicate.

    Args:
        confidence: float [N], probability of the predicted class.
        right: bool [N].
        weights: float [B, N].
    Returns:
        float64 [B]: sum over the bins of |sum of confidence - number right|, divided by the number of photos.
    Source: Naeini et al. 2015; Guo et al. 2017.
    """
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gaps = weights @ (np.eye(ECE_BINS)[bins] * (confidence - right)[:, None])
    return np.asarray(np.abs(gaps).sum(axis=1) / weights.sum(axis=1))


def _calibration_error(answers: Answers, level: str) -> Cell:
    taxonomy, columns = answers.composition.taxonomy, answers.composition.columns(level)
    ids = [node.id for node in taxonomy.at(level)]
    probabilities = answers.nodes[:, columns]
    best = probabilities.argmax(axis=1)
    right = np.array([ids[b] == taxonomy.ancestor(leaf, level) for b, leaf in zip(best, answers.leaves, strict=True)])
    confidence = probabilities.max(axis=1)
    point = expected_calibration_error(confidence, right, np.ones((1, len(right))))[0]
    return Cell(float(point), lambda weights: expected_calibration_error(confidence, right, weights))


def _answer_figures(answers: Answers, level: str, probabilities: Floats, truth: NDArray[np.int64]) -> dict[str, Any]:
    """How often the truth is in the prediction set, the set's mean size, how often the model answers, and how rightly."""
    composition, calibration = answers.composition, answers.calibration
    inside = probabilities >= calibration.sets.get(level, 0.0)
    inside[np.arange(len(truth)), probabilities.argmax(axis=1)] = True
    held, sizes = inside[np.arange(len(truth)), truth], inside.sum(axis=1)
    depth = composition.taxonomy.levels.index(level)
    given, right = np.zeros(len(truth), np.bool_), np.zeros(len(truth), np.bool_)
    for row, (answer, leaf) in enumerate(zip(calibration.answers(composition, answers.nodes), answers.leaves, strict=True)):
        if answer is not None and composition.taxonomy.levels.index(composition.taxonomy.node(answer).level) >= depth:
            given[row] = True
            right[row] = composition.taxonomy.ancestor(answer, level) == composition.taxonomy.ancestor(leaf, level)
    return {
        "set_coverage": _mean_cell(held),
        "set_size": _mean_cell(sizes),
        "answered": _mean_cell(given),
        "answered_accuracy": _share(right, given),
    }


def _mean_cell(values: NDArray[Any]) -> Cell:
    values = np.asarray(values, np.float64)
    return Cell(float(values.mean()), lambda weights: weighted_means(values, weights))


def _share(chosen: NDArray[np.bool_], among: NDArray[np.bool_]) -> Cell | None:
    """The share of `chosen` among the photos of `among`; None where there are none."""
    if not among.any():
        return None
    both = chosen & among

    def spread(weights: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((weights @ both) / (weights @ among))

    return Cell(float(both.sum() / among.sum()), spread)


def _malignant(composition: Composition) -> str | None:
    try:
        return composition.taxonomy.node("malignant").id
    except OptionError:
        return None
