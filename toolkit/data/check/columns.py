"""Whether the columns of a table of photos agree with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from derm_sdk.errors import OptionError

from ..importers import FITZPATRICK17K_COLUMNS, LEVELS, parse_fitzpatrick, tidy
from ..table import read_table

_TREES = (tuple(reversed(FITZPATRICK17K_COLUMNS[2:])), LEVELS)
_SKIN = ("fitzpatrick_scale", "fitzpatrick_centaur")
_MOST = 100


def check_table(path: Path) -> dict[str, Any]:
    """Compares the columns of a CSV file: the tree of labels, the two skin types, qc, repeated photos, missing addresses.

    Returns:
        JSON-ready; a part is left out where the table lacks its columns.
    Raises:
        DataError, FileError: as `read_table`.
    """
    header, numbered = read_table(path)
    rows = [row for _, row in numbered]
    found: dict[str, Any] = {"table": path.name, "rows": len(rows)}
    tree = next((names for names in _TREES if names[-1] in header and names[0] in header), ())
    levels = [name for name in tree if name in header]
    if levels:
        found["labels"] = {"levels": levels, "empty": _empty(rows, levels), "conflicts": _parents(numbered, levels)}
    if set(_SKIN) <= set(header):
        found["skin_types"] = _skin_types(rows)
    if "qc" in header:
        found["qc"] = dict(Counter(row["qc"] for row in rows if row["qc"]).most_common())
    key = next((name for name in ("md5hash", "file") if name in header), None)
    if key:
        counts = Counter(row[key].lower() for row in rows)
        found["repeated_photos"] = sum(count - 1 for count in counts.values())
    if "url" in header:
        found["without_url"] = sum(not row["url"].startswith(("http://", "https://")) for row in rows)
    return found


def _empty(rows: Sequence[Mapping[str, str]], levels: Sequence[str]) -> dict[str, int]:
    return {level: sum(not row[level] for row in rows) for level in levels}


def _parents(rows: Sequence[tuple[int, Mapping[str, str]]], levels: Sequence[str]) -> list[dict[str, Any]]:
    """Labels with more than one parent, the rarer parent's rows named: in a strict tree there are none."""
    conflicts = []
    for above, level in pairwise(levels):
        parents: dict[str, dict[str, list[int]]] = {}
        for number, row in rows:
            if row[level] and row[above]:
                parents.setdefault(tidy(row[level]), {}).setdefault(tidy(row[above]), []).append(number)
        for label, by_parent in sorted(parents.items()):
            if len(by_parent) > 1:
                counted = {parent: len(found) for parent, found in by_parent.items()}
                rare = min(by_parent, key=lambda parent: len(by_parent[parent]))
                conflicts.append({"level": level, "label": label, "parents": counted, "rows": by_parent[rare][:_MOST]})
    return conflicts


def _skin_types(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """How far the two columns are apart; rows in which one is unknown are counted, not compared."""
    table = [[0] * 6 for _ in range(6)]
    unreadable = 0
    for row in rows:
        try:
            first, second = (parse_fitzpatrick(row[name]) for name in _SKIN)
        except OptionError:
            unreadable += 1
            continue
        if first and second:
            table[first - 1][second - 1] += 1
    both = sum(map(sum, table))
    apart = [sum(table[i][j] for i in range(6) for j in range(6) if abs(i - j) == step) for step in range(6)]
    return {
        "columns": list(_SKIN),
        "both_known": both,
        "unreadable": unreadable,
        "apart": apart,
        "same": apart[0] / both if both else None,
        "within_one": (apart[0] + apart[1]) / both if both else None,
        "table": table,
    }
