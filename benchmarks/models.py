"""Every trained run, beside its int8 bundle, in one table; the same split and the same photos for all of them.

    python benchmarks/models.py RUN... [--out FILE]

For each run: `derm-toolkit evaluate RUN` and `derm-convert --int8 RUN`, then `derm-toolkit evaluate BUNDLE` on the run's own
data; what is there already is kept. A run whose int8 model breaks derm-convert's limits is converted
with --force, and carries a dagger. The table is Markdown, in the order of the condition's macro F1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from derm_sdk import read_bundle
from derm_toolkit.training.run import read_run


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


def row(folder: Path) -> dict[str, Any]:
    print(f"{folder}:", file=sys.stderr)
    run = read_run(folder)
    figures, bundle = folder / "evaluation" / "test.json", folder / "int8.derm"
    if not figures.is_file():
        must(command("derm_toolkit", "evaluate", folder))
    if not bundle.is_file():
        must(command("derm_converters", "--int8", "--force", run.folder, "-o", bundle))
    small = folder / "evaluation" / "int8-test.json"
    if not small.is_file():
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
        "float": json.loads(figures.read_text(encoding="utf-8"))["all"],
        "int8": json.loads(small.read_text(encoding="utf-8"))["all"],
    }


def to_markdown(rows: list[dict[str, Any]]) -> str:
    """A line per run: what it cost, its float figures, and its int8 ones."""
    levels = list(rows[0]["float"]["levels"])
    first, last = levels[0], levels[-1]
    heads = ["run", "weights", "float", "epochs, minutes", f"{last} macro F1", "balanced accuracy"]
    heads += [f"{level} accuracy" for level in reversed(levels)] + ["AUROC", "int8", "its macro F1", f"its {first} accuracy"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for each in sorted(rows, key=lambda each: -each["float"]["levels"][last]["macro_f1"]["value"]):
        given, small = each["float"]["levels"], each["int8"]["levels"]
        words = [
            f"`{each['name']}`",
            f"{each['weights'] / 1e6:.1f} M",
            f"{each['weights'] * 4 / 1e6:.1f} MB",
            f"{each['epochs']}, {each['minutes']:.0f}",
            cell(given[last]["macro_f1"]),
            cell(given[last]["balanced_accuracy"]),
            *(cell(given[level]["accuracy"]) for level in reversed(levels)),
            cell(each["float"]["refer"].get("auroc")) if each["float"].get("refer") else "",
            f"{each['bytes'] / 1e6:.1f} MB" + ("†" if each["marked"] else ""),
            cell(small[last]["macro_f1"]),
            cell(small[first]["accuracy"]),
        ]
        lines.append("| " + " | ".join(words) + " |")
    plain = rows[0]["float"]["levels"]
    constant = [f"{level} accuracy {plain[level]['baselines']['accuracy']:.3f}" for level in reversed(levels)]
    lines += ["", f"A constant answer: {', '.join(constant)}, {last} macro F1 {plain[last]['baselines']['macro_f1']:.3f}. "
              f"n = {rows[0]['float']['n']}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, help="where the table goes; else it is printed")
    asked = parser.parse_args()
    table = to_markdown([row(folder) for folder in asked.runs])
    if asked.out:
        asked.out.write_text(table, encoding="utf-8")
    else:
        print(table, end="")


if __name__ == "__main__":
    main()
