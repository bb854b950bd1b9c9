"""The few building blocks that every section of a report is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .markup import Html, tag
from .svg import drawing

LEAST_PHOTOS = 20


@dataclass(frozen=True)
class Section:
    """A part of the page: an anchor, a heading and what stands below it."""

    anchor: str
    title: str
    body: Html

    def html(self) -> Html:
        """The section with its heading, which names it to a screen reader."""
        name = f"{self.anchor}-title"
        return tag("section", tag("h2", self.title, id=name), self.body, id=self.anchor, aria_labelledby=name)


def number(value: Any, beside: float | None = None) -> str:
    """Three decimals below 3, two below 10, one above; a dash for what is not defined.

    Args:
        value: any number.
        beside: a number whose decimals it takes, such as the end of the interval that it is printed with.
    Example:
        >>> number(0.78084), number(8.036), number(12.34), number(None)
        ('0.781', '8.04', '12.3', '–')
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return "–"
    size = abs(value if beside is None or not math.isfinite(beside) else beside)
    return f"{value:.{3 if size < 3 else 2 if size < 9.995 else 1}f}"


def value_text(cell: Mapping[str, Any]) -> str:
    """The value of a cell, with as many decimals as its interval."""
    return number(cell["value"], cell.get("high"))


def limits(cell: Mapping[str, Any] | None) -> str:
    """The interval of a cell, "0.746–0.816"; empty where there is none."""
    if not cell or "low" not in cell:
        return ""
    return f"{number(cell['low'], cell['high'])}–{number(cell['high'])}"


def figure_cell(cell: Any, baseline: Any = None) -> Html:
    """A table cell with a value and, below it, its interval and what a constant answer would reach.

    A figure about too few photos is their number, one that is not defined a dash.
    """
    if not isinstance(cell, Mapping) or "value" not in cell:
        few = cell.get("n") if isinstance(cell, Mapping) else None
        return tag("td", "–" if few is None else f"n = {few}", class_="n none")
    told = [tag("small", spread) for spread in [limits(cell)] if spread]
    if "corrected" in cell:
        told.append(tag("small", f"without noise {number(cell['corrected'])}", class_="constant"))
    if isinstance(baseline, (int, float)):
        told.append(tag("small", f"constant {number(baseline)}", class_="constant"))
    return tag("td", tag("span", value_text(cell)), told, class_="n")


def strip(cell: Mapping[str, Any] | None, baseline: float | None = None, least: float = 0.0, most: float = 1.0) -> Html:
    """A value, its interval and its baseline on a line from `least` to `most`; decoration beside the printed figures."""
    if not cell or not isinstance(cell.get("value"), (int, float)):
        return Html("")

    def at(value: float) -> float:
        return round(4 + 152 * min(1.0, max(0.0, (value - least) / (most - least))), 2)

    marks = [tag("line", x1=4, x2=156, y1=9, y2=9, class_="track")]
    if baseline is not None:
        marks.append(tag("line", x1=at(baseline), x2=at(baseline), y1=2, y2=16, class_="baseline"))
    if "low" in cell:
        marks.append(tag("line", x1=at(cell["low"]), x2=at(cell["high"]), y1=9, y2=9, class_="whisker"))
    marks.append(tag("circle", cx=at(cell["value"]), cy=9, r=3.8, class_="dot one"))
    return drawing(160, 18, None, *marks, class_="strip")


def bar(share: float, class_: str = "one", width: float = 120) -> Html:
    """A horizontal bar, 0..1 of its room; decoration beside the printed number."""
    length = round(width * min(1.0, max(0.0, share)), 2)
    return drawing(width, 8, None, tag("rect", width=length, height=8, rx=1.5, class_=f"bar {class_}"), class_="bars")


def table(head: Iterable[object], rows: Iterable[Iterable[object]], caption: str, class_: str = "") -> Html:
    """A table in a box that scrolls sideways where the screen is narrow, reachable by keyboard.

    Args:
        head: of the columns; text is wrapped into <th>.
        rows: of cells; the first cell is the row's head, text is wrapped, elements stay as they are.
        caption: what the table shows.
        class_: of the table.
    """
    lines = [_row(row) for row in rows]
    columns = [tag("th", each, scope="col") if each else tag("td") for each in head]
    inner = tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag("thead", tag("tr", columns)),
        tag("tbody", lines),
        class_=class_ or None,
    )
    return tag("div", tag("p", caption, class_="caption", aria_hidden="true"), scroller(caption, inner))


def scroller(name: str, *inner: object, class_: str = "") -> Html:
    """A box that scrolls sideways instead of the page."""
    return tag("div", *inner, class_=f"scroll {class_}".strip(), role="region", aria_label=name, tabindex=0)


def figure(*inner: object, caption: object = None, class_: str | None = None) -> Html:
    """A chart with the words below it."""
    return tag("figure", *inner, tag("figcaption", caption) if caption else None, class_=class_)


def values(head: Sequence[str], rows: Iterable[Sequence[object]], caption: str) -> Html:
    """The numbers behind a chart, folded away."""
    return tag("details", tag("summary", "The numbers"), table(head, rows, caption, "plain"), class_="values")


def missing(what: str, command: str) -> Html:
    """Says that a part is not there, and which command makes it."""
    return tag("p", what, " ", tag("code", command), class_="missing")


def paragraph(*text: object, class_: str | None = None) -> Html:
    """A paragraph, in which no "%" begins a line."""
    unbroken = [each.replace(" %", "\u00a0%") if type(each) is str else each for each in text]
    return tag("p", *unbroken, class_=class_)


def pairs(rows: Iterable[tuple[object, object]]) -> Html:
    """Names and values, as a list of definitions."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows], class_="pairs")


def _row(cells: Iterable[object]) -> Html:
    first, *others = cells
    head = first if isinstance(first, Html) and first.startswith("<t") else tag("th", first, scope="row")
    return tag("tr", head, [cell if _is_cell(cell) else tag("td", cell, class_=_kind(cell)) for cell in others])


def _is_cell(cell: object) -> bool:
    return isinstance(cell, Html) and cell.startswith(("<td", "<th"))


def _kind(cell: object) -> str | None:
    return "n" if isinstance(cell, (int, float)) or (isinstance(cell, str) and _is_number(cell)) else None


def _is_number(text: str) -> bool:
    return bool(text) and all(each in "0123456789.,–-%= n" for each in text)
