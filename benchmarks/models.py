"""Every trained run, beside its int8 bundle, in one table; the same split and the same photos for all of them.

    python benchmarks/models.py RUN... [--out FILE] [--against RUN]

For each run: `derm-toolkit evaluate RUN` and `derm-convert --int8 RUN`, then `derm-toolkit evaluate BUNDLE` on the run's own
data; what is there already is kept. A run whose int8 model breaks derm-convert's limits is converted
with --force, and carries a dagger. The table is Markdown, in the order of the condition's macro F1.

A split is as clean as the search for near duplicates that it was made with. So the search is done anew, and the figures are
about the test photos without a relative on another side; --all takes all of them. --against adds paired differences to one
of the runs, and those of the mean of all their answers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from without_relatives import found_clusters, without_relatives

from derm_sdk import read_bundle
from derm_toolkit.evaluation.bootstrap import resample
from derm_toolkit.evaluation.compare import compare_predictions
from derm_toolkit.evaluation.figures import level_cell
from derm_toolkit.evaluation.measures import ReferMeasure, level_measure, refer_node
from derm_toolkit.evaluation.predictions import Predictions, read_predictions
from derm_toolkit.training.run import Run, read_run

Figures = dict[str, dict[str, Any]]


def command(module: str, *words: object) -> subprocess.CompletedProcess[str]:
    program = f"import sys; from {module}.cli import main; sys.argv[0] = {module!r}; main()"
    return subprocess.run([sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=False)


def must(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise SystemExit(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")


def cell(figure: dict[str, Any] | None) -> str:
    """A figure with its interval: .568 (.511-.630)."""
    if not figure or "value" not in figure:
        return ""

    def short(value: float) -> str:
        return f"{value:.3f}".removeprefix("0")

    return f"{short(figure['value'])} ({short(figure['low'])}-{short(figure['high'])})"


def judged(run: Run, path: Path, every: bool) -> Predictions:
    """What a model said of the run's test photos, in the clusters that are found today."""
    dataset, said = run.dataset(), read_predictions(path)
    clusters = found_clusters(dataset)
    if not every:
        clean = without_relatives(dataset, run.split(dataset), clusters)
        said = said.take(np.flatnonzero(np.isin(said.digest, sorted(clean))))
    return replace(said, unit=np.array([clusters.names[digest] for digest in said.digest.tolist()]))


def figures(said: Predictions) -> Figures:
    """{level or "refer": {figure: cell}, "n": {"photos": n}} of what a model said."""
    rows, node = np.arange(len(said)), refer_node(said)
    measures: dict[str, Any] = {level: level_measure(said, level, rows) for level in said.taxonomy.levels}
    if node is not None:
        measures["refer"] = ReferMeasure(said, node, rows)
    found = resample(measures, said.unit.tolist())
    cells = {part: {name: level_cell(name, each, len(said)) for name, each in of.items()} for part, of in found.items()}
    constant = {level: measures[level].baselines for level in said.taxonomy.levels}
    return {**cells, "constant": constant, "n": {"photos": len(said)}}


def row(folder: Path, every: bool) -> dict[str, Any]:
    print(f"{folder}:", file=sys.stderr)
    run = read_run(folder)
    told, bundle = folder / "evaluation" / "test.npz", folder / "int8.derm"
    if not told.is_file():
        must(command("derm_toolkit", "evaluate", folder))
    if not bundle.is_file():
        must(command("derm_converters", "--int8", "--force", run.folder, "-o", bundle))
    small = folder / "evaluation" / "int8-test.json"
    if not small.with_suffix(".npz").is_file():
        must(command("derm_toolkit", "evaluate", bundle, "--data", run.dataset().folder, "--splits",
                     folder / "splits.csv", "--json", small))  # fmt: skip
    epochs, minutes = run.effort()
    return {
        "name": folder.name,
        "weights": sum(run.load_model(graph.id).count_params() for graph in run.graphs),
        "epochs": epochs,
        "minutes": minutes,
        "bytes": bundle.stat().st_size,
        "marked": bool(read_bundle(bundle).warnings),
        "float": figures(judged(run, told, every)),
        "int8": figures(judged(run, small.with_suffix(".npz"), every)),
    }


def to_markdown(rows: list[dict[str, Any]]) -> str:
    """A line per run: what it cost, its float figures, and its int8 ones."""
    levels = list(rows[0]["float"]["constant"])
    first, last = levels[0], levels[-1]
    heads = ["run", "weights", "float", "epochs, minutes", f"{last} macro F1", "balanced accuracy"]
    heads += [f"{level} accuracy" for level in reversed(levels)] + ["AUROC", "int8", "its macro F1", f"its {first} accuracy"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for each in sorted(rows, key=lambda each: -each["float"][last]["macro_f1"]["value"]):
        given, small = each["float"], each["int8"]
        words = [
            f"`{each['name']}`",
            f"{each['weights'] / 1e6:.1f} M",
            f"{each['weights'] * 4 / 1e6:.1f} MB",
            f"{each['epochs']}, {each['minutes']:.0f}",
            cell(given[last]["macro_f1"]),
            cell(given[last]["balanced_accuracy"]),
            *(cell(given[level]["accuracy"]) for level in reversed(levels)),
            cell(given["refer"].get("auroc")) if "refer" in given else "",
            f"{each['bytes'] / 1e6:.1f} MB" + ("†" if each["marked"] else ""),
            cell(small[last]["macro_f1"]),
            cell(small[first]["accuracy"]),
        ]
        lines.append("| " + " | ".join(words) + " |")
    constant = rows[0]["float"]["constant"]
    told = [f"{level} accuracy {constant[level]['accuracy']:.3f}" for level in reversed(levels)]
    lines += ["", f"A constant answer: {', '.join(told)}, {last} macro F1 {constant[last]['macro_f1']:.3f}. "
              f"n = {rows[0]['float']['n']['photos']}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def paired(folders: list[Path], against: Path, every: bool) -> str:
    """A line per run, and one for the mean of all: what is better and worse than in one of them."""
    said = {folder.name: judged(read_run(folder), folder / "evaluation" / "test.npz", every) for folder in folders}
    found = compare_predictions(said, against.name, mean=True)["models"]
    tree = next(iter(said.values())).taxonomy
    first, last = tree.levels[0], tree.levels[-1]
    lines = [
        f"| against `{against.name}` | {last} macro F1 | truth among the top 3 | {first} accuracy | AUROC |",
        "|---" * 5 + "|",
    ]
    for name, each in found.items():
        if name != against.name:
            cells = [each["levels"][last]["macro_f1"], each["levels"][last]["top3"], each["levels"][first]["accuracy"]]
            words = [signed(cell and cell.get("difference")) for cell in (*cells, each["refer"].get("auroc"))]
            lines.append(f"| {name} | " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def signed(figure: dict[str, Any] | None) -> str:
    """A difference with its interval: +.010 (-.039 to +.055)."""
    if not figure:
        return ""
    value, low, high = (f"{figure[end]:+.3f}".replace("0.", ".") for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, help="where the table goes; else it is printed")
    parser.add_argument("--against", type=Path, metavar="RUN", help="one of them, for paired differences")
    parser.add_argument("--all", action="store_true", help="judge on all test photos, those with relatives elsewhere too")
    asked = parser.parse_args()
    table = to_markdown([row(folder, asked.all) for folder in asked.runs])
    if asked.against:
        table += "\n" + paired(asked.runs, asked.against, asked.all)
    if asked.out:
        asked.out.write_text(table, encoding="utf-8")
    else:
        print(table, end="")


if __name__ == "__main__":
    main()
