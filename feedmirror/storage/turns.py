"""Turns of the writers on one machine, so that their transactions do not undo each other at the clock.

MongoDB ends a transaction that meets a document held by another one: the work is done again, and `mongod.log` gets a
line of a kilobyte. So the writers of one machine wait for each other here first. The lock is a name that one socket at
a time can have (abstract, see unix(7)): there is no file, and the kernel takes it back from a process that dies.

Nothing rests on it: the transaction alone keeps the order. Writers on other machines, and on systems without such
names, meet at the clock as before. A process that is stopped keeps the name, so the wait is bounded.
"""

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha224
from typing import Any

from pymongo.database import Database

# A transaction takes some hundredths of a second. One that takes this long is stuck.
_WAIT_S = 1.0
# After a wait in vain the next transactions begin at once: MongoDB ends the one that is stuck within this time.
_NO_WAIT_S = 5.0
# Nothing tells when a name comes free, so it is asked for again and again: often enough to lose little.
_ASK_AGAIN_S = 0.001


class Turns:
    """The turns at one database. Each writer may have its own object: all ask for the same name."""

    def __init__(self, database: Database[dict[str, Any]]):
        self._database = database
        self._wait_again_at = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the writers that came first, for a second at most, and hold up the others during the block."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
            self._wait_for(lock)
            yield

    @property
    def name(self) -> str:
        """What a lock is called: one name for each database."""
        place = f"{self._database.client.primary} {self._database.name}"
        return f"\0feedmirror-{sha224(place.encode()).hexdigest()[:32]}"

    def _wait_for(self, lock: socket.socket) -> None:
        name, began = self.name, time.monotonic()
        while not _has_name(lock, name):
            now = time.monotonic()
            if now < self._wait_again_at:
                return
            if now - began >= _WAIT_S:
                self._wait_again_at = now + _NO_WAIT_S
                return
            time.sleep(_ASK_AGAIN_S)


def _has_name(lock: socket.socket, name: str) -> bool:
    """Whether the name is ours now, or there are no such names here."""
    try:
        lock.bind(name)
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True
