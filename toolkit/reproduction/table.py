"""A report's table beside ours, on a terminal of 100 columns and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from ..evaluation.table import plain_table, text_of
from .rows import Report, Row

_NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1", "weighted_f1": "weighted F1", "loss": "loss"}


def print_reproduction(report: Report, table: Mapping[str, Any], console: Console) -> None:
    """Prints for every row the report's figures and ours, then the constant answer, n and the caveats."""
    shown = plain_table(report.title)
    shown.add_column("")
    for heading in _headings(report, "\n"):
        shown.add_column(heading, no_wrap=True)
    for told in table["rows"]:
        shown.add_row(f"{told['title']}: report", *_report_cells(report, told), style="dim")
        shown.add_row("  ours", *_our_cells(report, told))
    constant = _constant(report, table)
    if constant:
        shown.add_section()
        shown.add_row("a constant answer, here", *constant)
    console.print(shown)
    for line in _remarks(report, table):
        console.print(line, markup=False)


def print_rows(report: Report, rows: tuple[Row, ...], console: Console) -> None:
    """Prints what could be trained: rows, their configs, and the report's figures."""
    shown = plain_table(report.title)
    shown.add_column("row")
    for heading in ("config", *_headings(report, "\n")):
        shown.add_column(heading, no_wrap=True)
    for row in rows:
        shown.add_row(row.title, row.config, *_report_cells(report, {"report": _levels(row)}))
    console.print(shown)
    for line in report.elsewhere:
        console.print(line, markup=False)


def listed(report: Report, rows: tuple[Row, ...]) -> dict[str, Any]:
    """The same as `print_rows` shows, JSON-ready."""
    told = [{"row": row.config, "title": row.title, "report": _levels(row), "caveat": row.caveat} for row in rows]
    return {"report": report.name, "rows": told, "caveats": list(report.caveats), "elsewhere": list(report.elsewhere)}


def to_markdown(report: Report, table: Mapping[str, Any]) -> str:
    """The table as Markdown, with n, the constant answer and the caveats."""
    lines = [f"# {report.title}", "", "A research tool, not a medical device.", ""]
    lines += [_line(["", *_headings(report), "epochs", "minutes"]), _line(["---"] * (len(report.figures) + 3))]
    for told in table["rows"]:
        lines.append(_line([f"{told['title']}: report", *_report_cells(report, told), "", ""]))
        effort = [str(told.get("epochs", "")), f"{told['minutes']:.0f}" if "minutes" in told else ""]
        lines.append(_line([f"`{told['row']}`: ours", *_our_cells(report, told), *effort]))
    constant = _constant(report, table)
    if constant:
        lines.append(_line(["a constant answer, here", *constant, "", ""]))
    return "\n".join([*lines, "", *(f"- {line}" for line in _remarks(report, table)), ""])


def _headings(report: Report, between: str = " ") -> list[str]:
    both = len(_shown_levels(report)) > 1
    return [f"{level}{between}{_NAMES[name]}" if both else _NAMES[name] for level, name in report.figures]


def _shown_levels(report: Report) -> set[str]:
    return {level for level, _ in report.figures}


def _levels(row: Row) -> dict[str, dict[str, float]]:
    return {"condition": dict(row.condition), "category": dict(row.category)}


def _report_cells(report: Report, told: Mapping[str, Any]) -> list[str]:
    values = [told["report"].get(level, {}).get(name) for level, name in report.figures]
    return ["-" if value is None else _short(value) for value in values]


def _our_cells(report: Report, told: Mapping[str, Any]) -> list[str]:
    if "ours" not in told:
        return [told["state"], *[""] * (len(report.figures) - 1)]
    return [text_of(told["ours"].get(level, {}).get(name)) for level, name in report.figures]


def _constant(report: Report, table: Mapping[str, Any]) -> list[str]:
    """The best constant answer; the test photos, and so its figures, are the same for all rows."""
    ours = next((told["ours"] for told in table["rows"] if "ours" in told), None)
    if ours is None:
        return []
    values = [ours.get(level, {}).get("baselines", {}).get(name) for level, name in report.figures]
    return ["" if value is None else _short(value) for value in values]


def _remarks(report: Report, table: Mapping[str, Any]) -> list[str]:
    ours = next((told["ours"] for told in table["rows"] if "ours" in told), {})
    lines = [
        f"n = {values['n']:,} test photos with {values['classes']} different labels behind our figures of the {level}."
        for level, values in ours.items()
        if level in _shown_levels(report)
    ]
    lines += [f"In brackets: {table['interval']}."] if ours else []
    for told in table["rows"]:
        lines += [f"{told['title']}: {caveat}" for caveat in told["caveats"]]
        lines += [f"{told['title']}: {told['state']}. {told['why']}"] if told["why"] else []
    return [*lines, *table["caveats"]]


def _short(value: float) -> str:
    return f"{value:.3f}"[1:] if value < 1 else f"{value:.3f}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
