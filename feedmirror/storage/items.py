"""The stream: items by id, numbered in commit order, found by the index on their stamp.

A document is the item as `models.Item` has it, and for the indexes: `first_source`, the folded `labels` (its tags)
and its `words`. An item that a second source shows as well keeps its place; its arrival there is a document of
`sightings`, because an array cannot be read in the order of one of its members.

    store   look up what is known  ->  nothing new: done after this one round trip
            else one transaction: advance the clock, look again, insert and edit

Whether an entry is the same as another is not decided here: ids come in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, InsertOne, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from feedmirror.models import Entry, Item, Selection, Sighting, Update
from feedmirror.storage.clock import Clock, Tick
from feedmirror.words import words_of

_Document = dict[str, Any]

# A feed that prints the time into its summaries would write every item at every poll (seen in lemon24/reader's
# users' feeds, which ends at the same number).
SUMMARY_EDITS_MAX = 24

_ENTRY_FIELDS = tuple(field.name for field in fields(Entry))
_NOT_FOR_INDEXES = {"words": 0, "labels": 0}
_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Stored:
    """What a page brought: new items, oldest first; how many known ones it shows for the first time, or edited."""

    new: tuple[Item, ...] = ()
    sighted: int = 0
    edited: int = 0


class Items:
    """The items of all sources."""

    def __init__(self, database: Database[_Document], clock: Clock):
        self._client = database.client
        self._items = database["items"]
        self._sightings = database["sightings"]
        self._clock = clock

    def create_indexes(self) -> None:
        """One for every query made here."""
        self._items.create_index([("fetched", ASCENDING)], unique=True)
        self._items.create_index([("changed", ASCENDING)], unique=True)
        self._items.create_index([("first_source", ASCENDING), ("fetched", ASCENDING)])
        self._items.create_index([("labels", ASCENDING), ("fetched", ASCENDING)])
        self._items.create_index([("words", ASCENDING), ("fetched", ASCENDING)])
        self._sightings.create_index([("source", ASCENDING), ("fetched", ASCENDING)])

    # -- storing

    def store(self, source_id: str, entries: Mapping[str, Entry]) -> Stored:
        """Store what one page of a source shows, by id, in document order (newest first).

        Exactly once, whoever else writes: after it returns, all is readable by everybody, and nothing that is
        stored later gets a lower stamp.
        """
        if not _Changes.between(entries, self._known(entries), source_id):
            return Stored()
        while True:
            try:
                with self._client.start_session() as session:
                    return session.with_transaction(
                        lambda session: self._store_within(session, source_id, entries),
                        read_concern=ReadConcern("snapshot"),
                    )
            except BulkWriteError as error:
                self._mend(error)

    def _known(self, ids: Iterable[str], session: ClientSession | None = None) -> dict[str, _Document]:
        found = self._items.find({"_id": {"$in": list(ids)}}, _NOT_FOR_INDEXES, session=session)
        return {document["_id"]: document for document in found}

    def _store_within(self, session: ClientSession, source_id: str, entries: Mapping[str, Entry]) -> Stored:
        # The clock comes first: it is the lock behind which nobody else inserts. An item takes at most one stamp.
        tick = self._clock.advance(len(entries), session)
        changes = _Changes.between(entries, self._known(entries, session), source_id)
        writing = _Writing(source_id, tick)
        arrivals = [writing.insert(item_id, entry) for item_id, entry in _oldest_first(changes.new)]
        sightings = [writing.sight(document) for document in changes.sighted]
        edits = [writing.edit(document, entry) for document, entry in changes.edited]
        operations = [InsertOne(document) for document in arrivals] + [
            ReplaceOne({"_id": document["_id"]}, document) for document in (*sightings, *edits)
        ]
        if operations:
            self._items.bulk_write(operations, ordered=True, session=session)
        if sightings:
            self._sightings.insert_many([_sighting_document(document) for document in sightings], session=session)
        return Stored(tuple(map(_item, arrivals)), len(sightings), len(edits))

    def _mend(self, error: BulkWriteError) -> None:
        """After a duplicate key, make the next try succeed; raises the error again if it was anything else.

        Somebody else inserted the id first: nothing to do, the next try sees it. A stamp was there already: the
        clock came from an older backup than the items.
        """
        details: Sequence[Mapping[str, Any]] = (error.details or {}).get("writeErrors", [])
        if not details or any(detail.get("code") != _DUPLICATE_KEY for detail in details):
            raise error
        if any("_id" not in detail.get("keyPattern", {}) for detail in details):
            newest = self._items.find_one({}, {"changed": 1}, sort=[("changed", DESCENDING)])
            self._clock.raise_to(newest["changed"] if newest else 0)

    # -- reading

    def get(self, ids: Iterable[str]) -> dict[str, Entry]:
        """The entries that are stored under these ids, by id."""
        return {item_id: _entry(document) for item_id, document in self._known(ids).items()}

    def newest(self, selection: Selection, *, limit: int, before_us: int | None = None) -> Update:
        """The newest `limit` items of a selection, below `before_us` if given; `more` means older ones exist."""
        with self._client.start_session(causal_consistency=True) as session:
            head_us = self._clock.head_us(session)
            low, high = 0, head_us if before_us is None else min(head_us, before_us - 1)
            found = self._find(selection, low, high, limit + 1, DESCENDING, session)
        return Update(
            items=tuple(found[:limit]),
            head_us=head_us,
            cursor_us=head_us,
            more=len(found) > limit,
        )

    def since(self, selection: Selection, *, after_us: int, limit: int, before_us: int | None = None) -> Update:
        """The oldest `limit` items of a selection after a stamp, newest first; `more` means later ones exist.

        The head is read before the items, so that an item which a slow query walks past cannot be skipped: it
        has a stamp above the head that was given as the cursor.
        """
        with self._client.start_session(causal_consistency=True) as session:
            head_us = self._clock.head_us(session)
            high = head_us if before_us is None else min(head_us, before_us - 1)
            found = self._find(selection, after_us, high, limit + 1, ASCENDING, session) if high > after_us else []
        given = found[:limit]
        more = len(found) > limit
        return Update(
            items=tuple(reversed(given)),
            head_us=head_us,
            cursor_us=given[-1].fetched_us if more else max(after_us, high),
            more=more,
        )

    def _find(
        self, selection: Selection, low: int, high: int, limit: int, order: int, session: ClientSession
    ) -> list[Item]:
        """At most `limit` items with low < stamp <= high, in the order of their stamps."""
        wanted = _wanted(selection)
        stamps = {"$gt": low, "$lte": high}
        first: _Document = {"first_source": selection.source_id} if selection.source_id else {}
        found = [
            _item(document)
            for document in self._items.find({**first, **wanted, "fetched": stamps}, _NOT_FOR_INDEXES, session=session)
            .sort("fetched", order)
            .limit(limit)
        ]
        if not selection.source_id:
            return found
        found += self._find_sighted(selection.source_id, wanted, stamps, limit, order, session)
        found.sort(key=lambda item: item.fetched_us, reverse=order == DESCENDING)
        return found[:limit]

    def _find_sighted(
        self,
        source_id: str,
        wanted: _Document,
        stamps: _Document,
        limit: int,
        order: int,
        session: ClientSession,
    ) -> list[Item]:
        """Items that another source showed first, under the stamp of their arrival at this one."""
        pipeline: list[_Document] = [
            {"$match": {"source": source_id, "fetched": stamps}},
            {"$sort": {"fetched": order}},
            {
                "$lookup": {
                    "from": self._items.name,
                    "localField": "item",
                    "foreignField": "_id",
                    "pipeline": [{"$match": wanted}, {"$project": _NOT_FOR_INDEXES}],
                    "as": "found",
                }
            },
            {"$unwind": "$found"},
            {"$limit": limit},
        ]
        return [
            replace(_item(document["found"]), fetched_us=document["fetched"])
            for document in self._sightings.aggregate(pipeline, session=session)
        ]


@dataclass(frozen=True, slots=True)
class _Changes:
    """What entries mean for what is stored: ids to insert, documents to sight at the source, documents to edit."""

    new: dict[str, Entry]
    sighted: list[_Document]
    edited: list[tuple[_Document, Entry]]

    def __bool__(self) -> bool:
        return bool(self.new or self.sighted or self.edited)

    @classmethod
    def between(cls, entries: Mapping[str, Entry], known: Mapping[str, _Document], source_id: str) -> "_Changes":
        changes = cls({}, [], [])
        for item_id, entry in entries.items():
            document = known.get(item_id)
            if document is None:
                changes.new[item_id] = entry
            elif all(sighting["id"] != source_id for sighting in document["sources"]):
                changes.sighted.append(document)
            elif document["first_source"] == source_id and _is_edit(document, entry):
                changes.edited.append((document, entry))
        return changes


def _is_edit(document: Mapping[str, Any], entry: Entry) -> bool:
    """Whether a reader would see a difference; a feed's `updated` alone moves with every vote and answer."""
    if any(document[name] != _plain(getattr(entry, name)) for name in ("title", "link", "author", "tags")):
        return True
    return bool(document["summary"] != entry.summary and document.get("summary_edits", 0) < SUMMARY_EDITS_MAX)


class _Writing:
    """The documents of one transaction, numbered as they are made."""

    def __init__(self, source_id: str, tick: Tick):
        self._source_id = source_id
        self._stamps = iter(range(tick.first_us, tick.head_us + 1))
        self._now = tick.now

    def insert(self, item_id: str, entry: Entry) -> _Document:
        stamp = next(self._stamps)
        return {
            "_id": item_id,
            **_shown(entry),
            "fetched": stamp,
            "changed": stamp,
            "arrived_at": self._now,
            "first_source": self._source_id,
            "sources": [{"id": self._source_id, "fetched": stamp}],
        }

    def sight(self, document: _Document) -> _Document:
        stamp = next(self._stamps)
        seen = [*document["sources"], {"id": self._source_id, "fetched": stamp}]
        return {**document, **_found_by(document), "sources": seen, "changed": stamp}

    def edit(self, document: _Document, entry: Entry) -> _Document:
        edits = document.get("summary_edits", 0) + (document["summary"] != entry.summary)
        return {**document, **_shown(entry), "changed": next(self._stamps), "summary_edits": edits}


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


def _shown(entry: Entry) -> _Document:
    shown = {name: _plain(getattr(entry, name)) for name in _ENTRY_FIELDS}
    return {**shown, **_found_by(shown)}


def _found_by(shown: Mapping[str, Any]) -> _Document:
    """The fields that exist for the indexes."""
    return {
        "labels": sorted({tag.casefold() for tag in shown["tags"]}),
        "words": sorted(words_of((shown["title"], *shown["tags"]))),
    }


def _plain(value: object) -> object:
    """As BSON gives it back: a list for a tuple, whole milliseconds for a moment."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value


def _sighting_document(document: Mapping[str, Any]) -> _Document:
    last = document["sources"][-1]
    return {"item": document["_id"], "source": last["id"], "fetched": last["fetched"]}


def _wanted(selection: Selection) -> _Document:
    wanted: _Document = {}
    if selection.tags:
        wanted["labels"] = {"$all": [tag.casefold() for tag in selection.tags]}
    if selection.words:
        wanted["words"] = {"$all": list(selection.words)}
    return wanted


def _entry(document: Mapping[str, Any]) -> Entry:
    return Entry(**_entry_fields(document))


def _item(document: Mapping[str, Any]) -> Item:
    return Item(
        **_entry_fields(document),
        id=document["_id"],
        fetched_us=document["fetched"],
        changed_us=document["changed"],
        arrived_at=document["arrived_at"],
        sources=tuple(Sighting(source_id=seen["id"], fetched_us=seen["fetched"]) for seen in document["sources"]),
    )


def _entry_fields(document: Mapping[str, Any]) -> _Document:
    # what a document of an older version lacks has its default
    found = {name: document[name] for name in _ENTRY_FIELDS if name in document}
    return {**found, "tags": tuple(found["tags"])}
