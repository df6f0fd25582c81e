"""The bundled MongoDB as a part of the system: it waits for room on its disk, and its log stays small."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from feedmirror import data_dir, disk, mongod
from feedmirror.config import Settings
from feedmirror.errors import MongodError
from feedmirror.part import Part, say

# How often the room on its disk and the length of its log are looked at. A busy installation logs a kilobyte meanwhile.
_LOOK_EVERY_S = 5


class MongodbPart(Part):
    """Other shells find it through the data directory as soon as it is usable for the first time."""

    only_errors = True

    def __init__(self, settings: Settings, port: int, lock: int):
        super().__init__("mongodb", mongod.command(settings.data_dir, port), inherited=[lock])
        self.uri = mongod.uri_at(port)
        self._data_dir, self._port = settings.data_dir, port
        self._disk = disk.Watch(settings)
        self._is_usable = False
        self._look_at = 0.0

    def obstacle(self) -> str | None:
        self._is_usable = False
        if told := disk.full(self._data_dir):
            return told
        try:
            mongod.prepare(self._data_dir, self._port)
        except (MongodError, OSError) as error:
            return str(error)
        return None

    def tend(self) -> bool:
        if not self._is_usable:
            self._is_usable = self._becomes_usable()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_S
            self._look_after()
        return self._is_usable

    def last_lines(self) -> Sequence[str]:
        if told := disk.full(self._data_dir):
            return [told]
        return mongod.last_lines(mongod.log_of(self._data_dir))

    def _becomes_usable(self) -> bool:
        with mongod.client_of(self._port) as client:
            if not mongod.is_usable(client, self._port):
                return False
        try:
            data_dir.announce(self._data_dir, self._port, self.uri)
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
def mongodb(settings: Settings) -> Iterator[MongodbPart | str]:
    """The bundled MongoDB as a part to be kept up, or the address of the one that is there already.

    Raises ConfigError where the data directory cannot be used, MongodError where no MongoDB can be run.
    """
    if settings.mongodb_uri:
        yield settings.mongodb_uri
        return
    with data_dir.held(settings.data_dir, answers=lambda: mongod.answers(settings)) as lock:
        if lock is None:
            yield settings.database_uri
            return
        try:
            yield MongodbPart(settings, data_dir.free_port(settings.data_dir), lock)
        finally:
            data_dir.withdraw(settings.data_dir)
