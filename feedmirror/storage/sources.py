"""What is watched: each source as its operator described it, when it is due, who is at it, and how it fares.

A source is due at `due_at`. Claiming it moves that moment to the end of a lease, so a claimed source is simply one
that is due later: nothing has to be given back when a worker dies. All times are the server's (`$$NOW`), whatever
the clocks of the workers say. When to look again is decided elsewhere and handed in.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, ReturnDocument, UpdateMany, UpdateOne
from pymongo.database import Database

from feedmirror.models import Looks, Outcome, Remembered, Source, Validators, WatchedSource

_Document = dict[str, Any]

_FILE = "sources file"
# What lies in the past for every clock: due at once.
_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Claim:
    """Sources that nobody else polls until the lease ends."""

    lease: str
    source_ids: tuple[str, ...] = ()


class Sources:
    """The sources of an installation, those included that the file no longer names."""

    def __init__(self, database: Database[_Document]):
        self._sources = database["sources"]
        self._notes = database["notes"]

    def create_indexes(self) -> None:
        """One for every query made here."""
        self._sources.create_index([("active", ASCENDING), ("due_at", ASCENDING)])
        self._sources.create_index([("active", DESCENDING), ("order", ASCENDING), ("_id", ASCENDING)])
        self._sources.create_index([("lease", ASCENDING)])

    # -- what is watched

    def synchronise(self, sources: Iterable[Source], mistakes: Iterable[str]) -> bool:
        """Make the collection say what the sources file says; sources that it no longer names rest.

        A source that is new, or has another address, is due at once; with another interval it is due anew as well,
        because the old one may have been a day. Known ones keep how they fared. Says whether anything changed.
        """
        described = [_description(source, order=order) for order, source in enumerate(sources)]
        operations: list[UpdateOne | UpdateMany] = [_replacement(document) for document in described]
        ids = [document["_id"] for document in described]
        operations.append(UpdateMany({"_id": {"$nin": ids}, "active": True}, {"$set": {"active": False}}))
        written = self._sources.bulk_write(operations, ordered=False)
        noted = self._notes.update_one({"_id": _FILE}, {"$set": {"mistakes": list(mistakes)}}, upsert=True)
        return bool(written.upserted_count or written.modified_count or noted.modified_count or noted.upserted_id)

    def add(self, source: Source) -> None:
        """Describe a source that the file does not name: known, shown, and not polled by itself."""
        document = _description(source, order=0)
        self._sources.bulk_write([_replacement({**document, "active": False})])

    def all(self) -> list[WatchedSource]:
        """Every source, those that are polled first, in the order of the file."""
        found = self._sources.find({}).sort([("active", DESCENDING), ("order", ASCENDING), ("_id", ASCENDING)])
        return [_watched(document) for document in found]

    def mistakes(self) -> list[str]:
        """What is wrong in the sources file, one line each."""
        note = self._notes.find_one({"_id": _FILE})
        return list(note["mistakes"]) if note else []

    # -- who polls what

    def claim_due(self, *, limit: int, lease_s: float) -> Claim:
        """Claim at most `limit` sources that are due, those that have waited longest first."""
        now = self._now()
        due = {"active": True, "due_at": {"$lte": now}}
        ids = [found["_id"] for found in self._sources.find(due, {"_id": 1}).sort("due_at", ASCENDING).limit(limit)]
        # Two beats may have found the same sources: the update takes only what is still due.
        return self._claim({**due, "_id": {"$in": ids}}, lease_s) if ids else Claim("")

    def claim_now(self, source_ids: Iterable[str], *, lease_s: float) -> Claim:
        """Claim these sources whether due or not, except those that somebody is polling."""
        ids = list(source_ids)
        free = [{"lease": None}, {"due_at": {"$lte": self._now()}}]
        return self._claim({"_id": {"$in": ids}, "$or": free}, lease_s)

    def begin(self, source_id: str, lease: str, *, lease_s: float) -> WatchedSource | None:
        """Start to poll a claimed source, under a lease of its own; None if the claim is over or was used.

        A message that comes twice, or too late, finds the claim gone.
        """
        document = self._sources.find_one_and_update(
            {"_id": source_id, "lease": lease, "due_at": {"$gt": self._now()}},
            [{"$set": {"lease": _token(), "due_at": _from_now(lease_s), "looks.last_at": "$$NOW"}}],
            return_document=ReturnDocument.AFTER,
        )
        return _watched(document) if document else None

    def finish(self, watched: WatchedSource, outcome: Outcome, *, interval_s: float) -> bool:
        """End a poll: keep how it went; due again `interval_s` after it began (at once, if that is over).

        False if the lease ended meanwhile: somebody else has the source, and their word counts.
        """
        again = {"$max": ["$$NOW", {"$add": ["$looks.last_at", int(interval_s * 1000)]}]}
        change = {"due_at": again, "lease": None, "looks.interval_s": interval_s, **_how_it_went(outcome)}
        mine = {"_id": watched.source.id, "lease": watched.lease}
        return self._sources.update_one(mine, [{"$set": change}]).matched_count == 1

    def _claim(self, wanted: _Document, lease_s: float) -> Claim:
        lease = _token()
        self._sources.update_many(wanted, [{"$set": {"lease": lease, "due_at": _from_now(lease_s)}}])
        claimed = self._sources.find({"lease": lease}, {"_id": 1})
        return Claim(lease, tuple(found["_id"] for found in claimed))

    def _now(self) -> datetime:
        """The server's time: a worker's own clock may be wrong by hours."""
        moment: datetime = self._sources.database.command("hello")["localTime"]
        return moment.replace(tzinfo=UTC)  # commands ignore the client's tz_aware


def _how_it_went(outcome: Outcome) -> _Document:
    """The fields of an update pipeline; what is not named keeps its value."""
    if outcome.error is not None:
        return {
            "looks.failures": {"$add": [{"$ifNull": ["$looks.failures", 0]}, 1]},
            "looks.error": {"$literal": outcome.error},
            "looks.error_since": {"$ifNull": ["$looks.error_since", "$$NOW"]},
        }
    change: _Document = {
        "looks.last_ok_at": "$$NOW",
        "looks.failures": 0,
        "looks.error": None,
        "looks.error_since": None,
        "looks.notices": {"$literal": list(outcome.notices)},
    }
    if outcome.remembered is not None:
        change["remembered"] = {"$literal": asdict(outcome.remembered)}
    if outcome.identity is not None:
        change["identity"] = {"$literal": outcome.identity}
    if arrived := len(outcome.new) + outcome.sighted:
        change["looks.last_new_at"] = "$$NOW"
        change["looks.items"] = {"$add": [{"$ifNull": ["$looks.items", 0]}, arrived]}
    return change


def _from_now(seconds: float) -> _Document:
    return {"$add": ["$$NOW", int(seconds * 1000)]}


def _token() -> str:
    return secrets.token_hex(8)


def _description(source: Source, *, order: int) -> _Document:
    described = {name: value for name, value in asdict(source).items() if name != "id"}
    return {"_id": source.id, "source": {**described, "tags": list(source.tags)}, "order": order}


def _replacement(document: _Document) -> UpdateOne:
    """Describe a source anew, and make it due at once if it is new or its polling changed.

    A pipeline, because what was there decides; `$literal`, because a URL or name may begin with a dollar sign.
    """
    described = document["source"]

    def same(*names: str) -> list[_Document]:
        return [{"$eq": [f"$source.{name}", {"$literal": described[name]}]} for name in names]

    unchanged = {"$and": [*same("url", "every_s"), {"$eq": ["$active", True]}]}
    # other tags reach the items with the next document, even if that is the same again
    same_items = {"$and": same("url", "tags")}
    change = {
        "due_at": {"$cond": [unchanged, "$due_at", {"$literal": _AT_ONCE}]},
        "remembered": {"$cond": [same_items, "$remembered", None]},
        "lease": {"$cond": [unchanged, "$lease", None]},
        "source": {"$literal": described},
        "order": document["order"],
        "active": document.get("active", True),
    }
    return UpdateOne({"_id": document["_id"]}, [{"$set": change}], upsert=True)


def _watched(document: Mapping[str, Any]) -> WatchedSource:
    described = document["source"]
    looks = document.get("looks", {})
    notices = tuple(looks.get("notices", ()))
    remembered = document.get("remembered") or {}
    return WatchedSource(
        source=Source(id=document["_id"], **{**described, "tags": tuple(described["tags"])}),
        looks=Looks(**{**looks, "notices": notices, "next_at": document["due_at"] if document["active"] else None}),
        remembered=Remembered(**{**remembered, "validators": Validators(**remembered.get("validators", {}))}),
        identity=document.get("identity"),
        lease=document["lease"],
        active=document["active"],
    )
