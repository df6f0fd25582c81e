"""The bundled MongoDB as a part of the system: it waits for room on its disk, and its log stays small."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from feedmirror import data_dir, data_lock, disk, mongod
from feedmirror.config import Settings
from feedmirror.errors import FeedmirrorError
from feedmirror.part import Part, say

# How often the room on its disk and the length of its log are looked at. A busy installation logs a kilobyte meanwhile.
_LOOK_EVERY_S = 5
# How long the end of one may take that does not answer: one that is only busy needs half a second.
_HANGS_S = 1.0


class MongodbPart(Part):
    """Other shells find it through the data directory as soon as it is usable for the first time.

    Where another process has the data directory, its MongoDB is used, until it ends and this one takes its place.
    """

    when_orphaned = signal.SIGTERM  # it has something to put in order, and waits for nothing

    def __init__(self, settings: Settings, port: int, lock: int | None):
        super().__init__("mongodb", mongod.command(settings.data_dir, port))
        self.is_there = lock is None
        self._lock = lock
        self.uri = mongod.uri_at(port)
        self._data_dir, self._port = settings.data_dir, port
        self._disk = disk.Watch(settings)
        self._is_usable = False
        self._look_at = 0.0

    def obstacle(self) -> str | None:
        self._is_usable = False
        try:
            return self._obstacle()
        except FeedmirrorError as error:
            return str(error)

    def _obstacle(self) -> str | None:
        if self._lock is None:
            self._lock = data_dir.take_at_once(self._data_dir)
        if self._lock is None:
            return f"another Feedmirror (process {data_lock.holder(self._data_dir)}) has one, which is used"
        self.inherited = [self._lock]
        if told := disk.full(self._data_dir):
            return told
        mongod.prepare(self._data_dir, self._port)
        return None

    def tend(self) -> bool:
        if not self._is_usable:
            self._is_usable = self._becomes_usable()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_S
            self._look_after()
        return self._is_usable

    def shown(self, line: str) -> str | None:
        return mongod.complaint(line)

    def ends(self) -> None:
        """From now on no process shall begin to use it."""
        if self._lock is not None:
            data_dir.withdraw(self._data_dir)

    def patience_s(self) -> float:
        """One that hangs writes nothing any more, and its journal has what was acknowledged."""
        with mongod.client_of(self._port) as client:
            return super().patience_s() if mongod.is_usable(client, self._port) else _HANGS_S

    def close(self) -> None:
        """Give the data directory back."""
        if self._lock is not None:
            os.close(self._lock)

    def last_lines(self) -> Sequence[str]:
        if told := disk.full(self._data_dir):
            return [told]
        return mongod.last_lines(mongod.log_of(self._data_dir))

    def _becomes_usable(self) -> bool:
        with mongod.client_of(self._port) as client:
            if not mongod.is_usable(client, self._port):
                return False
        try:
            data_dir.announce(self._data_dir, self.uri)
        except OSError as error:
            say(self.name, f"other shells will not find it: {error}")
        say(self.name, f"MongoDB is ready at {self.uri}")
        return True

    def _look_after(self) -> None:
        if told := self._disk.news():
            say(self.name, told)
        if mongod.shorten(mongod.log_of(self._data_dir)):
            self.signal(signal.SIGUSR1)


@contextmanager
def mongodb(settings: Settings) -> Iterator[MongodbPart | None]:
    """The bundled MongoDB as a part to be kept up; None where MONGODB_URI names another.

    Raises ConfigError where the data directory cannot be used, MongodError where no MongoDB can be run.
    """
    if settings.mongodb_uri:
        yield None
        return
    lock = data_dir.take(settings.data_dir, answers=lambda: mongod.answers(settings))
    with closing(MongodbPart(settings, _port(settings, lock), lock)) as part:
        yield part


def _port(settings: Settings, lock: int | None) -> int:
    if lock is None and (port := data_dir.remembered_port(settings.data_dir)):
        return port
    return data_dir.free_port(settings.data_dir)
