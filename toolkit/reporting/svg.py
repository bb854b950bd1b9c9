"""Axes and marks of small charts, as SVG whose colours are the page's classes, so that a dark theme is one style sheet away.

A chart is drawn 360 units wide and shown at about that many pixels, on a phone as on a desk: its text is never shrunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .markup import Html, join, tag

Point = tuple[float, float]
WIDTH, HEIGHT = 360, 250


@dataclass(frozen=True)
class Plot:
    """A rectangle with two linear axes.

    Attributes:
        x, y: (least, most) of the data that the axes show.
        width, height: of the whole drawing.
        left, right, top, bottom: margins around the rectangle.
    """

    x: Point
    y: Point
    width: float = WIDTH
    height: float = HEIGHT
    left: float = 46
    right: float = 12
    top: float = 12
    bottom: float = 40

    def at(self, x: float, y: float) -> Point:
        """Where a value lies in the drawing; beyond the axes it lies on their edge."""
        across = _share(x, self.x) * (self.width - self.left - self.right)
        up = _share(y, self.y) * (self.height - self.top - self.bottom)
        return round(self.left + across, 2), round(self.height - self.bottom - up, 2)

    def axes(self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_title: str, y_title: str) -> Html:
        """Grid lines, numbers and titles of both axes."""
        (left, bottom), (right, top) = self.at(self.x[0], self.y[0]), self.at(self.x[1], self.y[1])
        marks = []
        for value in y_ticks:
            height = self.at(self.x[0], value)[1]
            marks.append(tag("line", x1=left, x2=right, y1=height, y2=height, class_="grid"))
            marks.append(tag("text", tick(value), x=left - 7, y=height + 4, class_="end"))
        for value in x_ticks:
            place = self.at(value, self.y[0])[0]
            marks.append(tag("line", x1=place, x2=place, y1=bottom, y2=bottom + 4, class_="axis"))
            marks.append(tag("text", tick(value), x=place, y=bottom + 17, class_="mid"))
        middle = (top + bottom) / 2
        return join(
            marks,
            tag("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis"),
            tag("text", x_title, x=(left + right) / 2, y=self.height - 6, class_="mid name"),
            tag("text", y_title, x=11, y=middle, transform=f"rotate(-90 11 {middle:g})", class_="mid name"),
        )

    def line(self, points: Sequence[Point], class_: str) -> Html:
        """A line through data points."""
        return tag("polyline", points=_path(self.at(*point) for point in points), class_=f"line {class_}")

    def band(self, low: Sequence[Point], high: Sequence[Point], class_: str) -> Html:
        """The area between two lines over the same x."""
        around = [*low, *reversed(high)]
        return tag("polygon", points=_path(self.at(*point) for point in around), class_=f"band {class_}")

    def segment(self, start: Point, end: Point, class_: str) -> Html:
        """A straight line between two data points."""
        (x1, y1), (x2, y2) = self.at(*start), self.at(*end)
        return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)

    def dot(self, point: Point, radius: float, class_: str, title: str | None = None) -> Html:
        """A filled circle, with a title that a mouse shows."""
        x, y = self.at(*point)
        return tag("circle", tag("title", title) if title else None, cx=x, cy=y, r=radius, class_=f"dot {class_}")

    def note(self, point: Point, text: str, class_: str = "", dx: float = 0, dy: float = 0) -> Html:
        """Words at a data point, moved by pixels."""
        x, y = self.at(*point)
        return tag("text", text, x=round(x + dx, 2), y=round(y + dy, 2), class_=f"note {class_}")

    def svg(self, label: str, *marks: object) -> Html:
        """The drawing. `label` is what a screen reader says instead of it."""
        return drawing(self.width, self.height, label, *marks)


def drawing(
    box_width: float, box_height: float, label: str | None, *marks: object, class_: str = "chart", width: int | None = None
) -> Html:
    """An SVG picture; without a label it is decoration, since the text beside it says the same.

    It is as wide as its class says, or `width` pixels.
    """
    told = {"role": "img", "aria_label": label} if label else {"aria_hidden": "true"}
    view = f"0 0 {box_width:g} {box_height:g}"
    return tag("svg", *marks, viewBox=view, class_=class_, width=width, focusable="false", **told)


def ticks(least: float, most: float, about: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers between two limits, about `about` of them; whole ones for what is counted.

    Example:
        >>> ticks(0, 2.3)
        [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    span = most - least
    if not span > 0 or not math.isfinite(span):
        return [least]
    magnitude = 10.0 ** math.floor(math.log10(span / about))
    factors = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next((f * magnitude for f in factors if span / (f * magnitude) <= about + 0.5), 10 * magnitude)
    step = max(1.0, step) if whole else step
    first, last = math.ceil(least / step - 1e-9), math.floor(most / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def tick(value: float) -> str:
    """A number of an axis."""
    return f"{value:.10g}"


def _share(value: float, limits: Point) -> float:
    least, most = limits
    return min(1.0, max(0.0, (value - least) / (most - least))) if most > least else 0.5


def _path(points: Iterable[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
