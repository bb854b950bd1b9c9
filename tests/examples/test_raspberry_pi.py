"""examples/raspberry_pi with a camera made of a video file: what is logged, and what happens when things are pulled out."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from derm_sdk import Classifier

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "raspberry_pi"
FRAMES = 3


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The example's modules, found as its program finds them."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = ("camera", "log", "trigger", "watch")
    yield SimpleNamespace(**{name: __import__(name) for name in names})
    for name in names:
        del sys.modules[name]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Three drawn frames."""
    path = tmp_path / "camera.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (160, 120))
    assert writer.isOpened()
    for number in range(FRAMES):
        frame = np.full((120, 160, 3), (150, 172, 224), np.uint8)
        writer.write(cv2.circle(frame, (80, 60), 15 + 15 * number, (40, 50, 90 + 40 * number), -1))
    writer.release()
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_frame_of_the_camera_is_a_line_of_the_log(video: Path, tmp_path: Path, modules: SimpleNamespace):
    log = tmp_path / "answers.jsonl"
    command = [sys.executable, FOLDER / "watch.py", "--camera", video, "--log", log, "--every", "0", "--count", str(FRAMES)]
    subprocess.run(command, check=True, capture_output=True)
    camera = modules.camera.open_camera(str(video))
    with Classifier() as classifier:
        expected = [json.loads(classifier.classify(camera.frame()).to_json()) for _ in range(FRAMES)]
    assert [line["result"] for line in read(log)] == expected
    with pytest.raises(modules.camera.CameraLost, match="gives no picture any more"):
        camera.frame()


def test_a_service_that_is_told_to_stop_ends_in_order(video: Path, tmp_path: Path):
    log = tmp_path / "answers.jsonl"
    command = [sys.executable, FOLDER / "watch.py", "--camera", video, "--log", log, "--every", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        while "gives no picture any more" not in running.stderr.readline():  # the video is over: it waits for the camera
            assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    assert len(read(log)) >= FRAMES


def test_a_camera_that_is_unplugged_is_told_once_and_no_photo_is_lost(
    video: Path, tmp_path: Path, modules: SimpleNamespace, capsys: pytest.CaptureFixture[str]
):
    away, waited = tmp_path / "unplugged.avi", []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:
            video.rename(away)
        if len(waited) == 9:
            away.rename(video)

    stop, log = threading.Event(), modules.log.JsonLog(tmp_path / "log")
    with Classifier() as classifier:
        watcher = modules.watch.Watcher(classifier, lambda: modules.camera.open_camera(str(video)), log, wait)
        watcher.run(modules.trigger.Interval(0), stop, FRAMES + 2)
    assert len(read(tmp_path / "log")) == FRAMES + 2
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "INFO" not in line] == [
        f"The camera {str(video)!r} gives no picture any more; was it unplugged?",
        f"There is no camera {str(video)!r}; plug it in, or name another with --camera.",
        "It works again.",
    ]


def test_a_full_card_loses_no_photo(
    video: Path, tmp_path: Path, modules: SimpleNamespace, capsys: pytest.CaptureFixture[str]
):
    path, limits = tmp_path / "log", resource.getrlimit(resource.RLIMIT_FSIZE)
    log = modules.log.JsonLog(path)
    log.append({"before": 1})

    def wait(seconds: float) -> None:
        assert read(path) == [{"before": 1}], "nothing of the line that did not fit is left"
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with Classifier() as classifier:
        watcher = modules.watch.Watcher(classifier, lambda: modules.camera.open_camera(str(video)), log, wait)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, limits[1]))
        try:
            watcher.run(modules.trigger.Interval(0), threading.Event(), 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [sorted(line) for line in read(path)] == [["before"], ["result", "time"]]
    assert "the card is full" in capsys.readouterr().err


def test_what_a_power_cut_left_unfinished_is_cut_off(tmp_path: Path, modules: SimpleNamespace):
    path = tmp_path / "log"
    path.write_bytes(b'{"n": 1}\n{"n": 2}\n{"n": ' + b"3" * 100_000)
    log = modules.log.JsonLog(path)
    log.append({"n": 4})
    assert [line["n"] for line in read(path)] == [1, 2, 4]
    with pytest.raises(OSError, match="another program writes to it"):
        modules.log.JsonLog(path)


@pytest.mark.parametrize("keep", [0, 2])
def test_the_log_is_bounded_and_keeps_the_newest(tmp_path: Path, modules: SimpleNamespace, keep: int):
    log = modules.log.JsonLog(tmp_path / "log", max_bytes=100, keep=keep)
    for n in range(100):
        log.append({"n": n})
    files = [*(tmp_path / f"log.{number}" for number in range(keep, 0, -1)), tmp_path / "log"]
    assert sorted(os.listdir(tmp_path)) == sorted(file.name for file in files)
    assert all(file.stat().st_size <= 100 for file in files)
    kept = [line["n"] for file in files for line in read(file)]
    assert kept == list(range(100 - len(kept), 100)) and len(kept) > 5 * keep


def test_a_photo_that_took_long_delays_the_next_and_none_pile_up(modules: SimpleNamespace, monkeypatch: pytest.MonkeyPatch):
    clock, waits = [0.0], []

    class Stop:
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            clock[0] += seconds
            return False

    monkeypatch.setattr(modules.trigger.time, "monotonic", lambda: clock[0])
    every = modules.trigger.Interval(10)
    for busy in (1, 35, 1, 1):
        every.wait(Stop())
        clock[0] += busy
    assert waits == [0, 9, 0, 9]
