"""The processes that poll, each with a heartbeat: which of them are there, and whether what is due is polled.

    register    a process begins
    beat        it is still there; False: others took it for dead meanwhile, and freed what it held
    others      who the other processes are and when each beat last, to be compared by a process that observes them
    remove      it ended, or is taken for dead
    schedule_beats, schedule_is_silent     the schedule, which sends looks to the processes, has a heartbeat as well

A process that observes another one compares two of its beats and never its time with a clock: a machine that was
asleep, a server that stalled and a clock that was set make every heartbeat look old. Who observes, and what becomes of
what a dead process held, is not known here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from feedmirror.models import Polling
from feedmirror.process_identity import ProcessIdentity
from feedmirror.storage import leases
from feedmirror.storage.server_clock import server_time

_Document = dict[str, Any]

# A heartbeat that is older is no sign of life, for those who only look once: each process beats every second.
_FRESH = timedelta(seconds=6)
# A source that has been due for less is on its way: processes look for them each second.
_ON_ITS_WAY = timedelta(seconds=3)
# A machine that never comes back leaves its heartbeat; no process needs it by then.
_FORGET_AFTER_S = 86_400
# The schedule sends a look each second; one that is this late will not come soon.
_SILENT_MS = 3_000

_SCHEDULE = "schedule"
_BEAT: _Document = {"beat_at": "$$NOW"}


class Role(StrEnum):
    """What a process is there for."""

    WORKER = "worker"
    BY_HAND = "by hand"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Other:
    """Another process: when it beat last, and who it is on its machine."""

    beat_at: datetime
    identity: ProcessIdentity


class Processes:
    """The heartbeats of an installation."""

    def __init__(self, database: Database[_Document]):
        self._database = database
        self._sources = database["sources"]
        # a heartbeat that is lost comes again after a second, so none waits for the disk
        self._processes = database.get_collection(
            "processes", read_concern=ReadConcern("local"), write_concern=WriteConcern(w=1)
        )

    def create_indexes(self) -> None:
        """One by which MongoDB forgets those that no process removed."""
        self._processes.create_indexes([IndexModel([("beat_at", ASCENDING)], expireAfterSeconds=_FORGET_AFTER_S)])

    def register(self, process_id: str, role: Role, *, host: str, identity: ProcessIdentity) -> None:
        described: _Document = {"role": role, "host": host, **asdict(identity)}
        change = {**{name: {"$literal": value} for name, value in described.items()}, **_BEAT, "started_at": "$$NOW"}
        self._processes.update_one({"_id": process_id}, [{"$set": change}], upsert=True)

    def beat(self, process_id: str) -> bool:
        """Give a sign of life; False if the process is no longer known."""
        return bool(self._processes.update_one({"_id": process_id}, [{"$set": _BEAT}]).matched_count)

    def others(self, process_id: str) -> Mapping[str, Other]:
        """The other processes, by id."""
        found = self._processes.find({"_id": {"$nin": [process_id, _SCHEDULE]}})
        return {document["_id"]: _other(document) for document in found}

    def remove(self, process_id: str) -> None:
        self._processes.delete_one({"_id": process_id})

    def schedule_beats(self) -> None:
        """Note that the schedule has sent a look."""
        self._processes.update_one({"_id": _SCHEDULE}, [{"$set": {"role": Role.SCHEDULE, **_BEAT}}], upsert=True)

    def schedule_is_silent(self) -> bool:
        """Whether no look has come from the schedule for some seconds."""
        beaten = {"_id": _SCHEDULE, "$expr": {"$gt": ["$beat_at", {"$subtract": ["$$NOW", _SILENT_MS]}]}}
        return self._processes.find_one(beaten, {"_id": 1}) is None

    def standing(self) -> Polling:
        """Whether what is due is polled; a few indexed queries."""
        now = server_time(self._database)
        alive = list(self._processes.find({"beat_at": {"$gt": now - _FRESH}}, {"role": 1}))
        last_at = self._last_at()
        begun_lately = last_at is not None and last_at > now - _ON_ITS_WAY
        return Polling(
            now=now,
            stalled=not begun_lately and self._is_due(now - _ON_ITS_WAY, [one["_id"] for one in alive]),
            last_at=last_at,
            workers=sum(one["role"] == Role.WORKER for one in alive),
            overdue=self._sources.count_documents(overdue(now)),
        )

    def _last_at(self) -> datetime | None:
        latest = self._sources.find_one({"active": True}, {"looks.last_at": 1}, sort=[("looks.last_at", DESCENDING)])
        at: datetime | None = (latest or {}).get("looks", {}).get("last_at")
        return at

    def _is_due(self, before: datetime, alive: list[str]) -> bool:
        """Whether a source is due since before this moment, or held by a process that is not alive."""
        due: _Document = {"active": True, "unpolled": {"$in": [True, None]}, "due_at": {"$lte": before}}
        orphaned: _Document = {"active": True, "lease": leases.not_of(alive)}
        return any(self._sources.find_one(question, {"_id": 1}) for question in (due, orphaned))


def _other(document: _Document) -> Other:
    identity = ProcessIdentity(document["pid"], document["started"], document["place"])
    return Other(document["beat_at"], identity)


def overdue(now: datetime) -> _Document:
    """The sources that are overdue: polled before, and not when they should have been."""
    was_polled = [{"looks.error": {"$type": "string"}}, {"looks.last_ok_at": {"$ne": None}}]
    return {"active": True, "overdue_at": {"$lte": now}, "$or": was_polled}
