import json
import os
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
        (["classify", "{photo}", "--fitzpatrick", "³"], 1, "fitzpatrick must be 1 to 6"),
        (["classify", "{photo}", "--fitzpatrick=+-3"], 1, "fitzpatrick must be 1 to 6"),
        (["classify", "{photo}", "--fitzpatrick="], 1, "fitzpatrick must be 1 to 6"),
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


def shell(command: str, *arguments: object, **environment: str):
    """Runs `derm` in a shell; "$@" in the command stands for it and its arguments."""
    derm = [sys.executable, "-c", "from derm_sdk.cli import main; main(prog_name='derm')", *map(str, arguments)]
    return subprocess.run(
        ["sh", "-c", command, "sh", *derm], capture_output=True, check=False, env={**os.environ, **environment}
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("arguments", [["inspect", "{bundle}"], ["--help"], ["inspect", "--help"], ["--version"]])
def test_a_full_disk_behind_stdout_is_one_sentence(bundle_path, arguments):
    done = shell('"$@" > /dev/full', *(text.format(bundle=bundle_path) for text in arguments))
    assert (done.returncode, done.stderr) == (1, b"Error: The system refused to read or write: No space left on device.\n")


def test_a_reader_that_goes_away_is_no_error_to_speak_of(bundle_path):
    done = shell('{ sleep 1; "$@"; echo $? >&2; } | true', "inspect", bundle_path)
    assert done.stderr.strip() == b"1"


def test_a_terminal_that_lacks_a_character_gets_a_question_mark(bundle_path, photo):
    done = shell('"$@"', "classify", photo, "--model", bundle_path, PYTHONIOENCODING="cp1252")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert b"?? " in done.stdout and b"answer:" in done.stdout


def test_a_closed_stderr_stops_nothing(bundle_path, photo):
    done = shell('"$@" 2>&-', "classify", photo, "--model", bundle_path)
    assert done.returncode == 0 and b"answer:" in done.stdout


def test_doctor_finds_everything_in_place():
    """Needs the starter, derm_sdk/models/starter.derm: without it an installation is not whole."""
    done = run("doctor")
    assert "preprocessing  version 1, the same bytes as everywhere" in done.stdout
    assert "native core    compiled" in done.stdout
    assert (done.exit_code, "FAILED" in done.stdout) == (0, False), done.stdout


def test_doctor_opens_the_starter_and_classifies_with_it(bundle_path, monkeypatch):
    monkeypatch.setattr("derm_sdk.cli.starter_path", lambda: str(bundle_path))
    done = run("doctor")
    assert done.exit_code == 0, done.stdout
    assert "starter        tiny: opened in" in done.stdout


@pytest.mark.parametrize(
    ("name", "replacement", "message"),
    [
        ("starter_path", "missing.derm", "starter        FAILED: Cannot read 'missing.derm'"),
        ("_PROBE_SHA256", "0" * 64, "preprocessing  FAILED: the prepared bytes are not those of version 1"),
    ],
)
def test_doctor_names_what_fails_and_says_so_with_its_exit_code(bundle_path, monkeypatch, name, replacement, message):
    monkeypatch.setattr("derm_sdk.cli.starter_path", lambda: str(bundle_path))
    monkeypatch.setattr(f"derm_sdk.cli.{name}", (lambda: replacement) if name == "starter_path" else replacement)
    done = run("doctor")
    assert done.exit_code == 1
    assert message in done.stdout


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
