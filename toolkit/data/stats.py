"""How many photos there are of each label, side and skin type: the table that any training starts from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .manifest import SIDES, SPLITS, UNUSED, Dataset, Split

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FORMAT = 1
TYPES = ("1", "2", "3", "4", "5", "6", "unknown")
SMALL = 5  # photos; a share of fewer says nothing at all


def data_stats(dataset: Dataset, split: Split | None, small: int = SMALL) -> dict[str, Any]:
    """Counts the photos.

    Args:
        dataset: which photos.
        split: their sides; None where there is none yet.
        small: cells with fewer photos are counted as small.
    Returns:
        JSON-ready: {"format", "dataset", "split": digest or None, "photos", "small", "sides": {side: photos}, "rows":
        [{"level", "id", "name", "parent", "photos": {side: {type: photos}}, "total"}], in the order of the tree, "cells":
        {level: {side: {"cells", "empty", "small"}}}}. Cells are those of known skin types; the side "all" is every photo.
    """
    sides = {photo.digest: split.assignments.get(photo.digest, UNUSED) if split else "" for photo in dataset.photos}
    counted: Counter[tuple[str, str, str]] = Counter()
    for photo in dataset.photos:
        for level in dataset.taxonomy.levels:
            node = dataset.taxonomy.ancestor(photo.leaf, level)
            counted[node, sides[photo.digest], str(photo.fitzpatrick or "unknown")] += 1
    present = [side for side in SIDES if side in set(sides.values())]
    rows = [
        {
            "level": node.level,
            "id": node.id,
            "name": node.name,
            "parent": node.parent,
            "photos": _by_side(counted, node.id, present),
        }
        for node in dataset.taxonomy.nodes
    ]
    for row in rows:
        row["total"] = sum(row["photos"]["all"].values())
    return {
        "format": FORMAT,
        "dataset": dataset.digest,
        "split": split.digest if split else None,
        "photos": len(dataset.photos),
        "small": small,
        "sides": {side: sum(each == side for each in sides.values()) for side in present},
        "rows": rows,
        "cells": {level: _cells([row for row in rows if row["level"] == level], small) for level in dataset.taxonomy.levels},
    }


def print_stats(found: Mapping[str, Any], console: Console, *, by_side: bool = False) -> None:
    """Prints the counts: by side and by skin type, or by skin type on each side."""
    sides = list(found["sides"])
    for level in found["cells"]:
        if by_side and sides:
            for side in sides:
                console.print(_table(found, level, f"{level}, {side}", [], side))
        else:
            console.print(_table(found, level, f"{level}: {found['photos']:,} photos", sides, "all"))
    for level, cells in found["cells"].items():
        for side, told in cells.items():
            line = (
                f"{level} by skin type, {side}: of {told['cells']} cells {told['empty']} are empty and {told['small']} have "
                f"1 to {found['small'] - 1} photos."
            )
            if side in ("all", "train", "test"):
                console.print(line, markup=False)
    console.print(
        f"In brackets: fewer than {found['small']} photos, too few to claim anything about. ?: skin type unknown.",
        markup=False,
    )


def _by_side(counted: Mapping[tuple[str, str, str], int], node: str, sides: list[str]) -> dict[str, dict[str, int]]:
    of_sides = {side: {skin: counted.get((node, side, skin), 0) for skin in TYPES} for side in sides}
    parts = list(of_sides.values()) or [{skin: counted.get((node, "", skin), 0) for skin in TYPES}]
    return of_sides | {"all": {skin: sum(part[skin] for part in parts) for skin in TYPES}}


def _cells(rows: list[dict[str, Any]], small: int) -> dict[str, dict[str, int]]:
    found = {}
    for side in rows[0]["photos"]:
        counts = [row["photos"][side][skin] for row in rows for skin in TYPES[:-1]]
        found[side] = {
            "cells": len(counts),
            "empty": sum(count == 0 for count in counts),
            "small": sum(0 < count < small for count in counts),
        }
    return found


def _table(found: Mapping[str, Any], level: str, title: str, sides: list[str], types_of: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(level, overflow="fold")
    for name in (*(_SHORT.get(side, side) for side in sides), "all", *TYPES[:-1], "?"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found["rows"]:
        if row["level"] == level:
            by_type = row["photos"][types_of]
            counts = [sum(row["photos"][side].values()) for side in sides]
            counts += [sum(by_type.values()), *(by_type[skin] for skin in TYPES)]
            table.add_row(escape(row["name"]), *(_count(count, found["small"]) for count in counts))
    return table


_SHORT = dict(zip(SPLITS, ("train", "valid.", "calib.", "test"), strict=True))


def _count(count: int, small: int) -> str:
    return "-" if count == 0 else f"({count})" if count < small else f"{count:,}"
