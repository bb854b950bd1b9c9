"""How good the model is: the head figures, every figure by level, confusion matrices, and every condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .levels import LevelAnswers
from .markup import Html, join, tag
from .matrix import MOST_IN_TABLE, commonest_confusions, confusion_matrix
from .parts import LEAST_PHOTOS, Section, figure_cell, limits, missing, number, paragraph, scroller, strip, table, value_text
from .plotted import Cell, ClassScores, class_scores, confusion
from .sources import Sources
from .svg import drawing

MERGED = "merged"
LEVEL_ROWS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "top3": "Truth among the best 3",
    "macro_f1": "Macro F1",
    "weighted_f1": "Weighted F1",
    "precision": "Macro precision",
    "recall": "Macro recall",
    "log_loss": "Log loss",
    "log_loss_uncalibrated": "  before calibration",
    "brier": "Brier score",
    "brier_uncalibrated": "  before calibration",
    "ece": "Calibration error (ECE)",
    "ece_uncalibrated": "  before calibration",
    "set_coverage": "Truth in the prediction set",
    "set_size": "  mean size of the set",
    "answered": "Answers given",
    "answered_accuracy": "  of these right",
}


def summary(sources: Sources, levels: Sequence[LevelAnswers]) -> Html:
    """The sentence and the cards at the top of the page."""
    figures = _everything(sources)
    if figures is None:
        return missing("There are no figures yet. They are made by", sources.evaluate_command)
    if "levels" not in figures:
        return paragraph(f"Only {figures.get('n', 0)} photos were evaluated, too few for any figure.", class_="missing")
    names = list(figures["levels"])
    top, last = figures["levels"][names[0]], figures["levels"][names[-1]]
    cards = [_card(f"Accuracy, {names[0]}", top, "accuracy", "always the commonest")]
    if len(names) > 1:
        cards.append(_card(f"Accuracy, {names[-1]}", last, "accuracy", "always the commonest"))
    cards.append(_card(f"Macro F1, {names[-1]}", last, "macro_f1", "always the commonest"))
    cards += _refer_cards(figures)
    promised = sources.calibration.coverage if sources.calibration else None
    size = last.get("set_size")
    told = f"promised: {number(promised)}"
    told += f"; {number(size['value'])} labels on average" if isinstance(size, Mapping) and "value" in size else ""
    cards.append(_cell_card(f"Truth in the set, {names[-1]}", last.get("set_coverage"), told, promised))
    return join(
        paragraph(_lead(sources, figures, names[0], top), class_="lead"),
        tag("div", cards, class_="cards"),
        paragraph(
            "Dot: the figure. Line: its 95 % interval. Tick: the constant answer, chance, or the promise.", class_="fine"
        ),
    )


def by_level(sources: Sources) -> Section:
    """Every figure of every level, with intervals."""
    figures = _everything(sources)
    if figures is None or "levels" not in figures:
        return Section("levels", "Figures by level", missing("Not evaluated yet:", sources.evaluate_command))
    columns: dict[str, Mapping[str, Any]] = dict(figures["levels"])
    groups = (sources.figures or {}).get("merged_labels")
    if isinstance(figures.get(MERGED), Mapping):
        columns["synonyms merged"] = figures[MERGED]
    rows = [["Photos", *(tag("td", f"{of.get('n', figures['n']):,}", class_="n") for of in columns.values())]]
    for key, name in LEVEL_ROWS.items():
        if any(isinstance(of.get(key), Mapping) for of in columns.values()):
            head = tag("th", name.strip(), scope="row", class_="under" if name.startswith("  ") else None)
            rows.append([head, *(figure_cell(of.get(key), baseline(of, key)) for of in columns.values())])
    heads = ["", *(f"{name} ({_value(of.get('classes'))} classes)" for name, of in columns.items())]
    parts = [
        paragraph(
            "Below each figure stands its 95 % interval, and what a constant answer would reach: always the commonest "
            "class, or always the classes' shares. Means over classes count the classes that occur among these photos. ",
            _interval_note(sources),
        ),
        table(heads, rows, "Figures of every level", "levels"),
    ]
    if isinstance(groups, Mapping) and groups:
        merged = "; ".join(f"{name}: {', '.join(map(str, labels))}" for name, labels in groups.items())
        parts.append(paragraph(f"Merged as names of one disease: {merged}.", class_="fine"))
    parts += _unknown(sources)
    return Section("levels", "Figures by level", join(parts))


def confusions(sources: Sources, levels: Sequence[LevelAnswers]) -> Section:
    """The matrices of all levels."""
    if not levels:
        return Section("confusion", "Confusion matrices", no_predictions(sources))
    parts = [
        paragraph(
            "Rows are the truth, columns what the model said first. A cell holds the number of photos and their share of "
            "its row, by which it is shaded; framed cells are right. Lines part the classes of different parents."
        )
    ]
    for answers in levels:
        counts = confusion(answers)
        parts.append(tag("h3", f"{answers.level.capitalize()}: {int(answers.right.sum()):,} of {len(answers):,} right"))
        parts.append(confusion_matrix(counts, answers.nodes, answers.level))
        if 8 < len(answers.nodes) <= MOST_IN_TABLE:
            parts.append(commonest_confusions(counts, answers.nodes, answers.level, 8))
    return Section("confusion", "Confusion matrices", join(parts))


def conditions(sources: Sources, levels: Sequence[LevelAnswers]) -> Section:
    """Precision, recall and F1 of every class of the deepest level."""
    title = f"Every {levels[-1].level}" if levels else "Every condition"
    if not levels or sources.predictions is None:
        return Section("conditions", title, no_predictions(sources))
    answers, taxonomy = levels[-1], sources.predictions.taxonomy
    scores = class_scores(answers)
    few = sum(1 for each in scores if each.n < LEAST_PHOTOS)
    told = f": {few} of {len(scores)} here." if few else "; there is none here."
    head = (answers.level, "n", "said", "precision", "recall", "F1")
    rows: dict[str, list[Html]] = {}
    for node, score in zip(answers.nodes, scores, strict=True):
        rows.setdefault(taxonomy.ancestor(node.id, taxonomy.levels[0]), []).append(_class_row(node.name, score))
    bodies = []
    for parent, of_parent in rows.items():
        name = tag("th", taxonomy.node(parent).name, colspan=len(head), scope="rowgroup")
        bodies.append(tag("tbody", tag("tr", name, class_="group") if len(rows) > 1 else None, of_parent))
    caption = f"Precision, recall and F1 of every {answers.level}"
    columns = tag("thead", tag("tr", [tag("th", each, scope="col") for each in head]))
    lead = paragraph(
        "n photos are of the class, and so many were said to be. The bar is the figure, the line on it the 95 % interval. "
        f"A class of fewer than {LEAST_PHOTOS} photos shows its n and no figure{told}"
    )
    whole = tag("table", tag("caption", caption, class_="unseen"), columns, bodies, class_="classes")
    return Section("conditions", title, join(lead, scroller(caption, whole)))


def baseline(cells: Mapping[str, Any], figure: str) -> Any:
    """What a constant answer would reach; None where there is no such thing."""
    found = cells.get("baselines")
    if isinstance(found, Mapping):
        return found.get(figure)
    return _value(cells.get("majority_accuracy")) if figure == "accuracy" else None


def no_predictions(sources: Sources) -> Html:
    """Says that single photos' predictions are missing."""
    return missing("What the model said of each photo is not kept yet. It is by", sources.evaluate_command)


def _lead(sources: Sources, figures: Mapping[str, Any], level: str, top: Mapping[str, Any]) -> str:
    n, clusters = figures["n"], figures.get("clusters", figures["n"])
    accuracy, constant = top.get("accuracy"), baseline(top, "accuracy")
    told = f"{n:,} {sources.side} photos in {clusters:,} groups of related ones. "
    if isinstance(accuracy, Mapping) and "value" in accuracy:
        told += f"The {level} is right for {number(accuracy['value'])} of them ({limits(accuracy)}); "
        told += f"always saying the commonest {level} would be right for {number(constant)}."
    return told


def _class_row(name: str, score: ClassScores) -> Html:
    head = tag("th", name, scope="row"), tag("td", score.n, class_="n"), tag("td", score.predicted, class_="n")
    if score.n < LEAST_PHOTOS:
        return tag("tr", head, tag("td", f"n = {score.n}, too few for figures", colspan=3, class_="none"))
    return tag("tr", head, [_barred(cell) for cell in (score.precision, score.recall, score.f1)])


def _barred(cell: Cell) -> Html:
    """A bar with its interval on it, beside the printed figures."""
    width = 120
    marks = [tag("rect", width=width, height=9, y=1, rx=1.5, class_="ground")]
    marks.append(tag("rect", width=round(width * cell.value, 2), height=9, y=1, rx=1.5, class_="bar one"))
    spread = None
    if cell.limits:
        low, high = (round(width * each, 2) for each in cell.limits)
        marks.append(tag("line", x1=low, x2=high, y1=5.5, y2=5.5, class_="whisker under"))
        marks.append(tag("line", x1=low, x2=high, y1=5.5, y2=5.5, class_="whisker over"))
        spread = tag("small", f"{number(cell.limits[0])}–{number(cell.limits[1])}")
    picture = drawing(width, 11, None, *marks, class_="bars")
    return tag("td", picture, tag("span", number(cell.value)), spread, class_="barred")


def _everything(sources: Sources) -> Mapping[str, Any] | None:
    found = (sources.figures or {}).get("all")
    return found if isinstance(found, Mapping) else None


def _unknown(sources: Sources) -> list[Html]:
    """What the model does not know of the data."""
    found = (sources.figures or {}).get("unknown")
    parts = []
    for level, labels in found.items() if isinstance(found, Mapping) else ():
        listed = ", ".join(f"{name} ({count})" for name, count in labels.items())
        parts.append(paragraph(f"On the level {level} the model does not know these labels: {listed}.", class_="fine"))
    return parts


def _refer_cards(figures: Mapping[str, Any]) -> list[Html]:
    refer = figures.get("refer")
    if not isinstance(refer, Mapping):
        return []
    told = f"{refer.get('positives', '?')} of {refer.get('n', figures['n'])} photos; chance: 0.500"
    cards = [_cell_card(f"AUROC, {refer.get('node', '')}", refer.get("auroc"), told, 0.5)]
    other = refer.get("specificity")
    if isinstance(other, Mapping) and "value" in other:
        told = f"at a specificity of {number(other['value'])} ({limits(other)})"
        cards.append(_cell_card("Sensitivity of referral", refer.get("sensitivity"), told, None))
    return cards


def _card(name: str, cells: Mapping[str, Any], figure: str, constant: str) -> Html:
    found = baseline(cells, figure)
    return _cell_card(name, cells.get(figure), f"{constant}: {number(found)}", found)


def _cell_card(name: str, cell: Any, told: str, tick: float | None) -> Html:
    if not isinstance(cell, Mapping):
        return Html("")
    if "value" not in cell:
        return tag("div", tag("p", name, class_="what"), tag("p", f"n = {cell.get('n')}, too few"), class_="card")
    spread = limits(cell)
    value = tag("p", tag("b", value_text(cell)), tag("span", spread) if spread else None, class_="value")
    return tag("div", tag("p", name, class_="what"), value, strip(cell, tick), tag("p", told, class_="told"), class_="card")


def _value(cell: Any) -> Any:
    return cell.get("value") if isinstance(cell, Mapping) else cell


def _interval_note(sources: Sources) -> str:
    told = (sources.figures or {}).get("interval")
    return f"Intervals: {told}." if isinstance(told, str) else ""
