"""Every figure by skin type, and what the groups differ by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .markup import Html, join, tag
from .parts import LEAST_PHOTOS, Section, figure_cell, missing, number, paragraph, strip, table
from .performance import baseline
from .sources import Sources

ROMAN = {"1": "I", "2": "II", "3": "III", "4": "IV", "5": "V", "6": "VI"}
COLUMNS = {"balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "ece": "ECE"}
REFER = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "auroc": "AUROC",
    "severe_errors": "severe errors",
}
FAIRNESS = {
    "pqd": ("PQD", "least accuracy of a type over the greatest; 1 is equal"),
    "dpm": ("DPM", "mean over classes of the least share so called over the greatest; 1 is equal"),
    "eom": ("EOM", "mean over classes of the least sensitivity over the greatest; 1 is equal"),
    "eopp0": ("Eopp0", "mean over classes of the difference in specificity, types I–III and IV–VI; 0 is equal"),
    "eopp1": ("Eopp1", "the same in sensitivity; 0 is equal"),
    "eodd": ("Eodd", "mean of the differences in sensitivity and false alarms; 0 is equal"),
}
TOLD = {"true": "the true type", "missing": "no type", "wrong": "a wrong type", "off by one": "a neighbouring type"}


def skin_types(sources: Sources) -> Section:
    """A table per level and one for the referral, a row per skin type; gaps, fairness, and the type as an input."""
    title = "By skin type"
    figures = sources.figures or {}
    groups, everything = figures.get("skin_types"), figures.get("all")
    if not isinstance(groups, Mapping) or not isinstance(everything, Mapping) or "levels" not in everything:
        return Section("skin", title, missing("Not evaluated yet:", sources.evaluate_command))
    rows = {**groups, "all": everything}
    gaps = figures.get("gaps") if isinstance(figures.get("gaps"), Mapping) else {}
    few = [_name(key) for key, each in groups.items() if each.get("n", 0) < LEAST_PHOTOS]
    parts = [
        paragraph(
            "Fitzpatrick skin types I (lightest) to VI, as the data set labels them. The dot is the accuracy, the line its "
            "95 % interval, the tick what always saying the group's commonest class would reach. A figure about fewer than "
            f"{LEAST_PHOTOS} photos is not shown, only their n",
            f": too few are of {', '.join(few)}." if few else ".",
        )
    ]
    parts += [_level_table(level, rows, gaps.get(level)) for level in everything["levels"]]
    if isinstance(everything.get("refer"), Mapping):
        parts.append(_refer_table(str(everything["refer"].get("node", "")), rows, gaps.get("refer")))
    parts += [_fairness(figures.get("fairness")), _as_input(figures.get("skin_type_input"))]
    return Section("skin", title, join(parts))


def _level_table(level: str, groups: Mapping[str, Any], gaps: Any) -> Html:
    rows: list[list[object]] = []
    for key, each in groups.items():
        cells, n = _cells(each, level), each.get("n", 0)
        accuracy = cells.get("accuracy")
        constant = baseline(cells, "accuracy")
        row = [_name(key), tag("td", f"{n:,}", class_="n"), _strip_cell(accuracy, constant, n), figure_cell(accuracy)]
        row.append(tag("td", number(constant), class_="n"))
        rows.append([*row, *(figure_cell(cells.get(column)) for column in COLUMNS)])
    if isinstance(gaps, Mapping):
        cells = [_gap(gaps.get(column)) for column in COLUMNS]
        rows.append(["gap", tag("td"), tag("td"), _gap(gaps.get("accuracy")), tag("td"), *cells])
    head = ("type", "n", "", "accuracy", "constant", *COLUMNS.values())
    return table(
        head, rows, f"{level.capitalize()}, by skin type", "groups gapped" if isinstance(gaps, Mapping) else "groups"
    )


def _refer_table(node: str, groups: Mapping[str, Any], gaps: Any) -> Html:
    rows: list[list[object]] = []
    for key, each in groups.items():
        found, n = each.get("refer"), each.get("n", 0)
        refer = found if isinstance(found, Mapping) else {}
        sensitivity = refer.get("sensitivity")
        counts = tag("td", f"{n:,}", class_="n"), tag("td", refer.get("positives", "–"), class_="n")
        cells = [figure_cell(refer.get(column)) for column in REFER]
        rows.append([_name(key), *counts, _strip_cell(sensitivity, None, n), *cells])
    if isinstance(gaps, Mapping):
        rows.append(["gap", tag("td"), tag("td"), tag("td"), *(_gap(gaps.get(column)) for column in REFER)])
    head = ("type", "n", node, "", *REFER.values())
    caption = f"Referral of {node}, by skin type; the dot is the sensitivity"
    return join(
        table(head, rows, caption, "groups gapped" if isinstance(gaps, Mapping) else "groups"),
        paragraph(
            f"Severe errors are photos of {node} called something else. A gap is the best type less the worst, among those "
            "with enough photos; chance alone makes gaps between small groups.",
            class_="fine",
        ),
    )


def _gap(cell: Any) -> Html:
    found = figure_cell(cell)
    if not isinstance(cell, Mapping) or "best" not in cell:
        return found
    told = tag("small", f"best {_name(str(cell['best']))}, worst {_name(str(cell.get('worst')))}")
    return Html(found.removesuffix("</td>") + told + "</td>")


def _fairness(found: Any) -> Html:
    if not isinstance(found, Mapping) or not found:
        return Html("")
    levels = {level: each for level, each in found.items() if isinstance(each, Mapping)}
    rows = [
        [tag("th", name, tag("small", told), scope="row"), *(figure_cell(each.get(key)) for each in levels.values())]
        for key, (name, told) in FAIRNESS.items()
    ]
    masks = []
    for level, each in levels.items():
        cells, classes = each.get("cells"), each.get("classes")
        if isinstance(cells, Mapping) and isinstance(classes, Mapping):
            masks.append(
                f"{level}: EOM from {cells.get('used_by_eom')} of {cells.get('all')} cells ({cells.get('empty')} empty, "
                f"{cells.get('few')} too small), "
                f"Eopp and Eodd from {classes.get('used_by_eopp')} of {classes.get('all')} classes"
            )
    note = (
        paragraph(f"Cells that are empty or too small are left out: {'; '.join(masks)}.", class_="fine") if masks else None
    )
    return join(table(("", *levels), rows, "Fairness between skin types", "fairness"), note)


def _as_input(found: Any) -> Html:
    if not isinstance(found, Mapping):
        return paragraph(f"The skin type is {found}.", class_="fine") if isinstance(found, str) else Html("")
    levels = found.get("levels")
    if not isinstance(levels, Mapping):
        return paragraph(
            f"Only {found.get('n', 0)} photos have a known skin type: too few to tell what it does.", class_="fine"
        )
    parts = []
    for level, told in levels.items():
        rows = [
            [
                TOLD.get(name, name),
                *(figure_cell(cells.get(key)) for key in ("accuracy", "accuracy_change", "balanced_accuracy")),
            ]
            for name, cells in told.items()
            if isinstance(cells, Mapping)
        ]
        if rows:
            head = ("the model is told", "accuracy", "change", "balanced accuracy")
            parts.append(table(head, rows, f"{level.capitalize()}, by what the model is told of the skin type", "plain"))
    return join(parts)


def _strip_cell(cell: Any, tick: Any, n: int) -> Html:
    if isinstance(cell, Mapping) and "value" in cell:
        return tag("td", strip(cell, tick), class_="strips")
    return tag("td", f"n = {n}, too few" if n < LEAST_PHOTOS else "", class_="none")


def _cells(each: Mapping[str, Any], level: str) -> Mapping[str, Any]:
    levels = each.get("levels")
    found = levels.get(level) if isinstance(levels, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _name(key: str) -> str:
    return ROMAN.get(key, key)
