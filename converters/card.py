"""The model card of a bundle, filled from the run (sections after Mitchell et al. 2019); what was not measured is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.data.leaks import leak_sentence

INTENDED_USE = "Research on skin conditions in photos. Not a medical device: not for diagnosis, triage or treatment."

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "majority_accuracy")
SHOWN_REFERRAL = ("auroc", "sensitivity", "specificity")
NOT_MEASURED = "Not measured before the conversion on enough test photos."


def write_card(manifest: Mapping[str, Any], taxonomy: Taxonomy) -> str:
    """Writes the card, Markdown, out of the manifest that goes into the same bundle."""
    training, parity = manifest["training"], manifest["parity"]
    preprocessing = manifest["preprocessing"]
    sections = [
        f"# {manifest['name']}, version {manifest['version']}",
        "A research tool, not a medical device.",
        "## Model",
        f"Kind: {manifest['kind']}. Precision: {manifest['quantization']['precision']}. Photos: {preprocessing['fit']} to "
        f"{preprocessing['size']} x {preprocessing['size']}, preprocessing version {preprocessing['version']}. Graphs: "
        + "; ".join(f"{g['id']} ({', '.join(i['kind'] for i in g['inputs'])})" for g in manifest["graphs"])
        + f". Made with {manifest['created_with']}. Licence of the weights: {manifest['licence']}.",
        "## Intended use",
        manifest["intended_use"],
        "## Labels",
        "\n".join(f"- {node.name}: {_conditions(taxonomy, node.id)}" for node in taxonomy.at(taxonomy.levels[0])),
        "## Training data",
        _training_data(training),
        "## Figures of the trained model",
        *([leaks] if (leaks := leak_sentence(training.get("leaks"))) else []),
        _figures(manifest["metrics"]),
        "## The converted model beside the trained one",
        _parity(parity),
        "## Fairness",
        _by_skin_type(manifest["metrics"]),
        "## Limits",
        "Photos of other cameras, other skin conditions and other countries than the training photos' are answered worse, "
        "and how much worse was not measured here. A low probability of malignancy does not exclude one.",
    ]
    return "\n\n".join(sections) + "\n"


def card_figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """The few figures that a bundle carries, out of what `derm-toolkit evaluate` wrote; KeyError when one is missing."""
    everything, top = found["all"], next(iter(found["all"]["levels"]))
    return {
        **{key: found[key] for key in ("model_sha256", "dataset", "split", "side", "interval")},
        "all": {
            "n": everything["n"],
            "clusters": everything["clusters"],
            "levels": {level: {name: cells[name] for name in SHOWN} for level, cells in everything["levels"].items()},
            "refer": {name: everything["refer"][name] for name in SHOWN_REFERRAL if everything.get("refer")},
        },
        "skin_types": {
            name: {"n": cells["n"], "levels": {top: {"accuracy": cells["levels"][top]["accuracy"]}}}
            if "levels" in cells
            else {"n": cells["n"]}
            for name, cells in found["skin_types"].items()
        },
    }


def _conditions(taxonomy: Taxonomy, category: str) -> str:
    return ", ".join(taxonomy.node(leaf).name for leaf in taxonomy.leaves_under(category))


def _training_data(training: Mapping[str, Any]) -> str:
    types = ", ".join(f"{name}: {n}" for name, n in training["photos_by_skin_type"].items())
    how = leak_sentence(training.get("leaks")) or "Split by near-duplicate cluster and, where ids are known, by patient."
    source = training["source"] or "source not stated"
    return f"{training['photos']} photos ({source}). {how} By skin type (Fitzpatrick): {types}."


def _figures(metrics: Mapping[str, Any]) -> str:
    figures = metrics.get("all", {})
    if "levels" not in figures:
        return NOT_MEASURED
    rows = ["| level | accuracy | balanced accuracy | macro F1 | majority class |", "|---|---|---|---|---|"]
    for level, cells in figures["levels"].items():
        rows.append(f"| {level} | {' | '.join(_cell(cells[name]) for name in SHOWN)} |")
    refer = figures.get("refer", {})
    shown = [f"{name} {_cell(refer[name])}" for name in SHOWN_REFERRAL if refer.get(name)]
    return "\n".join(
        [
            f"On {figures['n']} test photos, on which nothing was fitted; in brackets 95 % intervals, clusters resampled.",
            "",
            *rows,
            *(["", f"Referral: {', '.join(shown)}."] if shown else []),
        ]
    )


def _parity(parity: Mapping[str, Any]) -> str:
    if not parity:
        return "Not compared."
    overall = parity["overall"]
    rows = [
        f"- {level}: the same label on {_percent(figures['agreement'])} of the photos, accuracy "
        f"{_percent(figures['accuracy_trained'])} before and {_percent(figures['accuracy_converted'])} after"
        for level, figures in overall["levels"].items()
    ]
    return "\n".join(
        [f"On {overall['n']} validation photos:", "", *rows,
         f"- the same referral on {_percent(overall['refer_agreement'])}; mean divergence {overall['divergence']:.4f} nats"]
    )  # fmt: skip


def _by_skin_type(metrics: Mapping[str, Any]) -> str:
    if "levels" not in metrics.get("all", {}):
        return NOT_MEASURED
    level = next(iter(metrics["all"]["levels"]))
    rows = [f"| skin type (Fitzpatrick) | n | {level} accuracy |", "|---|---|---|"]
    for name, figures in metrics["skin_types"].items():
        shown = _cell(figures["levels"][level]["accuracy"]) if "levels" in figures else "too few to say"
        rows.append(f"| {name} | {figures['n']} | {shown} |")
    return "\n".join(rows)


def _cell(cell: Mapping[str, Any] | None) -> str:
    """{"value", "low", "high"} in percent; the interval where there is one."""
    if cell is None:
        return "not defined"
    if "value" not in cell:  # a figure about fewer than 20 photos
        return f"too few to say (n = {cell['n']})"
    interval = f" [{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]" if cell.get("low") is not None else ""
    return _percent(cell["value"]) + interval


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
