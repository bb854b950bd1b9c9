"""The tree of labels: every level's nodes, each with one parent, down to the conditions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import OptionError, TaxonomyError, closest

MAX_NODES = 10_000
MAX_LEVELS = 32


@dataclass(frozen=True)
class Node:
    """One label: `id` is a slug, `name` the label as the data set spells it, `parent` an id (None on the top level)."""

    id: str
    name: str
    level: str
    parent: str | None


@dataclass(frozen=True)
class Taxonomy:
    """A strict tree of labels, the same depth everywhere.

    Attributes:
        levels: names of the levels from the top, such as ("category", "group", "condition").
        nodes: every node, level by level; a parent comes before its children.
    Raises:
        TaxonomyError: the nodes form no tree, or an id, level or parent is not in order.
    """

    levels: tuple[str, ...]
    nodes: tuple[Node, ...]
    _by_id: dict[str, Node] = field(init=False, repr=False, compare=False)
    _children: dict[str | None, tuple[Node, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {node.id: node for node in self.nodes})
        children: dict[str | None, list[Node]] = {}
        for node in self.nodes:
            children.setdefault(node.parent, []).append(node)
        object.__setattr__(self, "_children", {parent: tuple(found) for parent, found in children.items()})
        self._check()

    @classmethod
    def from_paths(cls, levels: Sequence[str], paths: Iterable[Sequence[str]]) -> Taxonomy:
        """Builds the tree from label paths, sorted by name on each level.

        Args:
            levels: names of the levels from the top.
            paths: one tuple of names per condition, from the top level down; repeats are welcome.
        Raises:
            TaxonomyError: a label has two parents, or is empty.
        Example:
            >>> Taxonomy.from_paths(["category", "condition"], [("benign", "nevus"), ("malignant", "melanoma")]).leaves
            ('nevus', 'melanoma')
        """
        unique = sorted({tuple(path) for path in paths})
        names: list[dict[str, str | None]] = [{} for _ in levels]
        for path in unique:
            if len(path) != len(levels) or not all(path):
                raise TaxonomyError(f"A label path needs {len(levels)} names ({', '.join(levels)}); got {path!r}.")
            for depth, name in enumerate(path):
                parent = path[depth - 1] if depth else None
                if names[depth].setdefault(name, parent) != parent:
                    raise TaxonomyError(
                        f"The {levels[depth]} {name!r} has two parents, {names[depth][name]!r} and {parent!r}; "
                        "a label must have one."
                    )
        ids = _unique_ids(levels, names)
        nodes: list[Node] = []
        order: dict[str, int] = {}
        for depth, level in enumerate(levels):
            found = []
            for name, parent in names[depth].items():
                parent_id = ids[depth - 1][parent] if parent is not None else None
                found.append(Node(ids[depth][name], name, level, parent_id))
            found.sort(key=lambda node: (order.get(node.parent or "", 0), node.name))
            order = {node.id: place for place, node in enumerate(found)}
            nodes += found
        return cls(tuple(levels), tuple(nodes))

    @classmethod
    def from_dict(cls, data: Any) -> Taxonomy:
        """Reads what `to_dict` wrote. Raises TaxonomyError on anything else."""
        try:
            levels, rows = data["levels"], data["nodes"]
            if not isinstance(levels, list) or not isinstance(rows, list) or len(rows) > MAX_NODES:
                raise TypeError
            nodes = tuple(Node(row["id"], row["name"], row["level"], row["parent"]) for row in rows)
        except (KeyError, TypeError) as error:
            raise TaxonomyError("taxonomy.json must hold levels and nodes with id, name, level and parent.") from error
        for text in [*levels, *(text for node in nodes for text in (node.id, node.name, node.level))]:
            if not isinstance(text, str) or not text:
                raise TaxonomyError(f"Names in taxonomy.json must be non-empty text; got {text!r}.")
        for node in nodes:
            if not (node.parent is None or isinstance(node.parent, str)):
                raise TaxonomyError(
                    f"The parent of {node.id!r} in taxonomy.json must be an id or null; got {node.parent!r}."
                )
        return cls(tuple(levels), nodes)

    def to_dict(self) -> dict[str, Any]:
        """The tree as JSON-ready data: {"levels": [...], "nodes": [{"id", "name", "level", "parent"}, ...]}."""
        rows = [{"id": n.id, "name": n.name, "level": n.level, "parent": n.parent} for n in self.nodes]
        return {"levels": list(self.levels), "nodes": rows}

    @property
    def leaves(self) -> tuple[str, ...]:
        """Ids of the deepest level, in the order of the tree."""
        return tuple(node.id for node in self.nodes if node.level == self.levels[-1])

    def at(self, level: str) -> tuple[Node, ...]:
        """Every node of a level. Raises OptionError for an unknown level."""
        if level not in self.levels:
            raise OptionError(f"Unknown level {level!r}." + closest(level, self.levels))
        return tuple(node for node in self.nodes if node.level == level)

    def node(self, key: str) -> Node:
        """Finds a node by its id, or by its name where only one node bears it. Raises OptionError for an unknown one."""
        if key in self._by_id:
            return self._by_id[key]
        named = [node for node in self.nodes if node.name == key]
        if len(named) != 1:
            raise OptionError(f"Unknown label {key!r}." + closest(key, self._by_id))
        return named[0]

    def children(self, node: str | None) -> tuple[Node, ...]:
        """Direct children of a node id, in order; of the whole tree for None."""
        return self._children.get(node, ())

    def leaves_under(self, node: str | None) -> tuple[str, ...]:
        """Ids of the leaves below a node id (a leaf is below itself); all of them for None."""
        if node is not None and self._by_id[node].level == self.levels[-1]:
            return (node,)
        return tuple(leaf for child in self.children(node) for leaf in self.leaves_under(child.id))

    def ancestor(self, node: str, level: str) -> str:
        """Id of the node's ancestor on a level (itself on its own level)."""
        found = self._by_id[node]
        while found.level != level:
            if found.parent is None:
                raise OptionError(f"{node!r} has no ancestor on level {level!r}.")
            found = self._by_id[found.parent]
        return found.id

    def is_below(self, node: str, ancestor: str | None) -> bool:
        """Whether a node id lies below another, and is not it; everything lies below None, the root."""
        parent = self._by_id[node].parent
        return ancestor is None or (parent is not None and (parent == ancestor or self.is_below(parent, ancestor)))

    def _check(self) -> None:
        if not self.levels or len(set(self.levels)) != len(self.levels):
            raise TaxonomyError(f"A tree needs one or more differently named levels; got {list(self.levels)}.")
        if len(self.levels) > MAX_LEVELS:
            raise TaxonomyError(f"A tree has at most {MAX_LEVELS} levels; got {len(self.levels)}.")
        if not self.nodes or len(self._by_id) != len(self.nodes):
            raise TaxonomyError("A tree needs nodes, each with an id of its own.")
        seen: dict[str, int] = {}
        for node in self.nodes:
            if node.level not in self.levels:
                raise TaxonomyError(
                    f"The node {node.id!r} is on level {node.level!r}, which is none of {list(self.levels)}."
                )
            depth = self.levels.index(node.level)
            if (node.parent is None) != (depth == 0) or (node.parent is not None and seen.get(node.parent) != depth - 1):
                raise TaxonomyError(
                    f"The node {node.id!r} needs a parent one level up that comes before it; got {node.parent!r}."
                )
            seen[node.id] = depth
        for node in self.nodes:
            if node.level != self.levels[-1] and not self.children(node.id):
                raise TaxonomyError(f"The node {node.id!r} has no children, yet it is not on the last level.")


def slug(name: str) -> str:
    """Turns a label into an id of lower-case ASCII letters, digits and "-": "Bowen's disease" -> "bowen-s-disease"."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-") or "label"


def _unique_ids(levels: Sequence[str], names: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The deepest level keeps the plain slug; a label that is taken below it gets its level's name behind it."""
    taken: set[str] = set()
    ids: list[dict[str, str]] = [{} for _ in levels]
    for depth in range(len(levels) - 1, -1, -1):
        for name in sorted(names[depth]):
            base = slug(name)
            candidate = base if base not in taken else f"{base}-{slug(levels[depth])}"
            number = 2
            while candidate in taken:
                candidate, number = f"{base}-{slug(levels[depth])}-{number}", number + 1
            taken.add(candidate)
            ids[depth][name] = candidate
    return ids
