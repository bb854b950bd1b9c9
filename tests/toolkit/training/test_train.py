"""A whole training: its run folder, its interruptions, its refusals."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.data.manifest import Dataset, Split, read_split, write_split
from derm_toolkit.errors import ConfigError, DataError, RunError, TrainingError
from derm_toolkit.training import loop
from derm_toolkit.training.checkpoint import read_progress
from derm_toolkit.training.commands import train as train_command
from derm_toolkit.training.config import read_config
from derm_toolkit.training.run import Run, read_run
from derm_toolkit.training.train import Order, check_refer_node, train

from .tiny import make_data

_TIMES = ("seconds", "photos_per_second")


def order(data: Dataset, config: Path, out: Path, *overrides: str, resume: bool = False) -> Order:
    split = read_split(data.folder / "splits.csv", data)
    return Order(read_config(config, overrides), data, split, out, resume)


def history(run: Run) -> list[dict[str, str]]:
    with (run.folder / "history.csv").open() as file:
        return [{key: value for key, value in row.items() if key not in _TIMES} for row in csv.DictReader(file)]


def assert_same_run(one: Run, other: Run) -> None:
    assert history(one) == history(other)
    for spec in one.graphs:
        weights = [run.load_model(spec.id).get_weights() for run in (one, other)]
        assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True)), spec.id
        ends = [read_progress(run.folder / "checkpoints" / f"{spec.id}.npz") for run in (one, other)]
        assert ends[0].best_epoch == ends[1].best_epoch
    assert (one.folder / "calibration.json").read_bytes() == (other.folder / "calibration.json").read_bytes()


def test_a_run_folder_holds_everything(tiny_run: Run):
    names = {path.name for path in tiny_run.folder.iterdir()} - {"evaluation", "tensorboard"}
    expected = "config.toml environment.json taxonomy.json dataset.json splits.csv splits.json history.csv log.txt"
    assert names == {*expected.split(), "checkpoints", "model", "calibration.json"}
    table = json.loads((tiny_run.folder / "model" / "graphs.json").read_text())
    assert table["kind"] == "two_step"
    assert table["preprocessing"] == {"version": 1, "size": 16, "fit": "crop", "decode": "full"}
    assert [(row["id"], row["given"], row["inputs"]) for row in table["graphs"]] == [
        ("root", None, ["rgb"]),
        ("expert-malignant", "malignant", ["equalized", "otsu", "gray"]),
        ("expert-non-neoplastic", "non-neoplastic", ["equalized", "otsu", "gray"]),
    ]  # benign has one condition and needs no expert
    assert [row["epoch"] for row in history(tiny_run) if row["graph"] == "root"] == [str(n) for n in range(1, 7)]
    environment = json.loads((tiny_run.folder / "environment.json").read_text())
    assert {"python", "packages", "backend", "platform", "cores", "seed"} <= set(environment)


def test_the_network_learned_its_colours(tiny_run: Run):
    assert read_progress(tiny_run.folder / "checkpoints" / "root.npz").best_score > 0.9


def test_killed_in_mid_epoch_and_resumed_with_more_workers_it_ends_in_the_same_weights(
    tiny_run: Run, tiny_data: Dataset, tiny_config: Path, tmp_path: Path
):
    out = tmp_path / "killed"
    words = [str(tiny_config), "--data", str(tiny_data.folder), "--out", str(out)]
    code = "import sys; from derm_toolkit.training.commands import train; train(sys.argv[1:])"
    victim = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.DEVNULL, env=dict(os.environ))
    checkpoint = out / "checkpoints" / "root.npz"
    while victim.poll() is None and not checkpoint.is_file():
        time.sleep(0.002)
    time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert not read_progress(checkpoint).finished
    with pytest.raises(RunError, match="is not finished; go on with 'derm-toolkit train --resume"):
        read_run(out)

    result = CliRunner().invoke(train_command, ["--resume", "--out", str(out), "--set", "training.workers=3"])
    assert result.exit_code == 0, result.output
    assert_same_run(tiny_run, read_run(out))


def test_resuming_a_finished_run_changes_nothing(tiny_run: Run, tiny_data: Dataset, tiny_config: Path):
    before = {path: path.read_bytes() for path in (tiny_run.folder / "model").iterdir()}
    again = train(order(tiny_data, tiny_config, tiny_run.folder, resume=True))
    assert {path: path.read_bytes() for path in (again.folder / "model").iterdir()} == before
    assert history(again) == history(tiny_run)


def test_early_stopping_waits_for_the_patience(
    tiny_data: Dataset, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    scores = iter([(0.5, 1.0), (0.6, 2.0), (0.6, 1.5), (0.6, 1.5), (0.5, 0.1), *[(0.1, 1.0)] * 9])

    def validate(model, job):
        macro_f1, loss = next(scores)
        return {"validation_loss": loss, "validation_accuracy": 0.5, "validation_macro_f1": macro_f1}

    monkeypatch.setattr(loop, "validate", validate)
    settings = ("training.patience=2", "training.epochs=50", "training.expert_epochs=1")
    train(order(tiny_data, tiny_config, tmp_path / "run", *settings))
    end = read_progress(tmp_path / "run" / "checkpoints" / "root.npz")
    assert end.finished
    assert (end.best_epoch, end.epoch) == (3, 5)  # of equal macro F1, the lower loss counts


def test_a_loss_that_is_no_number_stops_and_keeps_the_best(
    tiny_data: Dataset, tiny_config: Path, tmp_path: Path, monkeypatch
):
    plain, calls = loop.weighted_targets, []

    def poisoned(*arguments):
        targets = plain(*arguments)
        calls.append(targets)
        return targets

    monkeypatch.setattr(loop, "weighted_targets", poisoned)
    ends = loop.validate

    def poison_after_two_epochs(model, job):
        scores = ends(model, job)
        poison_after_two_epochs.epochs += 1
        if poison_after_two_epochs.epochs == 2:
            calls[0][:] = np.nan
        return scores

    poison_after_two_epochs.epochs = 0
    monkeypatch.setattr(loop, "validate", poison_after_two_epochs)
    with pytest.raises(TrainingError, match="The loss of 'root' stopped being a number in epoch 3, step 1; the best"):
        train(order(tiny_data, tiny_config, tmp_path / "run"))
    kept = tmp_path / "run" / "model" / "root.keras"
    assert kept.is_file()
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "Stopped: The loss of 'root' stopped being a number in epoch 3, step 1" in log
    assert f"The best weights are in {str(kept)!r}" in log
    assert read_progress(tmp_path / "run" / "checkpoints" / "root.npz").epoch == 2


def test_an_occupied_folder_is_refused(tiny_run: Run, tiny_data: Dataset, tiny_config: Path, tmp_path: Path):
    with pytest.raises(RunError, match="is not empty; go on with --resume, or choose another --out"):
        train(order(tiny_data, tiny_config, tiny_run.folder))
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(RunError, match="is not empty"):
        train(order(tiny_data, tiny_config, tmp_path, resume=True))


def test_resuming_with_another_config_or_split_is_refused(tiny_run: Run, tiny_data: Dataset, tiny_config: Path):
    with pytest.raises(RunError, match=r"training\.epochs differs from the run"):
        train(order(tiny_data, tiny_config, tiny_run.folder, "training.epochs=9", resume=True))
    asked = order(tiny_data, tiny_config, tiny_run.folder, resume=True)
    sides = dict(asked.split.assignments)
    sides[tiny_data.photos[0].digest] = "test"
    with pytest.raises(RunError, match="The split differs from that of the run"):
        train(dataclasses.replace(asked, split=Split(sides, asked.split.clusters)))


def test_a_damaged_checkpoint_is_named(tiny_run: Run, tiny_data: Dataset, tiny_config: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_run.folder, copy)
    (copy / "checkpoints" / "root.npz").write_bytes((copy / "checkpoints" / "root.npz").read_bytes()[:-500])
    with pytest.raises(RunError, match=r"root\.npz' cannot be read .*delete it to train that network anew"):
        train(order(tiny_data, tiny_config, copy, resume=True))


@pytest.mark.parametrize(
    ("condition", "emptied", "message"),
    [
        ("acne", "train", "The training split has no photo of 'acne'"),
        ("wart", "train", "The training split has no photo of 'benign'"),
        (
            "melanoma carcinoma",
            "validation",
            "The validation split has no photo of 'malignant', so 'expert-malignant'",
        ),
        ("melanoma carcinoma wart eczema acne", "calibration", "The calibration split has no photo"),
    ],
)
def test_a_class_without_photos_is_named_before_anything_is_written(
    tiny_config: Path, tmp_path: Path, condition: str, emptied: str, message: str
):
    data = make_data(tmp_path / "data", per_condition=10)
    split = read_split(data.folder / "splits.csv", data)
    sides = dict(split.assignments)
    for photo in data.photos:
        if photo.labels[1] in condition.split() and sides[photo.digest] == emptied:
            sides[photo.digest] = "test"
    write_split(data.folder / "splits.csv", Split(sides, split.clusters), data)
    with pytest.raises(DataError, match=message):
        train(order(data, tiny_config, tmp_path / "run", "training.epochs=1"))
    assert not (tmp_path / "run").exists()


def test_the_command_asks_for_what_it_needs(tmp_path: Path):
    result = CliRunner().invoke(train_command, ["--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "Missing argument 'CONFIG'" in result.output
    result = CliRunner().invoke(train_command, ["two_step_demo", "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "Missing option '--data'" in result.output


def test_a_misspelt_label_to_refer_is_refused_before_anything_is_written(
    tiny_data: Dataset, tiny_config: Path, tmp_path: Path
):
    asked = order(tiny_data, tiny_config, tmp_path / "run", "calibration.refer_node=maligant")
    with pytest.raises(ConfigError, match=r"calibration\.refer_node must be .* Did you mean 'malignant'"):
        train(asked)
    assert not (tmp_path / "run").exists()


def test_a_tree_without_the_default_label_to_refer_is_only_noted(tiny_data: Dataset, tiny_config: Path):
    tree = Taxonomy.from_paths(("category", "condition"), [("benign", "wart"), ("inflammatory", "acne")])
    notes = check_refer_node(dataclasses.replace(tiny_data, taxonomy=tree), read_config(tiny_config))
    assert len(notes) == 1
    assert "no label 'malignant', so no photo is referred" in notes[0]
    assert check_refer_node(tiny_data, read_config(tiny_config, ["calibration.refer_node="])) == []


def test_resuming_elsewhere_is_noted_and_the_first_record_kept(
    tiny_run: Run, tiny_data: Dataset, tiny_config: Path, tmp_path: Path
):
    copy = Path(shutil.copytree(tiny_run.folder, tmp_path / "copy"))
    record = copy / "environment.json"
    facts = json.loads(record.read_text())
    facts |= {"backend": "abacus", "cores": 96, "packages": facts["packages"] | {"keras": "2.0"}}
    record.write_text(json.dumps(facts))
    old, new = copy / "model" / ".root.keras.x.tmp", copy / "checkpoints" / ".root.npz.x.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    train(order(tiny_data, tiny_config, copy, resume=True))
    assert json.loads(record.read_text()) == facts
    log = (copy / "log.txt").read_text()
    for words in ("not as when the run began", "backend 'abacus' -> ", "cores 96 -> ", "keras '2.0' -> "):
        assert words in log
    assert "not as when the run began" not in (tiny_run.folder / "log.txt").read_text()
    assert (old.exists(), new.exists()) == (False, True)  # a day old and forgotten; perhaps still being written
