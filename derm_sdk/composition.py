"""Probabilities of single graphs -> probabilities of every node of the tree: children always add up to their parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .errors import TaxonomyError
from .taxonomy import Taxonomy

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """What one graph answers: P(label | given) for `labels`, ids below the node `given` (None: below the root)."""

    graph: str
    given: str | None
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Composition:
    """Puts the heads together over the tree.

    A head splits a node's probability among its labels: P(label) = P(given) * P(label | given). A label above the leaves
    needs a head of its own, or must have a single leaf below it. Everything else is a sum of its children.

    Attributes:
        taxonomy: the tree.
        heads: a head given None, and one for each label that others split further.
    Raises:
        TaxonomyError: the heads do not cover every leaf exactly once, or two have one graph.
    """

    taxonomy: Taxonomy
    heads: tuple[Head, ...]
    root: Head = field(init=False)
    _of: dict[str | None, Head] = field(init=False, repr=False, compare=False)
    _column: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        of = {head.given: head for head in self.heads}
        if len(of) != len(self.heads) or None not in of:
            raise TaxonomyError("A model needs one graph for the whole tree and at most one for each node below.")
        if len({head.graph for head in self.heads}) != len(self.heads):
            raise TaxonomyError("Two graphs of the model have the same id; each needs one of its own.")
        object.__setattr__(self, "_of", of)
        object.__setattr__(self, "root", of[None])
        object.__setattr__(self, "_column", {node.id: i for i, node in enumerate(self.taxonomy.nodes)})
        reached = self._check(of[None])
        unused = set(of) - reached
        if unused:
            raise TaxonomyError(f"The graph {of[unused.pop()].graph!r} splits a node that no other graph answers.")

    def column(self, node: str) -> int:
        """The column of a node id in what `probabilities` returns."""
        return self._column[node]

    def columns(self, level: str) -> list[int]:
        """The columns of a level, in the order of the tree."""
        return [self._column[node.id] for node in self.taxonomy.at(level)]

    def probabilities(self, given_by: Mapping[str, Floats], *, skipped: Sequence[str] = ()) -> Floats:
        """Composes the graphs' probabilities.

        Args:
            given_by: {graph id: float64 [N, len(labels)]}, each row adding up to 1.
            skipped: ids of graphs that were not run; below their node the probability is spread evenly over the leaves.
        Returns:
            float64 [N, nodes], columns in the order of `taxonomy.nodes`; the sum over a node's children is the node.
        """
        count = len(next(iter(given_by.values())))
        result = np.zeros((len(self.taxonomy.nodes), count))
        by_label = {graph: shares.T for graph, shares in given_by.items()}
        self._spread(result, self.root, np.ones(count), by_label, set(skipped))
        for node in reversed(self.taxonomy.nodes):  # children come after their parents, so upward from the end
            if node.parent is not None:
                result[self._column[node.parent]] += result[self._column[node.id]]
        return result.T

    def _spread(self, result: Floats, head: Head, mass: Floats, by_label: Mapping[str, Floats], skipped: set[str]) -> None:
        """Writes the leaves below a head into result [nodes, N]; by_label holds [labels, N] per graph."""
        for label, given in zip(head.labels, by_label[head.graph], strict=True):
            deeper = self._of.get(label)
            if deeper is not None and deeper.graph not in skipped:
                self._spread(result, deeper, mass * given, by_label, skipped)
            else:
                leaves = self.taxonomy.leaves_under(label)
                for leaf in leaves:
                    result[self._column[leaf]] = mass * given / len(leaves)

    def _check(self, head: Head) -> set[str | None]:
        expected = self.taxonomy.leaves_under(head.given)
        covered: list[str] = []
        reached: set[str | None] = {head.given}
        for label in head.labels:
            if label not in self._column:
                raise TaxonomyError(f"The graph {head.graph!r} answers {label!r}, which is not in the tree.")
            covered += self.taxonomy.leaves_under(label)
        if sorted(covered) != sorted(expected):
            raise TaxonomyError(f"The labels of the graph {head.graph!r} do not cover its part of the tree exactly once.")
        for label in head.labels:
            if not self.taxonomy.is_below(label, head.given):  # else the way down would never end
                raise TaxonomyError(f"The graph {head.graph!r} splits {head.given!r} into {label!r}, which is not below it.")
            deeper, count = self._of.get(label), len(self.taxonomy.leaves_under(label))
            if deeper is not None:
                reached |= self._check(deeper)
            elif count != 1:
                raise TaxonomyError(f"No graph splits {label!r} into its {count} conditions.")
        return reached
