import os
import subprocess
import sys

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
