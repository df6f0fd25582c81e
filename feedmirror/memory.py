"""What a process with many threads keeps of the memory that it once needed."""

import ctypes
import sys

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2


def share_between_threads() -> None:
    """Have threads take memory from two places instead of one each, before there are any; only with glibc.

    What one thread has freed, none of the others can use: a worker's processes with 32 threads each held twice as much
    (mallopt(3), M_ARENA_MAX). They hardly ever ask at the same moment, because of Python's lock.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, _ARENAS)
