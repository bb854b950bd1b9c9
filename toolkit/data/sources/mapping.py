"""From a source's labels to the conditions of our tree, or to "no counterpart".

A mapping is a CSV file with the columns

    label      as the source spells it; case, hyphens and underscores do not count
    condition  of our tree (toolkit/data/mappings/tree.csv: Fitzpatrick17k's 114), empty for "no counterpart"
    match      exact   the same disease
               narrow  the source's label is a kind of our condition: taken
               broad   the source's label covers more than our condition: left out unless asked for
               none    no counterpart: left out
    note       why, for a reader

The four names are those of SKOS's mapping properties (W3C, 2009) from our condition's side.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from derm_sdk.errors import closest

from ...errors import DataError
from ..table import read_table

MATCHES = ("exact", "narrow", "broad", "none")
FOLDER = Path(__file__).parents[1] / "mappings"


@dataclass(frozen=True)
class Match:
    """What a label is in our tree: the path category, group, condition (empty for "none"), how well it fits, and why."""

    path: tuple[str, ...]
    match: str
    note: str = ""


@cache
def tree() -> Mapping[str, tuple[str, str, str]]:
    """Our tree: condition -> (category, group, condition), from the official fitzpatrick17k.csv."""
    _, rows = read_table(FOLDER / "tree.csv", ("condition", "group", "category"))
    return {row["condition"]: (row["category"], row["group"], row["condition"]) for _, row in rows}


def plain(label: str) -> str:
    """A label by which labels are compared: "Nodular-Melanoma_(NM)" -> "nodular melanoma (nm)"."""
    return " ".join(label.lower().replace("-", " ").replace("_", " ").split())


def shipped() -> list[str]:
    """Names of the mappings that come with the toolkit."""
    return sorted(path.stem for path in FOLDER.glob("*.csv") if path.stem != "tree")


def read_mapping(name: str | os.PathLike[str]) -> dict[str, Match]:
    """Reads a mapping: plain label -> what it is in our tree. The tree's own names are in every mapping, as "exact".

    Args:
        name: one of `shipped`, or a path.
    Raises:
        DataError: a column is missing, a label comes twice, a condition is not in the tree, or condition and match differ.
        FileError: the file cannot be read.
    """
    path = FOLDER / f"{name}.csv" if str(name) in shipped() else Path(name)
    if not path.exists() and path.suffix != ".csv":
        raise DataError(f"Unknown mapping {str(name)!r}; it is a CSV file, or one of these." + closest(str(name), shipped()))
    _, rows = read_table(path, ("label", "condition", "match"))
    found: dict[str, Match] = {}
    for number, row in rows:
        where, label = f"Row {number} of {path.name}", plain(row["label"])
        if not label or label in found:
            raise DataError(f"{where}: every label needs one row of its own; got {row['label']!r}.")
        if row["match"] not in MATCHES:
            raise DataError(f"{where}: unknown match {row['match']!r}." + closest(row["match"], MATCHES))
        if (row["match"] == "none") != (row["condition"] == ""):
            raise DataError(f"{where}: a condition belongs to every match but 'none'; got {row['condition']!r}.")
        if row["condition"] and row["condition"] not in tree():
            raise DataError(f"{where}: {row['condition']!r} is not in our tree." + closest(row["condition"], tree()))
        found[label] = Match(tree().get(row["condition"], ()), row["match"], row.get("note", ""))
    return {plain(condition): Match(path, "exact") for condition, path in tree().items()} | found
