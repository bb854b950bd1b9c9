"""The report's charts. Each is small, alike in its axes, and says in words what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..evaluation.selective import RiskCoverage
from .markup import Html, tag
from .plotted import Cell, Curve, ReliabilityBin
from .svg import Plot, Point, ticks

FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def curves(
    lines: Mapping[str, Sequence[Point]], y_title: str, label: str, best: Point | None = None, best_name: str = ""
) -> Html:
    """One or two lines over epochs; `best` is marked.

    Args:
        lines: {name: [(epoch, value)]}; the first is drawn full, the second dashed. Names stand at the lines' ends.
        y_title: of the y axis.
        label: for a screen reader.
        best: a point to mark, with `best_name` beside it.
    """
    points = [point for line in lines.values() for point in line]
    low, high = min(y for _, y in points), max(y for _, y in points)
    room = (high - low) * 0.12 or 0.05
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    plot = Plot((first, max(last, first + 1)), (max(0.0, low - room) if low >= 0 else low - room, high + room), right=14)
    marks = [plot.axes(ticks(*plot.x, whole=True), ticks(*plot.y, 4), "epoch", y_title)]
    for (name, line), class_ in zip(lines.items(), ("one", "two dashed"), strict=False):
        marks.append(plot.line(line, class_))
        if len(lines) > 1:
            marks.append(_line_name(plot, name, line, [p for n, p in lines.items() if n != name], class_))
    if best is not None:
        marks.append(plot.dot(best, 4.5, "one", f"{best_name}, epoch {best[0]:g}: {best[1]:.3f}"))
        right = best[0] > (first + last) / 2
        marks.append(plot.note(best, best_name, "end" if right else "", dx=-4 if right else 4, dy=-10))
    return plot.svg(label, *marks)


def reliability_diagram(bins: Sequence[ReliabilityBin], label: str, least: int, class_: str = "one") -> Html:
    """How often right, over how sure: a dot per bin with its interval, above the number of photos per bin.

    Bins of fewer than `least` photos are hollow and have no interval.
    """
    plot = Plot((0, 1), (0, 1), height=330, bottom=88)
    most = max(each.n for each in bins)
    marks = [plot.segment((0, 0), (1, 1), "diagonal")]
    for each in bins:
        point, enough = (each.confidence, each.accuracy), each.n >= least
        title = f"{each.n} photos, on average {each.confidence:.2f} sure, {each.accuracy:.2f} right"
        if enough and each.limits is not None:
            marks.append(plot.segment((point[0], each.limits[0]), (point[0], each.limits[1]), f"whisker {class_}"))
        marks.append(plot.dot(point, 4.5, class_ if enough else f"hollow {class_}", title))
    solid = [(each.confidence, each.accuracy) for each in bins if each.n >= least]
    axes = plot.axes(FIFTHS, FIFTHS, "", "share that is right")
    return plot.svg(label, axes, plot.line(solid, f"{class_} thin"), *marks, _histogram(plot, bins, most, class_))


def risk_curve(curve: RiskCoverage, least: float, at: Point | None, target: float | None, label: str) -> Html:
    """Error rate over the share of photos answered, with its interval.

    Args:
        curve: of `evaluation.selective`.
        least: the share from which the curve is drawn: below it are too few photos.
        at: where the model answers.
        target: the error rate that the answers were allowed.
        label: for a screen reader.
    """
    shown = (curve.coverage >= least) & np.isfinite(curve.low) & np.isfinite(curve.high)
    x, risk, low, high = (each[shown].tolist() for each in (curve.coverage, curve.risk, curve.low, curve.high))
    top = min(1.0, 1.08 * max([0.05, 1.2 * (target or 0), *high, at[1] if at else 0.0]))
    plot = Plot((0, 1), (0, top))
    marks = [plot.axes(FIFTHS, ticks(0, top, 5), "share of photos answered, the surest first", "error rate")]
    marks.append(plot.band(list(zip(x, low, strict=True)), list(zip(x, high, strict=True)), "one"))
    if target is not None:
        marks.append(plot.segment((0, target), (1, target), "target"))
        left = at is not None and at[0] > 0.5  # where the other note is not
        marks.append(plot.note((0 if left else 1, target), f"allowed: {target:.2f}", "" if left else "end", 4 * left, -5))
    marks.append(plot.line(list(zip(x, risk, strict=True)), "one"))
    if at is not None:
        marks.append(plot.dot(at, 5, "two", f"as set: {at[0]:.2f} answered, {at[1]:.2f} of these wrong"))
        left = at[0] > 0.5
        marks.append(plot.note(at, "as set", "end strong" if left else "strong", dx=-9 if left else 9, dy=-8))
    return plot.svg(label, *marks)


def roc_curve(curve: Curve, at: tuple[Cell, Cell] | None, label: str) -> Html:
    """Sensitivity over 1 - specificity, with the operating point and its two intervals.

    Args:
        curve: of `plotted.roc`.
        at: (1 - specificity, sensitivity).
        label: for a screen reader.
    """
    plot = Plot((0, 1), (0, 1), height=330)
    marks = [plot.axes(FIFTHS, FIFTHS, "1 − specificity", "sensitivity"), plot.segment((0, 0), (1, 1), "diagonal")]
    marks.append(plot.line(_thinned(curve), "one"))
    if at is not None:
        across, up = at
        point = (across.value, up.value)
        if across.limits and up.limits:
            marks.append(plot.segment((across.limits[0], up.value), (across.limits[1], up.value), "whisker two"))
            marks.append(plot.segment((across.value, up.limits[0]), (across.value, up.limits[1]), "whisker two"))
        marks.append(plot.dot(point, 5, "two", f"refer: sensitivity {up.value:.3f}, specificity {1 - across.value:.3f}"))
        marks.append(plot.note(point, "refer", "strong", dx=10, dy=18))
    return plot.svg(label, *marks)


def set_sizes(counts: Sequence[int], label: str) -> Html:
    """How many photos have a prediction set of 1, 2, 3 ... members."""
    most = max(counts)
    plot = Plot((0.4, len(counts) + 0.6), (0, most), height=220)
    wide = round(max(1.0, 0.8 * (plot.width - plot.left - plot.right) / (len(counts) + 0.2)), 2)
    marks = [plot.axes(ticks(1, len(counts), 10, whole=True), ticks(0, most, 4, whole=True), "size of the set", "photos")]
    for place, count in enumerate(counts, start=1):
        (x, y), (_, bottom) = plot.at(place, count), plot.at(place, 0)
        title = tag("title", f"{place}: {count} photos")
        box = {"x": round(x - wide / 2, 2), "y": y, "width": wide, "height": round(bottom - y, 2)}
        marks.append(tag("rect", title, **box, class_="bar one"))
    return plot.svg(label, *marks)


def _histogram(plot: Plot, bins: Sequence[ReliabilityBin], most: int, class_: str) -> Html:
    """Bars of n below the reliability diagram, hanging from a line of their own."""
    top, tall = plot.height - 62, 30
    marks = []
    for each in bins:
        place = min(9, int(each.confidence * 10))
        left, right = plot.at(place / 10, 0)[0], plot.at((place + 1) / 10, 0)[0]
        height = round(max(1.0, tall * each.n / most), 2)
        title = tag("title", f"{each.n} photos")
        box = {"x": left + 2, "y": top + tall - height, "width": round(right - left - 4, 2), "height": height}
        marks.append(tag("rect", title, **box, class_=f"bar {class_}"))
        marks.append(tag("text", each.n, x=(left + right) / 2, y=top + tall + 12, class_="mid small"))
    middle = plot.at(0.5, 0)[0]
    marks.append(tag("text", "how sure, and the photos that are", x=middle, y=plot.height - 6, class_="mid name"))
    return tag("g", *marks)


def _line_name(plot: Plot, name: str, line: Sequence[Point], others: Sequence[Sequence[Point]], class_: str) -> Html:
    """A line's name near its end, on the side away from the others."""
    end = line[-1]
    above = all(end[1] >= other[-1][1] for other in others)
    return plot.note(end, name, f"end {class_.split()[0]}", dx=-2, dy=-8 if above else 16)


def _thinned(curve: Curve, most: int = 400) -> list[Point]:
    """The corners of a step line; of very many, evenly spaced ones."""
    points = list(zip(curve.x.tolist(), curve.y.tolist(), strict=True))
    step = max(1, len(points) // most)
    return [*points[:-1:step], points[-1]]
