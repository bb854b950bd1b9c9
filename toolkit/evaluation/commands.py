"""The commands `derm-toolkit evaluate` and `derm-toolkit compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from ..data.manifest import Dataset, Split
    from ..training.run import Run

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_SIDES = ("train", "validation", "calibration", "test", "all")


@click.command()
@click.argument("model", metavar="RUN|FILE.derm", type=click.Path(path_type=Path))
@click.option("--data", type=_FOLDER, help="Data set folder; a run knows its own.")
@click.option("--split", "side", type=click.Choice(_SIDES), default="test", show_default=True, help="Which photos.")
@click.option("--source", help="Only photos of this source, for data sets of several.")
@click.option(
    "--prior",
    metavar="FILE|NAME=SHARE,...",
    help="How common labels are where the photos come from, as for 'derm classify'.",
)
@click.option("--splits", type=_FILE, help="The split's file; the run's own, or DATA/splits.csv, unless given.")
@click.option(
    "--allow-leaks",
    "--allow-other-split",
    "allow_leaks",
    is_flag=True,
    help="Take photos that may have been trained on, or have relatives that were; it flatters the model, and is said.",
)
@click.option(
    "--run", "made_of", type=_FOLDER, help="The run that a .derm file was made of; it knows the photos it has seen."
)
@click.option(
    "--json", "--out", "output", type=_FILE, help="Where the figures go; RUN/evaluation/SPLIT.json for a run's own split."
)
@click.option("--synonyms", type=_FILE, help="Conditions to merge in a second look; a shipped table unless given.")
@click.option("--cache", type=_FOLDER, help="Folder of the photo caches; DATA/cache unless given.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the intervals and wrong skin types.")
@click.option("--full", is_flag=True, help="Print all figures.")
def evaluate(
    model: Path,
    data: Path | None,
    side: str,
    source: str | None,
    prior: str | None,
    splits: Path | None,
    allow_leaks: bool,
    made_of: Path | None,
    output: Path | None,
    synonyms: Path | None,
    cache: Path | None,
    seed: int,
    full: bool,
) -> None:
    """Print how good a model is: by level of the tree and by skin type, with 95 % intervals and constant answers beside.

    The model is a run folder, or a .derm file, which needs --data. '--split all' takes every photo of the data set: right
    for photos that had no part in the training, such as those of another camera. What the model said of every photo is
    kept beside the figures, in an .npz file, for 'derm-toolkit compare' and the report.
    """
    import json

    from rich.console import Console

    from derm_sdk.errors import FileError
    from derm_sdk.files import write_text
    from derm_sdk.prior import parse_prior

    from ..training.backend import usable_cores
    from ..training.reporter import Reporter
    from .evaluate import evaluate_subject
    from .predictions import write_predictions
    from .seen import Question
    from .subject import bundle_subject, run_subject
    from .synonyms import SHIPPED, read_synonyms
    from .table import print_figures

    merges, workers = read_synonyms(synonyms or SHIPPED), usable_cores()
    if model.is_file():
        if data is None:
            raise click.UsageError("A .derm file does not know its data; name them with --data.")
        subject = bundle_subject(model, made_of)
        dataset, split = _foreign(data, splits, side)
    elif model.is_dir():
        from ..training.run import read_run

        run = read_run(model)
        subject = run_subject(run, workers)
        dataset, split = _of_run(run, data, splits, side)
        own = data is None or dataset.digest == run.data["dataset"]
        if splits is None:  # figures on a split of the user's choice are not the run's own
            output = output or model / "evaluation" / _file_name(side, source, None if own else dataset, prior is not None)
    else:
        raise FileError(f"There is no run folder and no .derm file {str(model)!r}.")
    reporter = Reporter(console=Console(stderr=True, highlight=False))
    question = Question(dataset, split, side, source, allow_leaks, None if prior is None else parse_prior(prior))
    found, predictions = evaluate_subject(subject, question, cache, workers, seed, reporter, merges)
    if output is not None:
        write_predictions(output.with_suffix(".npz"), predictions)
        write_text(output, json.dumps(found, indent=1) + "\n")
    print_figures(found, f"{subject.name}, {side}", _console(), full=full)
    if output is not None:
        click.echo(f"All figures are in {output}, what the model said in {output.with_suffix('.npz').name}.", err=True)


@click.command()
@click.argument("models", metavar="RUN|FILE.npz...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--split", default="test", show_default=True, help="Which evaluation of the runs: evaluation/SPLIT.npz.")
@click.option("--against", help="Name of the one that the others are compared with; the first unless given.")
@click.option("--mean", is_flag=True, help="Judge the mean of all their probabilities as one more model.")
@click.option("--json", "--out", "output", type=_FILE, help="Where the figures go.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap intervals.")
def compare(models: tuple[Path, ...], split: str, against: str | None, mean: bool, output: Path | None, seed: int) -> None:
    """Put models side by side that were evaluated on the same photos, with paired intervals of the differences.

    Each is a run folder, after 'derm-toolkit evaluate', or an .npz file that evaluate wrote.
    """
    import json

    from derm_sdk.files import write_text

    from .compare import compare_predictions, print_comparison, read_named

    found = compare_predictions(read_named(models, split), against, mean=mean, seed=seed)
    if output is not None:
        write_text(output, json.dumps(found, indent=1) + "\n")
    print_comparison(found, _console())
    if output is not None:
        click.echo(f"All figures are in {output}.", err=True)


def _console() -> Console:
    """Prints 100 columns where the width is not known, as in a file."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=max(console.width, 100))


def _file_name(side: str, source: str | None, foreign: Dataset | None, with_prior: bool) -> str:
    """Names the figures of a run after the photos: test.json, test-SOURCE.json, DATA-all.json, test-prior.json."""
    from derm_sdk.taxonomy import slug

    parts = [foreign.folder.resolve().name] if foreign is not None else []
    parts += [side] + ([slug(source)] if source is not None else []) + (["prior"] if with_prior else [])
    return "-".join(parts) + ".json"


def _foreign(data: Path, splits: Path | None, side: str) -> tuple[Dataset, Split | None]:
    """A data set named by the user, with the split beside it; for all photos a split is not needed."""
    from ..data.manifest import read_dataset, read_split

    dataset = read_dataset(data)
    path = splits or dataset.folder / "splits.csv"
    if splits is None and side == "all" and not path.is_file():
        return dataset, None
    return dataset, read_split(path, dataset, allow_leaks=True)  # `select_photos` looks for leaks


def _of_run(run: Run, data: Path | None, splits: Path | None, side: str) -> tuple[Dataset, Split | None]:
    """The run's own data and split, wherever they are now, or other data that the user names."""
    from ..data.manifest import read_dataset, read_split

    dataset = run.dataset() if data is None else read_dataset(data)
    if dataset.digest != run.data["dataset"]:
        return _foreign(dataset.folder, splits, side)
    return dataset, run.split(dataset) if splits is None else read_split(splits, dataset, allow_leaks=True)
