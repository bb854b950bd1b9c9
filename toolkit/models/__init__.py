"""The families of networks, by the name that a config's `model.kind` gives.

A family is a module with `Settings` (the config's `[model]` table, a frozen dataclass), `graphs(taxonomy, settings)` and
`build(spec, settings, size)`; it imports Keras only when it builds.
"""

from __future__ import annotations

from types import ModuleType

from . import two_step
from .graph import GraphSpec

FAMILIES: dict[str, ModuleType] = {"two_step": two_step}

__all__ = ["FAMILIES", "GraphSpec"]
