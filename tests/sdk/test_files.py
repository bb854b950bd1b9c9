import os
import stat
import subprocess
import sys
import threading

import pytest

from derm_sdk.errors import FileError
from derm_sdk.files import replacing, write_bytes


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b"half of the ne")
        raise RuntimeError
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.json"]


def test_a_full_disk_is_one_sentence_and_nothing_is_half_written(tmp_path):
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
from derm_sdk.files import write_bytes
from derm_sdk.errors import FileError
try:
    write_bytes({str(tmp_path / "big")!r}, bytes(20000))
except FileError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Cannot write" in done.stdout and "File too large" in done.stdout
    assert not os.listdir(tmp_path)


def test_a_file_where_a_folder_should_be_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="Cannot write"):
        write_bytes(tmp_path / "file" / "inside", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="Cannot write"):
        write_bytes(tmp_path / "folder", b"")
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_the_umask_is_obeyed_and_never_touched_so_that_other_threads_keep_it(tmp_path, monkeypatch):
    old = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda mask: pytest.fail("os.umask is shared by all threads"))
            write_bytes(tmp_path / "private", b"")
        assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o640
    finally:
        os.umask(old)


def test_threads_that_write_one_file_leave_one_of_their_contents(tmp_path):
    contents = [bytes([i]) * 1000 for i in range(8)]
    workers = [threading.Thread(target=write_bytes, args=(tmp_path / "x", data)) for data in contents]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "x").read_bytes() in contents and os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("path", ["a\0b", "a\0b/c"])
def test_a_null_character_in_a_path_is_one_sentence(tmp_path, path):
    with pytest.raises(FileError, match=r"Cannot write .*null"):
        write_bytes(tmp_path / path, b"")


def test_a_long_name_outside_ascii_can_be_written(tmp_path):
    write_bytes(tmp_path / ("é" * 120), b"x")
    assert os.listdir(tmp_path) == ["é" * 120]
