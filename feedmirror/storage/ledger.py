"""How the politeness groups stand, for showing: those first that keep somebody waiting, then those active last.

Reads what `groups` writes; grants nothing. There may be as many groups as sources, so a few are read.
"""

from collections.abc import Iterable
from math import ceil
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from feedmirror.politeness import GroupStanding
from feedmirror.storage.group_document import apart_s, ledger_of

_Document = dict[str, Any]

_BLOCKED = "blocked.until"
_QUEUE = "queue_at"


class Ledger:
    """What has been counted of an installation's politeness groups."""

    def __init__(self, database: Database[_Document]):
        # as it is written: nobody waits for the disk
        self._groups = database.get_collection("groups", read_concern=ReadConcern("local"))

    def create_indexes(self) -> None:
        """For those that keep somebody waiting; `Groups` has the one by which they were active."""
        blocked = IndexModel([(_BLOCKED, ASCENDING)], sparse=True)
        self._groups.create_indexes([blocked, IndexModel([(_QUEUE, ASCENDING)])])

    def standings(self, *, limit: int) -> list[GroupStanding]:
        """The groups, `limit` at most: blocked ones, those with a queue (each the longest first), then by activity."""
        found: dict[str, GroupStanding] = {}
        for question in (_lasting(_BLOCKED), _lasting(_QUEUE), [{"$sort": {"active_at": DESCENDING}}]):
            for standing in self._read([*question, {"$limit": limit}]):
                found.setdefault(standing.ledger.name, standing)
        return list(found.values())[:limit]

    def standings_of(self, names: Iterable[str]) -> dict[str, GroupStanding]:
        """How these groups stand, by name; one that has never been asked for anything is left out."""
        found = self._read([{"$match": {"_id": {"$in": list(names)}}}])
        return {standing.ledger.name: standing for standing in found}

    def count(self) -> int:
        """How many groups there are, more or less: after a crash the server's own count may be a little off."""
        return self._groups.estimated_document_count()

    def _read(self, question: list[_Document]) -> list[GroupStanding]:
        # the moment is read together with the document: everything in it is relative to the server's time
        found = self._groups.aggregate([*question, {"$set": {"server_now": "$$NOW"}}])
        return [_standing(document) for document in found]


def _lasting(until: str) -> list[_Document]:
    return [{"$match": {"$expr": {"$gt": [f"${until}", "$$NOW"]}}}, {"$sort": {until: DESCENDING}}]


def _standing(document: _Document) -> GroupStanding:
    ledger = ledger_of(document)
    if ledger.queue_until is None:
        return GroupStanding(ledger=ledger)
    begins = ledger.as_of
    if ledger.blocked_until is not None and ledger.blocked_until < ledger.queue_until:
        begins = ledger.blocked_until  # those that were put off are told to come back after it
    apart = apart_s(ledger.limits)
    queue_s = (ledger.queue_until - begins).total_seconds()
    return GroupStanding(ledger=ledger, queued=ceil(queue_s / apart) if apart else 0)
