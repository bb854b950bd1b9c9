"""Freed memory that stays with the process, so that the next training step finds it ready.

A step frees gigabytes and asks for them again. By default glibc hands large pieces back to the kernel, which has to zero
each page before it gives it out anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform

# mallopt(3): numbers of the parameters, and values that mean "never hand back" and "one heap for all threads", since the
# heaps of single threads cannot hold a piece above 64 MiB.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed; the process then stays as large as it once was. Without effect elsewhere.

    It must come before any thread is started that will need memory. Who has set glibc's own variables is not overruled.
    """
    chosen = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if chosen or platform.libc_ver()[0] != "glibc":
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((_M_TRIM_THRESHOLD, _LARGEST), (_M_MMAP_THRESHOLD, _LARGEST), (_M_ARENA_MAX, 1)):
            mallopt(parameter, value)
