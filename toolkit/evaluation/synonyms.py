"""Labels that name one disease: which conditions of a tree are merged, by a documented table."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derm_sdk.errors import FileError
from derm_sdk.taxonomy import Taxonomy

from ..errors import DataError

SHIPPED = Path(__file__).with_name("synonyms.toml")
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Merge:
    """One disease under several labels.

    Attributes:
        name: what it is called once merged.
        labels: two or more names of conditions.
        why: the reason, for the reader.
    """

    name: str
    labels: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Merged:
    """The conditions of a tree after merging.

    Attributes:
        names: [K] what the merged conditions are called, in the order of the tree.
        places: int64 [conditions], per condition of the tree its place in `names`.
        groups: {name: names of the conditions that became one}, of those that are two or more.
    """

    names: tuple[str, ...]
    places: NDArray[np.int64]
    groups: dict[str, list[str]]


def read_synonyms(path: str | os.PathLike[str] = SHIPPED) -> tuple[Merge, ...]:
    """Reads a table of synonyms: TOML, [[merge]] entries of name, labels and why.

    Raises:
        DataError: it is no such table, or lists a label twice.
        FileError: it cannot be read.
    """
    path = Path(path)
    try:
        data = path.read_bytes()[: MAX_BYTES + 1]
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is no TOML table of synonyms ({error}).") from error
    rows = table.get("merge")
    if set(table) != {"merge"} or not isinstance(rows, list):
        raise DataError(f"{str(path)!r} must hold [[merge]] entries and nothing else.")
    merges = tuple(_merge(row, str(path)) for row in rows)
    labels = [label for merge in merges for label in merge.labels]
    for label in labels:
        if labels.count(label) > 1:
            raise DataError(f"{str(path)!r} lists the label {label!r} twice.")
    return merges


def merge_conditions(taxonomy: Taxonomy, merges: Sequence[Merge]) -> Merged:
    """Which conditions of a tree become one; labels below different categories never do.

    Example:
        >>> tree = Taxonomy.from_paths(["category", "condition"], [("x", "acne"), ("x", "acne vulgaris"), ("x", "eczema")])
        >>> merge_conditions(tree, [Merge("acne", ("acne", "acne vulgaris"), "")]).names
        ('acne', 'eczema')
    """
    merge_of = {label: merge.name for merge in merges for label in merge.labels}
    conditions = taxonomy.at(taxonomy.levels[-1])
    keys, first = [], {}
    for node in conditions:
        name = merge_of.get(node.name.casefold())
        key = (name or node.id, taxonomy.ancestor(node.id, taxonomy.levels[0]), name is None)
        keys.append(first.setdefault(key, len(first)))
    members: list[list[str]] = [[] for _ in first]
    for place, node in zip(keys, conditions, strict=True):
        members[place].append(node.name)
    names = tuple(key[0] if len(of_key) > 1 else of_key[0] for key, of_key in zip(first, members, strict=True))
    groups = {name: of_key for name, of_key in zip(names, members, strict=True) if len(of_key) > 1}
    return Merged(names, np.array(keys, np.int64), groups)


def _merge(row: object, where: str) -> Merge:
    if not isinstance(row, dict) or set(row) != {"name", "labels", "why"}:
        raise DataError(f"Each [[merge]] of {where!r} must hold name, labels and why.")
    labels = row["labels"]
    texts = [row["name"], row["why"], *(labels if isinstance(labels, list) else [None])]
    if not all(isinstance(text, str) and text for text in texts) or len(labels) < 2:
        raise DataError(f"A [[merge]] of {where!r} needs a name, two or more labels, and why, all of them texts.")
    return Merge(row["name"], tuple(label.casefold() for label in labels), row["why"])
