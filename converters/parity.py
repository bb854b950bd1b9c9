"""Does the converted model answer as the trained one? Every step between the two on the same photos, with limits to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition
from derm_toolkit.evaluation.conformal import prediction_sets
from derm_toolkit.evaluation.scores import CalibrationError, log_losses
from derm_toolkit.training.config import Limits

from .errors import ConversionError

MIN_GROUP = 20


@dataclass(frozen=True)
class Way:
    """One way of answering the same photos.

    Attributes:
        name: such as "trained" or "int8 graph".
        step: what is new in it since the way before, such as "quantisation"; a changed answer is put down to it.
        calibration: its thresholds.
        nodes: its probabilities, float64 [N, nodes].
    """

    name: str
    step: str
    calibration: Calibration
    nodes: NDArray[np.float64]


def compare(
    composition: Composition,
    ways: Sequence[Way],
    leaves: Sequence[str],
    clusters: Sequence[str],
    skin_types: Sequence[int | None],
) -> dict[str, Any]:
    """Puts the trained model, the shipped one and the steps between them side by side on the same photos.

    Args:
        composition: the tree and its heads.
        ways: from the trained model to the shipped one, two or more.
        leaves: the true condition of each photo, an id.
        clusters: the near-duplicate cluster of each photo, by which intervals are resampled.
        skin_types: 1..6 or None.
    Returns:
        {"ways": [{"name", "step"}], "overall": figures, "by_skin_type": {"1": figures, ...}}; a skin type of fewer than 20
        photos holds only its n. docs/parity.md defines the figures.
    Raises:
        ConversionError: there is no photo to compare on.
    """
    if not leaves:
        raise ConversionError("There is no validation photo to compare the models on.")
    everything = _Answers(composition, ways, leaves, np.asarray(clusters))
    types = np.array([0 if skin_type is None else skin_type for skin_type in skin_types])
    groups = {}
    for value in sorted(set(types.tolist())):
        rows = np.flatnonzero(types == value)
        groups["unknown" if value == 0 else str(value)] = (
            {"n": len(rows)} if len(rows) < MIN_GROUP else everything.figures(rows)
        )
    return {
        "ways": [{"name": way.name, "step": way.step} for way in ways],
        "overall": everything.figures(np.arange(len(leaves))),
        "by_skin_type": groups,
    }


def broken_limits(report: Mapping[str, Any], limits: Limits) -> list[str]:
    """Says in a sentence each which limits a report of `compare` breaks; empty when it keeps them all."""
    broken = []
    groups = {"all photos": (report["overall"], 0.0)} | {
        f"skin type {name}": (figures, limits.group_slack)
        for name, figures in report["by_skin_type"].items()
        if figures["n"] >= MIN_GROUP
    }
    for name, (figures, slack) in groups.items():
        levels = list(figures["levels"])
        shares = {
            f"{levels[0]} agreement": (figures["levels"][levels[0]]["agreement"], limits.top_agreement - slack),
            f"{levels[-1]} agreement": (figures["levels"][levels[-1]]["agreement"], limits.leaf_agreement - slack),
            "referral agreement": (figures["refer_agreement"], limits.refer - slack),
        }
        broken += [
            f"{name}: {what} {found:.3f}, at least {least:.3f} wanted (n = {figures['n']})"
            for what, (found, least) in shares.items()
            if found < least
        ]
    sensitivity = report["overall"]["sensitivity"]
    if sensitivity and sensitivity["trained"] - sensitivity["converted"] > limits.sensitivity_loss:
        broken.append(
            f"all photos: {sensitivity['converted']:.3f} of the {sensitivity['node']} photos are referred, "
            f"{sensitivity['trained']:.3f} before (n = {sensitivity['n']})"
        )
    if report["overall"]["divergence"] > limits.divergence:
        broken.append(f"all photos: divergence {report['overall']['divergence']:.4f}, at most {limits.divergence} wanted")
    return broken


class _Answers:
    """What each way answers to each photo, and the truth."""

    def __init__(self, composition: Composition, ways: Sequence[Way], leaves: Sequence[str], clusters: NDArray[Any]) -> None:
        taxonomy = composition.taxonomy
        self.ways, self.clusters = ways, clusters
        self.levels, self.leaf_level = taxonomy.levels, taxonomy.levels[-1]
        self.columns = {level: composition.columns(level) for level in taxonomy.levels}
        self.truth: dict[str, NDArray[np.int64]] = {}
        for level in taxonomy.levels:
            places = {node.id: place for place, node in enumerate(taxonomy.at(level))}
            self.truth[level] = np.array([places[taxonomy.ancestor(leaf, level)] for leaf in leaves])
        self.referred = [way.calibration.refers(composition, way.nodes) for way in ways]
        self.refer_node = ways[0].calibration.refer_node
        below = set() if self.refer_node is None else set(taxonomy.leaves_under(self.refer_node))
        self.positive = np.array([leaf in below for leaf in leaves])

    def figures(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """The figures of some photos, int [n]."""
        first, last = (way.nodes[rows] for way in (self.ways[0], self.ways[-1]))
        p, q = (np.clip(nodes[:, self.columns[self.leaf_level]], 1e-12, 1) for nodes in (first, last))
        return {
            "n": len(rows),
            "levels": {level: self._level(level, rows) for level in self.levels},
            "refer_agreement": float((self.referred[0][rows] == self.referred[-1][rows]).mean()),
            "refer_changes": self._causes([referred[rows] for referred in self.referred]),
            "divergence": float((p * np.log(p / q)).sum(axis=1).mean()),
            "largest_change": float(np.abs(first - last).max()),
            "sensitivity": self._sensitivity(rows),
            "ways": {way.name: self._way(place, rows) for place, way in enumerate(self.ways)},
        }

    def _level(self, level: str, rows: NDArray[np.int64]) -> dict[str, Any]:
        """The best nodes of a level: trained against shipped."""
        best = [way.nodes[np.ix_(rows, self.columns[level])].argmax(axis=1) for way in self.ways]
        before, after = (found == self.truth[level][rows] for found in (best[0], best[-1]))
        change = after.astype(float) - before
        return {
            "agreement": float((best[0] == best[-1]).mean()),
            "changes": self._causes(best),
            "accuracy_trained": float(before.mean()),
            "accuracy_converted": float(after.mean()),
            "accuracy_change": float(change.mean()),
            "accuracy_change_95": paired_interval(change, self.clusters[rows]),
            "only_trained_right": int((before & ~after).sum()),
            "only_converted_right": int((after & ~before).sum()),
        }

    def _causes(self, answers: Sequence[NDArray[Any]]) -> dict[str, int]:
        """{step: photos}: answers that differ between the first way and the last, by the last step that changed them."""
        flipped = answers[0] != answers[-1]
        brought = np.zeros(len(flipped), int)
        for place in range(1, len(answers)):
            brought[answers[place] != answers[place - 1]] = place
        return {way.step: int((flipped & (brought == place)).sum()) for place, way in enumerate(self.ways) if place}

    def _way(self, place: int, rows: NDArray[np.int64]) -> dict[str, Any]:
        """How good one way is by itself."""
        way, positive = self.ways[place], rows[self.positive[rows]]
        levels = {}
        for level in self.levels:
            shares, truth = way.nodes[np.ix_(rows, self.columns[level])], self.truth[level][rows]
            best = shares.argmax(axis=1)
            inside = prediction_sets(shares, way.calibration.sets.get(level, 0.0))
            levels[level] = {
                "accuracy": float((best == truth).mean()),
                "log_loss": float(log_losses(shares, truth).mean()),
                "ece": float(CalibrationError(shares.max(axis=1), best == truth)(np.ones((1, len(rows))))[0]),
                "set_coverage": float(inside[np.arange(len(rows)), truth].mean()),
                "set_size": float(inside.sum(axis=1).mean()),
            }
        return {
            "levels": levels,
            "referred": float(self.referred[place][rows].mean()),
            "sensitivity": float(self.referred[place][positive].mean()) if len(positive) else None,
        }

    def _sensitivity(self, rows: NDArray[np.int64]) -> dict[str, Any] | None:
        """Share of the photos below the node to refer that are referred; None without such a node or photo."""
        positive = rows[self.positive[rows]]
        if self.refer_node is None or not len(positive):
            return None
        before, after = (float(referred[positive].mean()) for referred in (self.referred[0], self.referred[-1]))
        return {"node": self.refer_node, "n": len(positive), "trained": before, "converted": after}


def paired_interval(
    differences: NDArray[np.float64], clusters: NDArray[Any], draws: int = 1000, seed: int = 0
) -> list[float]:
    """95 % bootstrap interval of a mean of paired differences, clusters resampled whole.

    Args:
        differences: [N], one number per photo.
        clusters: [N], the cluster of each photo.
    Returns:
        [low, high], in the unit of the differences.
    """
    _, index = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(index, differences), np.bincount(index).astype(float)
    picks = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    means = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    return [float(value) for value in np.quantile(means, (0.025, 0.975))]
