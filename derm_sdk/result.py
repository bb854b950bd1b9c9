"""What a photo's classification says, frozen: predictions on every level, the answer, and whether to refer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import OptionError, closest

SCHEMA = 1


@dataclass(frozen=True)
class Prediction:
    """A node of the label tree with its calibrated probability, 0..1. `parent` is an id, None on the top level."""

    id: str
    name: str
    level: str
    probability: float
    parent: str | None


@dataclass(frozen=True)
class Quality:
    """Whether the photo is of the kind the model knows: plain words in `problems`, none when all is well.

    `measures` holds the numbers behind them; see derm_sdk.calibration.quality_measures for their units.
    """

    problems: tuple[str, ...]
    measures: Mapping[str, float]

    def __bool__(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Result:
    """The classification of one photo.

    Attributes:
        levels: {level: predictions of that level, best first}, levels from the top down.
        answer: the deepest node that is certain enough; None when not even the top level is.
        refer: whether a dermatologist should see it. reasons: why, in sentences.
        sets: {level: ids of the prediction set}, best first.
        coverage: the share of photos whose truth a set promises to hold, 0..1: a target, not a measurement.
        quality: whether the photo is usable.
        fitzpatrick: the skin type that was given, 1..6 or None; recorded whether or not a graph of the model takes it.
        routing: which graphs were run ("all", "lazy", "top"). skipped: ids of those that were not; the probability of a
            node below them is its parent's, spread evenly, and it ranks behind all others.
        model: {"id", "version", "digest"} of the bundle.
        prior: {id: share of the photos} that the probabilities were adjusted to; None for the training's own.
        warnings: what to know about the model, in sentences: that its conversion broke its limits; mostly empty.
    """

    levels: Mapping[str, tuple[Prediction, ...]]
    answer: Prediction | None
    refer: bool
    reasons: tuple[str, ...]
    sets: Mapping[str, tuple[str, ...]]
    coverage: float
    quality: Quality
    fitzpatrick: int | None
    routing: str
    skipped: tuple[str, ...]
    model: Mapping[str, str] = field(default_factory=dict)
    prior: Mapping[str, float] | None = None
    warnings: tuple[str, ...] = ()

    def __getitem__(self, level: str) -> tuple[Prediction, ...]:
        """Every prediction of a level, best first. Raises OptionError for an unknown level."""
        if level not in self.levels:
            raise OptionError(f"Unknown level {level!r}." + closest(level, self.levels))
        return self.levels[level]

    @property
    def category(self) -> Prediction:
        """The most probable node of the top level."""
        return next(iter(self.levels.values()))[0]

    @property
    def condition(self) -> Prediction:
        """The most probable node of the deepest level."""
        return list(self.levels.values())[-1][0]

    def prediction_set(self, level: str | None = None) -> tuple[Prediction, ...]:
        """The nodes of a level among which the truth is promised to be, with probability `coverage`; best first.

        Args:
            level: name of a level; the deepest one when None.
        Raises:
            OptionError: an unknown level.
        """
        if level is None:
            level = list(self.levels)[-1]
        members = set(self.sets.get(level, ()))
        return tuple(prediction for prediction in self[level] if prediction.id in members)

    def tree(self) -> dict[str, Any]:
        """The whole tree, nested from the root: {"id", "name", "level", "probability", "children"}, best child first."""
        children: dict[str | None, list[Prediction]] = {}
        for predictions in self.levels.values():
            for prediction in predictions:
                children.setdefault(prediction.parent, []).append(prediction)

        def below(parent: str | None) -> list[dict[str, Any]]:
            return [
                {
                    "id": found.id,
                    "name": found.name,
                    "level": found.level,
                    "probability": found.probability,
                    "children": below(found.id),
                }
                for found in children.get(parent, [])
            ]

        total = sum(prediction.probability for prediction in children[None])
        return {"id": "", "name": "", "level": "root", "probability": total, "children": below(None)}

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-ready data, schema version 1: docs/result.md."""
        return {
            "schema": SCHEMA,
            "model": dict(self.model),
            "fitzpatrick": self.fitzpatrick,
            "prior": None if self.prior is None else dict(self.prior),
            "answer": None if self.answer is None else self.answer.id,
            "refer": self.refer,
            "reasons": list(self.reasons),
            "quality": {"problems": list(self.quality.problems), "measures": dict(self.quality.measures)},
            "coverage": self.coverage,
            "prediction_sets": {level: list(ids) for level, ids in self.sets.items()},
            "routing": self.routing,
            "skipped": list(self.skipped),
            "warnings": list(self.warnings),
            "levels": {
                level: [{"id": p.id, "name": p.name, "probability": p.probability, "parent": p.parent} for p in predictions]
                for level, predictions in self.levels.items()
            },
        }

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def __str__(self) -> str:
        return render(self)


def render(result: Result, least: float = 0.02) -> str:
    """Draws a result as a tree of text; nodes below probability `least` are counted instead."""
    lines = []

    def draw(nodes: Sequence[dict[str, Any]], indent: str) -> None:
        shown = [node for node in nodes if node["probability"] >= least]
        hidden = [node["probability"] for node in nodes if node["probability"] < least]
        for node in shown:
            last = node is shown[-1] and not hidden
            bar = "█" * round(20 * node["probability"])
            label = indent + ("└─ " if last else "├─ ") + node["name"]
            lines.append(f"{label:<48}{100 * node['probability']:5.1f} %  {bar}".rstrip())
            draw(node["children"], indent + ("   " if last else "│  "))
        if shown and hidden:
            lines.append(f"{indent + f'└─ {len(hidden)} more':<48}{100 * sum(hidden):5.1f} %")

    draw(result.tree()["children"], "")
    answer = f"{result.answer.name} ({result.answer.level})" if result.answer else "not certain enough on any level"
    lines.append(f"answer: {answer}")
    lines.append("refer to a dermatologist: " + ("yes, because " + "; ".join(result.reasons) if result.refer else "no"))
    if result.prior is not None:
        lines.append("adjusted to: " + ", ".join(f"{node} {100 * share:.3g} %" for node, share in result.prior.items()))
    if result.quality.problems:
        lines.append("photo: " + ", ".join(result.quality.problems))
    lines += [f"WARNING: {warning}" for warning in result.warnings]
    return "\n".join(lines)
