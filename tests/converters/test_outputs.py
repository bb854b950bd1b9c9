"""All files of a conversion, or none: full disks, kills, and two writers at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from derm_converters.outputs import check_places, write_all
from derm_sdk import FileError


def test_all_are_written_and_the_folder_is_whole(tmp_path):
    (tmp_path / "plain").mkdir()
    write_all({tmp_path / "a": b"a", tmp_path / "new" / "b": b"b"}, tmp_path / "plain", {"c": b"c", "d": b"d"})
    assert {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == {
        "a": b"a", "new/b": b"b", "plain/c": b"c", "plain/d": b"d"
    }  # fmt: skip


def in_another_process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "second", ["files={bundle: bytes(100), page: bytes(20000)}", "folder=plain, inside={'g': bytes(20000)}"]
)
def test_a_disk_that_fills_up_between_two_outputs_leaves_all_of_them_as_they_were(tmp_path, second):
    (tmp_path / "x.derm").write_bytes(b"old")
    done = in_another_process(f"""
import resource, signal
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
from derm_converters.outputs import write_all
from derm_sdk import FileError
bundle, page, plain = (Path({str(tmp_path)!r}) / name for name in ("x.derm", "page.html", "plain"))
try:
    write_all(**({{"files": {{bundle: bytes(100)}}}} | dict({second})))
except FileError as error:
    print(error)
""")
    assert "Cannot write" in done.stdout and "File too large" in done.stdout, done.stderr
    assert os.listdir(tmp_path) == ["x.derm"] and (tmp_path / "x.derm").read_bytes() == b"old"


def test_a_kill_before_the_last_file_is_on_the_disk_leaves_all_of_them_as_they_were(tmp_path):
    (tmp_path / "x.derm").write_bytes(b"old")
    places = f"{{Path({str(tmp_path / 'x.derm')!r}): bytes(100), Path({str(tmp_path / 'page.html')!r}): bytes(100)}}"
    code = f"""
import os, signal
from pathlib import Path
from derm_converters.outputs import write_all
synced, real = [], os.fsync
def killed(handle):
    synced.append(handle)
    if len(synced) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    real(handle)
os.fsync = killed
write_all({places})
"""
    assert in_another_process(code).returncode == -9
    assert (tmp_path / "x.derm").read_bytes() == b"old" and not (tmp_path / "page.html").exists()
    write_all({tmp_path / "x.derm": b"new", tmp_path / "page.html": b"page"})
    assert (tmp_path / "x.derm").read_bytes() == b"new" and (tmp_path / "page.html").read_bytes() == b"page"


def test_two_at_once_leave_whole_files_of_one_of_them(tmp_path):
    contents = [bytes([place]) * 100_000 for place in range(6)]
    writers = [threading.Thread(target=write_all, args=({tmp_path / "x.derm": content},)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (tmp_path / "x.derm").read_bytes() in contents and os.listdir(tmp_path) == ["x.derm"]


def test_what_is_in_the_way_is_found_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    for files, folder, words in (
        (["a", "./a"], None, "named for two outputs"),
        (["full"], None, "it is a folder"),
        (["full/file/a"], None, "is no folder that may be written to"),
        (["a" * 300], None, "name too long"),
        (["a"], "full", "is not empty; name a new one"),
        (["a"], "full/file", "it is no folder"),
        (["new/a"], "new", "lies inside the folder of the plain graphs"),
    ):
        with pytest.raises(FileError, match=f"(?i){words}"):
            check_places([tmp_path / name for name in files], None if folder is None else tmp_path / folder)
    check_places([Path("a")], tmp_path / "new")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FileError, match="may be written to"):
        check_places([tmp_path / "a"])
    assert sorted(os.listdir(tmp_path)) == ["full"]
