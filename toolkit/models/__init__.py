"""The families of networks, by the name that a config's `model.kind` gives.

A family is a module with `KIND` (the bundle's word for it), `Settings` (the config's `[model]` table, a frozen dataclass),
`graphs(taxonomy, settings)` and `build(spec, settings, size)`; it imports Keras only when it builds.
"""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import TypeVar

from . import adopted, alexnet, hierarchical, lenet, multi_input, transfer, two_step
from .graph import GraphSpec

FAMILIES: dict[str, ModuleType] = {
    "two_step": two_step,
    "multi_input": multi_input,
    "lenet": lenet,
    "alexnet": alexnet,
    "transfer": transfer,
    "hierarchical": hierarchical,
    "adopted": adopted,
}

S = TypeVar("S")


def untrained(settings: S) -> S:
    """The settings of the same networks with random weights: for those that are given others anyway."""
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        return settings
    values = {field.name: untrained(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
    return dataclasses.replace(settings, **values | ({"weights": "none"} if "weights" in values else {}))


def single_view(settings: S) -> S:
    """The settings of the same networks, with the same weights, that look at one picture at a time: those that train."""
    has = dataclasses.is_dataclass(settings) and any(field.name == "views" for field in dataclasses.fields(settings))
    return dataclasses.replace(settings, views=1) if has else settings  # type: ignore[type-var]


__all__ = ["FAMILIES", "GraphSpec", "single_view", "untrained"]
