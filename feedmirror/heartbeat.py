"""The heartbeat of a process that polls: its own each second, and what it does about those that fall silent.

    every second ──> beat ──> free what a process held whose heartbeat has stopped ──> `each`

A process of this machine is dead when the machine says so. Another one counts as dead when its heartbeat did not change
while this process observed it several times over several seconds. A server that stalls, a machine that was asleep and a
clock that was set interrupt the observation, and it begins anew. A process that was taken for dead and is not (it was
stopped) goes on under the same id; what it held was polled by another one, and what it brings of that is refused by its
lease.
"""

import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime

from pymongo.errors import PyMongoError

from feedmirror.errors import StorageError
from feedmirror.process_identity import own_identity
from feedmirror.storage import Storage
from feedmirror.storage.processes import Role

log = logging.getLogger(__name__)

EVERY_S = 1.0
# Five heartbeats that did not come: one or two may be late on a machine that is busy. What a dead process held is
# polled again within ten seconds, a start of the process that observes this included.
_DEAD_AFTER_S = 4.5
_DEAD_AFTER = 5
# An observation that was interrupted for this long says nothing of what was before.
_INTERRUPTED_S = 3 * EVERY_S


class Observation:
    """The heartbeats of the others as seen from here: since when, and how often, each one has not changed."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._last = 0.0
        self._seen: dict[str, tuple[datetime, float, int]] = {}

    def dead(self, beats: Mapping[str, datetime]) -> list[str]:
        """Note these heartbeats, by process; the processes whose own stopped."""
        now = self._clock()
        known = self._seen if now - self._last <= _INTERRUPTED_S else {}
        self._last = now
        self._seen = {one: _noted(beat, known.get(one), now) for one, beat in beats.items()}
        return [
            one
            for one, (_, since, times) in self._seen.items()
            if now - since >= _DEAD_AFTER_S and times >= _DEAD_AFTER
        ]


def _noted(beat: datetime, known: tuple[datetime, float, int] | None, now: float) -> tuple[datetime, float, int]:
    if known is None or known[0] != beat:
        return beat, now, 1
    return beat, known[1], known[2] + 1


class Heartbeat:
    """Beats in a thread of its own from `start` to `stop`.

    `each` is called after each beat, with the storage; it may raise what storage raises.
    """

    def __init__(
        self, open_storage: Callable[[], Storage], role: Role, *, each: Callable[[Storage], None] = lambda _: None
    ):
        self.id = secrets.token_hex(6)
        self._open_storage = open_storage
        self._role = role
        self._each = each
        self._ending = threading.Event()
        self._observation = Observation()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin; does not wait for MongoDB, since a pool takes a process that is slow to start for dead."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is held stays so until it is released."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(2 * EVERY_S)  # it may wait for a server that is away

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._beat(self._open_storage())
            except (PyMongoError, StorageError) as error:
                log.debug("no heartbeat: %s", error)
            except Exception:
                log.exception("a bug in Feedmirror")
            self._ending.wait(EVERY_S)

    def _beat(self, storage: Storage) -> None:
        if not storage.processes.beat(self.id):
            self._register(storage)
        others = storage.processes.others(self.id)
        silent = self._observation.dead({one: other.beat_at for one, other in others.items()})
        ended = [one for one, other in others.items() if other.identity.has_ended()]
        for process_id in {*silent, *ended}:
            freed = storage.release(process_id)
            if freed:
                log.warning("a process died that polled: %d of its sources are polled again", freed)
        self._each(storage)

    def _register(self, storage: Storage) -> None:
        storage.processes.register(self.id, self._role, host=socket.gethostname(), identity=own_identity())


@contextmanager
def beating(storage: Storage, role: Role) -> Iterator[str]:
    """A heartbeat for the time of the block; gives the id under which what is claimed in it is held, then freed."""
    heartbeat = Heartbeat(lambda: storage, role)
    heartbeat.start()
    try:
        yield heartbeat.id
    finally:
        heartbeat.stop()
        with suppress(PyMongoError):  # others do it when they miss the heartbeat
            storage.release(heartbeat.id)
