"""`derm-toolkit data`: photos and a table -> a data set -> a split; and drawn photos to try everything with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from derm_sdk.errors import OptionError

from .check_command import check_command
from .download.commands import download_command
from .duplicates_command import duplicates_command
from .prepare_command import prepare_command
from .progress import progress_bar
from .split_commands import export_command, split_command, stats_command, verify_command

if TYPE_CHECKING:
    from .importers import ImportReport

_SHOWN = 10
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PATH = click.Path(path_type=Path)


@click.group()
def data() -> None:
    """Import photos, split them without leaks, or draw some to try things out."""


data.add_command(download_command)
data.add_command(check_command)
data.add_command(duplicates_command)


@data.command("import")
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("--photos", "photo_folder", type=_FOLDER, help="The folder with the photos; they stay there.")
@click.option("-o", "--output", type=_PATH, required=True, help="The data set to write, a folder.")
@click.option("--source", "sources", multiple=True, help="Take only rows of this source; may be given several times.")
@click.option("--taxonomy", type=_FILE, help="A taxonomy.json to hold on to; without it the labels make the tree.")
@click.option("--mapping", metavar="NAME|FILE", help="A mapping of TABLE's labels to our tree; see docs/sources.md.")
@click.option("--broad", is_flag=True, help="Take labels that cover more than our condition, too.")
@click.option("--keep-wrongly-labelled", is_flag=True, help="Keep rows whose column qc says 'Wrongly labelled'.")
def import_command(
    table: Path,
    photo_folder: Path | None,
    output: Path,
    sources: tuple[str, ...],
    taxonomy: Path | None,
    mapping: str | None,
    broad: bool,
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

    or the table of PAD-UFES-20, HAM10000, DDI or SCIN, whose labels are translated into our tree (docs/sources.md says
    how), or, without --photos, a folder of photos in folders named by category and condition.

    Every photo is opened once. Rows that cannot be used are listed by their number, counted as in a spreadsheet (the
    header is row 1), here and in import.json. No photo is copied or changed.
    """
    from .importers import import_table
    from .manifest import read_taxonomy

    if photo_folder is None and not table.is_dir():
        raise OptionError(f"--photos must name the folder with the photos of {table.name}; only a folder needs none.")
    tree = read_taxonomy(taxonomy) if taxonomy else None
    with progress_bar("Opening photos") as progress:
        dataset, report = import_table(
            table,
            photo_folder,
            output,
            sources=sources,
            taxonomy=tree,
            mapping=mapping,
            broad=broad,
            keep_wrongly_labelled=keep_wrongly_labelled,
            progress=progress,
        )
    _print_report(report)
    levels = ", ".join(f"{level}: {len(dataset.taxonomy.at(level))}" for level in dataset.taxonomy.levels)
    click.echo(f"{len(dataset.photos):,} photos ({levels}) in {output}. Next: derm-toolkit data split {output}")


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

    with progress_bar("Drawing") as progress:
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


data.add_command(prepare_command)
data.add_command(split_command)
data.add_command(verify_command)
data.add_command(stats_command)
data.add_command(export_command)
