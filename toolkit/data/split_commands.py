"""`derm-toolkit data split`, `verify`, `stats` and `export`: sides of a data set, made, proven, counted and handed out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from derm_sdk.errors import OptionError

from .progress import progress_bar

if TYPE_CHECKING:
    from rich.console import Console

    from .duplicates import Clusters
    from .manifest import Dataset, Split
    from .split import SplitResult

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PATH = click.Path(path_type=Path)
_SHOWN = 10
_DUPLICATES = click.option(
    "--duplicates",
    type=click.Choice(["auto", "embedding", "hash", "none"]),
    default="auto",
    show_default=True,
    help="How near duplicates are found. auto: embedding where its weights are installed, else hash.",
)
_COPY = click.option("--copy", is_flag=True, help="Copy the photos of a tree of folders instead of linking to them.")


@dataclass(frozen=True)
class Wish:
    """How the sides are chosen, if not by chance alone: at most one of these."""

    folds: int | None
    kept_from: Path | None
    train_on: str | None
    test_on: str | None
    urls: Path | None
    listed: Path | None
    leave_out_leaks: bool

    def check(self) -> None:
        """Raises OptionError for options that contradict each other."""
        ways = {
            "--folds": self.folds is not None,
            "--extend": self.kept_from is not None,
            "--train-on or --test-on": self.by_criteria,
            "--from-list": self.listed is not None,
        }
        chosen = [name for name, given in ways.items() if given]
        if len(chosen) > 1:
            raise OptionError(f"{chosen[0]} and {chosen[1]} are two ways to choose the sides; name one.")
        if self.urls is not None and not self.by_criteria:
            raise OptionError("--urls tells which atlas a photo is from, for --train-on atlas=NAME; name one.")
        if self.leave_out_leaks and self.listed is None:
            raise OptionError("--leave-out-leaks is for --from-list; every other split has no leaks.")

    @property
    def by_criteria(self) -> bool:
        """Whether photos are chosen by a property."""
        return self.train_on is not None or self.test_on is not None


@click.command("split")
@click.argument("folder", metavar="DATA", type=_FOLDER)
@click.option("--ratios", default="0.6,0.1,0.1,0.2", show_default=True, help="Train, validation, calibration, test.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same split.")
@_DUPLICATES
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
@click.option(
    "--train-on", metavar="FIELD=VALUE,...", help="Train on fitzpatrick=1,2, on source=NAME or atlas=NAME; test on the rest."
)
@click.option("--test-on", metavar="FIELD=VALUE,...", help="Test on these; with --train-on, photos of neither are unused.")
@click.option("--urls", type=_FILE, help="A table with md5hash and url, such as fitzpatrick17k.csv, that tells the atlas.")
@click.option("--from-list", "listed", type=_FILE, help="A published split: a CSV with md5hash and partition, or such.")
@click.option("--leave-out-leaks", is_flag=True, help="Of a list, leave out photos whose relatives are test photos.")
@click.option("--export-folders", "tree", type=_PATH, help="Also make the folders DIR/side/category/condition.")
@_COPY
@click.option("-o", "--output", type=_PATH, help="The split to write; without it DATA/splits.csv.")
def split_command(
    folder: Path,
    ratios: str,
    seed: int,
    duplicates: str,
    folds: int | None,
    kept_from: Path | None,
    train_on: str | None,
    test_on: str | None,
    urls: Path | None,
    listed: Path | None,
    leave_out_leaks: bool,
    tree: Path | None,
    copy: bool,
    output: Path | None,
) -> None:
    """Deal the photos of DATA to train, validation, calibration and test.

    Near duplicates, photos of one patient and photos of one lesion always stay together, so that no figure is flattered
    by a photo the model has seen. Conditions and skin types are spread as evenly as these groups allow.

    With --train-on or --test-on the sides are told apart by skin type, source or atlas instead, and photos to learn from
    that are related to test photos are left out. --from-list takes a published split as it is, and says where it leaks.
    """
    from .duplicates import find_clusters
    from .folders import check_free
    from .manifest import check_split_path, read_dataset, write_split
    from .split import check_ratios
    from .split_table import print_clusters, print_list, print_split

    wish = Wish(folds, kept_from, train_on, test_on, urls, listed, leave_out_leaks)
    wish.check()
    if tree is not None and folds is not None:
        raise OptionError(
            "--export-folders makes one tree, --folds several splits; export them one by one with 'data export'."
        )
    shares = check_ratios(_numbers(ratios))
    output = output or folder / "splits.csv"
    paths = [output] if folds is None else [output.with_stem(f"{output.stem}-fold{n}") for n in range(1, folds + 1)]
    for path in paths:
        check_split_path(path)
    if tree is not None:
        check_free(tree)
    dataset = read_dataset(folder)
    given = _given(wish, dataset)
    with progress_bar("Comparing photos") as progress:
        clusters = find_clusters(dataset, duplicates, folder / "descriptors", progress, progress)
    print_clusters(clusters, asked=duplicates)
    made = _make(wish, given, dataset, clusters, shares, seed)
    for path, result in zip(paths, made, strict=True):
        write_split(path, result.split, dataset, allow_leaks=listed is not None)
        print_split(result, path)
    if listed is not None:
        print_list(made[0].split, dataset)
    if tree is not None:
        _export(made[0].split, dataset, tree, copy=copy)


@click.command("verify")
@click.argument("folder", metavar="DATA", type=_FOLDER)
@click.option("--split", "path", type=_FILE, help="The split; DATA/splits.csv unless given.")
@_DUPLICATES
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def verify_command(context: click.Context, folder: Path, path: Path | None, duplicates: str, as_json: bool) -> None:
    """Prove that no near duplicate, patient or lesion of DATA is on two sides of its split.

    Near duplicates are looked for anew: what the split itself says of them is not believed, but checked as well. The exit
    code is 1 where something is on two sides.
    """
    import json

    from .duplicates import find_clusters
    from .manifest import read_dataset, read_split
    from .split_table import print_clusters
    from .verify import print_verdict, verify_split

    dataset = read_dataset(folder)
    split = read_split(path or folder / "splits.csv", dataset, allow_leaks=True)
    with progress_bar("Comparing photos") as progress:
        clusters = find_clusters(dataset, duplicates, folder / "descriptors", progress, progress)
    found = verify_split(split, dataset, clusters)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        print_clusters(clusters, asked=duplicates)
        print_verdict(found, _console())
    context.exit(0 if found["clean"] else 1)


@click.command("stats")
@click.argument("folder", metavar="DATA", type=_FOLDER)
@click.option("--split", "path", type=_FILE, help="The split; DATA/splits.csv, where it is, unless given.")
@click.option("--small", type=click.IntRange(1), default=5, show_default=True, help="Cells with fewer photos are marked.")
@click.option("--by-side", is_flag=True, help="Print the skin types of every side.")
@click.option("--json", "as_json", is_flag=True, help="Print every count as JSON.")
def stats_command(folder: Path, path: Path | None, small: int, by_side: bool, as_json: bool) -> None:
    """Count the photos of DATA by label, side and skin type, and mark the cells too small to claim anything about."""
    import json

    from .manifest import read_dataset, read_split
    from .stats import data_stats, print_stats

    dataset = read_dataset(folder)
    place = path or folder / "splits.csv"
    split = read_split(place, dataset, allow_leaks=True) if path is not None or place.is_file() else None
    found = data_stats(dataset, split, small)
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        print_stats(found, _console(), by_side=by_side)


@click.command("export")
@click.argument("folder", metavar="DATA", type=_FOLDER)
@click.argument("tree", metavar="DIR", type=_PATH)
@click.option("--split", "path", type=_FILE, help="The split; DATA/splits.csv unless given.")
@_COPY
def export_command(folder: Path, tree: Path, path: Path | None, copy: bool) -> None:
    """Make the folders DIR/side/category/condition out of the split of DATA, for programs that read such trees.

    DIR must be new or empty; it is made as a whole or not at all. Its files are links unless --copy is given.
    """
    from .manifest import read_dataset, read_split

    dataset = read_dataset(folder)
    _export(read_split(path or folder / "splits.csv", dataset), dataset, tree, copy=copy)


# --- Making -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Given:
    """Sides that are chosen before photos are compared, and where they come from."""

    sides: Mapping[str, str]
    about: Mapping[str, Any]
    close_leaks: bool


def _given(wish: Wish, dataset: Dataset) -> _Given | None:
    """What the options or a list say of the sides; None where all are dealt."""
    from .holdout import parse_criterion, sides_by_criteria
    from .lists import read_atlases, read_split_list

    if wish.by_criteria:
        train, test = (None if text is None else parse_criterion(text) for text in (wish.train_on, wish.test_on))
        atlases = read_atlases(wish.urls, dataset) if wish.urls is not None else None
        about = {"train_on": wish.train_on, "test_on": wish.test_on}
        return _Given(sides_by_criteria(dataset, train, test, atlases), about, close_leaks=True)
    if wish.listed is None:
        return None
    found = read_split_list(wish.listed, dataset)
    absent = len(found.absent)
    such = f", such as {found.absent[0]!r}" if absent else ""
    click.echo(
        f"{wish.listed.name}: {found.rows - absent:,} of {found.rows:,} rows are about photos of the data set, {absent:,} "
        f"are not{such}; {found.unlisted:,} photos are not listed, and unused."
    )
    told = {"name": wish.listed.name, "rows": found.rows, "absent": absent, "unlisted": found.unlisted}
    return _Given(found.sides, {"list": told}, close_leaks=wish.leave_out_leaks)


def _make(
    wish: Wish, given: _Given | None, dataset: Dataset, clusters: Clusters, shares: tuple[float, ...], seed: int
) -> list[SplitResult]:
    from .holdout import split_by_sides
    from .manifest import read_dataset, read_split
    from .split import make_folds, make_split

    if given is not None:
        close, about = given.close_leaks, given.about
        return [split_by_sides(dataset, clusters, given.sides, shares, seed, close_leaks=close, details=about)]
    if wish.folds is not None:
        return make_folds(dataset, clusters, wish.folds, seed)
    kept = None
    if wish.kept_from is not None:
        kept = read_split(wish.kept_from / "splits.csv", read_dataset(wish.kept_from))
    return [make_split(dataset, clusters, shares, seed, kept)]


def _export(split: Split, dataset: Dataset, tree: Path, *, copy: bool) -> None:
    from .folders import export_folders

    with progress_bar("Copying" if copy else "Linking") as progress:
        counts = export_folders(split, dataset, tree, copy=copy, progress=progress)
    click.echo(f"{tree}: " + ", ".join(f"{count:,} {side}" for side, count in counts.items()) + ".")


# --- What is shown ----------------------------------------------------------------------------------------------------


def _console() -> Console:
    """Prints 100 columns where the width is not known, as in a file."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=max(console.width, 100))


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise OptionError(
            f"ratios must be four numbers with commas between, such as 0.6,0.1,0.1,0.2; got {text!r}."
        ) from error
