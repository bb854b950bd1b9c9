"""The comparison of a conversion as a web page that people can read, print or send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from derm_toolkit.reporting.document import NOT_A_DEVICE, document
from derm_toolkit.reporting.markup import Html, tag
from derm_toolkit.reporting.parts import number, paragraph, table


def parity_page(report: Mapping[str, Any], name: str) -> str:
    """Builds the page; the same report gives the same text.

    Args:
        report: as a bundle's parity.json holds it.
        name: of the model.
    """
    overall = report["overall"]
    sections = [
        ("verdict", "Verdict", _verdict(report)),
        ("steps", "Every step between the two", _steps(report)),
        ("changes", "Which step changed an answer", _changes(report)),
        ("accuracy", "What it does to the accuracy", _accuracy(overall)),
        ("skin-types", "By skin type", _skin_types(report)),
        *([("recipes", "Recipes tried", _trials(report["trials"]))] if "trials" in report else []),
    ]
    head = tag(
        "header",
        tag("p", "Derm SDK · parity of a conversion", class_="kicker"),
        tag("h1", name),
        tag("p", f"{overall['n']} photos of the {report['split']} split", class_="about"),
        tag("p", NOT_A_DEVICE, class_="device"),
    )
    links = [tag("li", tag("a", title, href=f"#{anchor}")) for anchor, title, _ in sections]
    main = tag(
        "main",
        [
            tag("section", tag("h2", title, id=f"{anchor}-title"), body, id=anchor, aria_labelledby=f"{anchor}-title")
            for anchor, title, body in sections
        ],
    )
    body = tag(
        "body",
        tag("a", "Skip to the figures", href="#verdict", class_="skip"),
        head,
        tag("div", tag("nav", tag("ol", links), aria_label="Contents"), main, class_="page"),
        tag("footer", paragraph(NOT_A_DEVICE)),
    )
    return document(f"{name}: parity of a conversion", body)


def _verdict(report: Mapping[str, Any]) -> Html:
    overall, asked = report["overall"], report["limits"]
    levels = list(overall["levels"])
    sensitivity = overall["sensitivity"]
    rows = [
        (
            f"same {levels[0]}",
            _percent(overall["levels"][levels[0]]["agreement"]),
            f"at least {_percent(asked['top_agreement'])}",
        ),
        (
            f"same {levels[-1]}",
            _percent(overall["levels"][levels[-1]]["agreement"]),
            f"at least {_percent(asked['leaf_agreement'])}",
        ),
        ("same referral", _percent(overall["refer_agreement"]), f"at least {_percent(asked['refer'])}"),
        ("mean divergence, nats", f"{overall['divergence']:.4f}", f"at most {asked['divergence']:g}"),
        ("largest change of a probability", number(overall["largest_change"]), ""),
    ]
    if sensitivity:
        fall = sensitivity["trained"] - sensitivity["converted"]
        what = f"fall of the share of {sensitivity['node']} photos referred (n = {sensitivity['n']})"
        rows.append((what, f"{100 * fall:.1f} points", f"at most {100 * asked['sensitivity_loss']:.1f}"))
    broken = report["broken"]
    words = (
        [paragraph("The converted model breaks its limits and is marked: ", "; ".join(broken), ".", class_="doubt")]
        if broken
        else [paragraph("The converted model keeps every limit that was set, overall and by skin type.")]
    )
    return tag("div", words, table(("", "found", "wanted"), rows, "The converted model beside the trained one"))


def _steps(report: Mapping[str, Any]) -> Html:
    overall = report["overall"]
    blocks = []
    names = [way["name"] for way in report["ways"]]
    figures = ("accuracy", "log loss", "calibration error", "sets hold the truth", "set size")
    for level in overall["levels"]:
        rows = []
        for name in names:
            cells = overall["ways"][name]["levels"][level]
            rows.append((name, *(number(cells[key]) for key in ("accuracy", "log_loss", "ece", "set_coverage", "set_size"))))
        blocks.append(table(("", *figures), rows, f"Each step by itself, {level}"))
    found = overall["ways"]
    referral = [(name, number(found[name]["referred"]), number(found[name]["sensitivity"])) for name in names]
    heads = ("", "referred", "referred of those that should be")
    blocks.append(table(heads, referral, "Each step by itself, referral"))
    explained = paragraph(
        "The trained networks; the same converted to plain graphs; quantised, with the thresholds of the trained model; "
        "with thresholds fitted again on its own logits; and as an app runs the file, from the photos on disk."
    )
    return tag("div", explained, blocks)


def _changes(report: Mapping[str, Any]) -> Html:
    overall = report["overall"]
    steps = [way["step"] for way in report["ways"][1:]]
    rows = [(level, *_counts(figures["changes"], steps)) for level, figures in overall["levels"].items()]
    rows.append(("referral", *_counts(overall["refer_changes"], steps)))
    caption = f"Photos of {overall['n']} whose answer is another, by the step that brought the new answer"
    return table(("", *steps, "in all"), rows, caption)


def _accuracy(overall: Mapping[str, Any]) -> Html:
    rows = []
    for level, cells in overall["levels"].items():
        low, high = cells["accuracy_change_95"]
        rows.append(
            (
                level,
                number(cells["accuracy_trained"]),
                number(cells["accuracy_converted"]),
                f"{cells['accuracy_change']:+.3f} ({low:+.3f} to {high:+.3f})",
                str(cells["only_trained_right"]),
                str(cells["only_converted_right"]),
            )
        )
    heads = ("", "trained", "converted", "change, 95 % interval", "only trained right", "only converted right")
    note = "Differences are paired by photo; clusters of near duplicates are drawn together in the intervals."
    return tag("div", table(heads, rows, "Accuracy before and after"), paragraph(note))


def _skin_types(report: Mapping[str, Any]) -> Html:
    levels = list(report["overall"]["levels"])
    rows = []
    for name, figures in report["by_skin_type"].items():
        if "levels" not in figures:
            rows.append((name, str(figures["n"]), *["too few to say"] * 5))
            continue
        low, high = figures["levels"][levels[0]]["accuracy_change_95"]
        rows.append(
            (
                name,
                str(figures["n"]),
                _percent(figures["levels"][levels[0]]["agreement"]),
                _percent(figures["levels"][levels[-1]]["agreement"]),
                _percent(figures["refer_agreement"]),
                f"{figures['divergence']:.4f}",
                f"{figures['levels'][levels[0]]['accuracy_change']:+.3f} ({low:+.3f} to {high:+.3f})",
            )
        )
    heads = ("Fitzpatrick", "n", f"same {levels[0]}", f"same {levels[-1]}", "same referral", "divergence",
             f"change of the {levels[0]} accuracy")  # fmt: skip
    return table(heads, rows, "The same comparison by skin type")


def _trials(trials: Mapping[str, Any]) -> Html:
    levels = list(trials["rows"][0]["agreement"])
    rows = [
        (
            row["recipe"],
            *(_percent(row["agreement"][level]) for level in levels),
            f"{row['divergence']:.4f}",
            _percent(row["refer_agreement"]),
            str(row["seconds"]),
            "; ".join(row["broken"]) or "none",
        )
        for row in trials["rows"]
    ]
    heads = ("recipe", *(f"same {level}" for level in levels), "divergence", "same referral", "seconds", "broken limits")
    explained = paragraph(
        f"The recipe was chosen on {trials['n']} photos of the {trials['split']} split: {trials['chosen']}. "
        "The figures above are of photos that had no part in the choice."
    )
    return tag("div", explained, table(heads, rows, "The cheapest first"))


def _counts(found: Mapping[str, int], steps: Iterable[str]) -> list[str]:
    counts = [found[step] for step in steps]
    return [*map(str, counts), str(sum(counts))]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
