"""`derm-toolkit explain`: what it writes, what it prints, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_toolkit.cli import main
from derm_toolkit.training.run import read_run

from .squares import GREEN, RED, SIZE, photo, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "squares")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = photo(200, 120, {RED: (60, 40, 30), GREEN: (110, 80, 30)})
    Image.fromarray(pixels).save(tmp_path / "spot.png")
    return tmp_path / "spot.png"


def call(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["explain", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize(("method", "node"), [("grad-cam", "malignant"), ("cam", "malignant"), ("grad-cam", "carcinoma")])
def test_two_pictures_and_a_record_are_written(run, picture, tmp_path, method, node):
    code, output = call(run, picture, "--node", node, "--method", method, "-o", tmp_path / "out")
    assert code == 0
    base = f"spot.{method}.{node}"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{base}{s}" for s in (".seen.png", ".photo.png", ".json")
    }
    found = json.loads((tmp_path / "out" / f"{base}.json").read_text())
    assert (found["node"], found["method"], found["layer"]) == (node, method, "found")
    assert found["graph"] == ("root" if node == "malignant" else "expert-malignant")
    assert found["photo_size"] == [200, 120]
    assert found["model"] == read_run(run).model_digest
    assert "never validated" in found["caveat"]
    before, after = np.asarray(Image.open(picture)), np.asarray(Image.open(tmp_path / "out" / f"{base}.photo.png"))
    assert before.shape == after.shape
    x, y = found["peak"]
    assert tuple(before[y, x]) == (RED if node == "malignant" else GREEN)
    assert f"{node} 0.{round(100 * found['probability']):02d}" in output
    assert Image.open(tmp_path / "out" / f"{base}.seen.png").size == (SIZE, SIZE)


def test_feature_maps_are_a_grid_of_the_strongest_channels(run, picture, tmp_path):
    code, output = call(run, picture, "--method", "feature-maps", "--layer", "find", "--channels", 2, "-o", tmp_path / "out")
    assert code == 0
    assert "2 channels of find of root" in output
    found = json.loads((tmp_path / "out" / "spot.feature-maps.find.json").read_text())
    assert found["channels"] == [2, 0]  # everything but blue squares speaks against blue; green beside red does so for red
    width, height = Image.open(tmp_path / "out" / "spot.feature-maps.find.png").size
    assert width > 1.9 * height


def test_pictures_that_are_there_already_stay_unless_asked(run, picture, tmp_path):
    words = (run, picture, "--node", "malignant", "-o", tmp_path / "out")
    assert call(*words)[0] == 0
    written = tmp_path / "out" / "spot.grad-cam.malignant.json"
    written.write_text("mine")
    code, output = call(*words)
    assert code == 1
    assert "exists already; name another folder with -o, or add --overwrite" in output
    assert written.read_text() == "mine"
    assert call(*words, "--overwrite")[0] == 0
    assert written.read_text() != "mine"


def test_a_bad_photo_does_not_keep_the_others_from_being_explained(run, picture, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "spot.png").write_bytes(picture.read_bytes())
    code, output = call(run, tmp_path / "bad.png", picture, tmp_path / "more" / "spot.png", "-o", tmp_path / "out")
    assert code == 1
    assert "No image in" in output
    assert {path.name.split(".")[0] for path in (tmp_path / "out").iterdir()} == {"spot", "spot-2"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--node", "malignnat"], "Unknown label 'malignnat'. Known: .* Did you mean 'malignant'?"),
        (["--node", "carcinoma", "--method", "cam"], "'expert-malignant' does not end in global average pooling"),
        (["--node", "malignant", "--layer", "fnd"], "no map named 'fnd'. Known: found, find, .* Did you mean 'find'?"),
        (["--node", "malignant", "--graph", "expert-malignant"], "'expert-malignant' does not decide 'malignant'"),
        (["--method", "feature-maps", "--graph", "rot"], "Unknown graph 'rot'. Known: root, .* Did you mean 'root'?"),
        (["--method", "feature-maps", "--node", "malignant"], "leave --node out"),
        (["--fitzpatrick", "7"], "fitzpatrick must be 1 to 6"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_a_sentence(run, picture, tmp_path, words, sentence):
    code, output = call(run, picture, *words, "-o", tmp_path / "out")
    assert code == 1
    assert "Error: " in output
    assert re.search(sentence.replace("?", r"\?"), output), output
    assert not (tmp_path / "out").exists()
