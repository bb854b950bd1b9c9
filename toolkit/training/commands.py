"""The commands `derm-toolkit train`, `derm-toolkit average` and `derm-toolkit adopt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from .folds import FoldsOrder

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_ALLOW_LEAKS = click.option(
    "--allow-leaks",
    is_flag=True,
    help="Take a split with a cluster, patient or lesion on two sides; every report of the run says so.",
)


@click.command()
@click.argument("config", required=False)
@click.option("--data", type=_FOLDER, help="Data set folder, as 'derm-toolkit data import' makes it.")
@click.option("--split", type=_FILE, help="The split; DATA/splits.csv unless given.")
@click.option("--out", type=_FOLDER, required=True, help="The run folder to make.")
@click.option("--resume", is_flag=True, help="Go on with the training in --out; CONFIG and --data may be left out.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the config; may be repeated.")
@click.option("--cache", type=_FOLDER, help="Folder of the photo caches; DATA/cache unless given.")
@click.option(
    "--folds", type=click.IntRange(3, 20), help="Cross-validate: train that many runs, each tested on photos of its own."
)
@click.option("--folds-seed", type=click.IntRange(0), help="Of the dealing of the photos to the folds; 0 unless given.")
@_ALLOW_LEAKS
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
    folds: int | None,
    folds_seed: int | None,
    allow_leaks: bool,
) -> None:
    """Train a model: photos and a config in, a run folder out.

    CONFIG is a TOML file, or the name of a shipped one, such as two_step_demo.

    With --folds the photos are dealt anew, photos that belong together to one fold; the split only says which do. Every
    fold becomes a run folder in --out, is evaluated on its own test photos, and the figures are printed over all of them.
    """
    from ..data.manifest import read_dataset, read_split
    from ..lock import exclusive
    from .allocator import keep_freed_memory
    from .config import find_config, read_config
    from .folds import FoldsOrder, is_folds
    from .run import read_data_record, recorded_data
    from .train import Order
    from .train import train as run_training

    resuming = resume and (out / "config.toml").is_file()
    if config is None and not resuming:
        raise click.UsageError("Missing argument 'CONFIG'; only --resume of a run can do without.", context)
    if data is None and not resuming:
        raise click.UsageError("Missing option '--data'; only --resume of a run can do without.", context)
    if folds_seed is not None and folds is None and not is_folds(out):
        raise click.UsageError("--folds-seed says how --folds deals the photos; give both.", context)
    keep_freed_memory()
    settings = read_config(find_config(config) if config is not None else out / "config.toml", overrides)
    dataset = read_dataset(data if data is not None else recorded_data(out))
    try:
        if folds is not None or (resuming and is_folds(out)):
            given = split or dataset.folder / "splits.csv"
            # Only the clusters count: photos that belong together are dealt to one fold, whatever sides they were on.
            groups = read_split(given, dataset, allow_leaks=True) if split is not None or given.is_file() else None
            with exclusive(out):
                _train_folds(FoldsOrder(settings, dataset, out, folds, folds_seed, groups, resume, cache))
            return
        if split is None:
            split = out / "splits.csv" if resuming and (out / "splits.csv").is_file() else dataset.folder / "splits.csv"
        allow_leaks = allow_leaks or (resuming and bool(read_data_record(out).get("leaks")))
        photos = read_split(split, dataset, allow_leaks=allow_leaks)
        order = Order(settings, dataset, photos, out, resume, cache, allow_leaks)
        with exclusive(out):
            run_training(order)
    except KeyboardInterrupt:
        click.echo(f"\nStopped. The last whole epoch is kept; go on with: derm-toolkit train --resume --out {out}", err=True)
        context.exit(1)


@click.command()
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=_FOLDER)
@click.option("--out", type=_FOLDER, required=True, help="The run folder to make.")
@click.option("--cache", type=_FOLDER, help="Folder of the photo caches; DATA/cache unless given.")
def average(runs: tuple[Path, ...], out: Path, cache: Path | None) -> None:
    """Make one model of several runs: the mean of their weights, which costs a device no more than one of them.

    The runs must be trainings of the same network on the same data and split, which began with the same pretrained weights
    and differ in their seeds or recipes. Whether the mean is better, the validation figures tell that are printed.
    """
    from ..lock import exclusive
    from .average import AverageOrder
    from .average import average as take_average
    from .run import read_run

    order = AverageOrder(tuple(read_run(run) for run in runs), out, cache)
    with exclusive(out):
        take_average(order)


@click.command()
@click.argument("model", type=_FILE)
@click.option("--spec", type=_FILE, required=True, help="A config that says how the network is fed and what it answers.")
@click.option("--data", type=_FOLDER, required=True, help="Data set folder, as 'derm-toolkit data import' makes it.")
@click.option("--split", type=_FILE, help="The split; DATA/splits.csv unless given.")
@click.option("--out", type=_FOLDER, required=True, help="The run folder to make.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the spec; may be repeated.")
@click.option("--cache", type=_FOLDER, help="Folder of the photo caches; DATA/cache unless given.")
@_ALLOW_LEAKS
def adopt(
    model: Path,
    spec: Path,
    data: Path,
    split: Path | None,
    out: Path,
    overrides: tuple[str, ...],
    cache: Path | None,
    allow_leaks: bool,
) -> None:
    """Take over MODEL, a .keras file that was trained elsewhere: evaluate, report and convert it like a run of one's own.

    The spec is a config with model.kind = "adopted"; docs/adopting.md has one to begin with.
    """
    from ..data.manifest import read_dataset, read_split
    from ..lock import exclusive
    from .adopt import adopt as take_over
    from .config import read_config
    from .train import Order

    config = read_config(spec, overrides)
    dataset = read_dataset(data)
    photos = read_split(split or dataset.folder / "splits.csv", dataset, allow_leaks=allow_leaks)
    order = Order(config, dataset, photos, out, cache=cache, allow_leaks=allow_leaks)
    with exclusive(out):
        take_over(model, order)


def _train_folds(order: FoldsOrder) -> None:
    """Cross-validates, and prints the figures."""
    from rich.console import Console

    from ..evaluation.folds import print_fold_figures
    from .folds import train_folds

    table = train_folds(order)
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=max(console.width, 100))
    print_fold_figures(table["figures"], str(order.out), console)
    click.echo(f"All figures are in {order.out / 'folds.json'}; each fold is a run: derm-toolkit report {order.out}/fold-1")
