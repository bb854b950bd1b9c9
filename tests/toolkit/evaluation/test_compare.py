"""Models side by side: the same photos or nothing, and differences that are paired."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from derm_sdk.errors import FileError
from derm_toolkit.cli import main
from derm_toolkit.errors import DataError
from derm_toolkit.evaluation.compare import compare_predictions, read_named
from derm_toolkit.evaluation.predictions import Predictions, write_predictions

from .cases import random_case

GOOD, POOR = random_case(200, 3, skill=3.0), random_case(200, 3, skill=0.5)


def shuffled(asked: Predictions) -> Predictions:
    return asked.take(np.random.default_rng(0).permutation(len(asked)))


def test_differences_are_those_of_the_figures_whatever_the_order_of_the_photos():
    found = json.loads(
        json.dumps(compare_predictions({"poor": POOR, "good": shuffled(GOOD)}, replicates=100), allow_nan=False)
    )
    assert found["n"] == 200
    poor, good = (found["models"][name]["levels"]["condition"]["accuracy"] for name in ("poor", "good"))
    assert "difference" not in poor
    assert good["difference"]["value"] == pytest.approx(good["value"] - poor["value"])
    assert good["difference"]["low"] > 0
    turned = compare_predictions({"poor": POOR, "good": GOOD}, "good", replicates=100)["models"]["poor"]
    assert turned["levels"]["condition"]["accuracy"]["difference"]["value"] == -good["difference"]["value"]
    assert turned["refer"]["auroc"]["difference"]["high"] < 0


def test_pairing_makes_the_interval_of_a_small_difference_narrow():
    """Two models that differ on 4 of 200 photos: each accuracy is uncertain, their difference is not."""
    other = GOOD.probabilities.copy()
    right = np.flatnonzero(other[:, GOOD.columns("condition")].argmax(axis=1) == GOOD.true_classes("condition"))[:4]
    other[right] = np.roll(other, 1, axis=1)[right]
    nodes = {"a": GOOD, "b": dataclasses.replace(GOOD, probabilities=other)}
    cell = compare_predictions(nodes, replicates=300)["models"]["b"]["levels"]["condition"]["accuracy"]
    assert cell["difference"]["high"] - cell["difference"]["low"] < 0.6 * (cell["high"] - cell["low"])
    same = compare_predictions({"a": GOOD, "b": GOOD}, replicates=20)["models"]["b"]["levels"]["category"]["macro_f1"]
    assert same["difference"] == {"value": 0, "low": 0, "high": 0, "n": 200}


def test_the_mean_of_two_networks_that_err_elsewhere_is_better_than_both():
    one, two = (random_case(300, 3, skill=1.0, errors=errors, skin_types=[0] * 300) for errors in (1, 2))
    found = compare_predictions({"one": one, "two": shuffled(two)}, mean=True, replicates=50)["models"]
    accuracy = {name: each["levels"]["condition"]["accuracy"]["value"] for name, each in found.items()}
    assert accuracy["mean of all"] > max(accuracy["one"], accuracy["two"])
    assert found["mean of all"]["refer"] == {}  # no threshold belongs to it
    together = (one.probabilities.astype(float) + two.probabilities) / 2
    columns = one.columns("condition")
    right = together[:, columns].argmax(axis=1) == one.true_classes("condition")
    assert accuracy["mean of all"] == pytest.approx(right.mean())


def test_other_photos_other_labels_and_too_few_are_refused():
    with pytest.raises(
        DataError, match=r"'a' and 'b' were evaluated on different photos \(200 and 150, 150 of them common\)"
    ):
        compare_predictions({"a": GOOD, "b": GOOD.take(np.arange(150))})
    truth = GOOD.truth.copy()
    truth[:3] = truth[3:6][::-1]
    with pytest.raises(DataError, match=r"evaluated with different labels: \d photos differ on the level"):
        compare_predictions({"a": GOOD, "b": dataclasses.replace(GOOD, truth=truth)})
    with pytest.raises(DataError, match="needs two models or more; got 1"):
        compare_predictions({"a": GOOD})
    with pytest.raises(DataError, match=r"There is no model 'god'.*Did you mean 'good'"):
        compare_predictions({"good": GOOD, "poor": POOR}, "god")
    few = GOOD.take(np.arange(9))
    with pytest.raises(DataError, match="needs 20 photos or more; got 9"):
        compare_predictions({"a": few, "b": few})


def test_the_command_prints_one_table_of_runs_and_files(tmp_path: Path):
    (tmp_path / "good").mkdir()
    write_predictions(tmp_path / "good" / "evaluation" / "test.npz", GOOD)
    write_predictions(tmp_path / "poor.npz", POOR)
    words = ["compare", str(tmp_path / "good"), str(tmp_path / "poor.npz"), "--json", str(tmp_path / "x.json")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    for text in ("2 models on the same 200 photos", "difference to good", "AUROC", "poor", "macro F1"):
        assert text in result.output
    assert max(map(len, result.output.splitlines())) <= 100
    assert json.loads((tmp_path / "x.json").read_text())["against"] == "good"
    result = CliRunner().invoke(main, [*words, "--mean"])
    assert result.exit_code == 0, result.output
    assert "mean of all" in result.output


def test_names_tell_models_apart_and_missing_predictions_are_named(tmp_path: Path):
    for folder in ("one", "two"):
        write_predictions(tmp_path / folder / "run" / "evaluation" / "test.npz", GOOD)
    assert list(read_named([tmp_path / "one" / "run", tmp_path / "two" / "run"])) == ["one/run", "two/run"]
    with pytest.raises(FileError, match=r"There are no predictions .*validation\.npz.*make it with 'derm-toolkit evaluate"):
        read_named([tmp_path / "one" / "run"], "validation")
    with pytest.raises(DataError, match="given twice"):
        read_named([tmp_path / "one" / "run", tmp_path / "one" / "run"])
