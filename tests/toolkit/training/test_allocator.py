"""Freed memory stays with a process that asks for it, and with no other."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_FREE_200_MB = """
import ctypes, threading
from derm_toolkit.training.allocator import keep_freed_memory
if {kept}:
    keep_freed_memory()

def free_200_mb():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    piece = libc.malloc(200_000_000)
    ctypes.memset(piece, 1, 200_000_000)
    libc.free(piece)

thread = threading.Thread(target=free_200_mb)
thread.start()
thread.join()
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) // 1000)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's allocator")
@pytest.mark.parametrize(
    ("kept", "variables", "stays"),
    [(True, {}, True), (False, {}, False), (True, {"MALLOC_MMAP_THRESHOLD_": "100000"}, False)],
    ids=["asked", "not asked", "the user's own choice"],
)
def test_freed_memory_stays_where_it_is_asked_for(kept: bool, variables: dict[str, str], stays: bool):
    plain = {
        name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES" and not name.startswith("MALLOC_")
    }
    told = subprocess.run(
        [sys.executable, "-c", _FREE_200_MB.format(kept=kept)],
        env=plain | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (int(told.stdout) > 200) == stays
