"""The command `derm-toolkit report`."""

from __future__ import annotations

from pathlib import Path

import click

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_SIDES = ("train", "validation", "calibration", "test", "all")


@click.command()
@click.argument("run", type=_FOLDER)
@click.option("--split", "side", type=click.Choice(_SIDES), default="test", show_default=True, help="Whose figures.")
@click.option("-o", "--out", "output", type=_FILE, help="The file to write; RUN/report.html unless given.")
@click.option("--with-photos", is_flag=True, help="Add small copies of the surest errors' photos. They may show people.")
@click.option("--data", type=_FOLDER, help="Where the data set is now; a run knows where it was.")
def report(run: Path, side: str, output: Path | None, with_photos: bool, data: Path | None) -> None:
    """Write a report of a run: one HTML file with figures, charts, data, settings and a checklist.

    It shows what is there: what is still missing is named, with the command that makes it. The file asks nothing of any
    network and holds no photo, unless --with-photos is given.
    """
    from derm_sdk.files import write_text

    from .page import report_page
    from .sources import read_sources

    sources = read_sources(run, side, data)
    output = output or run / "report.html"
    write_text(output, report_page(sources, with_photos=with_photos))
    click.echo(f"The report is in {output}.")
    for doubt in sources.doubts:
        click.echo(f"Note: {doubt}", err=True)
    if sources.figures is None or sources.predictions is None:
        click.echo(f"Not evaluated yet, so most figures are missing; make them with: {sources.evaluate_command}", err=True)
