"""Turns of the writers on one machine, so that their transactions do not undo each other at the clock.

MongoDB ends a transaction that meets a document held by another one: the work is done again, and `mongod.log` gets a
line of a kilobyte. So the writers of one machine wait for each other here first, by a lock of the kernel, which a
process that dies gives back.

Nothing rests on it: the transaction alone keeps the order. Writers on other machines, and writers that cannot open the
file, meet at the clock as before. A process that is stopped keeps the lock, so the wait is bounded.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha224
from pathlib import Path
from typing import Any

from pymongo.database import Database

# A transaction takes some hundredths of a second. One that takes this long is stuck.
_WAIT_S = 1.0
# After a wait in vain the next transactions begin at once: MongoDB ends the one that is stuck within this time.
_NO_WAIT_S = 5.0
# flock(2) has no time-out, so it is asked again and again: often enough to lose little beside a transaction.
_ASK_AGAIN_S = 0.001


class Turns:
    """The turns at one database. Each writer may have its own object: all meet at the same file."""

    def __init__(self, database: Database[dict[str, Any]], directory: Path | None = None):
        self._database = database
        self._directory = directory or Path(tempfile.gettempdir())
        self._wait_again_at = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the writers that came first, for a second at most, and hold up the others during the block."""
        file = self._open()
        try:
            if file is not None:
                self._wait_for(file)
            yield
        finally:
            if file is not None:
                os.close(file)

    @property
    def path(self) -> Path:
        """The file of the lock: one for each database, and for each user, who could not open that of another one."""
        place = f"{self._database.client.primary} {self._database.name}"
        return self._directory / f"feedmirror-{os.getuid()}-{sha224(place.encode()).hexdigest()[:16]}.lock"

    def _open(self) -> int | None:
        """A description of the file of its own: its lock holds against those of other threads as well."""
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:  # a temporary directory that is full or read-only
            return None

    def _wait_for(self, file: int) -> None:
        began = time.monotonic()
        while not _locked(file):
            now = time.monotonic()
            if now < self._wait_again_at:
                return
            if now - began >= _WAIT_S:
                self._wait_again_at = now + _NO_WAIT_S
                return
            time.sleep(_ASK_AGAIN_S)


def _locked(file: int) -> bool:
    """Whether the lock is taken, or there are no locks on this file system."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
