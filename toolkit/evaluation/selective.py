"""Answering only when sure: the error that remains among the surest photos, over the share of photos that they are.

Photos of equal confidence cannot be told apart by any threshold: they count as in random order, so that a curve does not
depend on the order of the photos, nor a bootstrap replicate, in which photos occur several times, on chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from .bootstrap import REPLICATES, Floats, Replicated, interval, weight_blocks
from .scores import divide


@dataclass(frozen=True)
class RiskCoverage:
    """A risk-coverage curve.

    Attributes:
        coverage: float64 [K], shares of the photos that are answered, 0..1, rising.
        risk: float64 [K], share of wrong answers among them.
        low, high: float64 [K], the middle 95 % of the replicates' risk; NaN where it is not defined.
        aurc: the area under the curve: the mean risk over all shares; the smaller, the better. {"value", "low", "high",
            "n"}, or None without photos.
    """

    coverage: Floats
    risk: Floats
    low: Floats
    high: Floats
    aurc: dict[str, float] | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "coverage": self.coverage.tolist(),
            "risk": self.risk.tolist(),
            "low": [None if np.isnan(each) else float(each) for each in self.low],
            "high": [None if np.isnan(each) else float(each) for each in self.high],
            "aurc": self.aurc,
        }


class SelectiveRisk:
    """The curve of some answers under any weights of the photos.

    Source: El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification"; the area as in Geifman,
    Uziel and El-Yaniv 2019, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers".
    """

    def __init__(self, confidence: Floats, right: NDArray[np.bool_]) -> None:
        """Confidence is float [N], higher meaning surer; right is bool [N], N at least 1."""
        self._order = np.argsort(-confidence, kind="stable")
        self._starts = np.flatnonzero(np.append(True, np.diff(confidence[self._order]) < 0))
        self._wrong = 1.0 - right[self._order]

    def area(self, weights: Floats) -> Floats:
        """The mean, over n = 1, 2, ... photos answered, of the risk among them; float64 [B] for whole weights [B, N]."""
        photos, errors = self._groups(weights)
        before, wrong_before = np.cumsum(photos, axis=1) - photos, np.cumsum(errors, axis=1) - errors
        rate = np.nan_to_num(divide(errors, photos))
        # The sum over j = 1..m of (E + j r) / (W + j), of m photos that are as sure as each other and wrong at the rate r.
        summed = errors + (wrong_before - rate * before) * (digamma(before + photos + 1) - digamma(before + 1))
        return divide(summed.sum(axis=1), photos.sum(axis=1))

    def risk(self, weights: Floats, coverage: Floats) -> Floats:
        """The risk at each share of photos, 0 < coverage <= 1; float64 [B, K]."""
        photos, errors = self._groups(weights)
        start = np.zeros((len(photos), 1))
        sure, wrong = (np.hstack([start, np.cumsum(each, axis=1)]) for each in (photos, errors))
        asked = coverage * sure[:, -1:]
        found = [np.interp(*row) for row in zip(asked, sure, wrong, strict=True)]
        return divide(np.array(found), asked)

    def _groups(self, weights: Floats) -> tuple[Floats, Floats]:
        """Photos and errors of each confidence, from the surest down: [B, groups] each."""
        ordered = weights[:, self._order]
        return np.add.reduceat(ordered, self._starts, axis=1), np.add.reduceat(ordered * self._wrong, self._starts, axis=1)


def risk_coverage(
    probabilities: NDArray[Any],
    truth: NDArray[np.int64],
    units: Sequence[str],
    *,
    points: int = 100,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> RiskCoverage:
    """The risk-coverage curve of the likeliest class, the surest photos first.

    Args:
        probabilities: float [N, C] of one level's classes, or of any set of classes; N at least 1.
        truth: int [N], the true class.
        units: [N] what the bootstrap draws together.
        points: K, shares 1 / K, 2 / K, ..., 1.
        replicates, seed: of the bootstrap.
    """
    coverage = np.arange(1, points + 1) / points
    selective = SelectiveRisk(probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == truth)
    once = np.ones((1, len(truth)))
    areas, risks = [], []
    for weights in weight_blocks(units, replicates, seed):
        areas.append(selective.area(weights))
        risks.append(selective.risk(weights, coverage))
    limits = [interval(column) or (np.nan, np.nan) for column in np.concatenate(risks).T]
    low, high = np.array(limits).T
    area = Replicated(float(selective.area(once)[0]), np.concatenate(areas))
    return RiskCoverage(coverage, selective.risk(once, coverage)[0], low, high, area.cell(len(truth)))
