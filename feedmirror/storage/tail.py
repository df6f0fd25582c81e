"""The tail of the stream: what is committed to it, as it is committed, for whoever keeps its newest part in memory.

    with tail.following() as events:       the change stream is open from here on
        recent = events.recent(1000)       what there is, read after that
        event = events.next()              what came since; some of it is in `recent` already

A transaction arrives as one event, with the head that it published: its last write to the clock says where it ends.
What retention does comes one by one. Events come in the order of their commits, and at least once: a head at or below
one that was seen is a replay.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.change_stream import ChangeStream
from pymongo.database import Database

from feedmirror.errors import StorageError
from feedmirror.models import Item
from feedmirror.storage.clock import STREAM, Clock
from feedmirror.storage.gaps import WHOLE_STREAM
from feedmirror.storage.item_document import NOT_FOR_INDEXES, is_stub, item_of

_Document = dict[str, Any]

# How long the server holds a question that it has no answer to: silence for longer means that nobody is there.
AWAIT_MS = 500


@dataclass(frozen=True, slots=True)
class Published:
    """What one transaction brought, edits included: all stamps up to `head_us` have been given."""

    items: tuple[Item, ...]
    head_us: int


@dataclass(frozen=True, slots=True)
class Removed:
    """Nobody keeps this item any more."""

    item_id: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """The item is in the lists of these sources only, from now on; its stamps are what they were."""

    item: Item


@dataclass(frozen=True, slots=True)
class Gap:
    """Of a source's list, or of the whole stream (None), items up to these stamps are going to be removed."""

    source_id: str | None
    fetched_us: int
    changed_us: int


Event = Published | Removed | LetGo | Gap


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest part of the stream: every item whose last change came after `floor_us`, and maybe some others."""

    items: tuple[Item, ...]
    head_us: int
    floor_us: int
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class TimeThere:
    """The server's time at one moment, in seconds since the epoch, and this process's monotonic one."""

    server_s: float
    here_s: float

    def since(self, server_s: float) -> float:
        """How many seconds ago it was this time at the server, or that moment if it was earlier."""
        now_s = self.server_s + time.monotonic() - self.here_s
        return max(0.0, now_s - max(server_s, self.server_s))


class Tail:
    """The end of the stream of one database."""

    def __init__(self, database: Database[_Document], clock: Clock):
        self._database = database
        self._items = database["items"]
        self._gaps = database["gaps"]
        self._clock = clock

    @contextmanager
    def following(self) -> Iterator["Events"]:
        """Everything that is committed from now on. Raises what pymongo raises."""
        wanted = {"ns.coll": {"$in": [self._items.name, "clock", self._gaps.name]}}
        with self._database.client.start_session(causal_consistency=True) as session:
            # from now on the session knows what time it is there, as far as a majority has come
            head_us = self._clock.head_us(session)
            server: _Document = self._database.client.admin.command("hello")
            time_there = TimeThere(server["localTime"].timestamp(), time.monotonic())
            with self._database.watch(
                [{"$match": wanted}],
                full_document="updateLookup",
                max_await_time_ms=AWAIT_MS,
                start_at_operation_time=session.operation_time,
                session=session,
            ) as stream:
                yield Events(self, stream, head_us, time_there)

    def recent(self, count: int) -> Recent:
        """The items that changed last, `count` of them, and up to which head they are complete.

        All of it as it was at one moment: an item that changes while the others are read would be found neither where
        it was nor where it is then, and be missing for those who have yet to hear of its arrival.
        """
        with self._database.client.start_session(snapshot=True) as session:
            head_us = self._clock.head_us(session)
            found = list(
                self._items.find({"changed": {"$gt": 0, "$lte": head_us}}, NOT_FOR_INDEXES, session=session)
                .sort("changed", DESCENDING)
                .limit(count)
            )
            gaps = tuple(_gap(document) for document in self._gaps.find({}, session=session))
        floor_us = int(found[-1]["changed"]) - 1 if len(found) == count else 0
        return Recent(tuple(map(item_of, found)), head_us, floor_us, gaps)


@dataclass(slots=True)
class Events:
    """A change stream, read transaction by transaction; it begins where the head is `head_us`, or before that.

    `behind_s`: how long ago the server had written what was read last; 0 if that is all there is, and no more than the
    stream has been open, since what there was before is told by `recent`.
    """

    tail: Tail
    stream: ChangeStream[_Document]
    head_us: int
    time_there: TimeThere
    behind_s: float = 0.0
    _begun: list[Item] = field(default_factory=list)

    def recent(self, count: int) -> Recent:
        """As `Tail.recent`, with everything that was committed before the stream begins.

        The stream begins at what a majority had, and this is what a majority has. A server that has just taken over
        may know less of that than the one before: StorageError.
        """
        recent = self.tail.recent(count)
        if recent.head_us < self.head_us:
            raise StorageError("the database is behind what it has said before")
        return recent

    def next(self) -> Event | None:
        """The next event; None after AWAIT_MS without one. Raises what pymongo raises, and StorageError at the end."""
        while True:
            change = self.stream.try_next()
            if change is None:
                if not self.stream.alive:
                    raise StorageError("the database's change stream has ended")
                self.behind_s = 0.0
                return None
            # servers before MongoDB 6 say it in whole seconds
            written: datetime = change.get("wallTime") or change["clusterTime"].as_datetime()
            self.behind_s = self.time_there.since(written.timestamp())
            if event := self._event(change):
                return event

    def _event(self, change: _Document) -> Event | None:
        collection = change.get("ns", {}).get("coll")
        document = change.get("fullDocument")
        if collection == "clock":
            return self._published(change)
        if document is None:  # deleted by hand, or removed since it was changed
            return None
        if collection == "gaps":
            return _gap(document)
        if is_stub(document):
            return Removed(document["_id"])
        if "txnNumber" not in change:
            return LetGo(item_of(document))
        self._begun.append(item_of(document))
        return None

    def _published(self, change: _Document) -> Published | None:
        updated = change.get("updateDescription", {}).get("updatedFields", {})
        if change["documentKey"]["_id"] != STREAM or "published" not in updated:
            return None
        published = Published(tuple(self._begun), int(updated["published"]))
        self._begun = []
        return published


def _gap(document: _Document) -> Gap:
    source_id = None if document["_id"] == WHOLE_STREAM else document["_id"]
    return Gap(source_id, int(document.get("fetched", 0)), int(document.get("changed", 0)))
