"""Two trainings never write to one run folder."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import sys

import pytest

from derm_sdk.errors import FileError
from derm_toolkit import lock
from derm_toolkit.errors import RunError
from derm_toolkit.lock import exclusive


def test_a_second_process_is_refused_while_the_first_holds_the_folder(tmp_path):
    code = (
        "import sys; from pathlib import Path; from derm_toolkit.lock import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "in\n"
    with pytest.raises(RunError, match="Another training is at work"), exclusive(tmp_path / "run"):
        pass
    other.kill()
    other.wait()
    with exclusive(tmp_path / "run"):  # what a killed process held is free again
        pass


def test_a_folder_into_which_nothing_came_is_taken_away(tmp_path):
    with exclusive(tmp_path / "new" / "run"):
        assert (tmp_path / "new" / "run").is_dir()
    assert not (tmp_path / "new" / "run").exists()


def test_a_file_in_the_folders_place_is_one_sentence(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(FileError, match="Cannot write"), exclusive(tmp_path / "run"):
        pass


def test_the_lock_file_of_a_run_stays_so_that_nobody_locks_another(tmp_path):
    with exclusive(tmp_path / "run"):
        (tmp_path / "run" / "config.toml").touch()
    assert (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.EWOULDBLOCK, RunError), (errno.EAGAIN, RunError), (errno.EIO, FileError), (errno.ENOTSUP, None)],
)
def test_only_a_lock_that_is_taken_means_another_training(tmp_path, monkeypatch, number, error):
    def flock(*_):
        raise OSError(number, "no lock")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with pytest.raises(error) if error else contextlib.nullcontext(), exclusive(tmp_path / "run"):
        assert error is None
