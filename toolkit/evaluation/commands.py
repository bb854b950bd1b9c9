"""The command `derm-toolkit evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..data.manifest import Dataset, Split
    from ..training.run import Run

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_SIDES = ("train", "validation", "calibration", "test", "all")


@click.command()
@click.argument("model", metavar="RUN|FILE.derm", type=click.Path(path_type=Path))
@click.option("--data", type=_FOLDER, help="Data set folder; a run knows its own.")
@click.option("--split", "side", type=click.Choice(_SIDES), default="test", show_default=True, help="Which photos.")
@click.option("--splits", type=_FILE, help="The split's file; the run's own, or DATA/splits.csv, unless given.")
@click.option(
    "--allow-other-split", is_flag=True, help="Take another split of the training's photos; it may flatter the model."
)
@click.option("--json", "output", type=_FILE, help="Where the figures go; RUN/evaluation/SPLIT.json for a run's own split.")
@click.option("--cache", type=_FOLDER, help="Folder of the photo caches; DATA/cache unless given.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap intervals.")
def evaluate(
    model: Path,
    data: Path | None,
    side: str,
    splits: Path | None,
    allow_other_split: bool,
    output: Path | None,
    cache: Path | None,
    seed: int,
) -> None:
    """Print how good a model is: by level of the tree and by skin type, with 95 % intervals and majority baselines.

    The model is a run folder, or a .derm file, which needs --data. '--split all' takes every photo of the data set: right
    for photos that had no part in the training, such as those of another camera.
    """
    import json

    from rich.console import Console

    from derm_sdk.errors import FileError
    from derm_sdk.files import write_text

    from ..training.backend import usable_cores
    from ..training.reporter import Reporter
    from .report import evaluate_subject
    from .subject import bundle_subject, run_subject
    from .table import print_figures

    workers = usable_cores()
    if model.is_file():
        if data is None:
            raise click.UsageError("A .derm file does not know its data; name them with --data.")
        subject = bundle_subject(model)
        dataset, split = _foreign(data, splits, side)
    elif model.is_dir():
        from ..training.run import read_run

        run = read_run(model)
        subject = run_subject(run, workers)
        dataset, split = _of_run(run, data, splits, side)
        own = data is None or dataset.digest == run.data["dataset"]
        if splits is None:  # figures on a split of the user's choice are not the run's own
            name = f"{side}.json" if own else f"{dataset.folder.resolve().name}-{side}.json"
            output = output or model / "evaluation" / name
    else:
        raise FileError(f"There is no run folder and no .derm file {str(model)!r}.")
    reporter = Reporter(console=Console(stderr=True, highlight=False))
    found = evaluate_subject(
        subject, dataset, split, side, cache, workers, seed, reporter, allow_other_split=allow_other_split
    )
    if output is not None:
        write_text(output, json.dumps(found, indent=1) + "\n")
    print_figures(found, f"{subject.name}, {side}", Console(highlight=False))
    if output is not None:
        click.echo(f"All figures are in {output}.", err=True)


def _foreign(data: Path, splits: Path | None, side: str) -> tuple[Dataset, Split | None]:
    """A data set named by the user, with the split beside it; for all photos a split is not needed."""
    from ..data.manifest import read_dataset, read_split

    dataset = read_dataset(data)
    path = splits or dataset.folder / "splits.csv"
    if splits is None and side == "all" and not path.is_file():
        return dataset, None
    return dataset, read_split(path, dataset)


def _of_run(run: Run, data: Path | None, splits: Path | None, side: str) -> tuple[Dataset, Split | None]:
    """The run's own data and split, wherever they are now, or other data that the user names."""
    from ..data.manifest import read_dataset, read_split

    dataset = run.dataset() if data is None else read_dataset(data)
    if dataset.digest != run.data["dataset"]:
        return _foreign(dataset.folder, splits, side)
    return dataset, run.split(dataset) if splits is None else read_split(splits, dataset)
