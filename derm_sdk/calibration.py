"""Logits -> calibrated probabilities, prediction sets, an answer, and whether a dermatologist should see it.

Everything here applies numbers that were fitted elsewhere, on the calibration split, and stored in `calibration.json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arithmetic import exp, log, total
from .composition import Composition, Floats
from .errors import BundleError, closest
from .image import Pixels
from .preprocess import derive_inputs

MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-3, 1e3  # beyond, a softmax is one-hot or flat, and may overflow
MAX_OFFSET = 100.0  # e^100 to 1: no label is that much rarer than another

# What is said of a photo below and above the limits of a measure.
QUALITY_MESSAGES = {
    "brightness": ("too dark", "too bright"),
    "contrast": ("too little contrast", "too much contrast"),
    "sharpness": ("blurred", "grainy"),
    "familiarity": ("not like the training photos", ""),
}


@dataclass(frozen=True)
class Calibration:
    """What was fitted on the calibration split.

    Attributes:
        temperatures: {graph id: T}; the graph's probabilities are softmax((logits + offset) / T). Guo et al. 2017.
        offsets: {graph id: one number per label, added to its logit first}: they undo how a training that weighed rare
            labels more bent the probabilities; 0 for a graph that is not named.
        answer: {level: least probability at which a node of that level counts as certain}, 0..1.
        coverage: the share of truths that `prediction_set` promises to hold, 0..1.
        sets: {level: least probability of a member of the prediction set}, 0..1. Split conformal, Sadinle et al. 2019.
        refer_node: id of the node whose probability makes a photo a case for a dermatologist; None for none.
        refer_threshold: the probability from which it does, 0..1.
        quality: {measure: (least, most)} of the photos it was fitted on; see `quality_measures`.
        fitted_on: what it was fitted on: {"split", "n", ...}.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    answer: Mapping[str, float] = field(default_factory=dict)
    coverage: float = 0.9
    sets: Mapping[str, float] = field(default_factory=dict)
    refer_node: str | None = None
    refer_threshold: float = 0.5
    quality: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fitted_on: Mapping[str, Any] = field(default_factory=dict)
    offsets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for graph, temperature in self.temperatures.items():
            if not (_is_number(temperature) and MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE):
                raise BundleError(f"The temperature of {graph!r} must be from 0.001 to 1000; got {temperature!r}.")
        for graph, numbers in self.offsets.items():
            if not isinstance(numbers, tuple) or not all(_is_number(each) and abs(each) <= MAX_OFFSET for each in numbers):
                raise BundleError(f"The offsets of {graph!r} must be numbers from -100 to 100; got {numbers!r}.")
        others = (("coverage", self.coverage), ("refer", self.refer_threshold))
        for name, share in (*self.answer.items(), *self.sets.items(), *others):
            if not (_is_number(share) and 0 <= share <= 1):
                raise BundleError(f"The calibration's {name!r} must be a probability from 0 to 1; got {share!r}.")
        if not (self.refer_node is None or isinstance(self.refer_node, str)):
            raise BundleError(f"The node to refer must be an id or nothing; got {self.refer_node!r}.")
        for measure, limits in self.quality.items():
            if measure not in QUALITY_MESSAGES:
                raise BundleError(f"Unknown quality measure {measure!r}." + closest(measure, QUALITY_MESSAGES))
            if len(limits) != 2 or not all(map(_is_number, limits)) or limits[0] > limits[1]:
                raise BundleError(f"The limits of {measure!r} must be two ordered numbers; got {limits!r}.")

    @classmethod
    def from_dict(cls, data: Any) -> Calibration:
        """Reads what `to_dict` wrote. Raises BundleError on anything else."""
        try:
            return cls(
                temperatures=_object(data["temperatures"]),
                answer=_object(data["answer"]),
                coverage=data["coverage"],
                sets=_object(data["sets"]),
                refer_node=data["refer"]["node"],
                refer_threshold=data["refer"]["threshold"],
                quality={name: tuple(limits) for name, limits in data["quality"].items()},
                fitted_on=_object(data["fitted_on"]),
                offsets={graph: tuple(numbers) for graph, numbers in data.get("offsets", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, BundleError):
                raise
            raise BundleError(f"calibration.json lacks or misspells a field ({error}).") from error

    def to_dict(self) -> dict[str, Any]:
        """The calibration as JSON-ready data."""
        offsets = {"offsets": {graph: list(numbers) for graph, numbers in self.offsets.items()}} if self.offsets else {}
        return {
            "temperatures": dict(self.temperatures),
            **offsets,
            "answer": dict(self.answer),
            "coverage": self.coverage,
            "sets": dict(self.sets),
            "refer": {"node": self.refer_node, "threshold": self.refer_threshold},
            "quality": {name: list(limits) for name, limits in self.quality.items()},
            "fitted_on": dict(self.fitted_on),
        }

    def probabilities(self, graph: str, logits: NDArray[Any]) -> Floats:
        """Calibrated probabilities of one graph: softmax((logits + offset) / T).

        Args:
            graph: the graph's id; without a fitted temperature T is 1, without fitted offsets they are 0.
            logits: [N, labels], any real dtype.
        Returns:
            float64 [N, labels], each row adding up to 1.
        """
        scaled = (np.asarray(logits, np.float64) + self.offsets.get(graph, 0.0)) / self.temperatures.get(graph, 1.0)
        powers = exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(powers / total(powers)[:, None])

    def nodes(self, composition: Composition, logits: Mapping[str, NDArray[Any]]) -> Floats:
        """All graphs' logits -> probabilities of every node, float64 [N, nodes] in the order of the tree."""
        return composition.probabilities({graph: self.probabilities(graph, values) for graph, values in logits.items()})

    def answers(self, composition: Composition, nodes: Floats) -> list[str | None]:
        """The deepest node of each row that is certain enough, going down the tree while each level is; None if none is.

        Args:
            composition: the tree the columns belong to.
            nodes: float64 [N, nodes], as `nodes` returns them.
        """
        return [self._answer(composition, row) for row in nodes]

    def _answer(self, composition: Composition, row: Floats) -> str | None:
        found: str | None = None
        for level in composition.taxonomy.levels:
            children = composition.taxonomy.children(found)
            best = max(children, key=lambda node: row[composition.column(node.id)])
            if row[composition.column(best.id)] < self.answer.get(level, 0.5):
                break
            found = best.id
        return found

    def refers(self, composition: Composition, nodes: Floats) -> NDArray[np.bool_]:
        """Which rows of float64 [N, nodes] a dermatologist should see: those for which `reasons` names one."""
        return np.array([bool(self.reasons(composition, row)) for row in nodes], np.bool_)

    def reasons(self, composition: Composition, row: Floats) -> list[str]:
        """Why a dermatologist should see a photo, in words; empty when there is no reason.

        Args:
            composition: the tree the columns belong to.
            row: float64 [nodes], one row of what `nodes` returns.
        """
        reasons = []
        if self.refer_node is not None:
            probability = float(row[composition.column(self.refer_node)])
            if probability >= self.refer_threshold:
                name = composition.taxonomy.node(self.refer_node).name
                reasons.append(f"{name} has probability {probability:.2f} (referred from {self.refer_threshold:.2f})")
        level = composition.taxonomy.levels[0]
        best = float(row[composition.columns(level)].max())
        needed = self.answer.get(level, 0.5)
        if best < needed:
            reasons.append(f"no {level} is certain enough (best {best:.2f}, needed {needed:.2f})")
        return reasons


def quality_measures(rgb: Pixels, root_logits: NDArray[Any]) -> dict[str, float]:
    """Measures whether a photo is of the kind the model knows.

    Args:
        rgb: uint8 [size, size, 3], the resized photo.
        root_logits: [labels], the root graph's logits.
    Returns:
        brightness: mean gray level, 0..255; contrast: its standard deviation; sharpness: mean absolute Laplacian of the
        gray levels; familiarity: log-sum-exp of the root's logits (the energy score of Liu et al. 2020, its sign turned).
    """
    gray = derive_inputs(rgb, ("gray",))["gray"][..., 0]
    counts = np.bincount(gray.ravel(), minlength=256)
    levels = np.arange(256)
    mean = float(counts @ levels) / gray.size
    square = float(counts @ levels**2) / gray.size
    wide = gray.astype(np.int16)
    middle = 4 * wide[1:-1, 1:-1] - wide[:-2, 1:-1] - wide[2:, 1:-1] - wide[1:-1, :-2] - wide[1:-1, 2:]
    logits = np.asarray(root_logits, np.float64)
    top = float(logits.max())
    return {
        "brightness": mean,
        "contrast": math.sqrt(max(0.0, square - mean * mean)),
        "sharpness": float(np.abs(middle).sum(dtype=np.int64)) / middle.size if middle.size else 0.0,
        "familiarity": top + log(float(total(exp(logits - top)))),
    }


def quality_problems(measures: Mapping[str, float], limits: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names what is outside the limits, in plain words: ["blurred", "too dark"]."""
    problems = []
    for name, value in measures.items():
        low, high = limits.get(name, (-math.inf, math.inf))
        message = QUALITY_MESSAGES[name][0] if value < low else QUALITY_MESSAGES[name][1] if value > high else ""
        if message:
            problems.append(message)
    return problems


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):  # dict() would take a list of pairs, too
        raise TypeError(f"{value!r} is no object")
    return value


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False
