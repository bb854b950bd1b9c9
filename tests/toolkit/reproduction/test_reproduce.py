"""A report's rows beside ours: the table of rows, what is trained and kept, and what cannot be had."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from derm_sdk.errors import OptionError
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.errors import ConfigError
from derm_toolkit.reproduction.commands import reproduce
from derm_toolkit.reproduction.rows import REPORT_A, REPORT_B, REPORTS, Row
from derm_toolkit.training.config import find_config, read_config

from ..training.conftest import tiny_data

__all__ = ["tiny_data"]
ROWS = [row for report in REPORTS.values() for row in report.rows]
SHORT = ("--set", "training.epochs=1", "--set", "training.batch_size=16")


def command(*words: object) -> Result:
    return CliRunner().invoke(reproduce, [str(word) for word in words])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.config)
def test_every_row_has_a_config_that_says_the_same_of_the_report(row: Row):
    path = find_config(row.config)
    read_config(path)
    head = path.read_text().partition("\nversion")[0].replace("\n#", " ")
    numbers = {float(number) for number in re.findall(r"(?<![\w.])\d*\.\d+", re.sub(r"\s+", " ", head))}
    assert {*row.condition.values()} <= numbers
    assert row.category.get("accuracy") in {None, *numbers}


def test_the_best_row_is_told_with_what_is_wrong_with_it():
    best = max(REPORT_B.rows, key=lambda row: row.condition.get("weighted_f1", 0))
    assert best.config == "resnet101_v2_skin_type"
    assert "F1 far above its accuracy" in best.caveat
    assert any(".729" in caveat for caveat in REPORT_A.caveats)


def test_the_list_trains_nothing_and_needs_no_data():
    shown = command("report-b", "--list", "--json")
    assert [row["row"] for row in json.loads(shown.stdout)["rows"]] == [row.config for row in REPORT_B.rows]
    assert "two_step_plain" in command("report-a", "--list").stdout
    assert command("report-b").exit_code == 2


def test_a_row_is_trained_once_and_stands_beside_the_report(tiny_data: Dataset, tmp_path: Path):
    words = ("report-b", "--data", tiny_data.folder, "--out", tmp_path / "out", "--rows", "lenet_3", *SHORT)
    first = command(*words, "--set", "preprocessing.size=80")
    assert first.exit_code == 0, first.output
    assert re.search(r"LeNet 3: report +\.144 +\.123 +3\.936", first.stdout)
    assert re.search(r"a constant answer, here +\.200 +\.067 +1\.609", first.stdout)
    weights = (tmp_path / "out" / "lenet_3" / "model" / "tree.keras").read_bytes()
    again = command(*words, "--set", "preprocessing.size=80", "--json")
    (row,) = json.loads(again.stdout)["rows"]
    assert (tmp_path / "out" / "lenet_3" / "model" / "tree.keras").read_bytes() == weights
    assert json.loads((tmp_path / "out" / "reproduction.json").read_text()) == json.loads(again.stdout)

    told = json.loads((tmp_path / "out" / "lenet_3" / "evaluation" / "test.json").read_text())["all"]["levels"]["condition"]
    assert row["ours"]["condition"]["n"] == told["n"] == 20
    assert row["ours"]["condition"]["accuracy"] == told["accuracy"]
    assert row["ours"]["condition"]["loss"]["value"] == told["log_loss_uncalibrated"]["value"]
    page = (tmp_path / "out" / "reproduction.md").read_text()
    assert "| LeNet 3: report | .144 | .123 | 3.936 |" in page
    assert "114 conditions of Fitzpatrick17k; ours about 5 conditions" in page
    assert "trained with training.epochs=1, training.batch_size=16, preprocessing.size=80" in page


def test_a_row_without_its_imagenet_weights_is_told_and_left_out_or_begun_at_random(tiny_data: Dataset, tmp_path: Path):
    words = ("report-a", "--data", tiny_data.folder, "--out", tmp_path / "out", "--rows", "mobilenet_v2", *SHORT)
    words = (*words, "--set", "preprocessing.size=32", "--set", f"model.weights={tmp_path / 'none.h5'}")
    left = command(*words)
    assert left.exit_code == 0, left.output
    assert re.search(r"ours +not trained", left.stdout)
    assert "There is no weight file" in (tmp_path / "out" / "reproduction.md").read_text()
    begun = command(*words, "--random-weights", "--json")
    (row,) = json.loads(begun.stdout)["rows"]
    assert (row["state"], row["run"]) == ("evaluated", "mobilenet_v2-random-weights")
    assert "this says nothing about the row. Its layers stayed frozen" in row["caveats"][-1]


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("--rows", "lenet_3,lenet3"), OptionError, "report-b has no row 'lenet3'.* Did you mean 'lenet_3'"),
        (("--set", "training.epoch=1"), ConfigError, "Unknown key 'training.epoch'"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_trained(
    tiny_data: Dataset, tmp_path: Path, words: tuple[str, ...], error: type, message: str
):
    result = command("report-b", "--data", tiny_data.folder, "--out", tmp_path / "out", *words)
    assert isinstance(result.exception, error)
    assert re.search(message, str(result.exception))
    assert not (tmp_path / "out").exists()
