"""Confusion matrices, readable with 3 classes and with 114: cells are shaded by their share of the row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from derm_sdk.taxonomy import Node

from .markup import Html, join, tag
from .parts import scroller, table
from .svg import drawing

MOST_IN_TABLE = 30
STEPS = 10
PAIRS = 20
WIDE = 1000.0  # how wide the picture is where its names allow


def confusion_matrix(counts: NDArray[np.int64], nodes: Sequence[Node], level: str) -> Html:
    """A level's matrix: a table of counts and row shares up to 30 classes, a picture with the commonest pairs beyond.

    Args:
        counts: int [C, C], rows are the truth.
        nodes: [C] of them, in the order of the tree.
        level: their level.
    """
    if len(nodes) <= MOST_IN_TABLE:
        return _as_table(counts, nodes, level)
    return join(_as_picture(counts, nodes, level), _pairs(counts, nodes, level, PAIRS))


def commonest_confusions(counts: NDArray[np.int64], nodes: Sequence[Node], level: str, most: int = PAIRS) -> Html:
    """The pairs that are mistaken most often."""
    return _pairs(counts, nodes, level, most)


def _as_table(counts: NDArray[np.int64], nodes: Sequence[Node], level: str) -> Html:
    totals = counts.sum(axis=1)
    starts = _starts(nodes)
    head = [
        tag("td", tag("span", "true ↓  said →"), class_="corner"),
        [
            tag("th", tag("span", node.name), scope="col", class_="first" if place in starts else None)
            for place, node in enumerate(nodes)
        ],
        tag("th", tag("span", "n"), scope="col", class_="total"),
    ]
    rows = []
    for row, node in enumerate(nodes):
        cells = []
        for column in range(len(nodes)):
            count = int(counts[row, column])
            share = count / totals[row] if totals[row] else 0.0
            kinds = [
                f"s{_step(share)}" if count else "",
                "hit" if row == column else "",
                "first" if column in starts else "",
            ]
            words = (count, tag("small", f"{100 * share:.0f} %")) if count else (tag("span", "0", class_="zero"),)
            cells.append(tag("td", *words, class_=" ".join(filter(None, kinds)) or None))
        rows.append(
            tag(
                "tr",
                tag("th", node.name, scope="row"),
                cells,
                tag("td", f"{int(totals[row]):,}", class_="total"),
                class_="first" if row in starts else None,
            )
        )
    name = f"Confusion matrix, {level}"
    size = "roomy" if len(nodes) <= 12 else "tight"
    caption = tag("caption", f"{name}: photos, and their share of the row", class_="unseen")
    whole = tag("table", caption, tag("thead", tag("tr", head)), tag("tbody", rows), class_=f"matrix {size}")
    return scroller(name, whole)


def _as_picture(counts: NDArray[np.int64], nodes: Sequence[Node], level: str) -> Html:
    room = 168.0
    side = round(min(14.0, max(7.2, (WIDE - room) / len(nodes))), 2)
    size = room + side * len(nodes)
    totals = counts.sum(axis=1)
    marks = [tag("rect", x=room, y=room, width=side * len(nodes), height=side * len(nodes), class_="ground")]
    for place in sorted(_starts(nodes) - {0}):
        at = room + side * place
        marks.append(tag("line", x1=at, x2=at, y1=room, y2=size, class_="grid"))
        marks.append(tag("line", x1=room, x2=size, y1=at, y2=at, class_="grid"))
    for row, column in np.argwhere(counts > 0).tolist():
        count = int(counts[row, column])
        title = f"{nodes[row].name} called {nodes[column].name}: {count} of {int(totals[row])}"
        place = {"x": room + side * column, "y": room + side * row}
        shade = f"cell s{_step(count / totals[row])}"
        marks.append(tag("rect", tag("title", title), **place, width=side, height=side, class_=shade))
    for place, node in enumerate(nodes):
        at = room + side * (place + 0.5)
        name = node.name if len(node.name) <= 32 else node.name[:31] + "…"
        marks.append(tag("text", f"{name} ({int(totals[place])})", x=room - 4, y=at + 2.6, class_="end tiny"))
        marks.append(
            tag("text", name, x=at + 2.6, y=room - 4, class_="tiny", transform=f"rotate(-90 {at + 2.6:g} {room - 4:g})")
        )
    right = int(np.trace(counts))
    label = (
        f"Confusion matrix of {len(nodes)} classes of the level {level}: {right} of {int(counts.sum())} photos are on the "
        "diagonal. The commonest mistakes are in the table below it."
    )
    return scroller(f"Confusion matrix, {level}", drawing(size, size, label, *marks, class_="wide", width=round(size)))


def _pairs(counts: NDArray[np.int64], nodes: Sequence[Node], level: str, most: int) -> Html:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = [place for place in np.argsort(-wrong, axis=None, kind="stable")[:most].tolist() if wrong.flat[place] > 1]
    rows = []
    for place in order:
        row, column = divmod(place, len(nodes))
        total = int(counts[row].sum())
        share = f"{100 * wrong[row, column] / total:.0f} %"
        rows.append((nodes[row].name, nodes[column].name, f"{int(wrong[row, column])} of {total}", share))
    return table(("true", "said", "photos", "of the row"), rows, f"The commonest mistakes, {level}", "plain")


def _starts(nodes: Sequence[Node]) -> set[int]:
    """Where a new parent begins."""
    return {place for place, node in enumerate(nodes) if place and node.parent != nodes[place - 1].parent}


def _step(share: float) -> int:
    """The shade of a share: 1 to 10, 0 for none."""
    return 0 if share <= 0 else max(1, min(STEPS, int(np.ceil(share * STEPS))))
