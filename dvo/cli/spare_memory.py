"""Memory that is free goes back to the system: for commands that let many rows pass through."""

from __future__ import annotations

import contextlib
import ctypes
import os

__all__ = ["spare_memory"]

# Numbers from malloc.h of glibc.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE_BYTES = 1 << 18


def spare_memory() -> None:
    """Have glibc keep one arena for all threads, and map what is large by itself.

    Otherwise each thread that ever ran keeps an arena with holes, together some 40 MB, and the
    allocator that Arrow brings along keeps 10 MB. Call it first in a command, before threads
    have begun and Arrow is there; with another C library only Arrow heeds it.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
