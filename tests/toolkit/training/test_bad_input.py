"""Bad input to the commands around a run: one sentence, exit code 1, and what was there is still there."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from derm_toolkit.cli import main
from derm_toolkit.data.manifest import read_split, write_dataset, write_split

from .flat import write_config
from .tiny import make_data


def told(*words: object, code: int = 1) -> str:
    """Runs derm-toolkit and returns the last line that it says, which must be the only one about an error."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    lines = [line for line in result.output.splitlines() if line.startswith("Error:")]
    assert len(lines) == (code == 1)
    return lines[0] if lines else result.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, all of one skin type, a config, and a run that was evaluated."""
    folder = tmp_path_factory.mktemp("bad")
    data = make_data(folder / "data")
    one_type = [dataclasses.replace(photo, fitzpatrick=3) for photo in data.photos]
    write_dataset(folder / "data", data.photo_folder, data.taxonomy, one_type)
    config = write_config(folder)
    told("train", config, "--data", folder / "data", "--out", folder / "run", code=0)
    return folder


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_one_skin_type_only_is_trained_and_evaluated_without_a_gap(trained: Path):
    assert "20 photos" in told("evaluate", trained / "run", code=0)
    figures = json.loads((trained / "run" / "evaluation" / "test.json").read_text())
    assert figures["skin_types"]["3"]["n"] == figures["all"]["n"]
    assert set(figures["gaps"]["category"].values()) == {None}


@pytest.mark.parametrize(
    "name",
    [
        "config.toml",
        "dataset.json",
        "splits.csv",
        "taxonomy.json",
        "calibration.json",
        "model/graphs.json",
        "model/tree.keras",
    ],
)
def test_a_file_that_is_cut_off_or_gone_is_named_and_the_others_stay(copy: Path, name: str):
    path = copy / "run" / name
    others = {each: each.read_bytes() for each in (copy / "run").rglob("*") if each.is_file() and each != path}
    path.write_bytes(path.read_bytes()[:40])
    cut = told("evaluate", copy / "run")
    path.unlink()
    gone = told("evaluate", copy / "run")
    assert path.name in cut
    assert path.name in gone or "is not finished" in gone
    assert {each: each.read_bytes() for each in others} == others


def test_photos_that_are_gone_are_named(copy: Path):
    config, data = copy / "flat.toml", copy / "data"
    shutil.rmtree(data / "cache")
    for photo in (data / "photos").iterdir():
        if photo.name.startswith("acne"):
            photo.unlink()
    assert "acne" in told("evaluate", copy / "run", "--split", "test")
    assert "is gone; put it back, or import the data again" in told("train", config, "--data", data, "--out", copy / "new")
    shutil.rmtree(data / "photos")
    assert "which is no folder; import again" in told("evaluate", copy / "run")


def test_a_config_of_another_version_is_refused_before_anything_is_written(trained: Path, tmp_path: Path):
    other = tmp_path / "other.toml"
    other.write_text((trained / "flat.toml").read_text().replace("version = 1", "version = 2"))
    assert "must say version = 1" in told("train", other, "--data", trained / "data", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_test_part_without_photos_is_said_to_be_so(copy: Path):
    data = make_data(copy / "untested")
    split = read_split(data.folder / "splits.csv", data)
    sides = {digest: "train" if side == "test" else side for digest, side in split.assignments.items()}
    write_split(data.folder / "splits.csv", dataclasses.replace(split, assignments=sides), data)
    told("train", copy / "flat.toml", "--data", data.folder, "--out", copy / "new", code=0)
    assert "The split has no photo on the side 'test'" in told("evaluate", copy / "new")


def test_a_loss_that_is_no_number_is_one_sentence_and_resuming_says_the_same(trained: Path, tmp_path: Path):
    # The slope of (1 - p)^0.5 has no bound where p comes near 1, which steps of this length soon bring about.
    wild = ["learning_rate=3", "clip_norm=0", "optimizer=rmsprop", "schedule=constant", "focal=0.5", "epochs=40"]
    words = [word for each in wild for word in ("--set", f"training.{each}")]
    out = tmp_path / "run"
    first = told("train", trained / "flat.toml", "--data", trained / "data", "--out", out, *words)
    assert "The loss of 'tree' stopped being a number in epoch " in first
    assert first.removeprefix("Error: ") in (out / "log.txt").read_text()
    assert told("train", "--resume", "--out", out) == first
    assert "is not finished" in told("evaluate", out)
