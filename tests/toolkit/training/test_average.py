"""The mean of several runs is a run; runs that differ in more than their weights have no mean."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from derm_toolkit.cli import main
from derm_toolkit.data.manifest import Dataset, read_split
from derm_toolkit.errors import RunError
from derm_toolkit.training.average import AverageOrder, average
from derm_toolkit.training.config import read_config
from derm_toolkit.training.run import Run, read_run
from derm_toolkit.training.train import Order, train


@pytest.fixture(scope="module")
def other_run(tiny_data: Dataset, tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = read_config(tiny_config, ["training.seed=4", "training.epochs=1", "training.expert_epochs=1"])
    split = read_split(tiny_data.folder / "splits.csv", tiny_data)
    return train(Order(config, tiny_data, split, tmp_path_factory.mktemp("average") / "other"))


def test_weights_are_the_mean_and_the_folder_is_a_run_like_any_other(tiny_run: Run, other_run: Run, tmp_path: Path):
    out = tmp_path / "mean"
    result = CliRunner().invoke(main, ["average", str(tiny_run.folder), str(other_run.folder), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "Their mean: validation macro F1" in result.output
    run = read_run(out)
    for spec in run.graphs:
        found, one, two = (each.load_model(spec.id).weights for each in (run, tiny_run, other_run))
        for value, first, second in zip(found, one, two, strict=True):
            np.testing.assert_allclose(value, (first.numpy() + second.numpy()) / 2, rtol=1e-5, atol=1e-7)
    table = json.loads((out / "average.json").read_text())
    assert [Path(each["folder"]).name for each in table["runs"]] == [tiny_run.folder.name, "other"]
    assert table["runs"][1]["model_sha256"] == other_run.model_digest
    assert run.effort()[0] == tiny_run.effort()[0] + other_run.effort()[0]
    assert run.effort()[1] == pytest.approx(tiny_run.effort()[1] + other_run.effort()[1], abs=0.02)
    result = CliRunner().invoke(main, ["evaluate", str(out)])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["report", str(out)])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["train", "--resume", "--out", str(out)])
    assert result.exit_code == 1
    assert "is the mean of other runs: there is no training to resume" in result.output


def test_the_mean_of_equal_weights_is_these_weights(tiny_run: Run, tmp_path: Path):
    shutil.copytree(tiny_run.folder, tmp_path / "same")
    shutil.rmtree(tmp_path / "same" / "evaluation", ignore_errors=True)
    data = json.loads((tmp_path / "same" / "dataset.json").read_text())
    data["folder"] = str(tiny_run.dataset().folder.resolve())
    (tmp_path / "same" / "dataset.json").write_text(json.dumps(data))
    run = average(AverageOrder((tiny_run, read_run(tmp_path / "same")), tmp_path / "mean"))
    for spec in run.graphs:
        for mine, theirs in zip(run.load_model(spec.id).weights, tiny_run.load_model(spec.id).weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert run.calibration().temperatures == pytest.approx(tiny_run.calibration().temperatures)
    (tmp_path / "mean" / "calibration.json").unlink()  # as if it had been interrupted
    again = average(AverageOrder((tiny_run, read_run(tmp_path / "same")), tmp_path / "mean"))
    assert again.calibration().temperatures == pytest.approx(tiny_run.calibration().temperatures)


def test_runs_that_have_no_mean_are_refused_and_nothing_is_written(
    tiny_run: Run, tiny_data: Dataset, tiny_config: Path, other_run: Run, tmp_path: Path
):
    out = tmp_path / "mean"
    with pytest.raises(RunError, match="needs two runs or more; got 1"):
        average(AverageOrder((tiny_run,), out))
    with pytest.raises(RunError, match="given twice"):
        average(AverageOrder((tiny_run, tiny_run), out))
    wider = read_config(tiny_config, ["training.epochs=1", "training.expert_epochs=1", "model.expert.dense=9"])
    split = read_split(tiny_data.folder / "splits.csv", tiny_data)
    with pytest.raises(RunError, match=r"The networks of .* and 'wider' differ in .*; a mean needs the same"):
        average(AverageOrder((other_run, train(Order(wider, tiny_data, split, tmp_path / "wider"))), out))
    shutil.copytree(tiny_run.folder, tmp_path / "elsewhere")
    data = json.loads((tmp_path / "elsewhere" / "dataset.json").read_text())
    (tmp_path / "elsewhere" / "dataset.json").write_text(json.dumps({**data, "split": "0" * 64}))
    with pytest.raises(RunError, match=r"The split of .*run' and .*elsewhere' differs; a mean needs the same"):
        average(AverageOrder((tiny_run, read_run(tmp_path / "elsewhere")), out))
    (tmp_path / "elsewhere" / "dataset.json").write_text(json.dumps(data))
    (tmp_path / "elsewhere" / "environment.json").unlink()
    with pytest.raises(RunError, match=r"Cannot read environment\.json of the run"):
        average(AverageOrder((read_run(tmp_path / "elsewhere"), tiny_run), out))
    assert not out.exists()
    (out / "mine").mkdir(parents=True)
    with pytest.raises(RunError, match="is not empty; choose another --out"):
        average(AverageOrder((tiny_run, other_run), out))
