"""Where int8 loses, as people read it: a table in the terminal, and a page with a bar for every tensor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from derm_toolkit.reporting.document import NOT_A_DEVICE, document
from derm_toolkit.reporting.markup import tag
from derm_toolkit.reporting.parts import bar, paragraph, table

from .layer_errors import EXACT, LayerError, worst


def show_analysis(rows: Sequence[LayerError], name: str, console: Console | None = None, count: int = 12) -> None:
    """Prints the tensors that lose most by their own rounding, and what is left at the end."""
    console = console or Console()
    title = f"{name}: the {min(count, len(rows))} of {len(rows)} tensors that lose most by their own rounding"
    shown = Table(title=title, title_justify="left")
    for heading in ("tensor", "range", "rounding, dB", "all so far, dB"):
        shown.add_column(heading, justify="left" if heading == "tensor" else "right")
    for row in worst(rows, count):
        shown.add_row(row.name, f"{row.low:.2f} to {row.high:.2f}", f"{row.rounding:.1f}", f"{row.total:.1f}")
    console.print(shown)
    names = ", ".join(row.name for row in worst(rows))
    console.print(f"Worst by themselves: {names}. At the end {rows[-1].total:.1f} dB are left.", highlight=False)


def analysis_page(rows: Sequence[LayerError], name: str) -> str:
    """All tensors of a graph in the order of the computation, as a web page with a bar for each."""
    full = max(row.rounding for row in rows if row.rounding < EXACT) if any(row.rounding < EXACT for row in rows) else 1.0
    cells = [
        (
            row.name,
            f"{row.low:.2f} to {row.high:.2f}",
            tag("td", f"{row.rounding:.1f} ", bar(row.rounding / full), class_="n"),
            tag("td", f"{row.total:.1f} ", bar(row.total / full), class_="n"),
            f"{row.lost:.1f}",
        )
        for row in rows
    ]
    heads = ("tensor", "range", "its own rounding, dB", "all rounding so far, dB", "lost here, dB")
    body = tag(
        "body",
        tag("header", tag("p", "Derm SDK · where int8 loses", class_="kicker"), tag("h1", name), tag("p", NOT_A_DEVICE)),
        tag("main", paragraph(_EXPLAINED), table(heads, cells, "Signal to noise of every tensor, first to last")),
        tag("footer", paragraph(NOT_A_DEVICE)),
    )
    return document(f"{name}: where int8 loses", body)


_EXPLAINED = (
    "Signal to noise in decibels against the float network on validation photos; 6 dB are one bit. A tensor whose own "
    "rounding is poor has too wide a range for its values; where all rounding so far falls though its own is good, the "
    "weights of the layer that writes it are to blame."
)
