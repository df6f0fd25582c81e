"""MongoDB as a broker: kombu's transport, kept from what stops it or fills the database.

Remote control (`celery inspect`, a monitor's pages of workers) is a collection of bounded size, of which each worker
reads the tail. MongoDB gives no tail of an empty collection: the cursor is dead from the start, and kombu's worker
would listen to it for ever and hear nothing, on every new installation. Here it is opened anew.

Events go to a queue for each monitor. One that was killed leaves its queue, and unless something is forgotten, each
event of all workers is kept for it (https://github.com/celery/celery/issues/1047: fifty gigabytes). With the option
`ttl` MongoDB forgets what is over its time; but kombu then says with each glance at a queue, five times a second, that
the queue is still in use, which is a write. Here it says so every few seconds.
"""

import atexit
import time
from typing import Any
from weakref import WeakSet

from kombu.transport import mongodb
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.cursor import CursorType
from pymongo.errors import OperationFailure

_Document = dict[str, Any]

# Half of the shortest time that Celery gives a queue (control_queue_expires); MongoDB looks once a minute.
_STILL_IN_USE_S = 5.0
_DRAIN_S = 0.5
# It is read too slowly, and what it stood at was overwritten; MongoDB does not know it any more.
_CURSOR_IS_LOST = frozenset({136, 43})


# Celery ends without closing all channels. Those that are open then have threads, for which the end waits a second.
_clients: WeakSet[MongoClient[_Document]] = WeakSet()


@atexit.register
def _close_clients() -> None:
    for client in list(_clients):
        client.close()


class Tail:
    """What is said to all from now on: documents as they are added to a capped collection, in their order."""

    def __init__(self, collection: Collection[_Document], exchange: str):
        self._collection = collection
        self._wanted = {"queue": exchange}
        self._last: Any = None
        self._cursor: Any = None
        self.purge()

    def __iter__(self) -> "Tail":
        return self

    def __next__(self) -> _Document:
        """The next one; StopIteration if there is none yet."""
        if not self._cursor.alive:
            self._cursor = self._reopened()
        try:
            document: _Document = next(self._cursor)
        except OperationFailure as error:
            if error.code not in _CURSOR_IS_LOST:
                raise
            raise StopIteration from None
        self._last = document["_id"]
        return document

    def purge(self, *_: object) -> None:
        """Leave out what was said so far."""
        newest = self._collection.find_one(self._wanted, {"_id": 1}, sort=[("$natural", -1)])
        self._last = newest and newest["_id"]
        self._cursor = self._reopened()

    def get_size(self) -> int:
        """Nobody needs to know how many there are; kombu asks whenever a queue is declared."""
        return 0

    def close(self) -> None:
        self._cursor.close()

    def _reopened(self) -> Any:
        """A cursor behind the last one seen; from the first one on if that was overwritten."""
        cursor = self._collection.find(self._wanted, cursor_type=CursorType.TAILABLE)
        if self._last is not None and self._collection.find_one({"_id": self._last}, {"_id": 1}):
            for document in cursor:
                if document["_id"] == self._last:
                    break
        return cursor


class Channel(mongodb.Channel):
    """Kombu's, with tails that do not die and queues that are rarely said to be in use.

    With the option `selection_timeout_s` a MongoDB that is away is known to be after that, and not after half a minute.
    """

    selection_timeout_s: float | None = None
    from_transport_options = (*mongodb.Channel.from_transport_options, "selection_timeout_s")  # type: ignore[assignment]

    def __init__(self, *arguments: Any, **named: Any):
        self._said_at: dict[str, float] = {}
        super().__init__(*arguments, **named)

    def _prepare_client_options(self, options: dict[str, Any]) -> dict[str, Any]:
        if self.selection_timeout_s is not None:
            options["serverselectiontimeoutms"] = int(self.selection_timeout_s * 1000)
        prepared: dict[str, Any] = super()._prepare_client_options(options)
        return prepared

    def _create_broadcast_cursor(self, exchange: str, routing_key: Any, pattern: Any, queue: str) -> Tail:
        tail = Tail(self.broadcast, exchange)
        self._broadcast_cursors[queue] = tail
        return tail

    def _update_queues_expire(self, queue: str) -> None:
        now = time.monotonic()
        if now - self._said_at.get(queue, -_STILL_IN_USE_S) >= _STILL_IN_USE_S:
            self._said_at[queue] = now
            super()._update_queues_expire(queue)

    def _create_client(self) -> Any:
        database = super()._create_client()
        _clients.add(database.client)
        return database

    def close(self) -> None:
        super().close()
        database = self.__dict__.pop("client", None)
        if database is not None:
            database.client.close()


class Transport(mongodb.Transport):
    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **options: Any) -> Any:
        """As Celery asks for, which gives two seconds: until then it does not notice that it is to end."""
        timeout = _DRAIN_S if timeout is None else min(timeout, _DRAIN_S)
        return super().drain_events(connection, timeout, **options)
