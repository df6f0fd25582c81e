"""What is watched: each source as its operator described it, when it is due, who is at it, and how it fares.

A source is due at `due_at`. Claiming it moves that moment to the end of a lease, so a claimed source is simply one
that is due later: nothing has to be given back when a worker dies. `was_due_at` is the moment before. A lease begins
with the id of the process that holds it (see processes.py), so the sources of a process that died are found and freed
before their leases end. `overdue_at` is the moment from which a source counts as overdue, unless it is polled before.
`unpolled` marks a source until its first poll ends: those that were polled before are claimed first. All times are
the server's (`$$NOW`), whatever the clocks of the workers say; when that clock is set back, they are moved with it (see
server_clock.py). When to look again is decided elsewhere and handed in.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, UpdateMany, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure

from feedmirror.models import Finished, Outcome, Postponed, Source, WatchedSource
from feedmirror.storage import leases
from feedmirror.storage.server_clock import MoveBack, ServerClock
from feedmirror.storage.source_document import description, hints_document, remembered_document, watched_of

_Document = dict[str, Any]

_FILE = "sources file"
# A source that is due waits for the next look, and then for a free thread. What that takes must not be added to each
# interval, which would make every poll a second later. More is not made up for, lest two polls come too close.
_MOMENT_MS = 500
# A source that is polled this much later than it was due is overdue, or a tenth of its interval, whichever is longer:
# less is the ordinary delay of a look each second, a busy worker, or a restart.
_OVERDUE_AFTER_S = 10
_OVERDUE_PART = 0.1
# What lies in the past for every clock: due at once.
_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Claim:
    """Sources that nobody else polls until the lease ends."""

    lease: str
    source_ids: tuple[str, ...] = ()


class Sources:
    """The sources of an installation, those included that the file no longer names."""

    def __init__(self, database: Database[_Document], *, also_moved: MoveBack = lambda *_: None):
        """`also_moved` moves what others keep, when the server's clock is set back."""
        self._sources = database["sources"]
        self._notes = database["notes"]
        self._also_moved = also_moved
        self._clock = ServerClock(database, self._move_back)

    def create_indexes(self) -> None:
        """One for every query made here; and the note of the clock, without which the first claims would race."""
        self._clock.create()
        self._sources.create_indexes(
            [
                IndexModel([("active", ASCENDING), ("unpolled", ASCENDING), ("due_at", ASCENDING)]),
                IndexModel([("active", ASCENDING), ("looks.last_at", DESCENDING)]),
                IndexModel([("active", DESCENDING), ("order", ASCENDING), ("_id", ASCENDING)]),
                IndexModel([("lease", ASCENDING)]),
            ]
        )

    # -- what is watched

    def synchronise(
        self, sources: Iterable[Source], mistakes: Iterable[str], *, kept: Mapping[str, str] = MappingProxyType({})
    ) -> bool:
        """Make the collection say what the sources file says; sources that it no longer names rest.

        A source that is new, or has another address, is due at once; so is one with another interval, because the old
        one may have been a day, and one that may lead to private addresses now. Known ones keep how they fared. `kept`:
        by id, sources that stay as they are, and the mistake that is the reason. Says whether anything changed.
        """
        described = [description(source, order=order) for order, source in enumerate(sources)]
        operations: list[UpdateOne | UpdateMany] = [_replacement(document) for document in described]
        operations += [_keeping(source_id, mistake) for source_id, mistake in kept.items()]
        named = [*(document["_id"] for document in described), *kept]
        resting = {"$set": {"active": False, "mistake": None}}
        operations.append(UpdateMany({"_id": {"$nin": named}, "active": True}, resting))
        written = self._sources.bulk_write(operations, ordered=False)
        noted = self._notes.update_one({"_id": _FILE}, {"$set": {"mistakes": list(mistakes)}}, upsert=True)
        return bool(written.upserted_count or written.modified_count or noted.modified_count or noted.upserted_id)

    def add(self, source: Source) -> None:
        """Describe a source that the file does not name: known, shown, and not polled by itself."""
        document = description(source, order=0)
        self._sources.bulk_write([_replacement({**document, "active": False})])

    def forget(self, source_id: str) -> bool:
        """Forget a source that rests; False if it is polled again, or unknown."""
        return bool(self._sources.delete_one({"_id": source_id, "active": False}).deleted_count)

    def all(self) -> list[WatchedSource]:
        """Every source, those that are polled first, in the order of the file."""
        found = self._sources.find({}).sort([("active", DESCENDING), ("order", ASCENDING), ("_id", ASCENDING)])
        return [watched_of(document) for document in found]

    def mistakes(self) -> list[str]:
        """What is wrong in the sources file, one line each."""
        note = self._notes.find_one({"_id": _FILE})
        return list(note.get("mistakes", ())) if note else []

    def note_mistakes(self, mistakes: Iterable[str]) -> None:
        """Keep what is wrong with a sources file that cannot be read; all sources go on."""
        self._notes.update_one({"_id": _FILE}, {"$set": {"mistakes": list(mistakes)}}, upsert=True)

    def file_path(self) -> str | None:
        """Where the sources file stands that the sources are from; None before the first one was read."""
        note = self._notes.find_one({"_id": _FILE})
        return note.get("path") if note else None

    def note_file_path(self, path: str) -> None:
        """Keep where the sources file stands."""
        self._notes.update_one({"_id": _FILE}, {"$set": {"path": path}}, upsert=True)

    # -- who polls what

    def claim_due(self, *, limit: int, limit_unpolled: int | None = None, lease_s: float, holder: str = "") -> Claim:
        """Claim at most `limit` sources that are due: first those polled before, those that have waited longest first.

        `limit_unpolled`: of those never polled at most so many (None: as many as of the others), which wait while
        thousands of them are added at once. `holder` is the id of the process that claims.
        """
        now = self._clock.now()
        ids = self._due(now, unpolled=None, limit=limit)
        room = limit - len(ids)
        ids += self._due(now, unpolled=True, limit=room if limit_unpolled is None else min(room, limit_unpolled))
        if not ids:
            return Claim("")
        # Two looks may have found the same sources: the update takes only those that are still due.
        still_due = {"active": True, "due_at": {"$lte": now}, "_id": {"$in": ids}}
        return self._claim(still_due, lease_s, holder)

    def claim_now(self, source_ids: Iterable[str], *, lease_s: float, holder: str = "") -> Claim:
        """Claim these sources whether due or not, except those that are being polled."""
        ids = list(source_ids)
        free = [{"lease": None}, {"due_at": {"$lte": self._clock.now()}}]
        return self._claim({"_id": {"$in": ids}, "$or": free}, lease_s, holder)

    def begin(self, claim: Claim, *, lease_s: float, holder: str = "") -> list[WatchedSource]:
        """Start to poll claimed sources, under a lease of their own; those whose claim was used are left out."""
        lease = leases.token(holder)
        self._sources.update_many(
            {"_id": {"$in": list(claim.source_ids)}, "lease": claim.lease},
            [{"$set": {**_leased(lease, lease_s), "looks.last_at": "$$NOW"}}],
        )
        begun = {document["_id"]: watched_of(document) for document in self._sources.find({"lease": lease})}
        return [begun[source_id] for source_id in claim.source_ids if source_id in begun]

    def finish(self, finished: Iterable[Finished]) -> None:
        """End polls: keep how they went; due again when each says (at once, if that is over).

        Where a lease ended meanwhile, somebody else has the source, and their word counts.
        """
        self._write([_ending(poll) for poll in finished])

    def postpone(self, postponed: Iterable[Postponed]) -> None:
        """Give sources back that were begun and not looked at: due again when and for the reason that is given."""
        self._write([_postponing(one) for one in postponed])

    def _write(self, operations: list[UpdateOne]) -> None:
        if operations:
            self._sources.bulk_write(operations, ordered=False)

    def release(self, holder: str, *, but: Iterable[str] = ()) -> int:
        """Free the sources that a process holds, except those with the ids `but`: due at once. How many there were."""
        held = {"lease": leases.of(holder), "_id": {"$nin": list(but)}}
        change = {"lease": None, "due_at": "$$NOW", "overdue_at": _from_now(_OVERDUE_AFTER_S)}
        return self._sources.update_many(held, [{"$set": change}]).modified_count

    def _due(self, now: datetime, *, unpolled: bool | None, limit: int) -> list[str]:
        if limit <= 0:  # which MongoDB takes for no limit
            return []
        due = {"active": True, "unpolled": unpolled, "due_at": {"$lte": now}}
        return [found["_id"] for found in self._sources.find(due, {"_id": 1}).sort("due_at", ASCENDING).limit(limit)]

    def _claim(self, wanted: _Document, lease_s: float, holder: str) -> Claim:
        lease = leases.token(holder)
        self._sources.update_many(wanted, [{"$set": {**_leased(lease, lease_s), "was_due_at": "$due_at"}}])
        claimed = self._sources.find({"lease": lease}, {"_id": 1})
        return Claim(lease, tuple(found["_id"] for found in claimed))

    def _move_back(self, now: datetime, by: timedelta, session: ClientSession) -> None:
        """What was due in a minute stays due in a minute, and a lease that had a minute left keeps that.

        A poll that began or ended after the clock was set back and before that was noticed, a second later at most, is
        moved as well: its source is looked at once too soon.
        """
        by_ms = by // timedelta(milliseconds=1)
        # what a poll by hand that fails goes back to is as late as it was
        moments = ("due_at", "was_due_at", "overdue_at")
        sooner = {moment: {"$subtract": [f"${moment}", by_ms]} for moment in moments}
        # a source that rests may be held by a pass by hand; naming all of these lets the index find them
        later = {"active": {"$in": [True, False]}, "unpolled": {"$in": [True, None]}, "due_at": {"$gt": now}}
        self._sources.update_many(later, [{"$set": sooner}], session=session)
        self._also_moved(now, by, session)


def _mine(watched: WatchedSource) -> _Document:
    return {"_id": watched.source.id, "lease": watched.lease}


# A poll by hand that fails, or has to wait, leaves the source as it was: its error goes to the command or job.
_AS_BEFORE: _Document = {"due_at": "$was_due_at", "lease": None}


def _postponing(postponed: Postponed) -> UpdateOne:
    change = {"due_at": _from_now(postponed.by_s), "lease": None, "looks.why": {"$literal": postponed.why}}
    if postponed.watched.by_hand:
        change = _AS_BEFORE
    return _changed(postponed.watched, change, interval_s=postponed.watched.interval_s or 0)


def _ending(poll: Finished) -> UpdateOne:
    if poll.watched.by_hand and not poll.outcome.ok:
        return _changed(poll.watched, _AS_BEFORE, interval_s=poll.watched.interval_s or 0)
    # the clock may have been set back since the poll began
    began_at: _Document = {"$min": ["$looks.last_at", "$$NOW"]}
    since = _due_or_began(began_at) if poll.from_due else began_at
    change = {
        "due_at": {"$max": ["$$NOW", {"$add": [since, int(poll.interval_s * 1000)]}]},
        "lease": None,
        "looks.interval_s": poll.interval_s,
        "looks.why": {"$literal": poll.why},
        "looks.items_per_day": poll.items_per_day,
        "looks.going_on": poll.outcome.goes_on_in_s is not None,
        "unpolled": "$$REMOVE",
        **(_went_well(poll) if poll.outcome.ok else _went_wrong(poll.outcome)),
    }
    return _changed(poll.watched, change, interval_s=poll.interval_s)


def _changed(watched: WatchedSource, change: _Document, *, interval_s: float) -> UpdateOne:
    """A change of what is ours that says when it is due, and so when it is overdue."""
    return UpdateOne(_mine(watched), [{"$set": change}, {"$set": {"overdue_at": _overdue_at(interval_s)}}])


def _due_or_began(began_at: _Document) -> _Document:
    """When a poll was due, or a moment before it began if that is later. The clock may have been set back since."""
    return {"$min": [began_at, {"$max": ["$was_due_at", {"$subtract": [began_at, _MOMENT_MS]}]}]}


def note_overdue(database: Database[_Document], say: Callable[[str], None]) -> None:
    """Write `overdue_at` where an older version has not: a step of the schema."""
    sources = database["sources"]
    last_interval_s = {"$ifNull": ["$looks.interval_s", {"$ifNull": ["$source.every_s", 0]}]}
    late_ms = {"$max": [1000 * _OVERDUE_AFTER_S, {"$multiply": [last_interval_s, 1000 * _OVERDUE_PART]}]}
    overdue_at = {"$add": ["$due_at", {"$toLong": late_ms}]}
    noted = sources.update_many({"overdue_at": {"$exists": False}}, [{"$set": {"overdue_at": overdue_at}}])
    say(f"{noted.modified_count} sources")
    # the index that claims were answered from before
    with suppress(OperationFailure):
        sources.drop_index("active_1_due_at_1")


# The fields of an update pipeline; what is not named keeps its value.


def _went_wrong(outcome: Outcome) -> _Document:
    return {
        "looks.failures": {"$add": [{"$ifNull": ["$looks.failures", 0]}, 1]},
        "looks.failure": outcome.failure,
        "looks.error": {"$literal": outcome.error},
        "looks.error_since": {"$ifNull": ["$looks.error_since", "$$NOW"]},
        # an address that failed is no place to move to
        "looks.moved_to": None,
        "looks.moved_looks": 0,
    }


def _went_well(poll: Finished) -> _Document:
    outcome, before = poll.outcome, poll.watched.looks
    same_move = outcome.moved_to is not None and outcome.moved_to == before.moved_to
    change: _Document = {
        "looks.last_ok_at": "$looks.last_at",
        "looks.failures": 0,
        "looks.failure": None,
        "looks.error": None,
        "looks.error_since": None,
        "looks.moved_to": {"$literal": outcome.moved_to},
        "looks.moved_looks": before.moved_looks + 1 if same_move else int(outcome.moved_to is not None),
    }
    if outcome.hints is not None:
        change["looks.hints"] = {"$literal": hints_document(outcome.hints)}
    if outcome.remembered is not None:
        change["remembered"] = {"$literal": remembered_document(outcome.remembered)}
    if outcome.identity is not None:  # the document was read
        change["identity"] = {"$literal": outcome.identity}
        change["looks.notices"] = {"$literal": list(outcome.notices)}
    if arrived := len(outcome.new) + outcome.sighted + outcome.arrived:
        change["looks.last_new_at"] = "$looks.last_at"
        change["looks.items"] = {"$add": [{"$ifNull": ["$looks.items", 0]}, arrived]}
    if poll.window_lost:
        change["looks.windows_lost"] = {"$add": [{"$ifNull": ["$looks.windows_lost", 0]}, 1]}
        change["looks.window_lost_at"] = "$looks.last_at"
    return change


def _leased(lease: str, lease_s: float) -> _Document:
    return {"lease": lease, "due_at": _from_now(lease_s), "overdue_at": _from_now(lease_s + _OVERDUE_AFTER_S)}


def _overdue_at(interval_s: float) -> _Document:
    """From when on a source is overdue that is due at `due_at`."""
    return {"$add": ["$due_at", int(1000 * max(_OVERDUE_AFTER_S, _OVERDUE_PART * interval_s))]}


def _from_now(seconds: float) -> _Document:
    return {"$add": ["$$NOW", int(seconds * 1000)]}


def _replacement(document: _Document) -> UpdateOne:
    """Describe a source anew, and make it due at once if it is new or its polling changed.

    A pipeline, because what was there decides; `$literal`, because a URL or name may begin with a dollar sign.
    """
    described = document["source"]

    def same(*names: str) -> list[_Document]:
        return [{"$eq": [f"$source.{name}", {"$literal": described[name]}]} for name in names]

    unchanged = {"$and": [*same("url", "every_s", "private", "options"), {"$eq": ["$active", True]}]}
    # other tags reach the items with the next document, even if that is the same again
    same_items = {"$and": same("url", "tags")}
    change = {
        "due_at": {"$cond": [unchanged, "$due_at", {"$literal": _AT_ONCE}]},
        # how another address fared says nothing of this one: it is seen for the first time
        "looks": {"$cond": [{"$and": same("url")}, "$looks", {"items": {"$ifNull": ["$looks.items", 0]}}]},
        "remembered": {"$cond": [same_items, "$remembered", None]},
        "overdue_at": {"$cond": [unchanged, "$overdue_at", _from_now(_OVERDUE_AFTER_S)]},
        # a source that was polled before and only changed goes on with the others
        "unpolled": {"$cond": [{"$eq": [{"$type": "$source"}, "missing"]}, True, "$unpolled"]},
        "lease": {"$cond": [unchanged, "$lease", None]},
        "source": {"$literal": described},
        "order": document["order"],
        "active": document.get("active", True),
        "mistake": None,
    }
    return UpdateOne({"_id": document["_id"]}, [{"$set": change}], upsert=True)


def _keeping(source_id: str, mistake: str) -> UpdateOne:
    """Mark a source that is polled as it was; one that rests goes on resting."""
    return UpdateOne({"_id": source_id, "active": True}, {"$set": {"mistake": mistake}})
