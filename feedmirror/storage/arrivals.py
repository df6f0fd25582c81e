"""Storing what sources show: several that come at the same time are stored together.

    store   a portion of entries at a time, oldest first; who comes while another one writes waits for the turn,
            and the next to have it writes for all that wait:
            look up what is known  ->  nothing to write: done after this one round trip
            else one transaction: advance the clock, look again, insert and edit

The clock lets one transaction through at a time, of all processes. Writing for all that wait makes the cost of a
transaction one for many sources.

Whether an entry is the same as another is not decided here: ids come in. What a document looks like stands in
`item_document`, what counts as a change in `changes`.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from pymongo import DESCENDING, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ConnectionFailure

from feedmirror.models import Entry, Item
from feedmirror.storage.changes import Changes
from feedmirror.storage.clock import Clock
from feedmirror.storage.item_document import NOT_FOR_INDEXES, Document, Writing, item_of

# Everybody else waits while a transaction holds the clock: at 50,000 items a second, ten milliseconds.
_PORTION = 500
_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Stored:
    """What a page brought: new items, oldest first; how many known ones it shows for the first time, or edited.

    `held_back` counts edits that were too soon after the last one: the page must be read again for them.
    """

    new: tuple[Item, ...] = ()
    sighted: int = 0
    edited: int = 0
    held_back: int = 0

    def __add__(self, other: "Stored") -> "Stored":
        return Stored(
            new=self.new + other.new,
            sighted=self.sighted + other.sighted,
            edited=self.edited + other.edited,
            held_back=self.held_back + other.held_back,
        )


@dataclass(slots=True, eq=False)
class _Portion:
    """Entries of one source that are stored together, and how that went."""

    source_id: str
    entries: Mapping[str, Entry]
    now: datetime
    stored: Stored | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.stored is not None or self.error is not None

    def changes(self, known: Mapping[str, Document]) -> Changes:
        return Changes.between(self.entries, known, source_id=self.source_id, now=self.now)


class Arrivals:
    """The writing side of the stream."""

    def __init__(self, database: Database[Document], clock: Clock):
        self._items = database["items"]
        self._sightings = database["sightings"]
        self._clock = clock
        self._waiting: deque[_Portion] = deque()
        self._turn = threading.Lock()

    def store(self, source_id: str, entries: Mapping[str, Entry], *, now: datetime) -> Stored:
        """Store what a source shows; see `Items.store`."""
        stored = Stored()
        for together in _portions(_oldest_first(entries)):
            stored += self._store_portion(_Portion(source_id, together, now))
        return stored

    def _store_portion(self, portion: _Portion) -> Stored:
        self._waiting.append(portion)
        while not portion.done:
            with self._turn:
                if not portion.done:
                    self._store_together(self._next())
        if portion.error is not None:
            raise portion.error
        assert portion.stored is not None
        return portion.stored

    def _next(self) -> list[_Portion]:
        """Those that have waited longest, as many as fit into one transaction."""
        together = [self._waiting.popleft()]
        count = len(together[0].entries)
        while self._waiting and count + len(self._waiting[0].entries) <= _PORTION:
            together.append(self._waiting.popleft())
            count += len(together[-1].entries)
        return together

    def _store_together(self, portions: Sequence[_Portion]) -> None:
        """Store these, or say of each why it could not be; what is wrong with one must not keep out the others."""
        try:
            self._store_all(portions)
        except BaseException as error:  # noqa: BLE001 (raised again by each of those that wait)
            shared = isinstance(error, ConnectionFailure) or not isinstance(error, Exception)
            if shared or len(portions) == 1:
                for portion in portions:
                    portion.error = error
            else:
                for portion in portions:
                    self._store_together([portion])

    def _store_all(self, portions: Sequence[_Portion]) -> None:
        known = self._known(item_id for portion in portions for item_id in portion.entries)
        to_write: list[_Portion] = []
        unchanged: list[tuple[_Portion, Stored]] = []
        for portion in portions:
            changes = portion.changes(known)
            if changes:
                to_write.append(portion)
            else:
                unchanged.append((portion, Stored(held_back=len(changes.held_back))))
        written = self._write(to_write) if to_write else []
        for portion, stored in (*unchanged, *zip(to_write, written, strict=True)):
            portion.stored = stored

    def _write(self, portions: Sequence[_Portion]) -> list[Stored]:
        while True:
            try:
                return self._clock.transaction(lambda session: self._write_within(session, portions))
            except BulkWriteError as error:
                self._mend(error)

    def _write_within(self, session: ClientSession, portions: Sequence[_Portion]) -> list[Stored]:
        # The clock comes first: it is the lock behind which nobody else inserts. An item takes at most one stamp of
        # each source.
        tick = self._clock.advance(sum(len(portion.entries) for portion in portions), session)
        known = self._known((item_id for portion in portions for item_id in portion.entries), session)
        writing = Writing(known, tick)
        stored = [_made(writing, portion) for portion in portions]
        if writing.inserted:
            self._items.insert_many(writing.inserted, session=session)
        if writing.replaced:
            replacements = [ReplaceOne({"_id": document["_id"]}, document) for document in writing.replaced]
            self._items.bulk_write(replacements, session=session)
        if writing.sightings:
            self._sightings.insert_many(writing.sightings, session=session)
        self._clock.publish(tick, session)
        return stored

    def _known(self, ids: Iterable[str], session: ClientSession | None = None) -> dict[str, Document]:
        found = self._items.find({"_id": {"$in": list(ids)}}, NOT_FOR_INDEXES, session=session)
        return {document["_id"]: document for document in found}

    def _mend(self, error: BulkWriteError) -> None:
        """After a duplicate key, make the next try succeed; raises the error again if it was anything else.

        Somebody else inserted the id first: nothing to do, the next try sees it. A stamp was there already: the
        clock came from an older backup than the items.
        """
        details: Sequence[Mapping[str, Any]] = (error.details or {}).get("writeErrors", [])
        if not details or any(detail.get("code") != _DUPLICATE_KEY for detail in details):
            raise error
        if any("_id" not in detail.get("keyPattern", {}) for detail in details):
            # not {}: a sparse index is used only where it cannot leave anything out
            newest = self._items.find_one({"changed": {"$gt": 0}}, {"changed": 1}, sort=[("changed", DESCENDING)])
            self._clock.raise_to(newest["changed"] if newest else 0)


def _made(writing: Writing, portion: _Portion) -> Stored:
    """Make the documents that a portion asks for."""
    source_id, changes = portion.source_id, portion.changes(writing.documents)
    arrived = [writing.insert(source_id, item_id, entry) for item_id, entry in changes.new.items()]
    for document in changes.sighted:
        writing.sight(source_id, document)
    for document, entry in changes.edited:
        writing.edit(document, entry)
    return Stored(tuple(map(item_of, arrived)), len(changes.sighted), len(changes.edited), len(changes.held_back))


def _oldest_first(entries: Mapping[str, Entry]) -> list[tuple[str, Entry]]:
    """Entries in the order in which they are numbered.

    Feeds list the newest first, so the document is read from its end; where every entry has a date, that decides,
    because some list the oldest first.
    """
    backwards = list(entries.items())[::-1]
    if all(entry.published for entry in entries.values()):
        backwards.sort(key=_published)
    return backwards


def _published(pair: tuple[str, Entry]) -> datetime:
    moment = pair[1].published
    assert moment is not None
    return moment


def _portions(entries: Iterable[tuple[str, Entry]]) -> Iterator[dict[str, Entry]]:
    remaining = iter(entries)
    while portion := dict(islice(remaining, _PORTION)):
        yield portion
