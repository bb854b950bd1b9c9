"""Every trained run as float32, float16 and int8: size, time of its graphs, figures on the test photos, agreement.

    python benchmarks/precisions.py RUN... [--out FILE] [--repeats 50]

For each run and precision: `derm-convert RUN --PRECISION --force -o RUN/PRECISION.derm`, then `derm-toolkit evaluate` of
that bundle on the run's own test photos; what is there already is kept, so an interrupted table goes on. Changes are
against the trained networks on the same photos, with paired 95 % bootstrap intervals of whole clusters. Times are medians of
graphs that take turns, one thread each, as a part of float32's. A dagger: the bundle breaks a limit of derm-convert.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from derm_sdk import read_bundle
from derm_sdk.inputs import network_inputs
from derm_sdk.runtime import Network
from derm_toolkit.evaluation.compare import compare_predictions
from derm_toolkit.evaluation.predictions import Predictions, read_predictions
from derm_toolkit.training.run import read_run

PRECISIONS = ("float32", "float16", "int8")
HEADS = ("run", "precision", "MB", "time", "same top node", "same condition", "divergence")


def command(module: str, *words: object) -> None:
    program = f"import sys; from {module}.cli import main; sys.argv[0] = {module!r}; main()"
    done = subprocess.run([sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")


def made(folder: Path) -> tuple[dict[str, Path], dict[str, Predictions]]:
    """The bundles of a run, and what it says of its test photos: as trained, and by each bundle."""
    data = read_run(folder).dataset().folder
    trained = folder / "evaluation" / "test.npz"
    if not trained.is_file():
        command("derm_toolkit", "evaluate", folder)
    bundles, said = {}, {"trained": read_predictions(trained)}
    for precision in PRECISIONS:
        bundles[precision] = folder / f"{precision}.derm"
        figures = folder / "evaluation" / f"{precision}-test.json"
        if not bundles[precision].is_file():
            command("derm_converters", f"--{precision}", "--force", folder, "-o", bundles[precision])
        if not figures.with_suffix(".npz").is_file():
            command("derm_toolkit", "evaluate", bundles[precision], "--data", data, "--splits", folder / "splits.csv",
                    "--json", figures)  # fmt: skip
        said[precision] = read_predictions(figures.with_suffix(".npz"))
    return bundles, said


def graph_times(bundles: dict[str, Path], repeats: int) -> dict[str, float]:
    """Seconds that all graphs of a bundle take for one photo, the median of turns."""
    runners = {}
    for name, path in bundles.items():
        bundle = read_bundle(path)
        rgb = np.random.default_rng(0).integers(0, 256, (bundle.preprocessing.size,) * 2 + (3,), np.uint8)
        inputs = network_inputs(rgb, None, bundle.input_kinds)
        runners[name] = [Network(graph, bundle.graph_data[graph.id], 1) for graph in bundle.graphs], inputs
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(repeats):
        for name, (networks, inputs) in runners.items():
            start = time.perf_counter()
            for network in networks:
                network.logits(inputs)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def agreement(trained: Predictions, other: Predictions, level: str) -> float:
    """Share of the photos with the same best node of a level."""
    columns = [place for place, node in enumerate(trained.nodes) if trained.taxonomy.node(str(node)).level == level]
    order = np.argsort(trained.digest), np.argsort(other.digest)
    best = [each.probabilities[rows][:, columns].argmax(axis=1) for each, rows in zip((trained, other), order, strict=True)]
    return float((best[0] == best[1]).mean())


def divergence(trained: Predictions, other: Predictions, level: str) -> float:
    """Mean Kullback-Leibler divergence of the shipped probabilities from the trained ones, in nats."""
    columns = [place for place, node in enumerate(trained.nodes) if trained.taxonomy.node(str(node)).level == level]
    order = np.argsort(trained.digest), np.argsort(other.digest)
    p, q = (
        np.clip(each.probabilities[rows][:, columns].astype(float), 1e-12, 1)
        for each, rows in zip((trained, other), order, strict=True)
    )
    return float((p * np.log(p / q)).sum(axis=1).mean())


def lines(folder: Path, repeats: int) -> list[str]:
    bundles, said = made(folder)
    times = graph_times(bundles, repeats)
    compared = compare_predictions(said, "trained")["models"]
    levels = said["trained"].taxonomy.levels
    rows = []
    for precision in PRECISIONS:
        marked = "†" if read_bundle(bundles[precision]).warnings else ""
        cells = [
            f"`{folder.name}`" if precision == PRECISIONS[0] else "",
            precision + marked,
            f"{bundles[precision].stat().st_size / 1e6:.2f}",
            f"{times[precision] / times['float32']:.2f}",
            *(f"{100 * agreement(said['trained'], said[precision], level):.1f} %" for level in (levels[0], levels[-1])),
            f"{divergence(said['trained'], said[precision], levels[-1]):.4f}",
        ]
        for level in (levels[0], levels[-1]):
            cells += [change(compared[precision]["levels"][level][figure]) for figure in ("accuracy", "macro_f1")]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def change(cell: dict[str, Any] | None) -> str:
    """A figure and its change: .797, +.003 (-.004 to +.010)."""
    if not cell or "difference" not in cell:
        return ""
    difference = cell["difference"]
    low, high = (f"{difference[key]:+.3f}".replace("0.", ".", 1) for key in ("low", "high"))
    moved = f"{difference['value']:+.3f}".replace("0.", ".", 1)
    return f"{cell['value']:.3f}".removeprefix("0") + f", {moved} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, help="where the table goes, too")
    parser.add_argument("--repeats", type=int, default=50)
    asked = parser.parse_args()
    levels = read_run(asked.runs[0]).taxonomy.levels
    heads = [*HEADS, *(f"{level} {figure}" for level in (levels[0], levels[-1]) for figure in ("accuracy", "macro F1"))]
    table = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    print("\n".join(table))
    for folder in asked.runs:
        rows = lines(folder, asked.repeats)
        print("\n".join(rows), flush=True)
        table += rows
        if asked.out:
            asked.out.write_text("\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
