"""What `derm bench` measures and says; never how fast this machine is."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_sdk import BundleError, FileError, OptionError, bench
from derm_sdk.bench import Measured, Timing, comparison, drawn_photo, measure
from derm_sdk.cli import main

WAY = ["cold start", "open", "decode", "prepare"]
TINY = ["graph root", "graph expert-benign", "graph expert-malignant", "graph expert-non-neoplastic"]


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def measured(bundle_path, photo):
    (found,) = measure([str(bundle_path)], photo, threads=2, repeats=3)
    return found


def test_every_step_of_the_way_is_measured(measured):
    assert list(measured.steps) == [*WAY, *TINY, "compose and tell", "classify"]
    assert {len(timing.milliseconds) for name, timing in measured.steps.items() if name != "cold start"} == {3}
    assert all(time > 0 for timing in measured.steps.values() for time in timing.milliseconds)
    assert {threads: list(found) for threads, found in measured.by_threads.items()} == {
        1: ["graphs", "classify"], 2: ["graphs", "classify"],
    }  # fmt: skip
    assert measured.steps["classify"].p50 > measured.steps["graph root"].p50


def test_memory_grows_on_the_way(measured):
    if not measured.memory:
        pytest.skip("this system does not tell a process's memory")
    assert list(measured.memory) == ["import", "open", "classify"]
    assert 10 < measured.memory["import"] <= measured.memory["open"] <= measured.memory["classify"] < 500


def test_the_text_has_every_step_and_the_json_the_same_numbers(measured):
    text, data = str(measured), measured.to_dict()
    assert "photo.jpg, 80 x 60 pixels" in text and text.splitlines()[-1].startswith("limit: ")
    for name, timing in measured.steps.items():
        assert f"{timing.p50:.2f}" in next(line for line in text.splitlines() if line.startswith(f"{name}  "))
        assert data["steps"][name] == {"p50": timing.p50, "p95": timing.p95, "n": len(timing.milliseconds)}
    assert json.loads(json.dumps(data))["threads"]["2"]["graphs"]["n"] == 3


def test_percentiles_are_those_of_the_repetitions():
    timing = Timing(tuple(float(n) for n in range(101)))
    assert (timing.p50, timing.p95) == (50, 95)


def told(decode=1.0, prepare=1.0, graph=1.0, two=None, precision="int8", megabytes=4.0, name="a.derm", way="full"):
    times = {"cold start": 500, "open": 90, "decode": decode, "prepare": prepare, "graph x": graph, "classify": 99.0}
    steps = {step: Timing((float(time),)) for step, time in times.items()}
    threads = {1: graph, 2: graph if two is None else two}
    by_threads = {n: {"graphs": Timing((float(t),)), "classify": Timing((9.0,))} for n, t in threads.items()}
    model = {"file": name, "id": "m", "version": "1", "precision": precision, "megabytes": megabytes, "decode": way}
    return Measured(model, "drawn", steps, by_threads, {})


@pytest.mark.parametrize(
    ("measured", "limit"),
    [
        (told(decode=8), "decode: 80 % of a photo's time. A smaller JPEG"),
        (
            told(decode=8, way="reduced"),
            "decode: 80 % of a photo's time. A smaller JPEG, or pixels that the camera has",
        ),
        (told(graph=8, two=4), "graphs: 80 % of a photo's time. With 2 threads the graphs take 0.50 of the time."),
        (told(graph=8, precision="float32"), "graphs: 80 % of a photo's time. An int8 model would be quicker."),
        (told(graph=8), "graphs: 80 % of a photo's time. Only a smaller network would be quicker."),
    ],
)
def test_what_limits_is_named_with_what_would_help(measured, limit):
    assert measured.limit.startswith(limit)


def test_a_missing_core_is_named(monkeypatch):
    monkeypatch.setattr(bench, "native", None)
    assert "The compiled core is missing" in told(prepare=8).limit


def test_two_models_side_by_side():
    lines = comparison(told(graph=4), told(graph=2, megabytes=1.0, name="/far/b.derm")).splitlines()
    assert lines[0].split() == ["p50,", "ms", "a.derm", "b.derm", "ratio"]
    assert next(line for line in lines if line.startswith("graphs")).split() == ["graphs", "4.00", "2.00", "0.50"]
    assert lines[-1].split() == ["file,", "MB", "4.00", "1.00", "0.25"]


def test_the_drawn_photo_is_a_phones():
    assert 3e6 < len(drawn_photo()) < 5e6


def test_the_command_measures_two_models_in_turn(bundle_path, photo):
    arguments = [
        "bench",
        str(bundle_path),
        "--photo",
        photo,
        "--repeats",
        "2",
        "--threads",
        "1",
        "--against",
        str(bundle_path),
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0 and "ratio" in done.stdout and done.stdout.count("limit: ") == 2
    found = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert [each["model"]["id"] for each in found] == ["tiny", "tiny"]


def test_wrong_arguments_are_one_sentence(bundle_path, photo, tmp_path):
    with pytest.raises(OptionError, match="repeats must be from 2"):
        measure([str(bundle_path)], photo, repeats=1)
    with pytest.raises(FileError, match="Cannot read"):
        measure([str(bundle_path)], str(tmp_path / "none.jpg"))
    (tmp_path / "bad.derm").write_bytes(b"no bundle")
    with pytest.raises(BundleError, match=r"bad\.derm"):
        measure([str(tmp_path / "bad.derm")], photo)
    done = CliRunner().invoke(main, ["bench", str(tmp_path / "none.derm")])
    assert done.exit_code == 1 and done.stderr.startswith("Error: Cannot read")
