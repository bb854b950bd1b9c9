import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_sdk.cli import main


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8)).save(path)
    return str(path)


def run(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


def test_classify_prints_a_tree_and_says_what_it_is_not(bundle_path, photo):
    done = run("classify", photo, "--model", str(bundle_path), "--fitzpatrick", "IV")
    assert done.exit_code == 0, done.output
    first = done.stderr.splitlines()[0]
    assert "not a medical device" in first and "Apache-2.0" in first and "CC0-1.0" in first
    assert "answer:" in done.stdout


def test_classify_as_json_gives_one_object_a_line(bundle_path, photo):
    done = run("classify", photo, photo, "--model", str(bundle_path), "--json")
    assert [json.loads(line)["photo"] for line in done.stdout.splitlines()] == [photo, photo]


def test_a_bad_photo_among_good_ones_is_named_and_the_others_are_answered(bundle_path, photo, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no")
    done = run("classify", photo, str(tmp_path / "bad.jpg"), photo, "--model", str(bundle_path))
    assert done.exit_code == 1
    assert done.stderr.count("Error:") == 1 and "bad.jpg" in done.stderr
    assert done.stdout.count("answer:") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["classify", "{photo}", "--fitzpatrick", "7"], 1, "fitzpatrick must be 1 to 6"),
        (["classify", "{photo}", "--fitzpatrick", "VII"], 1, "fitzpatrick must be 1 to 6"),
        (["classify", "missing.jpg", "--model", "{bundle}"], 1, "Cannot read 'missing.jpg'"),
        (["classify", "{photo}", "--model", "missing.derm"], 1, "Cannot read 'missing.derm'"),
        (["classify", "{photo}", "--model", "{photo}"], 1, "no .derm file"),
        (["verify", "{photo}"], 1, "no .derm file"),
        (["inspect", "{photo}"], 1, "no .derm file"),
        (["classify"], 2, "Missing argument"),
        (["classify", "{photo}", "--routing", "some"], 2, "Invalid value for '--routing'"),
        (["clasify"], 2, "No such command"),
    ],
)
def test_mistakes_are_one_sentence_and_no_traceback(bundle_path, photo, arguments, code, message):
    filled = [text.format(photo=photo, bundle=bundle_path) for text in arguments]
    done = subprocess.run(
        [sys.executable, "-c", "from derm_sdk.cli import main; main()", *filled], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert message in done.stderr


def test_inspect_and_verify(bundle_path):
    assert "4 graphs" in run("inspect", str(bundle_path)).stdout
    assert json.loads(run("inspect", "--json", str(bundle_path)).stdout)["id"] == "tiny"
    assert run("inspect", "--card", str(bundle_path)).stdout.startswith("# Tiny")
    done = run("verify", str(bundle_path))
    assert done.exit_code == 0 and done.stdout.startswith("whole: tiny")


def test_doctor_finds_everything_in_place():
    done = run("doctor")
    assert "preprocessing  version 1, the same bytes as everywhere" in done.stdout
    assert "native core    compiled" in done.stdout


def test_help_names_every_command():
    listed = run("--help").stdout
    assert all(name in listed for name in ("classify", "inspect", "verify", "doctor"))


def test_a_device_without_the_training_packages_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['cv2'] = None; from derm_toolkit.cli import main;"
        f"main(['data', 'synth', {str(tmp_path / 'drawn')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The package 'cv2' is missing, which this command needs: pip install 'derm-sdk[all]'" in done.stderr
    assert "Traceback" not in done.stderr
