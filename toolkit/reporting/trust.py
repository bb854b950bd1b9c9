"""How far the probabilities can be trusted: calibration, answering and not answering, prediction sets, referral."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.conformal import coverage_report
from ..evaluation.measures import answered_classes, refer_node
from ..evaluation.selective import risk_coverage
from .charts import reliability_diagram, risk_curve, roc_curve, set_sizes
from .groups import ROMAN
from .levels import LevelAnswers
from .markup import Html, join, tag
from .parts import LEAST_PHOTOS, Section, figure, figure_cell, limits, missing, number, paragraph, table, values
from .performance import no_predictions
from .plotted import Cell, ReliabilityBin, calibration_error, reliability, roc, share
from .sources import Sources


def referral(sources: Sources, levels: Sequence[LevelAnswers]) -> Section:
    """Sensitivity and specificity of `refer`, and the ROC curve of the node it is about."""
    title, predictions = "Referral to a dermatologist", sources.predictions
    if not levels or predictions is None:
        return Section("referral", title, no_predictions(sources))
    node_id = refer_node(predictions)
    node = None if node_id is None else predictions.taxonomy.node(node_id)
    answers = next((each for each in levels if node is not None and each.level == node.level), None)
    if node is None or answers is None:
        return Section("referral", title, paragraph("No label of this tree is referred.", class_="missing"))
    place = answers.nodes.index(node)
    positive, referred = answers.truth == place, predictions.refer[answers.rows]
    counts = [[int((of & to).sum()) for to in (referred, ~referred)] for of in (positive, ~positive)]
    four = [(name, *row, sum(row)) for name, row in zip((node.name, "others"), counts, strict=True)]
    tables = [_refer_figures(sources, node.name), table(("", "referred", "not", "photos"), four, "Photos referred", "plain")]
    lead = paragraph(
        f"A photo is referred when the probability of {node.name} reaches "
        f"{number(predictions.calibration.refer_threshold)}, chosen on the calibration photos"
        f"{_wanted_sensitivity(sources)}, or when the model is certain of nothing."
    )
    if not positive.any() or positive.all():
        return Section("referral", title, join(lead, tables))
    up, down = (_among(referred, of, answers.units) for of in (positive, ~positive))
    told = f"As set: sensitivity {number(up.value)}, specificity {number(1 - down.value)}."
    label = f"ROC curve of {node.name}, {int(positive.sum())} of {len(positive)} photos. {told}"
    picture = roc_curve(roc(positive, answers.probabilities[:, place]), (down, up), label)
    shown = figure(picture, caption=(tag("b", f"ROC of {node.name}."), " ", told))
    return Section("referral", title, join(lead, tag("div", shown, tag("div", tables), class_="charts beside")))


def calibration(sources: Sources, levels: Sequence[LevelAnswers]) -> Section:
    """Reliability diagrams of every level, before and after calibration."""
    title = "Calibration"
    if not levels:
        return Section("calibration", title, no_predictions(sources))
    parts = [
        paragraph(
            "Of the photos about which the model is 70 % sure, 70 % should be right: the dots should lie on the dashed "
            "line. Below it the model is too sure, above it not sure enough. Hollow dots stand for fewer than "
            f"{LEAST_PHOTOS} photos."
        ),
        _fitted(sources),
    ]
    pictures, rows = [], []
    for answers in levels:
        cells = _level(sources, answers.level)
        for when, probabilities, suffix, class_ in (
            ("before", answers.uncalibrated, "_uncalibrated", "two"),
            ("after", answers.probabilities, "", "one"),
        ):
            bins = reliability(answers, probabilities)
            told = _reliability_words(bins, cells, suffix)
            label = f"Reliability of the {answers.level} {when} calibration. {told}"
            name = f"{answers.level.capitalize()}, {when} calibration."
            pictures.append(
                figure(reliability_diagram(bins, label, LEAST_PHOTOS, class_), caption=(tag("b", name), " ", told))
            )
            rows += [
                (answers.level, when, number(each.confidence), number(each.accuracy), _spread(each), each.n) for each in bins
            ]
    parts.append(tag("div", pictures, class_="charts two"))
    parts.append(values(("level", "", "how sure", "right", "interval", "photos"), rows, "Reliability, by bin"))
    return Section("calibration", title, join(parts))


def answering(sources: Sources, levels: Sequence[LevelAnswers]) -> Section:
    """Risk-coverage curves, and where the model's thresholds put it."""
    title = "Answering, or not"
    if not levels or sources.predictions is None:
        return Section("answering", title, no_predictions(sources))
    wanted = _setting(sources, "answer_accuracy")
    target = None if wanted is None else round(1 - wanted, 9)
    pictures, rows = [], []
    for answers in levels:
        given = answered_classes(sources.predictions, answers.level)[answers.rows]
        said = given >= 0
        wrong = float((given[said] != answers.truth[said]).mean()) if said.sum() >= LEAST_PHOTOS else None
        curve = risk_coverage(answers.probabilities, answers.truth, answers.units)
        told = f"It answers {number(float(said.mean()))} of the photos; "
        told += f"{number(wrong)} of these answers are wrong." if wrong is not None else f"only {int(said.sum())} of them."
        at = None if wrong is None else (float(said.mean()), wrong)
        label = f"Risk-coverage curve of the {answers.level}; all answered: {number(curve.risk[-1])} wrong. {told}"
        picture = risk_curve(curve, LEAST_PHOTOS / len(answers), at, target, label)
        pictures.append(figure(picture, caption=(tag("b", f"{answers.level.capitalize()}."), " ", told)))
        cells = _level(sources, answers.level)
        threshold = sources.predictions.calibration.answer.get(answers.level)
        row = [answers.level, tag("td", number(threshold), class_="n")]
        row += [figure_cell(cells.get(key)) for key in ("answered", "answered_accuracy")]
        row += [_risk_cell(curve.risk[k], curve.low[k], curve.high[k]) for k in (24, 49, 74, 99)]
        rows.append([*row, figure_cell(curve.aurc)])
    shares = [f"error at {part} %" for part in (25, 50, 75, 100)]
    head = ("", "threshold", "answered", "of these right", *shares, "AURC")
    body = join(
        paragraph(
            "The model says the deepest label of which it is certain enough, and no more. The curve shows which "
            "errors remain when only the surest photos are answered; the band is the 95 % interval. "
            "AURC is the area under the curve."
        ),
        tag("div", pictures, class_="charts"),
        table(head, rows, "Answers given, and the error that remains"),
    )
    return Section("answering", title, body)


def sets(sources: Sources, levels: Sequence[LevelAnswers]) -> Section:
    """Coverage and size of the prediction sets, overall and by skin type."""
    title, predictions = "Prediction sets", sources.predictions
    if not levels or predictions is None:
        return Section("sets", title, no_predictions(sources))
    fitted = predictions.calibration
    found = coverage_report(
        predictions.taxonomy,
        predictions.probabilities,
        {level: predictions.true_classes(level) for level in predictions.taxonomy.levels},
        fitted.sets,
        fitted.coverage,
        [int(skin) or None for skin in predictions.skin_type],
        [str(unit) for unit in predictions.unit],
    )
    rows, pictures = [], []
    for level, told in found.items():
        groups = [told["all"], *told["skin_types"].values()]
        rows.append([level, figure_cell(told["all"].get("size")), *map(_coverage_cell, groups)])
        sizes = {int(size): count for size, count in told["all"].get("sizes", {}).items()}
        if sizes and len(predictions.taxonomy.at(level)) > 3:
            mean = number(told["all"]["size"]["value"]) if told["all"].get("size") else "–"
            words = f"Sizes of the prediction sets of the {level}: {mean} on average, {max(sizes)} at most."
            counts = [sizes.get(size, 0) for size in range(1, max(sizes) + 1)]
            pictures.append(
                figure(set_sizes(counts, words), caption=(tag("b", f"{level.capitalize()}."), f" {mean} on average."))
            )
    names = [ROMAN.get(name, name) for name in next(iter(found.values()))["skin_types"]]
    body = join(
        paragraph(
            f"A set holds every label that is likely enough, so that it holds the truth of {number(fitted.coverage)} of the "
            "photos, if they are like those of the calibration split. Its size is the price. For a single skin type nothing "
            "is promised, so it is measured; ▲ and ▼ mark an interval that lies above or below the promise."
        ),
        table(("", "mean size", "all", *names), rows, "Share of photos whose set holds the truth, by skin type"),
        tag("div", pictures, class_="charts") if pictures else None,
    )
    return Section("sets", title, body)


def _refer_figures(sources: Sources, node: str) -> Html:
    found = (sources.figures or {}).get("all", {}).get("refer")
    if not isinstance(found, Mapping):
        return Html("")
    rows = [
        (_refer_name(key, node), figure_cell(cell), cell.get("n", ""))
        for key, cell in sorted(found.items(), key=lambda each: _REFER_ORDER.get(each[0], len(_REFER_ORDER)))
        if isinstance(cell, Mapping)
    ]
    return table(("", "figure", "n"), rows, "Figures of the referral", "plain") if rows else Html("")


_REFER_ORDER = {
    key: place
    for place, key in enumerate(("sensitivity", "specificity", "severe_errors", "severe_errors_not_referred", "auroc"))
}


def _refer_name(key: str, node: str) -> str:
    known = {
        "auroc": f"AUROC of {node}",
        "severe_errors": f"Photos of {node} called something else",
        "severe_errors_not_referred": "… and not referred",
    }
    if key.startswith("sensitivity_at_"):
        return f"Sensitivity at {key.removeprefix('sensitivity_at_')} % specificity"
    return known.get(key, key.replace("_", " ").capitalize())


def _reliability_words(bins: Sequence[ReliabilityBin], cells: Mapping[str, Any], suffix: str) -> str:
    told = []
    for name, key in (("ECE", "ece"), ("Brier", "brier")):
        cell = cells.get(f"{key}{suffix}")
        if isinstance(cell, Mapping) and "value" in cell:
            told.append(f"{name} {number(cell['value'])} ({limits(cell)})")
        elif name == "ECE":
            told.append(f"ECE {number(calibration_error(bins))}")
    return ", ".join(told) + "."


def _fitted(sources: Sources) -> Html:
    found = sources.calibration
    if found is None:
        command = f"derm-toolkit train --resume --out {sources.folder}"
        return missing("Nothing is fitted yet: calibration.json is missing. A training writes it last:", command)
    about = found.fitted_on
    warmth = ", ".join(f"{graph} {value:.2f}" for graph, value in found.temperatures.items())
    told = f"Fitted on {about.get('n', '?')} photos of the {about.get('split', 'calibration')} split. "
    told += f"Temperatures: {warmth or 'none'}."
    return paragraph(told, class_="fine")


def _coverage_cell(group: Mapping[str, Any]) -> Html:
    cell = group.get("coverage")
    if not isinstance(cell, Mapping):
        return figure_cell({"n": group.get("n", 0)})
    mark = {True: " ▲", False: " ▼"}.get(group.get("kept"), "")  # type: ignore[arg-type]
    words = {True: "above the promise", False: "below the promise"}.get(group.get("kept"))  # type: ignore[arg-type]
    sign = tag("span", mark, role="img", aria_label=words) if words else None
    return tag("td", number(cell["value"]), sign, tag("small", limits(cell)), class_="n")


def _risk_cell(value: float, low: float, high: float) -> Html:
    cell = {"value": float(value)}
    cell |= {"low": float(low), "high": float(high)} if np.isfinite(low) and np.isfinite(high) else {}
    return figure_cell(cell)


def _among(chosen: NDArray[np.bool_], among: NDArray[np.bool_], units: Sequence[str]) -> Cell:
    rows = np.flatnonzero(among)
    return share(chosen[rows], [units[row] for row in rows])


def _spread(each: ReliabilityBin) -> str:
    return f"{number(each.limits[0])}–{number(each.limits[1])}" if each.limits and each.n >= LEAST_PHOTOS else ""


def _level(sources: Sources, level: str) -> Mapping[str, Any]:
    found = (sources.figures or {}).get("all", {}).get("levels", {}).get(level, {})
    return found if isinstance(found, Mapping) else {}


def _setting(sources: Sources, key: str) -> float | None:
    table = sources.config.get("calibration")
    found = table.get(key) if isinstance(table, Mapping) else None
    return float(found) if isinstance(found, (int, float)) else None


def _wanted_sensitivity(sources: Sources) -> str:
    wanted = _setting(sources, "refer_sensitivity")
    return "" if wanted is None else f" to refer {number(wanted)} of them"
