"""The figures of `evaluate` as tables on a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .seen import doubts

_LEAD = ("accuracy", "balanced_accuracy", "macro_f1", "top3", "ece")
_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "precision": "macro precision",
    "recall": "macro recall",
    "top3": "among the top 3",
    "log_loss": "log loss",
    "log_loss_uncalibrated": "  before calibration",
    "brier": "Brier score",
    "brier_uncalibrated": "  before calibration",
    "ece": "calibration error",
    "ece_uncalibrated": "  before calibration",
    "set_coverage": "truth in the set",
    "set_size": "mean size of the set",
    "answered": "answers given",
    "answered_accuracy": "  of these right",
}
_REFER_NAMES = {
    "auroc": "AUROC",
    "sensitivity": "referred of the {node}",
    "specificity": "not referred of the others",
    "severe_errors": "severe errors: called otherwise",
    "severe_errors_not_referred": "  and not referred",
    "sensitivity_at_80": "sensitivity at 80 % specificity",
    "sensitivity_at_90": "sensitivity at 90 % specificity",
    "sensitivity_at_95": "sensitivity at 95 % specificity",
}
_REFER_LEAD = ("auroc", "sensitivity", "specificity", "severe_errors", "severe_errors_not_referred")
_FAIRNESS_NAMES = {
    "pqd": "PQD, accuracy: least / greatest",
    "dpm": "DPM, share called so: least / greatest",
    "eom": "EOM, sensitivity: least / greatest",
    "eopp0": "Eopp0, |specificity, 1-3 minus 4-6|",
    "eopp1": "Eopp1, |sensitivity, 1-3 minus 4-6|",
    "eodd": "Eodd, mean of both differences",
}
_GAP_NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced", "macro_f1": "macro F1"}


def print_figures(found: Mapping[str, Any], title: str, console: Console, *, full: bool = False) -> None:
    """Prints the figures that matter most, or all that are not by skin type; the rest is in the JSON."""
    for doubt in doubts(found):
        console.print(f"Caution: {doubt}", markup=False)
    everything = found["all"]
    if "levels" not in everything:
        console.print(f"{title}: {everything['n']} photos, too few for any figure.", markup=False)
        return
    console.print(_levels(everything, title, full=full))
    if "auroc" in everything.get("refer", {}):
        console.print(_refer(everything["refer"], full=full))
    levels = list(everything["levels"])
    for level in dict.fromkeys(levels if full else (levels[0], levels[-1])):
        console.print(_by_skin_type(found, level, refer=level == levels[0]))
    if full:
        console.print(_fairness(found["fairness"]))
    if isinstance(found["skin_type_input"], Mapping):
        console.print(_told_types(found["skin_type_input"]))
    for line in _remarks(found, full=full):
        console.print(line, markup=False)


def _levels(figures: Mapping[str, Any], title: str, *, full: bool) -> Table:
    columns = dict(figures["levels"]) | ({"merged": figures["merged"]} if "merged" in figures else {})
    table = plain_table(f"{title}: {figures['n']:,} photos in {figures['clusters']:,} groups")
    table.add_column("")
    for level, values in columns.items():
        count = f" ({values['classes']['value']})" if "classes" in values else ""
        table.add_column(f"{level}{count}", no_wrap=True)
    if len({values["n"] for values in columns.values()}) > 1:
        table.add_row("photos judged", *(f"{values['n']:,}" for values in columns.values()))
    for key, name in _NAMES.items():
        if key not in _LEAD and not full:
            continue
        cells = [text_of(values.get(key)) for values in columns.values()]
        if any(cells):
            table.add_row(name, *cells)
        constant = [values.get("baselines", {}).get(key) for values in columns.values()]
        if any(each is not None for each in constant):
            texts = ["" if each is None else _number(each) for each in constant]
            table.add_row("  a constant answer", *texts, style="dim")
    return table


def _refer(refer: Mapping[str, Any], *, full: bool) -> Table:
    others = refer["n"] - refer["positives"]
    table = plain_table(f"{refer['node']}: {refer['positives']:,} photos against {others:,} others")
    for name in ("", "", "n"):
        table.add_column(name, no_wrap=True, justify="right" if name == "n" else "left")
    for key, name in _REFER_NAMES.items():
        if key in refer and (full or key in _REFER_LEAD):
            cell = refer[key]
            table.add_row(name.format(node=refer["node"]), text_of(cell) or "not defined", f"{cell['n']:,}" if cell else "")
    return table


def _by_skin_type(found: Mapping[str, Any], level: str, *, refer: bool) -> Table:
    """One line per skin type, and what lies between the best and the worst."""
    table = plain_table(f"{level}, by skin type")
    headings = ["type", "n", "accuracy", "constant", *(_GAP_NAMES[key] for key in _shown(refer=refer))]
    headings += ["referred"] if refer else []
    for name in headings:
        table.add_column(name, no_wrap=True, justify="right" if name == "n" else "left")
    for group, figures in found["skin_types"].items():
        values = figures.get("levels", {}).get(level, {"n": figures["n"]})
        cells = [group, f"{values['n']:,}"]
        if "accuracy" in values:
            cells += [text_of(values["accuracy"]), _number(values["baselines"]["accuracy"])]
            cells += [text_of(values[key]) for key in _shown(refer=refer)]
            cells += [text_of(figures.get("refer", {}).get("sensitivity"))] if refer else []
        table.add_row(*cells)
    gaps = [found["gaps"].get(level, {}).get(key) for key in ("accuracy", *_shown(refer=refer))]
    gaps += [found["gaps"].get("refer", {}).get("sensitivity")] if refer else []
    table.add_section()
    for name, text, style in (
        ("gap", _value_of, ""),
        ("  corrected", _corrected_of, "dim"),
        ("  by chance", _chance_of, "dim"),
    ):
        cells = [text(gap) for gap in gaps]
        table.add_row(name, "", cells[0], "", *cells[1:], style=style)
    return table


def _shown(*, refer: bool) -> tuple[str, ...]:
    return ("balanced_accuracy",) if refer else ("balanced_accuracy", "macro_f1")


def _fairness(fairness: Mapping[str, Any]) -> Table:
    table = plain_table("between skin types")
    table.add_column("")
    for level in fairness:
        table.add_column(level, no_wrap=True)
    for key, name in _FAIRNESS_NAMES.items():
        table.add_row(name, *(_value_of(values[key]) or "not defined" for values in fairness.values()))
        if any(values[key] for values in fairness.values()):
            table.add_row("  corrected", *(_corrected_of(values[key]) for values in fairness.values()), style="dim")
            table.add_row("  by chance", *(_chance_of(values[key]) for values in fairness.values()), style="dim")
    dropped = [
        f"{values['cells']['all'] - values['cells']['used_by_eom']} of {values['cells']['all']}"
        for values in fairness.values()
    ]
    table.add_row("  cells that the EOM drops", *dropped, style="dim")
    dropped = [
        f"{values['classes']['all'] - values['classes']['used_by_eopp']} of {values['classes']['all']}"
        for values in fairness.values()
    ]
    table.add_row("  classes that Eopp drops", *dropped, style="dim")
    return table


def _told_types(figures: Mapping[str, Any]) -> Table:
    table = plain_table(f"accuracy, by what the model is told of the skin type: {figures['n']:,} photos of known type")
    levels = {level: values for level, values in figures.get("levels", {}).items() if "true" in values}
    table.add_column("")
    for level in levels:
        table.add_column(level, no_wrap=True)
    names = [name for name in next(iter(levels.values()), {}) if name != "n"]
    for name in names:
        table.add_row(f"{name} type", *(text_of(values[name]["accuracy"]) for values in levels.values()))
        if name != "true":
            cells = [text_of(values[name]["accuracy_change"], signed=True) for values in levels.values()]
            table.add_row("  change", *cells, style="dim")
    return table


def _remarks(found: Mapping[str, Any], *, full: bool) -> Iterable[str]:
    yield "In brackets: 95 % intervals, groups of related photos resampled. Fewer than 20 photos: n only."
    yield "Gap: best minus worst of types 1-6. Corrected: less what noise adds, in part."
    yield "By chance: the same when skin types are dealt to the photos at random, and its middle 95 %."
    merged = [f"{name} = {' + '.join(labels)}" for name, labels in found["merged_labels"].items()]
    if merged:
        yield f"merged: {'; '.join(merged)}."
    if not isinstance(found["skin_type_input"], Mapping):
        yield f"The skin type is {found['skin_type_input']}."
    if not full:
        yield "More with --full: fairness measures, log loss, Brier score, precision, recall, sets, answers."


def plain_table(title: str, gap: int = 2) -> Table:
    """A table with a title and no frame, `gap` blanks between its columns."""
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, gap, 0, 0), pad_edge=False)


def text_of(cell: Mapping[str, float] | None, *, signed: bool = False) -> str:
    """A cell as .781 (.746-.816), or n = 7 where that is all it tells; "" where it is not defined."""
    if cell is None:
        return ""
    if "value" not in cell:
        return f"n = {cell['n']}"
    value = _number(cell["value"], signed=signed)
    low, high = _number(cell["low"], signed=signed), _number(cell["high"], signed=signed)
    return f"{value} ({low}{' ' if signed else '-'}{high})"


def _value_of(cell: Mapping[str, float] | None) -> str:
    return "" if cell is None else _number(cell["value"])


def _corrected_of(cell: Mapping[str, float] | None) -> str:
    return "" if cell is None else text_of({**cell, "value": cell["corrected"]})


def _chance_of(cell: Mapping[str, Any] | None) -> str:
    chance = cell and cell["by_chance"]
    return text_of({**chance, "value": chance["mean"]}) if chance else ""


def _number(value: float, *, signed: bool = False) -> str:
    """Three digits: .987, 1.00, 12.3; with a sign where asked: +.012."""
    if signed:
        return ("-" if round(value, 3) < 0 else "+") + _number(abs(value))
    if 0 <= round(value, 3) < 1:
        return f"{value:.3f}"[1:]
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"
