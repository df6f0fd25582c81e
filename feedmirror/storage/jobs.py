"""Jobs: work that somebody asked for. Each is a document with a lease; messages only wake up who does it.

    create      asked for: due in a moment, by when the message should have come
    hand_out    due and with nobody: the message was lost, or whoever was at it has died
    claim       one that nobody is at, and that is not postponed, becomes ours until the lease ends; `renew` meanwhile
    postpone    not now: due again later, with nobody
    end         done, or failed; remembered for a while, then forgotten

All times are the server's, and moved with it when it is set back.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from feedmirror.models import Job, JobState
from feedmirror.storage import leases

_Document = dict[str, Any]

# A message takes a tenth of a second; one that has not come after this is sent again.
_ON_ITS_WAY_S = 5.0


class Jobs:
    """The jobs of an installation, until they are forgotten."""

    def __init__(self, database: Database[_Document]):
        self._jobs = database["jobs"]

    def create_indexes(self) -> None:
        """One for every query made here. MongoDB itself forgets what is over (TTL), once a minute."""
        sole = {"open": True, "sole": {"$exists": True}}
        self._jobs.create_indexes(
            [
                IndexModel([("kept_until", ASCENDING)], expireAfterSeconds=0),
                IndexModel([("sole", ASCENDING)], unique=True, partialFilterExpression=sole),
                IndexModel([("due_at", ASCENDING)], partialFilterExpression={"open": True}),
                IndexModel([("lease", ASCENDING)], partialFilterExpression={"open": True}),
            ]
        )

    def create(self, kind: str, subject: str) -> tuple[Job, bool]:
        """The open job for this, and whether it is a new one: there is one for a subject, however many ask at once."""
        while True:
            known = self._jobs.find_one({"sole": _sole(kind, subject), "open": True})
            if known:
                return _job(known), False
            job_id = new_job_id()
            try:
                return self.insert(job_id, kind, subject, sole=True), True
            except DuplicateKeyError:  # somebody else asked at the same moment
                continue

    def insert(
        self, job_id: str, kind: str, subject: str, *, sole: bool = False, session: ClientSession | None = None
    ) -> Job:
        """A new job under an id that was made for it; `sole`: the only open one for its subject."""
        document: _Document = {"kind": kind, "subject": subject, "state": JobState.PENDING, "open": True, "tries": 0}
        document["lease"] = None
        if sole:
            document["sole"] = _sole(kind, subject)
        change: _Document = {name: {"$literal": value} for name, value in document.items()}
        change |= {"created_at": "$$NOW", "due_at": _from_now(_ON_ITS_WAY_S)}
        made = self._jobs.find_one_and_update(
            {"_id": job_id}, [{"$set": change}], upsert=True, return_document=ReturnDocument.AFTER, session=session
        )
        assert made is not None  # upserted
        return _job(made)

    def get(self, job_id: str) -> Job | None:
        """The job of this id; None if there is none, or it is forgotten."""
        # what is over its time may still be there for a minute
        remembered = {"$or": [{"$eq": [{"$ifNull": ["$kept_until", None]}, None]}, {"$gt": ["$kept_until", "$$NOW"]}]}
        document = self._jobs.find_one({"_id": job_id, "$expr": remembered})
        return _job(document) if document else None

    def hand_out(self, *, limit: int) -> list[str]:
        """The ids of jobs that are due and with nobody, for a message each; until that has come, they are not due."""
        due = {"open": True, "$expr": {"$lte": ["$due_at", "$$NOW"]}}
        ids = [one["_id"] for one in self._jobs.find(due, {"_id": 1}).sort("due_at", ASCENDING).limit(limit)]
        if ids:
            change = {"due_at": _from_now(_ON_ITS_WAY_S), "lease": None}
            self._jobs.update_many({"_id": {"$in": ids}, **due}, [{"$set": change}])
        return ids

    def claim(self, job_id: str, *, lease_s: float, holder: str = "") -> Job | None:
        """Begin with a job, or go on with it; None if it is over, unknown, or somebody is at it."""
        rested = {"$lte": [{"$ifNull": ["$not_before", "$$NOW"]}, "$$NOW"]}
        unheld = {"$or": [{"$eq": ["$lease", None]}, {"$lte": ["$due_at", "$$NOW"]}]}
        free = {"open": True, "$expr": {"$and": [rested, unheld]}}
        started = {"$cond": [{"$eq": ["$state", JobState.PENDING]}, JobState.STARTED, "$state"]}
        change = {
            "lease": leases.token(holder),
            "due_at": _from_now(lease_s),
            "state": started,
            "started_at": {"$ifNull": ["$started_at", "$$NOW"]},
            "tries": {"$add": ["$tries", 1]},
        }
        document = self._jobs.find_one_and_update(
            {"_id": job_id, **free}, [{"$set": change}], return_document=ReturnDocument.AFTER
        )
        return _job(document) if document else None

    def renew(self, job: Job, *, lease_s: float) -> bool:
        """Keep a job that takes its time; whether it is still ours."""
        return self._change(job, {"due_at": _from_now(lease_s)})

    def progress(self, job: Job, progress: Mapping[str, Any]) -> bool:
        """Say what is done of what; whether the job is still ours."""
        return self._change(job, {"state": JobState.PROGRESS, "progress": {"$literal": dict(progress)}})

    def postpone(self, job: Job, by_s: float, *, tried: bool) -> bool:
        """Give a job back: it is due again later. `tried` False: that was no try, somebody else was in the way."""
        tries = "$tries" if tried else {"$subtract": ["$tries", 1]}
        # a message that comes meanwhile must not begin it
        later = _from_now(by_s)
        return self._change(job, {"lease": None, "due_at": later, "not_before": later, "tries": tries})

    def end(
        self, job: Job, *, result: Mapping[str, Any] | None = None, error: str | None = None, kept_s: float
    ) -> bool:
        """End a job, well with its `result` or with an `error`; whether it was still ours."""
        change: _Document = {
            "state": JobState.SUCCESS if error is None else JobState.FAILURE,
            "open": False,
            "lease": None,
            "ended_at": "$$NOW",
            "kept_until": _from_now(kept_s),
            "result": {"$literal": dict(result or {})},
            "error": {"$literal": error},
        }
        return self._change(job, change)

    def release(self, holder: str) -> None:
        """Free the jobs that a process holds: due at once."""
        change = {"lease": None, "due_at": "$$NOW"}
        self._jobs.update_many({"open": True, "lease": leases.of(holder)}, [{"$set": change}])

    def move_back(self, now: datetime, by: timedelta, session: ClientSession) -> None:
        """Move what is due with a clock that was set back."""
        by_ms = by // timedelta(milliseconds=1)
        sooner = {name: {"$subtract": [f"${name}", by_ms]} for name in ("due_at", "not_before")}
        self._jobs.update_many({"open": True, "due_at": {"$gt": now}}, [{"$set": sooner}], session=session)

    def _change(self, job: Job, change: _Document) -> bool:
        mine = {"_id": job.id, "lease": job.lease, "open": True}
        return bool(self._jobs.update_one(mine, [{"$set": change}]).matched_count)


def new_job_id() -> str:
    """An id that nobody guesses: whoever has it may ask how the job goes."""
    return secrets.token_hex(16)


def _sole(kind: str, subject: str) -> str:
    return f"{kind} {subject}"


def _from_now(seconds: float) -> _Document:
    return {"$add": ["$$NOW", int(seconds * 1000)]}


def _job(document: Mapping[str, Any]) -> Job:
    optional = {name: document.get(name) for name in ("started_at", "ended_at", "kept_until", "error", "lease")}
    return Job(
        id=document["_id"],
        kind=document["kind"],
        subject=document["subject"],
        state=JobState(document["state"]),
        created_at=document["created_at"],
        progress=document.get("progress") or {},
        result=document.get("result") or {},
        tries=document["tries"],
        **optional,
    )
