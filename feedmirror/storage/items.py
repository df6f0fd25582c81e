"""The stream: items by id, numbered in commit order, found by the index on their stamp.

An item that a second source shows as well keeps its place; its arrival there is a document of `sightings`, because
an array cannot be read in the order of one of its members.

What a document looks like stands in `item_document`; how items are stored, several sources at once, in `arrivals`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.client_session import ClientSession
from pymongo.database import Database

from feedmirror.models import Entry, Item, Selection, Update
from feedmirror.storage.arrivals import Arrivals, Stored
from feedmirror.storage.clock import Clock
from feedmirror.storage.gaps import Gaps
from feedmirror.storage.indexes import have_indexes
from feedmirror.storage.item_document import NOT_FOR_INDEXES, Document, entry_of, item_of


class Items:
    """The items of all sources."""

    def __init__(self, database: Database[Document], clock: Clock):
        self._client = database.client
        self._items = database["items"]
        self._sightings = database["sightings"]
        self._clock = clock
        self._arrivals = Arrivals(database, clock)
        self._gaps = Gaps(database)

    def create_indexes(self) -> None:
        """One for every query made here; sparse, because a stub has none of these fields and is to be in none."""
        unique = [IndexModel([(field, ASCENDING)], unique=True, sparse=True) for field in ("fetched", "changed")]
        selections = [
            IndexModel([(field, ASCENDING), ("fetched", ASCENDING)], sparse=True)
            for field in ("first_source", "labels", "words")
        ]
        have_indexes(self._items, unique + selections)
        have_indexes(self._sightings, [IndexModel([("source", ASCENDING), ("fetched", ASCENDING)])])

    # -- storing

    def store(self, source_id: str, entries: Mapping[str, Entry], *, now: datetime) -> Stored:
        """Store what a source shows, by id, in document order (newest first). `now` is the server's time.

        Exactly once, whoever else writes: after it returns, all is readable by everybody, and nothing that is
        stored later gets a lower stamp. To be called by several threads: those that meet write together.
        """
        return self._arrivals.store(source_id, entries, now=now)

    # -- reading

    def get(self, ids: Iterable[str]) -> dict[str, Entry]:
        """The entries that are stored under these ids, by id; of what retention has removed, an empty one."""
        found = self._items.find({"_id": {"$in": list(ids)}}, NOT_FOR_INDEXES)
        return {document["_id"]: entry_of(document) for document in found}

    def newest(self, selection: Selection, *, limit: int, before_us: int | None = None) -> Update:
        """The newest `limit` items of a selection, below `before_us` if given; `more` means older ones exist."""
        with self._client.start_session(causal_consistency=True) as session:
            head_us = self._clock.head_us(session)
            high = _highest(head_us, before_us)
            found = self._find(selection, 0, high, limit + 1, DESCENDING, session)
        return Update(items=tuple(found[:limit]), head_us=head_us, cursor_us=head_us, more=len(found) > limit)

    def since(self, selection: Selection, *, after_us: int, limit: int, before_us: int | None = None) -> Update:
        """The oldest `limit` items of a selection after a stamp, newest first; `more` means later ones exist.

        The head is read before the items, so that an item which a slow query walks past cannot be skipped: it
        has a stamp above the head that was given as the cursor. The gap is read after them: an item that was removed
        before this looked for it is one that the gap tells of.
        """
        with self._client.start_session(causal_consistency=True) as session:
            head_us = self._clock.head_us(session)
            high = _highest(head_us, before_us)
            if high <= after_us:
                return _nothing(head_us=head_us, cursor_us=after_us)
            found = self._find(selection, after_us, high, limit + 1, ASCENDING, session)
            gap_us = self._gaps.after(after_us, selection.source_id, "fetched", session)
        stamps = [item.fetched_us for item in found]
        return _oldest_of(found, stamps, limit=limit, head_us=head_us, complete_us=high, gap_us=gap_us)

    def changes(self, selection: Selection, *, after_us: int, limit: int, before_us: int | None = None) -> Update:
        """As `since`, by the stamp of each item's last change: what is new and what was edited, each item once."""
        with self._client.start_session(causal_consistency=True) as session:
            head_us = self._clock.head_us(session)
            high = _highest(head_us, before_us)
            if high <= after_us:
                return _nothing(head_us=head_us, cursor_us=after_us)
            found = self._find_changed(selection, after_us, high, limit + 1, session)
            gap_us = self._gaps.after(after_us, selection.source_id, "changed", session)
        stamps = [item.changed_us for item in found]
        return _oldest_of(found, stamps, limit=limit, head_us=head_us, complete_us=high, gap_us=gap_us)

    def _find(
        self, selection: Selection, low: int, high: int, limit: int, order: int, session: ClientSession
    ) -> list[Item]:
        """At most `limit` items with low < stamp <= high, in the order of their stamps."""
        wanted = _wanted(selection)
        stamps = {"$gt": low, "$lte": high}
        first: Document = {"first_source": selection.source_id} if selection.source_id else {}
        cursor = self._items.find({**first, **wanted, "fetched": stamps}, NOT_FOR_INDEXES, session=session)
        found = [item_of(document) for document in cursor.sort("fetched", order).limit(limit)]
        if not selection.source_id:
            return found
        found += self._find_sighted(selection.source_id, wanted, stamps, limit, order, session)
        found.sort(key=lambda item: item.fetched_us, reverse=order == DESCENDING)
        return found[:limit]

    def _find_sighted(
        self, source_id: str, wanted: Document, stamps: Document, limit: int, order: int, session: ClientSession
    ) -> list[Item]:
        """Items that another source showed first, under the stamp of their arrival at this one."""
        lookup = {
            "from": self._items.name,
            "localField": "item",
            "foreignField": "_id",
            # while a step of retention is under way, a sighting may be the last that is left of its item
            "pipeline": [{"$match": {**wanted, "sources.id": source_id}}, {"$project": NOT_FOR_INDEXES}],
            "as": "found",
        }
        pipeline: list[Document] = [
            {"$match": {"source": source_id, "fetched": stamps}},
            {"$sort": {"fetched": order}},
            {"$lookup": lookup},
            {"$unwind": "$found"},
            {"$limit": limit},
        ]
        found = self._sightings.aggregate(pipeline, session=session)
        return [replace(item_of(document["found"]), fetched_us=document["fetched"]) for document in found]

    def _find_changed(
        self, selection: Selection, low: int, high: int, limit: int, session: ClientSession
    ) -> list[Item]:
        """At most `limit` items with low < changed <= high, the earliest change first."""
        at_source: Document = {"sources.id": selection.source_id} if selection.source_id else {}
        cursor = self._items.find(
            {**at_source, **_wanted(selection), "changed": {"$gt": low, "$lte": high}}, NOT_FOR_INDEXES, session=session
        )
        # A reader's cursor is near the head: few items lie after it, however many the selection has in all.
        found = map(item_of, cursor.sort("changed", ASCENDING).limit(limit).hint([("changed", ASCENDING)]))
        return [_as_seen_at(item, selection.source_id) for item in found]


def _highest(head_us: int, before_us: int | None) -> int:
    return head_us if before_us is None else min(head_us, before_us - 1)


def _nothing(*, head_us: int, cursor_us: int) -> Update:
    """The answer to the common poll, of somebody who has everything."""
    return Update(items=(), head_us=head_us, cursor_us=cursor_us, more=False)


def _oldest_of(
    found: list[Item], stamps: list[int], *, limit: int, head_us: int, complete_us: int, gap_us: int | None
) -> Update:
    """The first `limit` of what was found, newest first; complete up to the last one given if there are more."""
    more = len(found) > limit
    return Update(
        items=tuple(reversed(found[:limit])),
        head_us=head_us,
        cursor_us=stamps[limit - 1] if more else complete_us,
        more=more,
        gap_us=gap_us,
    )


def _as_seen_at(item: Item, source_id: str | None) -> Item:
    """The item under the stamp of its arrival at this source."""
    stamps = [seen.fetched_us for seen in item.sources if seen.source_id == source_id]
    return replace(item, fetched_us=stamps[0]) if stamps else item


def _wanted(selection: Selection) -> Document:
    wanted: Document = {}
    if selection.tags:
        wanted["labels"] = {"$all": [tag.casefold() for tag in selection.tags]}
    if selection.words:
        wanted["words"] = {"$all": list(selection.words)}
    return wanted
