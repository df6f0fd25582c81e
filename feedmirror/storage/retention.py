"""What is no longer kept goes: from each source the items beyond its age or number, a few at a time.

    step    whose turn is it  ->  its oldest arrivals that are past keeping
            -> say so in the gaps  ->  stubs, and items that other sources keep  ->  sightings

An item goes from the list of a source that no longer keeps it, and stays as long as another one does. The last one
leaves a stub: nothing but the id, so that the unique index itself keeps the item from coming back as new while a feed
still lists it. What was let go stays so, whatever `keep` says later.

No transaction, and not the clock: each document changes by itself and for good, in an order in which a step that is
killed halfway is simply done again. The only writer that meets a step is one that edits the very item that goes; it
tries its transaction again, as for any other conflict.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any

from pymongo import ASCENDING
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from feedmirror.storage.gaps import Gaps

_Document = dict[str, Any]

# A step is to be over in a small part of a tick of a second: a tenth for so many items, and a tenth for so many sources
# of which none goes.
ITEMS_A_STEP = 500
SOURCES_A_STEP = 50

# How long after one round through all sources the next one begins.
ROUND_EVERY = timedelta(minutes=10)

# Whatever `keep_items` says: whoever asks once an hour must not miss what a feed printed in one go.
KEPT_AT_LEAST = timedelta(hours=1)

_TURN = "turn"
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """What a step has done: from how many places items were removed, and whether the round goes on."""

    removed: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Keep:
    """How much a source keeps."""

    source_id: str
    age: timedelta | None
    items: int | None


@dataclass(frozen=True, slots=True)
class _Arrival:
    """An item in the list of a source; `sighted`: another source showed it first."""

    item_id: str
    fetched_us: int
    arrived_at: datetime
    sighted: bool


class Retention:
    """Removes what the sources no longer keep. Those that the sources file does not name any more keep everything."""

    def __init__(self, database: Database[_Document]):
        self._items = database["items"]
        self._sightings = database["sightings"]
        self._sources = database["sources"]  # read only: who keeps how much
        self._turns = database["retention"]
        self._gaps = Gaps(database)

    def step(self) -> Step:
        """Do a little of what there is to do: at most 500 removals, at most 50 sources.

        Rounds through all sources begin ten minutes apart; between them this costs two small reads. Where a round has
        got to is kept in MongoDB: anybody may do the next step, and two at once do no harm.
        """
        turn = self._turns.find_one({"_id": _TURN}) or {"after": "", "next_at": None}
        now = self._now()
        if turn["next_at"] and now < turn["next_at"]:
            return Step()
        removed, after = 0, turn["after"]
        sources = self._sources_after(after)
        for document in sources:
            keep = _keep(document)
            if keep:
                removed += self._remove_from(keep, now, most=ITEMS_A_STEP - removed)
            if removed >= ITEMS_A_STEP:
                break  # the same source again, it may have more
            after = document["_id"]
        over = removed < ITEMS_A_STEP and len(sources) < SOURCES_A_STEP
        self._pass_on(turn, after="" if over else after, next_at=now + ROUND_EVERY if over else None)
        return Step(removed, not over)

    def _now(self) -> datetime:
        """The server's time, which is also that of the arrivals."""
        moment: datetime = self._turns.database.command("hello")["localTime"]
        return moment.replace(tzinfo=UTC)  # commands ignore the client's tz_aware

    def _sources_after(self, source_id: str) -> list[_Document]:
        fields = {"active": 1, "source.keep_s": 1, "source.keep_items": 1}
        return list(self._sources.find({"_id": {"$gt": source_id}}, fields).sort("_id").limit(SOURCES_A_STEP))

    def _pass_on(self, turn: Mapping[str, Any], *, after: str, next_at: datetime | None) -> None:
        change = {"$set": {"after": after, "next_at": next_at}}
        try:
            self._turns.update_one({"_id": _TURN, "after": turn["after"]}, change, upsert=True)
        except DuplicateKeyError:  # somebody else did this step as well, and was first
            return

    # -- all of a source

    def count(self, source_id: str) -> int:
        """In how many places its items are: those that it showed first, and those that it showed as well."""
        first = self._items.count_documents({"first_source": source_id})
        return first + self._sightings.count_documents({"source": source_id})

    def remove_all(self, source_id: str) -> Iterator[int]:
        """Remove everything from the list of a source, a step at a time: how much went with each."""
        while arrivals := self._oldest(source_id, ITEMS_A_STEP):
            self._remove(source_id, arrivals)
            yield len(arrivals)

    # -- what goes

    def _remove_from(self, keep: _Keep, now: datetime, *, most: int) -> int:
        arrivals = self._past_keeping(keep, now, most)
        if arrivals:
            self._remove(keep.source_id, arrivals)
        return len(arrivals)

    def _past_keeping(self, keep: _Keep, now: datetime, most: int) -> list[_Arrival]:
        """The oldest arrivals at a source, as far as they are beyond its number or its age; at most so many."""
        settled_before = now - KEPT_AT_LEAST
        old_before = min(now - keep.age, settled_before) if keep.age else _NEVER
        beyond = self._beyond_number(keep, most)
        looked_at = most if keep.age and self._may_be_old(keep.source_id, old_before, now) else beyond
        oldest = self._oldest(keep.source_id, looked_at)
        # Counted after they were read: what another step removes in between is among them and lowers the count. Counted
        # before only, the oldest would be those that the other one has left, and too many would go.
        beyond = self._beyond_number(keep, most) if beyond else 0
        return [
            arrival
            for number, arrival in enumerate(oldest)
            if arrival.arrived_at < (settled_before if number < beyond else old_before)
        ]

    def _beyond_number(self, keep: _Keep, most: int) -> int:
        """How many there are too many, at most `most`: counts no more index entries than it takes to know."""
        if keep.items is None:
            return 0
        enough = keep.items + most
        arrived = self._items.count_documents({"first_source": keep.source_id}, limit=enough)
        sighted = self._sightings.count_documents({"source": keep.source_id}, limit=enough)
        return max(0, min(most, arrived + sighted - keep.items))

    def _may_be_old(self, source_id: str, old_before: datetime, now: datetime) -> bool:
        """Whether the oldest one is old; or from the future, as of a clock that was wrong: then others may be old."""
        return any(not old_before <= oldest.arrived_at <= now for oldest in self._oldest(source_id, 1))

    def _oldest(self, source_id: str, count: int) -> list[_Arrival]:
        """The arrivals of lowest stamp. For the time they have `arrived_at`: a stamp may be ahead of it."""
        if not count:
            return []
        first = _in_order(self._items, {"first_source": source_id}, "_id", count)
        sighted = _in_order(self._sightings, {"source": source_id}, "item", count)
        return list(islice(merge(first, sighted, key=attrgetter("fetched_us")), count))

    # -- how it goes

    def _remove(self, source_id: str, arrivals: list[_Arrival]) -> None:
        ids = [arrival.item_id for arrival in arrivals]
        seen_here = {"_id": {"$in": ids}, "sources.id": source_id}
        found = list(self._items.find(seen_here, {"fetched": 1, "changed": 1, "sources.id": 1}))
        alone = [document for document in found if len(document["sources"]) == 1]
        shared = [document for document in found if len(document["sources"]) > 1]
        if found:
            fetched_us = max(arrival.fetched_us for arrival in arrivals)
            self._gaps.widen(source_id, fetched_us=fetched_us, changed_us=_highest("changed", found))
        if alone:
            highest = _highest("changed", alone)
            self._gaps.widen(None, fetched_us=_highest("fetched", alone), changed_us=highest)
            self._items.update_many(_as_found(alone, source_id, alone=True), _become_a_stub())
        if shared:
            self._items.update_many(_as_found(shared, source_id, alone=False), _let_go(source_id))
        # Last: a sighting that is left behind is found again, an item that names a source without one never is.
        left = {document["_id"] for document in self._items.find(seen_here, {"_id": 1})}
        gone = [one.fetched_us for one in arrivals if one.sighted and one.item_id not in left]
        if gone:
            self._sightings.delete_many({"source": source_id, "fetched": {"$in": gone}})


def _keep(document: Mapping[str, Any]) -> _Keep | None:
    """What is kept of a source; None if that is everything."""
    keep_s, keep_items = document["source"].get("keep_s"), document["source"].get("keep_items")
    if not document["active"] or (keep_s is None and keep_items is None):
        return None
    return _Keep(document["_id"], None if keep_s is None else timedelta(seconds=keep_s), keep_items)


def _in_order(collection: Collection[_Document], wanted: _Document, item_id: str, count: int) -> Iterator[_Arrival]:
    found = collection.find(wanted, {item_id: 1, "fetched": 1, "arrived_at": 1}).sort("fetched", ASCENDING).limit(count)
    for one in found:
        # the sightings of an older version have a stamp only
        arrived_at = one.get("arrived_at") or datetime.fromtimestamp(one["fetched"] / 1_000_000, UTC)
        yield _Arrival(one[item_id], one["fetched"], arrived_at, sighted=item_id != "_id")


def _highest(stamp: str, documents: Iterable[Mapping[str, Any]]) -> int:
    return max(int(document[stamp]) for document in documents)


def _as_found(documents: list[_Document], source_id: str, *, alone: bool) -> _Document:
    """These items, unless somebody has changed them since: then the gaps have not been told of them as they are."""
    return {
        "_id": {"$in": [document["_id"] for document in documents]},
        "changed": {"$lte": _highest("changed", documents)},
        "sources.id": source_id,
        "sources.1": {"$exists": not alone},
    }


def _become_a_stub() -> list[_Document]:
    return [{"$replaceWith": {"_id": "$_id", "removed_at": "$$NOW"}}]


def _let_go(source_id: str) -> list[_Document]:
    """Out of this source's list; nobody has the place of the first source then, which is what its list goes by."""
    this = {"$literal": source_id}
    first = {"$cond": [{"$eq": ["$first_source", this]}, None, "$first_source"]}
    others = {"$filter": {"input": "$sources", "cond": {"$ne": ["$$this.id", this]}}}
    let_go_by = {"$setUnion": [{"$ifNull": ["$let_go_by", []]}, [this]]}
    return [{"$set": {"first_source": first, "sources": others, "let_go_by": let_go_by}}]
