"""Cross-validation: folds that share no photo, interruptions, figures, refusals."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from derm_toolkit.data.manifest import Dataset, Split, read_dataset, read_split, write_split
from derm_toolkit.errors import DataError, RunError
from derm_toolkit.evaluation.compare import read_named
from derm_toolkit.evaluation.predictions import read_predictions
from derm_toolkit.reporting.sources import read_sources
from derm_toolkit.training.commands import train as train_command
from derm_toolkit.training.config import read_config
from derm_toolkit.training.folds import FoldsOrder, train_folds
from derm_toolkit.training.reporter import Reporter
from derm_toolkit.training.run import read_run

from .flat import write_config
from .tiny import make_data


class Impatient(Reporter):
    """Interrupts a training when it says something."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words

    def say(self, text: str) -> None:
        super().say(text)
        if self._words in text:
            raise KeyboardInterrupt


@dataclasses.dataclass(frozen=True)
class Whole:
    """A cross-validation that was interrupted before its last fold, and gone on with."""

    data: Dataset
    config: Path
    out: Path
    before: dict[Path, bytes]
    result: Result


def command(*words: object) -> Result:
    return CliRunner().invoke(train_command, [str(word) for word in words])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("folds")
    made, config, out = make_data(folder / "data", per_condition=24), write_config(folder), folder / "cv"
    split = read_split(made.folder / "splits.csv", made)
    pairs = {photo.digest: f"{photo.leaf}-{place // 2}" for place, photo in enumerate(made.photos)}  # near duplicates
    sides = {photo.digest: split.assignments[made.photos[place // 2 * 2].digest] for place, photo in enumerate(made.photos)}
    write_split(made.folder / "splits.csv", Split(sides, pairs), made)
    groups = read_split(made.folder / "splits.csv", made)
    order = FoldsOrder(read_config(config), made, out, 3, groups=groups)
    with pytest.raises(KeyboardInterrupt):
        train_folds(order, Impatient("Fold 3 of 3"))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != "folds.json"}
    result = command("--resume", "--out", out)
    return Whole(made, config, out, before, result)


def table(whole: Whole) -> dict:
    return json.loads((whole.out / "folds.json").read_text())


def test_what_was_finished_before_the_interruption_is_kept(whole: Whole):
    assert whole.result.exit_code == 0, whole.result.output
    assert "fold-2 was finished before" in whole.result.output
    changed = [path for path, data in whole.before.items() if path.read_bytes() != data and path.name != "log.txt"]
    assert changed == []
    assert read_run(whole.out / "fold-3").config == read_config(whole.config)


def test_every_photo_is_tested_once_by_a_network_that_saw_nothing_like_it(whole: Whole):
    tested = {name: read_predictions(whole.out / name / "evaluation" / "test.npz") for name in table(whole)["splits"]}
    pooled = read_predictions(whole.out / "evaluation" / "test.npz")
    assert sorted(pooled.digest) == sorted(photo.digest for photo in whole.data.photos)
    for name, predictions in tested.items():
        split = read_split(whole.out / name / "splits.csv", whole.data)
        seen = {split.clusters[digest] for digest, side in split.assignments.items() if side != "test"}
        assert seen.isdisjoint(predictions.unit)
        here = np.isin(pooled.digest, predictions.digest)
        assert np.array_equal(pooled.probabilities[here], predictions.probabilities)


def test_the_same_seed_deals_the_same_folds(whole: Whole, tmp_path: Path):
    groups = read_split(whole.data.folder / "splits.csv", whole.data)
    dealt = []
    for number, seed in enumerate((0, 5)):
        order = FoldsOrder(read_config(whole.config), whole.data, tmp_path / str(number), 3, seed, groups)
        with pytest.raises(KeyboardInterrupt):
            train_folds(order, Impatient("Fold 1 of 3"))
        dealt.append(json.loads((tmp_path / str(number) / "folds.json").read_text())["splits"])
    assert dealt[0] == table(whole)["splits"] != dealt[1]


def test_the_means_are_those_of_the_folds_own_evaluations(whole: Whole):
    figures = table(whole)["figures"]["levels"]["condition"]["accuracy"]
    told = [
        json.loads((whole.out / name / "evaluation" / "test.json").read_text())["all"]["levels"]["condition"]["accuracy"]
        for name in table(whole)["splits"]
    ]
    assert figures["mean"] == pytest.approx(np.mean([cell["value"] for cell in told]))
    assert figures["pooled"]["value"] == pytest.approx(
        np.average([c["value"] for c in told], weights=[c["n"] for c in told])
    )
    assert f"{figures['mean']:.3f}"[1:] in whole.result.output
    assert "Nadeau and Bengio" in whole.result.output


def test_folds_are_no_run_but_can_be_compared(whole: Whole):
    for read in (read_run, read_sources):
        with pytest.raises(RunError, match=r"holds a cross-validation, not one run; name one of its folds, .*fold-1"):
            read(whole.out)
    assert len(read_named([whole.out])["cv"]) == len(whole.data.photos)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", 4], "was begun with --folds 3, not 4"),
        (["--folds-seed", 9], "was begun with --folds-seed 0, not 9"),
        (["--set", "training.epochs=9"], r"training.epochs differs from the folds"),
    ],
)
def test_resuming_other_folds_is_refused(whole: Whole, words: list, message: str):
    result = command("--resume", "--out", whole.out, *words)
    assert isinstance(result.exception, RunError)
    assert message in str(result.exception)


def test_folds_and_single_trainings_do_not_mix(whole: Whole):
    result = command("--resume", "--out", whole.out / "fold-1", "--folds", 3)
    assert "holds one training, not folds" in str(result.exception)
    result = command(whole.config, "--data", whole.data.folder, "--out", whole.out)
    assert "is not empty; go on with --resume" in str(result.exception)
    result = command(whole.config, "--data", whole.data.folder, "--out", whole.out / "new", "--folds-seed", 1)
    assert result.exit_code == 2
    assert "give both" in result.output


def test_an_edited_split_of_a_fold_is_refused(whole: Whole):
    path = whole.out / "splits" / "fold-2.csv"
    kept = path.read_bytes()
    path.write_bytes((whole.out / "splits" / "fold-1.csv").read_bytes())
    result = command("--resume", "--out", whole.out)
    path.write_bytes(kept)
    assert "splits/fold-2.csv in" in str(result.exception)
    assert "restore it" in str(result.exception)


def test_a_condition_too_rare_for_every_fold_is_named_before_anything_is_written(whole: Whole, tmp_path: Path):
    data = make_data(tmp_path / "data", per_condition=6)
    groups = Split({}, {photo.digest: "all" if photo.leaf == "acne" else photo.digest for photo in data.photos})
    order = FoldsOrder(read_config(whole.config), read_dataset(data.folder), tmp_path / "cv", 3, groups=groups)
    with pytest.raises(DataError, match=r"In fold-\d: The training split has no photo of 'acne'"):
        train_folds(order)
    assert not (tmp_path / "cv").exists()
