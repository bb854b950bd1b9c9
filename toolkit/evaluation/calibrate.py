"""Logits of the calibration split -> the numbers that the SDK applies: temperatures, offsets, thresholds, limits.

All functions are pure, so the converter fits the same numbers again on the logits of the int8 graphs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition, Head
from derm_sdk.errors import OptionError

if TYPE_CHECKING:
    from ..data.manifest import Photo
    from ..training.config import Config

Floats = NDArray[np.float64]

# A temperature is fitted between 1/8 and 8, under a prior that log T is normal around 0 with this standard deviation: it
# weighs as much as a fraction of one photo, so it rules where there are none and is lost where there are many.
TEMPERATURE_LIMIT = math.log(8.0)
TEMPERATURE_SPREAD = 1.0
# How strongly a training weighed rare labels is known from its config, so the exponent that undoes it is normal around that
# value: a calibration split of some hundred photos may correct it, and does not replace it. One number per graph and not one
# per label, which 114 conditions with three photos each could not carry.
EXPONENT_SPREAD = 0.25
# A threshold of the answer must be met by this many photos, or by all: the one most certain photo proves nothing.
LEAST_ANSWERS = 10
QUALITY_QUANTILES = (0.005, 0.995)
FAMILIARITY_QUANTILE = 0.01


def fit_run(
    config: Config,
    composition: Composition,
    logits: Mapping[str, NDArray[Any]],
    photos: Sequence[Photo],
    measures: Mapping[str, NDArray[Any]],
    trained_on: Sequence[Photo],
    fitted_on: Mapping[str, Any],
) -> Calibration:
    """Fits the calibration that a run's config asks for, on the logits of its networks or of their converted graphs.

    Args:
        config: of the run.
        composition, logits, measures, fitted_on: as for `fit_calibration`.
        photos: [N] of the calibration split.
        trained_on: the photos of the training.
    """
    targets, recipe = config.calibration, config.training
    return fit_calibration(
        composition,
        logits,
        [photo.leaf for photo in photos],
        measures,
        coverage=targets.coverage,
        answer_accuracy=targets.answer_accuracy,
        refer_node=targets.refer_node,
        refer_sensitivity=targets.refer_sensitivity,
        # Class weights (n^-a) and an adjustment of the logits (share^b) both make a training see rare labels more often.
        prior_exponent=recipe.class_weight_power + recipe.logit_adjustment,
        photos_by_leaf=Counter(photo.leaf for photo in trained_on),
        fitted_on=fitted_on,
    )


def fit_calibration(
    composition: Composition,
    logits: Mapping[str, NDArray[Any]],
    leaves: Sequence[str],
    measures: Mapping[str, NDArray[Any]],
    *,
    coverage: float = 0.9,
    answer_accuracy: float = 0.8,
    refer_node: str | None = "malignant",
    refer_sensitivity: float = 0.9,
    prior_exponent: float = 0.0,
    photos_by_leaf: Mapping[str, int] | None = None,
    fitted_on: Mapping[str, Any] | None = None,
) -> Calibration:
    """Fits everything that is fitted on the calibration split.

    Args:
        composition: the tree and its graphs.
        logits: {graph id: [N, labels]}, of every graph for every photo.
        leaves: [N] true conditions, ids.
        measures: {measure: [N]}, `derm_sdk.calibration.quality_measures` of each photo.
        coverage: share of the photos whose prediction set is to hold the truth.
        answer_accuracy: share of right answers among the answers given on each level.
        refer_node: id or name of the node to refer; None, "" or one that the tree lacks for none.
        refer_sensitivity: share of that node's photos to be referred.
        prior_exponent: e, where the training saw a label of share s as if its share were in proportion to s^(1 - e): by
            class weights, balanced sampling or adjusted logits. Where it is not 0, offsets undo it.
        photos_by_leaf: {condition: photos of the training}, ids; needed where `prior_exponent` is not 0.
        fitted_on: recorded as it is, with "n" added, and the exponents that were fitted.
    Returns:
        The calibration. Where a level cannot reach `answer_accuracy`, its threshold is 1: it practically never answers.
    """
    temperatures: dict[str, float] = {}
    offsets: dict[str, tuple[float, ...]] = {}
    exponents: dict[str, float] = {}
    for head in composition.heads:
        of_head, truth = _of_head(head, composition, logits[head.graph], leaves)
        if prior_exponent == 0:
            temperatures[head.graph] = fit_temperature(of_head, truth)
            continue
        shares = log_shares(head, composition, photos_by_leaf or {})
        temperatures[head.graph], exponent = fit_scaling(of_head, truth, shares, prior_exponent)
        offsets[head.graph] = tuple((exponent * (shares - shares.mean())).tolist())
        exponents[head.graph] = exponent
    calibration = Calibration(temperatures=temperatures, offsets=offsets)
    nodes = calibration.nodes(composition, logits)
    node = _find_node(composition, refer_node)
    return Calibration(
        temperatures=temperatures,
        offsets=offsets,
        answer=answer_thresholds(composition, nodes, leaves, answer_accuracy),
        coverage=coverage,
        sets=set_thresholds(composition, nodes, leaves, coverage),
        refer_node=node,
        refer_threshold=0.5 if node is None else refer_threshold(composition, nodes, leaves, node, refer_sensitivity),
        quality=quality_limits(measures),
        fitted_on={**(fitted_on or {}), "n": len(leaves)} | ({"prior_exponents": exponents} if exponents else {}),
    )


def fit_temperature(logits: NDArray[Any], truth: NDArray[np.int64]) -> float:
    """The temperature T that makes softmax(logits / T) likeliest, under a weak prior around 1.

    Args:
        logits: [N, labels]; N may be 0, which gives 1.
        truth: int [N], the column of each photo's label.
    Returns:
        T, 1/8 to 8.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    if len(truth) == 0 or logits.shape[1] < 2:
        return 1.0
    centred = np.asarray(logits, np.float64)
    centred = centred - centred.max(axis=1, keepdims=True)
    of_truth = centred[np.arange(len(truth)), truth]

    def cost(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        likelihood = (np.log(np.exp(centred * inverse).sum(axis=1)) - of_truth * inverse).sum()
        return float(likelihood + 0.5 * (log_temperature / TEMPERATURE_SPREAD) ** 2)

    found = minimize_scalar(cost, bounds=(-TEMPERATURE_LIMIT, TEMPERATURE_LIMIT), method="bounded", options={"xatol": 1e-6})
    return float(math.exp(found.x))


def fit_scaling(logits: NDArray[Any], truth: NDArray[np.int64], log_share: Floats, exponent: float) -> tuple[float, float]:
    """The temperature T and the exponent e that make softmax((logits + e * log_share) / T) likeliest.

    T has the prior of `fit_temperature`; e is normal around `exponent`, which is all there is without photos.

    Args:
        logits: float [N, labels].
        truth: int [N], the column of each photo's label.
        log_share: float [labels], the logarithm of each label's share of the training photos.
        exponent: what the training's config says.
    Returns:
        T, 1/8 to 8, and e.
    Source: the offset of class weights and adjusted logits, Menon et al. 2021, "Long-tail learning via logit adjustment".
    """
    if len(truth) == 0 or logits.shape[1] < 2:
        return 1.0, exponent
    values, rows = np.asarray(logits, np.float64), np.arange(len(truth))

    def cost(point: Floats) -> tuple[float, Floats]:
        inverse = math.exp(-point[0])
        scaled = (values + point[1] * log_share) * inverse
        scaled -= scaled.max(axis=1, keepdims=True)
        weights = np.exp(scaled)
        total = weights.sum(axis=1, keepdims=True)
        weights /= total
        loss = (np.log(total[:, 0]) - scaled[rows, truth]).sum()
        off = (point[1] - exponent) / EXPONENT_SPREAD
        slope = [
            (scaled[rows, truth] - (weights * scaled).sum(axis=1)).sum() + point[0] / TEMPERATURE_SPREAD**2,
            ((weights @ log_share) - log_share[truth]).sum() * inverse + off / EXPONENT_SPREAD,
        ]
        return float(loss + 0.5 * (point[0] / TEMPERATURE_SPREAD) ** 2 + 0.5 * off**2), np.array(slope)

    limits = [(-TEMPERATURE_LIMIT, TEMPERATURE_LIMIT), (exponent - 1.0, exponent + 1.0)]
    found = minimize(
        cost, [0.0, exponent], jac=True, method="L-BFGS-B", bounds=limits, options={"ftol": 1e-12, "gtol": 1e-8}
    )
    return float(math.exp(found.x[0])), float(found.x[1])


def log_shares(head: Head, composition: Composition, photos_by_leaf: Mapping[str, int]) -> Floats:
    """The logarithm of each label's share of a graph's training photos, float64 [labels]; no photo counts as one."""
    counts = [sum(photos_by_leaf.get(leaf, 0) for leaf in composition.taxonomy.leaves_under(label)) for label in head.labels]
    counted = np.maximum(np.array(counts, np.float64), 1.0)
    return np.asarray(np.log(counted / counted.sum()))


def set_thresholds(composition: Composition, nodes: Floats, leaves: Sequence[str], coverage: float) -> dict[str, float]:
    """Per level, the least probability of a member of the prediction set.

    It is the floor((1 - coverage) * (N + 1))-th smallest probability that a photo's true node was given: exchangeable
    photos then have their truth in the set with at least the promised probability. With too few photos it is 0: all.

    Source: split conformal prediction; Sadinle, Lei, Wasserman 2019.
    """
    thresholds = {}
    for level in composition.taxonomy.levels:
        of_truth = np.sort(nodes[np.arange(len(leaves)), _true_columns(composition, leaves, level)])
        rank = math.floor((1 - coverage) * (len(leaves) + 1) + 1e-9)
        thresholds[level] = float(of_truth[rank - 1]) if rank >= 1 else 0.0
    return thresholds


def answer_thresholds(composition: Composition, nodes: Floats, leaves: Sequence[str], accuracy: float) -> dict[str, float]:
    """Per level, the least probability at which the answers given there are right as often as asked.

    It follows the SDK's way down the tree: a level is asked only where the level above answered.
    """
    thresholds = {}
    found: list[str | None] = [None] * len(leaves)
    for level in composition.taxonomy.levels:
        going = [row for row, node in enumerate(found) if node is not None or level == composition.taxonomy.levels[0]]
        best = [_best_child(composition, nodes[row], found[row]) for row in going]
        certainty = np.array([nodes[row, composition.column(child)] for row, child in zip(going, best, strict=True)])
        truth = [composition.taxonomy.ancestor(leaves[row], level) for row in going]
        right = np.array([child == true for child, true in zip(best, truth, strict=True)], np.bool_)
        thresholds[level] = _least_certainty(certainty, right, accuracy)
        found = [None] * len(leaves)
        for row, child, certain in zip(going, best, certainty, strict=True):
            found[row] = child if certain >= thresholds[level] else None
    return thresholds


def refer_threshold(composition: Composition, nodes: Floats, leaves: Sequence[str], node: str, sensitivity: float) -> float:
    """The probability of `node` from which a photo is referred.

    It is the largest one that at least `sensitivity` of the node's photos reach, lowered as far as that refers more of
    them and no other photo, and never above 0.5: what is more likely than not is always referred, however sure the model is
    of its own photos. 0.5 where the node has no photo.
    """
    below = set(composition.taxonomy.leaves_under(node))
    positive = np.array([leaf in below for leaf in leaves], np.bool_)
    scores = nodes[:, composition.column(node)]
    reached = np.sort(scores[positive])[::-1]
    if len(reached) == 0:
        return 0.5
    largest = reached[max(1, math.ceil(sensitivity * len(reached) - 1e-9)) - 1]
    next_other = scores[~positive & (scores < largest)].max(initial=-1.0)
    return float(min(0.5, reached[reached > next_other].min()))


def quality_limits(measures: Mapping[str, NDArray[Any]]) -> dict[str, tuple[float, float]]:
    """Per measure, the limits that all but 0.5 % of the photos keep on either side (1 % below, for familiarity)."""
    limits = {}
    for name, values in measures.items():
        if len(values):
            low, high = QUALITY_QUANTILES
            low = FAMILIARITY_QUANTILE if name == "familiarity" else low
            limits[name] = (float(np.quantile(values, low)), float(np.quantile(values, high)))
    return limits


def _of_head(
    head: Head, composition: Composition, logits: NDArray[Any], leaves: Sequence[str]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Logits and true columns of the photos that a graph is about: those below its node."""
    place = {leaf: column for column, label in enumerate(head.labels) for leaf in composition.taxonomy.leaves_under(label)}
    rows = [row for row, leaf in enumerate(leaves) if leaf in place]
    return logits[rows], np.array([place[leaves[row]] for row in rows], np.int64)


def _least_certainty(certainty: Floats, right: NDArray[np.bool_], accuracy: float) -> float:
    order = np.argsort(-certainty, kind="stable")
    certainty, right = certainty[order], right[order]
    share = np.cumsum(right) / np.arange(1, len(right) + 1)
    last_of_its_kind = np.append(certainty[1:] < certainty[:-1], True) if len(right) else np.zeros(0, np.bool_)
    enough = np.arange(1, len(right) + 1) >= min(LEAST_ANSWERS, len(right))
    reached = np.flatnonzero((share >= accuracy) & last_of_its_kind & enough)
    return float(min(1.0, certainty[reached[-1]])) if len(reached) else 1.0


def _best_child(composition: Composition, row: Floats, node: str | None) -> str:
    return max(composition.taxonomy.children(node), key=lambda child: row[composition.column(child.id)]).id


def _true_columns(composition: Composition, leaves: Sequence[str], level: str) -> NDArray[np.int64]:
    return np.array([composition.column(composition.taxonomy.ancestor(leaf, level)) for leaf in leaves], np.int64)


def _find_node(composition: Composition, key: str | None) -> str | None:
    if not key:
        return None
    try:
        return composition.taxonomy.node(key).id
    except OptionError:
        return None
