"""Which process has a data directory: a file in it that the process keeps locked, with its id inside.

The kernel gives the lock back when the process and those that inherited the file have ended. A copy of the directory
has a file of its own, which nothing locks. What is in the directory is not known here.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_NAME = "in-use-by"


def take(data_dir: Path) -> int | None:
    """Lock the directory for this process, and give the descriptor to keep open; None if it is locked already."""
    descriptor = os.open(data_dir / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    with suppress(OSError):  # a full disk has no room for the number either
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def holder(data_dir: Path) -> int | None:
    """The process id of the one that locked it; 0 if only that is unknown, None if the directory is free."""
    try:
        descriptor = os.open(data_dir / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 20).strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None
