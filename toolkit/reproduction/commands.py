"""The command `derm-toolkit reproduce`."""

from __future__ import annotations

from pathlib import Path

import click

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_REPORTS = ("report-a", "report-b")


@click.command()
@click.argument("report", type=click.Choice(_REPORTS))
@click.option("--data", type=_FOLDER, help="Data set folder, imported and split.")
@click.option("--out", type=_FOLDER, help="The folder to make; a run folder per row in it. What is finished there is kept.")
@click.option("--rows", metavar="NAME,...", help="Only these rows; their names are those of the configs, see --list.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of every row's config.")
@click.option("--split", type=_FILE, help="The split; DATA/splits.csv unless given.")
@click.option("--random-weights", is_flag=True, help="Where ImageNet's weights cannot be had, begin with random ones.")
@click.option("--cache", type=_FOLDER, help="Folder of the photo caches; DATA/cache unless given.")
@click.option(
    "--allow-leaks", is_flag=True, help="Take a split with a cluster, patient or lesion on two sides; the table says so."
)
@click.option("--list", "only_list", is_flag=True, help="Show the rows and their configs; train nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@click.pass_context
def reproduce(
    context: click.Context,
    report: str,
    data: Path | None,
    out: Path | None,
    rows: str | None,
    overrides: tuple[str, ...],
    split: Path | None,
    random_weights: bool,
    cache: Path | None,
    allow_leaks: bool,
    only_list: bool,
    as_json: bool,
) -> None:
    """Train the models of a report, and print its table beside ours.

    The two reports are student reports of 2024 on Fitzpatrick17k; what their figures are worth is printed with them. Every
    row is a shipped config of the same name. A row whose ImageNet weights cannot be had is said to be so, and left out.
    """
    import json

    from rich.console import Console

    from .rows import REPORTS
    from .table import listed, print_reproduction, print_rows

    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=max(console.width, 100))
    names = tuple(name.strip() for name in rows.split(",") if name.strip()) if rows is not None else ()
    if only_list:
        from .reproduce import chosen_rows

        chosen = chosen_rows(REPORTS[report], names)
        if as_json:
            click.echo(json.dumps(listed(REPORTS[report], chosen), indent=1))
        else:
            print_rows(REPORTS[report], chosen, console)
        return
    for name, value in (("--data", data), ("--out", out)):
        if value is None:
            raise click.UsageError(f"Missing option '{name}'; only --list can do without.", context)
    assert data is not None
    assert out is not None

    from ..data.manifest import read_dataset, read_split
    from ..lock import exclusive
    from ..training.reporter import Reporter
    from .reproduce import Wish
    from .reproduce import reproduce as run_all

    dataset = read_dataset(data)
    photos = read_split(split or dataset.folder / "splits.csv", dataset, allow_leaks=allow_leaks)
    wish = Wish(REPORTS[report], names, overrides, dataset, photos, out, random_weights, cache, allow_leaks)
    try:
        with exclusive(out):
            table = run_all(wish, Reporter())
    except KeyboardInterrupt:
        click.echo("\nStopped. What is finished is kept; the same command goes on.", err=True)
        context.exit(1)
    if as_json:
        click.echo(json.dumps(table, indent=1))
    else:
        print_reproduction(REPORTS[report], table, console)
    click.echo(f"The table is in {out / 'reproduction.md'}, all figures are in {out / 'reproduction.json'}.", err=True)
    if any(told["state"] == "stopped" for told in table["rows"]):
        context.exit(1)
