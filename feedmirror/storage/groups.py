"""Politeness groups: what each has in flight, has used up and was asked, counted for all workers together.

    admit       before a batch of requests: slots for as many as the limits leave      2 round trips
    release     a request is done: its slot is free                                    1
    count       a redirect leads on: one request more, which nobody has asked for      1
    throttled   a source was refused: what holds for its group now                     1

One document a group, decided on and written in one atomic update, at the server's time (`$$NOW`).

The promise, for the workers together, at every moment of a group's time (the server's, held still while it goes back by
up to five seconds):

    at most `in_flight` slots are neither given back nor past the end of their lease
    in any 60 seconds at most `per_minute` requests are granted, and in any 10 at most a sixth of that, rounded up
    in any UTC day and month at most `per_day` and `per_month`

It is a promise on grants: who holds one makes its request at once, and has none under way after the lease. What is only
counted (`count`) is not refused; it leaves less to be granted. Grants within the same quarter of a second are counted
from the last of them, so a minute's room comes back up to a quarter of a second late, never early. Where two calls know
of different limits and none are described, each keeps its own. A server that dies may forget the grants of its last
moments (the disk is not waited for). A clock that jumps ahead ends what it jumps over; one that jumps back makes
nothing last longer from then on than it was meant to.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument, UpdateMany, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from feedmirror.models import Slot
from feedmirror.politeness import (
    RETRY_AFTER_MAX_S,
    RETRY_AFTER_UNSAID_S,
    RETRY_MAX_S,
    Admission,
    Demand,
    GroupLedger,
    GroupLimits,
    Throttling,
)
from feedmirror.storage import leases
from feedmirror.storage.group_document import (
    FORGET_AFTER_MS,
    Document,
    admit,
    apart_s,
    count,
    hear,
    ledger_of,
    limits_document,
)

_DUPLICATE_KEY = 11000
# What was in the way is gone already.
_OTHERS_FIRST = "others were first"
# An expression, so that a document and the moment at which it was read come in one answer.
_WITH_NOW = {
    **dict.fromkeys(("common", "limits", "slots", "recent", "day", "month", "blocked", "queue_at", "active_at"), 1),
    "counted": 1,
    "server_now": "$$NOW",
}


class Groups:
    """The politeness groups of an installation."""

    def __init__(self, database: Database[Document]):
        self._groups = database.get_collection(
            "groups", read_concern=ReadConcern("local"), write_concern=WriteConcern(w=1)
        )

    def create_indexes(self) -> None:
        """One for every query made here, and one by which the server removes groups that were idle for a month."""
        self._groups.create_indexes(
            [
                IndexModel([("active_at", DESCENDING)]),
                IndexModel([("described", ASCENDING)], sparse=True),
                IndexModel([("forget_at", ASCENDING)], expireAfterSeconds=0),
            ]
        )

    def describe(self, common: Mapping[str, GroupLimits]) -> None:
        """Keep the limits of groups that no source could tell alone (`politeness.common_limits`).

        They hold for every demand from now on; in a group that is not named any more, what a demand says.
        """
        operations: list[UpdateOne | UpdateMany] = [
            UpdateOne(
                {"_id": name},
                {"$set": {"common": limits_document(limits), "described": True}, "$unset": {"forget_at": ""}},
                upsert=True,
            )
            for name, limits in common.items()
        ]
        forgotten: list[Document] = [
            {"$unset": ["common", "described"]},
            {"$set": {"forget_at": {"$add": ["$$NOW", FORGET_AFTER_MS]}}},
        ]
        operations.append(UpdateMany({"described": True, "_id": {"$nin": list(common)}}, forgotten))
        self._write(operations)

    def admit(self, wanted: Mapping[str, Demand], *, lease_s: float, holder: str = "") -> dict[str, Admission]:
        """Take slots in each group, as many of those wanted as its limits leave; two round trips for all.

        A slot that is not released is free again after `lease_s`: no request may be under way for longer. `holder` is
        the id of the process that asks.
        """
        if not wanted:
            return {}
        admissions = self._ask(wanted, lease_s, holder)
        if new := {name: demand for name, demand in wanted.items() if name not in admissions}:
            # once in a group's life, and two round trips more
            self._create(new)
            admissions |= self._ask(new, lease_s, holder)
        return admissions

    def release(self, slots: Iterable[Slot]) -> None:
        """Give slots back, of any groups; one that was given back or has ended is no mistake. One round trip."""
        given = list(slots)
        if given:
            groups, ids = {slot.group for slot in given}, [slot.id for slot in given]
            self._groups.update_many({"_id": {"$in": list(groups)}}, {"$pull": {"slots": {"id": {"$in": ids}}}})

    def release_of(self, holder: str, *, but: Iterable[str] = ()) -> None:
        """Give back the slots that a process holds, except those with the ids `but`; reads every group."""
        theirs = {"id": {**leases.of(holder), "$nin": list(but)}}
        self._groups.update_many({"slots": {"$elemMatch": theirs}}, {"$pull": {"slots": theirs}})

    def count(self, group: str) -> None:
        """Count one request that is made whatever the limits say, in a group that somebody has asked. One round trip.

        Others have nothing that it could be taken from, and strangers' redirects may name any number of hosts.
        """
        self._groups.update_one({"_id": group}, count())

    def throttled(self, group: str, source_id: str, *, retry_after_s: float | None, status: int) -> Throttling:
        """Note that a source was refused with this status, and tell what holds for its group now.

        429 counts as being asked to wait, as does 503 with a Retry-After, and a 403 within a minute after a 429 of the
        same group. One source that is asked waits alone, which is not decided here. As soon as a second one is within
        a minute, the group waits, for the longest that any of them was asked (a day at most). A refusal that names no
        time counts as a minute.
        """
        wait_s = RETRY_AFTER_UNSAID_S if retry_after_s is None else min(max(retry_after_s, 0), RETRY_AFTER_MAX_S)
        counts = status == 429 or (status == 503 and retry_after_s is not None)
        if not counts and status != 403:
            return self._standing(group)
        change = hear(source_id, status=status, wait_ms=int(wait_s * 1000), counts=counts)
        try:
            document = self._hear(group, change)
        except DuplicateKeyError:  # somebody else made the document meanwhile
            document = self._hear(group, change)
        return _throttling(document, counted=document["counted"])

    def ledger(self, *, limit: int = 200) -> list[GroupLedger]:
        """How the groups stand, those first that were active last; `limit` of them at most."""
        found = self._groups.find({}, _WITH_NOW).sort("active_at", DESCENDING).limit(limit)
        return [ledger_of(document) for document in found]

    def _ask(self, wanted: Mapping[str, Demand], lease_s: float, holder: str) -> dict[str, Admission]:
        """Admit to those of the groups that there are."""
        ticket = leases.token(holder)
        these = {"_id": {"$in": list(wanted)}}
        self._groups.update_many(these, admit(wanted, ticket=ticket, lease_ms=int(lease_s * 1000)))
        found = self._groups.find(these, _WITH_NOW)
        return {document["_id"]: _admission(document, ticket, wanted[document["_id"]]) for document in found}

    def _create(self, names: Iterable[str]) -> None:
        forget_at = {"$ifNull": ["$forget_at", {"$add": ["$$NOW", FORGET_AFTER_MS]}]}
        self._write([UpdateOne({"_id": name}, [{"$set": {"forget_at": forget_at}}], upsert=True) for name in names])

    def _standing(self, group: str) -> Throttling:
        document = self._groups.find_one({"_id": group}, _WITH_NOW)
        return _throttling(document, counted=False) if document else Throttling(counted=False)

    def _hear(self, group: str, change: list[Document]) -> Document:
        document = self._groups.find_one_and_update(
            {"_id": group}, change, _WITH_NOW, upsert=True, return_document=ReturnDocument.AFTER
        )
        assert document is not None  # upserted
        return document

    def _write(self, operations: Sequence[UpdateOne | UpdateMany]) -> None:
        """Make these changes, each on its own; those whose document somebody else made meanwhile once more."""
        try:
            self._groups.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            failed: list[Mapping[str, Any]] = error.details["writeErrors"]
            if any(one["code"] != _DUPLICATE_KEY for one in failed):
                raise
            self._groups.bulk_write([operations[one["index"]] for one in failed], ordered=False)


def _admission(document: Document, ticket: str, demand: Demand) -> Admission:
    ledger = ledger_of(document)
    slots = tuple(Slot(ledger.name, slot["id"]) for slot in document.get("slots", ()) if slot["id"].startswith(ticket))
    denied = demand.count - len(slots)
    if denied <= 0:
        return Admission(slots=slots)
    apart = apart_s(ledger.limits)
    # the places at the end of the queue are ours; if somebody came behind us meanwhile, theirs are
    queue_s = (ledger.queue_until - ledger.as_of).total_seconds() if ledger.queue_until else 0.0
    retry_in_s = max(min(ledger.wait_s, RETRY_MAX_S), queue_s - denied * apart)
    return Admission(slots=slots, retry_in_s=retry_in_s, apart_s=apart, why=ledger.why or _OTHERS_FIRST)


def _throttling(document: Document, *, counted: bool) -> Throttling:
    ledger = ledger_of(document)
    if ledger.blocked_until is None:
        return Throttling(counted=counted)
    return Throttling(
        counted=counted, wait_s=(ledger.blocked_until - ledger.as_of).total_seconds(), why=ledger.blocked_why
    )
