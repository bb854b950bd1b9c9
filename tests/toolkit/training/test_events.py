"""Logs for TensorBoard, read back with its own reader: no step lost, none twice, whatever happened to the file."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from derm_toolkit.data.manifest import Dataset, read_split
from derm_toolkit.training.config import read_config
from derm_toolkit.training.events import write_events
from derm_toolkit.training.run import Run
from derm_toolkit.training.train import Order, train

from .flat import write_config


def history(epochs: int, loss: float = 1.0) -> list[dict[str, Any]]:
    return [{"graph": "root", "epoch": n, "loss": loss / n, "seconds": 2.0} for n in range(1, epochs + 1)]


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """(step, value) of every event, as TensorBoard reads them."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = reading.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def expected(epochs: int, loss: float = 1.0) -> list[tuple[int, Any]]:
    return [(n, pytest.approx(loss / n)) for n in range(1, epochs + 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("tensorboard")
    write_events(tmp_path / "root", history(3))
    return tmp_path / "root"


def events_file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_an_epoch_is_put_behind_the_others_where_a_running_tensorboard_reads_on(folder: Path):
    file = events_file(folder)
    before = file.stat().st_ino, file.read_bytes()
    write_events(folder, history(4))
    assert (file.stat().st_ino, file.read_bytes()[: len(before[1])]) == before
    assert scalars(folder, "loss") == expected(4)


@pytest.mark.parametrize("cut", [1, 40, 10_000])
def test_a_file_cut_off_by_a_kill_is_made_whole(folder: Path, cut: int):
    file = events_file(folder)
    file.write_bytes(file.read_bytes()[:-cut])
    write_events(folder, history(3))
    assert scalars(folder, "loss") == expected(3)


def test_a_file_of_another_history_is_replaced(folder: Path):
    write_events(folder, history(2, loss=5.0))
    assert scalars(folder, "loss") == expected(2, loss=5.0)


def test_moments_are_the_seconds_that_the_epochs_took(folder: Path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = reading.EventAccumulator(str(folder))
    accumulator.Reload()
    times = [event.wall_time for event in accumulator.Scalars("loss")]
    assert [later - times[0] for later in times] == [0.0, 2.0, 4.0]


def test_a_training_logs_every_network_as_history_csv_does(tiny_run: Run):
    pytest.importorskip("tensorboard")
    with (tiny_run.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    for graph in ("root", "expert-malignant"):
        told = [(int(row["epoch"]), float(row["validation_macro_f1"])) for row in rows if row["graph"] == graph]
        read = scalars(tiny_run.folder / "tensorboard" / graph, "validation_macro_f1")
        assert read == [(step, pytest.approx(value, abs=1e-5)) for step, value in told]


def test_tensorflow_is_not_loaded_for_it(tmp_path: Path):
    pytest.importorskip("tensorboard")
    code = (
        "import sys; from pathlib import Path; from derm_toolkit.training import events\n"
        "assert events.can_write_events()\n"
        "events.write_events(Path(sys.argv[1]), [{'graph': 'root', 'epoch': 1, 'loss': 1.0, 'seconds': 1.0}])\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert scalars(tmp_path, "loss") == [(1, 1.0)]


def test_without_the_package_a_note_says_so_once(tiny_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    split = read_split(tiny_data.folder / "splits.csv", tiny_data)
    config = read_config(write_config(tmp_path), ["training.epochs=1"])
    run = train(Order(config, tiny_data, split, tmp_path / "run"))
    assert (run.folder / "log.txt").read_text().count("no logs for TensorBoard") == 1
    assert not (run.folder / "tensorboard").exists()
