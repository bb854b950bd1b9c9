"""The figures of `evaluate` as tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_LEVEL_ROWS = {
    "accuracy": "accuracy",
    "majority_accuracy": "  majority baseline",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "precision": "macro precision",
    "recall": "macro recall",
    "log_loss": "log loss",
    "ece": "calibration error",
    "set_coverage": "truth in the set",
    "set_size": "mean size of set",
    "answered": "answers given",
    "answered_accuracy": "  of these right",
}
_REFER_ROWS = {"auroc": "AUROC", "sensitivity": "  refer sensitivity", "specificity": "  refer specificity"}


def print_figures(found: Mapping[str, Any], title: str, console: Console) -> None:
    """Prints the figures over all photos, then the top and the deepest level by skin type. Made for 80 columns."""
    everything = found["all"]
    if "levels" not in everything:
        console.print(f"{title}: {everything['n']} photos, too few for any figure.", markup=False)
        return
    levels = list(everything["levels"])
    console.print(_all(everything, title))
    for level in dict.fromkeys((levels[0], levels[-1])):
        console.print(_by_skin_type(found["skin_types"], level, refer=level == levels[0] and "refer" in everything))
    console.print("In brackets: 95 % intervals. Skin types with fewer than 20 photos: n only.")


def _all(figures: Mapping[str, Any], title: str) -> Table:
    table = Table(title=f"{title}: {figures['n']:,} photos in {figures['clusters']:,} clusters")
    table.add_column("")
    for level, values in figures["levels"].items():
        table.add_column(f"{level} ({values['classes']['value']})", no_wrap=True)
    for key, name in _LEVEL_ROWS.items():
        cells = [_text(values.get(key)) for values in figures["levels"].values()]
        if any(cells):
            table.add_row(name, *cells)
    refer = figures.get("refer")
    if refer:
        table.add_section()
        for key, name in _REFER_ROWS.items():
            if key in refer:
                table.add_row(f"{refer['node']} {name}" if key == "auroc" else name, _text(refer[key]))
    return table


def _by_skin_type(groups: Mapping[str, Any], level: str, *, refer: bool) -> Table:
    """A line holds four cells with 80 columns; all metrics of all skin types are in the JSON."""
    table = Table(title=f"{level}, by skin type", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("type", "n", "accuracy", "majority", "balanced", "refer sensitiv." if refer else "macro F1"):
        table.add_column(name, no_wrap=True, justify="right" if name == "n" else "left")
    for group, figures in groups.items():
        cells = [group, f"{figures['n']:,}"]
        if "levels" in figures:
            values = figures["levels"][level]
            last = figures.get("refer", {}).get("sensitivity") if refer else values["macro_f1"]
            cells += [_text(cell) for cell in (values["accuracy"], values["majority_accuracy"], values["balanced_accuracy"])]
            cells.append(_text(last))
        table.add_row(*cells)
    return table


def _text(cell: Mapping[str, float] | None) -> str:
    if cell is None:
        return ""
    value = _number(cell["value"])
    return f"{value} ({_number(cell['low'])}-{_number(cell['high'])})" if "low" in cell else value


def _number(value: float) -> str:
    """Three digits: .987, 1.00, 12.3."""
    if 0 <= round(value, 3) < 1:
        return f"{value:.3f}"[1:]
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"
