"""The command `derm-toolkit train`."""

from __future__ import annotations

from pathlib import Path

import click

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("config", required=False)
@click.option("--data", type=_FOLDER, help="Data set folder, as 'derm-toolkit data import' makes it.")
@click.option("--split", type=_FILE, help="The split; DATA/splits.csv unless given.")
@click.option("--out", type=_FOLDER, required=True, help="The run folder to make.")
@click.option("--resume", is_flag=True, help="Go on with the training in --out; CONFIG and --data may be left out.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the config; may be repeated.")
@click.option("--cache", type=_FOLDER, help="Folder of the photo caches; DATA/cache unless given.")
@click.pass_context
def train(
    context: click.Context,
    config: str | None,
    data: Path | None,
    split: Path | None,
    out: Path,
    resume: bool,
    overrides: tuple[str, ...],
    cache: Path | None,
) -> None:
    """Train a model: photos and a config in, a run folder out.

    CONFIG is a TOML file, or the name of a shipped one, such as two_step_demo.
    """
    from ..data.manifest import read_dataset, read_split
    from .config import find_config, read_config
    from .lock import exclusive
    from .run import recorded_data
    from .train import Order
    from .train import train as run_training

    resuming = resume and (out / "config.toml").is_file()
    if config is None and not resuming:
        raise click.UsageError("Missing argument 'CONFIG'; only --resume of a run can do without.", context)
    if data is None and not resuming:
        raise click.UsageError("Missing option '--data'; only --resume of a run can do without.", context)
    settings = read_config(find_config(config) if config is not None else out / "config.toml", overrides)
    dataset = read_dataset(data if data is not None else recorded_data(out))
    if split is None:
        split = out / "splits.csv" if resuming and (out / "splits.csv").is_file() else dataset.folder / "splits.csv"
    order = Order(settings, dataset, read_split(split, dataset), out, resume, cache)
    try:
        with exclusive(out):
            run_training(order)
    except KeyboardInterrupt:
        click.echo(f"\nStopped. The last whole epoch is kept; go on with: derm-toolkit train --resume --out {out}", err=True)
        context.exit(1)
