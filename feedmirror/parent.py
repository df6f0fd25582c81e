"""Ending with one's parent process, however that ends."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
# Loaded here: after a fork the loader's lock may be held by a thread that is no longer there.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def end_with_parent(number: signal.Signals = signal.SIGTERM, *, parent: int | None = None) -> None:
    """Have the kernel send this signal to this process when the thread that started it ends (prctl(2)); only on Linux.

    `parent` is the process id of the parent, where it is known: it may have ended before this call.
    """
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), number)
