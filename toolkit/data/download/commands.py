"""`derm-toolkit data download`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derm_sdk.errors import OptionError

if TYPE_CHECKING:
    from .run import Outcome

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

NOTICE = """\
Before the first photo:
  The photos belong to the sites that show them (for Fitzpatrick17k: DermaAmin and Atlas Dermatologico). The data set's
  README states CC BY-NC-SA 3.0 for it: research, not commerce, share alike; a model trained on it carries these terms.
  They show patients: keep them where only those who need them can see them, and do not publish them again.
  Each host's robots.txt is read and obeyed, and a host that asks to wait is waited for.
This is said once for each folder."""


@click.command("download")
@click.argument("table", type=_FILE)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder to fill.")
@click.option("--mirror", metavar="FOLDER|URL", help="Take the photos from there; {md5}, {name}, {path} may stand in a URL.")
@click.option("--from-folder", type=_FOLDER, help="Take them out of a folder: the authors' archive, unpacked.")
@click.option("--from-zip", type=_FILE, help="Take them out of a zip file: the authors' archive.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N rows of TABLE.")
@click.option("--retry-failed", is_flag=True, help="Ask again for what a host refused for good.")
@click.option("--keep-changed", is_flag=True, help="Keep a photo that is not the table's (re-encoded since, say).")
@click.option("--per-host", type=click.IntRange(1, 64), default=4, show_default=True, help="Connections to one host.")
@click.option("--connections", type=click.IntRange(1, 256), default=16, show_default=True, help="Connections to all hosts.")
@click.option(
    "--delay", type=click.FloatRange(0, 60), default=0.1, show_default=True, help="Seconds between requests to a host."
)
@click.option("--timeout", type=click.FloatRange(1, 600), default=30, show_default=True, help="Seconds without a byte.")
@click.option("--tries", type=click.IntRange(1, 20), default=4, show_default=True, help="Attempts for a photo.")
@click.option("--max-mb", type=click.FloatRange(0.001, 1000), default=25, show_default=True, help="Of one photo, in MB.")
@click.option("--allow-private", is_flag=True, help="Connect to addresses that are not on the public internet.")
@click.option(
    "--any-certificate", is_flag=True, help="Take hosts whose certificate is not valid; the MD5 guards the photos."
)
@click.option("--ignore-robots", is_flag=True, help="Do not read robots.txt; only with the host's permission.")
def download_command(
    table: Path,
    output: Path,
    mirror: str | None,
    from_folder: Path | None,
    from_zip: Path | None,
    limit: int | None,
    max_mb: float,
    **options: Any,
) -> None:
    """Fetch the photos of TABLE, the official fitzpatrick17k.csv, into a folder.

    Each photo's MD5 is compared with the table's. The command can be stopped, or killed, at any moment; given again, it
    goes on where it was and asks for nothing twice. Rows without a photo are listed with the reason in missing.csv.
    """
    from .display import shown
    from .plan import check_mirror
    from .run import collect, download
    from .settings import Settings

    if sum(place is not None for place in (mirror, from_folder, from_zip)) > 1:
        raise OptionError("--mirror, --from-folder and --from-zip name one place each; give one of them.")
    settings = Settings(max_bytes=int(max_mb * 1e6), **options)
    archive = from_folder or from_zip or (Path(mirror) if mirror and Path(mirror).is_dir() else None)
    if archive is None and mirror is not None:
        check_mirror(mirror)
    if not (output / "download.jsonl").exists():
        click.echo(NOTICE, err=True)
    with shown("Downloading" if archive is None else "Reading") as progress:
        if archive is not None:
            outcome = collect(table, output, archive, settings, limit=limit, progress=progress)
        else:
            outcome = download(table, output, settings, mirror=mirror, limit=limit, progress=progress)
    _print_outcome(outcome, table, output)


def _print_outcome(outcome: Outcome, table: Path, output: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from .reasons import REASONS, SETTLED

    click.echo(
        f"{outcome.here:,} of {outcome.rows:,} rows have their photo in {output / 'photos'}, {outcome.new:,} of them new."
    )
    if changed := outcome.counts.get("changed"):
        click.echo(f"{changed:,} of these are not the bytes of the table (--keep-changed).")
    failed = {name: n for name, n in outcome.counts.items() if name in REASONS}
    if failed:
        rows = Table("rows", "reason", "meaning", title=f"{output / 'missing.csv'} lists the others", title_justify="left")
        for name, count in sorted(failed.items(), key=lambda pair: -pair[1]):
            rows.add_row(f"{count:,}", name, REASONS[name])
        Console(soft_wrap=True).print(rows)
    if outcome.stopped:
        click.echo("Stopped. The same command goes on from here.", err=True)
        raise SystemExit(130)
    if failed.keys() - SETTLED.keys() - {"no_url", "bad_row", "bad_url", "not_in_archive"}:
        click.echo("Some of these may pass: the same command tries them again.")
    if outcome.here:
        click.echo(f"Next: derm-toolkit data import {table} --photos {output / 'photos'} -o DATA")
