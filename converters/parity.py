"""Does the converted model answer as the trained one? Agreement on the same photos, with limits that a bundle must keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition

from .errors import ConversionError

MIN_GROUP = 20


@dataclass(frozen=True)
class Limits:
    """What a converted model must keep, on the validation photos.

    Attributes:
        top_agreement, leaf_agreement: least share of photos whose best node stays the same, on the top level and on the
            deepest, 0..1; levels between are reported only.
        divergence: greatest mean Kullback-Leibler divergence of the leaf probabilities, in nats.
        refer: least share of photos whose referral stays the same, 0..1.
        sensitivity_loss: greatest fall of the share of referred photos among those that should be, 0..1.
        group_slack: how much lower the shares may be within a skin type of at least 20 photos.
    """

    top_agreement: float = 0.95
    leaf_agreement: float = 0.90
    divergence: float = 0.02
    refer: float = 0.93
    sensitivity_loss: float = 0.03
    group_slack: float = 0.05


def compare(
    composition: Composition,
    trained: tuple[Calibration, Mapping[str, np.ndarray]],
    converted: tuple[Calibration, Mapping[str, np.ndarray]],
    leaves: Sequence[str],
    clusters: Sequence[str],
    skin_types: Sequence[int | None],
) -> dict[str, Any]:
    """Puts the trained and the converted model side by side on the same photos.

    Args:
        composition: the tree and its heads.
        trained, converted: each model's calibration and logits, {graph: [N, labels]}.
        leaves: the true condition of each photo, an id.
        clusters: the near-duplicate cluster of each photo, by which intervals are resampled.
        skin_types: 1..6 or None.
    Returns:
        {"overall": figures, "by_skin_type": {"1": figures, ...}}; a skin type of fewer than 20 photos holds only its n.
    Raises:
        ConversionError: there is no photo to compare on.
    """
    if not leaves:
        raise ConversionError("There is no validation photo to compare the models on.")
    probabilities = [calibration.nodes(composition, logits) for calibration, logits in (trained, converted)]
    refers = [pair[0].refers(composition, nodes) for pair, nodes in zip((trained, converted), probabilities, strict=True)]
    node = trained[0].refer_node
    everything = _Answers(composition, probabilities, refers, list(leaves), np.asarray(clusters), node)
    groups = {}
    types = np.array([0 if skin_type is None else skin_type for skin_type in skin_types])
    for value in sorted(set(types.tolist())):
        rows = np.flatnonzero(types == value)
        name = "unknown" if value == 0 else str(value)
        groups[name] = {"n": len(rows)} if len(rows) < MIN_GROUP else everything.figures(rows)
    return {"overall": everything.figures(np.arange(len(leaves))), "by_skin_type": groups}


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


@dataclass(frozen=True)
class _Answers:
    """Both models' probabilities [N, nodes] and referrals [N], and the truth."""

    composition: Composition
    probabilities: list[np.ndarray]
    refers: list[np.ndarray]
    leaves: list[str]
    clusters: np.ndarray
    refer_node: str | None

    def figures(self, rows: np.ndarray) -> dict[str, Any]:
        taxonomy = self.composition.taxonomy
        levels = {}
        for level in taxonomy.levels:
            columns = self.composition.columns(level)
            ids = [node.id for node in taxonomy.at(level)]
            truth = np.array([ids.index(taxonomy.ancestor(self.leaves[row], level)) for row in rows])
            best = [nodes[np.ix_(rows, columns)].argmax(axis=1) for nodes in self.probabilities]
            right = [(found == truth).astype(float) for found in best]
            levels[level] = {
                "agreement": float((best[0] == best[1]).mean()),
                "accuracy_trained": float(right[0].mean()),
                "accuracy_converted": float(right[1].mean()),
                "accuracy_change": float((right[1] - right[0]).mean()),
                "accuracy_change_95": paired_interval(right[1] - right[0], self.clusters[rows]),
            }
        leaf_columns = self.composition.columns(taxonomy.levels[-1])
        p, q = (np.clip(nodes[np.ix_(rows, leaf_columns)], 1e-12, 1) for nodes in self.probabilities)
        return {
            "n": len(rows),
            "levels": levels,
            "refer_agreement": float((self.refers[0][rows] == self.refers[1][rows]).mean()),
            "divergence": float((p * np.log(p / q)).sum(axis=1).mean()),
            "largest_change": float(np.abs(self.probabilities[0][rows] - self.probabilities[1][rows]).max()),
            "sensitivity": self._sensitivity(rows),
        }

    def _sensitivity(self, rows: np.ndarray) -> dict[str, Any] | None:
        """Share of the photos below the node to refer that each model refers; None without such a node or photo."""
        if self.refer_node is None:
            return None
        below = set(self.composition.taxonomy.leaves_under(self.refer_node))
        positive = np.array([row for row in rows if self.leaves[row] in below], int)
        if not len(positive):
            return None
        shares = [float(refers[positive].mean()) for refers in self.refers]
        return {"node": self.refer_node, "n": len(positive), "trained": shares[0], "converted": shares[1]}


def paired_interval(differences: np.ndarray, clusters: np.ndarray, draws: int = 1000, seed: int = 0) -> list[float]:
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
