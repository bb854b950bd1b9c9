"""What the user sees while a model is converted: the steps with their time, and the parity table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table


@contextmanager
def step(console: Console, name: str) -> Iterator[Status]:
    """Shows a step while it runs, in words that it may change, and its seconds afterwards."""
    start = time.perf_counter()
    with console.status(name) as status:
        yield status
    console.print(f"{name}: {time.perf_counter() - start:.1f} s")


def show_parity(console: Console, report: Mapping[str, Any]) -> None:
    """Prints what `derm_converters.parity.compare` found, in a few lines; the page of `--report` has the rest."""
    overall = report["overall"]
    table = Table(title=f"converted beside trained, {overall['n']} validation photos", title_justify="left")
    levels = list(overall["levels"])
    for heading in ("", "n", f"same {levels[0]}", f"same {levels[-1]}", "same referral", "divergence"):
        table.add_column(heading, justify="left" if not heading else "right")
    groups = {f"skin type {name}": figures for name, figures in report["by_skin_type"].items()}
    for name, figures in {"all photos": overall, **groups}.items():
        if "levels" not in figures:
            table.add_row(name, str(figures["n"]), "too few", "", "", "")
            continue
        same = [figures["levels"][level]["agreement"] for level in (levels[0], levels[-1])]
        cells = [f"{100 * share:.1f} %" for share in (*same, figures["refer_agreement"])]
        table.add_row(name, str(figures["n"]), *cells, f"{figures['divergence']:.4f}")
    console.print(table)
    for level, figures in overall["levels"].items():
        low, high = figures["accuracy_change_95"]
        causes = ", ".join(f"{count} by {cause}" for cause, count in figures["changes"].items() if count)
        console.print(
            f"{level} accuracy {figures['accuracy_trained']:.3f} trained, {figures['accuracy_converted']:.3f} converted; "
            f"change {figures['accuracy_change']:+.3f} [{low:+.3f}, {high:+.3f}]; "
            f"other answers: {causes or 'none'}",
            highlight=False,
        )
    sensitivity = overall["sensitivity"]
    if sensitivity:
        console.print(
            f"of {sensitivity['n']} {sensitivity['node']} photos {sensitivity['trained']:.3f} are referred when trained, "
            f"{sensitivity['converted']:.3f} when converted",
            highlight=False,
        )
