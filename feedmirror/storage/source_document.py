"""A source as a document: what the collection `sources` holds, and how it becomes a model again.

    source      as its operator described it, without its id; `order` is its place in the sources file
    looks       how it fares, as `models.Looks` has it
    remembered  of its last document, `identity` the rule by which its entries get their ids
    due_at, was_due_at, overdue_at, lease, active, unpolled, mistake    see `sources`

Pure: knows no collection and makes no query.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from feedmirror.errors import Failure
from feedmirror.models import Hints, Looks, Remembered, Source, Validators, WatchedSource

_Document = dict[str, Any]


def description(source: Source, *, order: int) -> _Document:
    described = {name: value for name, value in asdict(source).items() if name != "id"}
    # as text: the names in it may be such as no document can have
    options = json.dumps(source.options, sort_keys=True)
    return {"_id": source.id, "source": {**described, "tags": list(source.tags), "options": options}, "order": order}


def remembered_document(remembered: Remembered) -> _Document:
    validators = remembered.validators
    return {
        "validators": {"etag": validators.etag, "last_modified": validators.last_modified},
        "body_digest": remembered.body_digest,
        "version": remembered.version,
    }


def hints_document(hints: Hints) -> _Document:
    return {"ttl_s": hints.ttl_s, "skip_hours": sorted(hints.skip_hours), "skip_days": sorted(hints.skip_days)}


def watched_of(document: Mapping[str, Any], now: datetime | None = None) -> WatchedSource:
    """A source as it is kept, as a model. `now`: the server's time; None where it does not matter what is overdue."""
    remembered = document.get("remembered") or {}
    return WatchedSource(
        source=_source(document["_id"], document["source"]),
        looks=_looks(document),
        remembered=Remembered(**{**remembered, "validators": Validators(**remembered.get("validators", {}))}),
        identity=document.get("identity"),
        lease=document["lease"],
        active=document["active"],
        overdue_since=None if now is None else _overdue_since(document, now),
        mistake=document.get("mistake"),
    )


def _overdue_since(document: Mapping[str, Any], now: datetime) -> datetime | None:
    """When it should have been polled, if that is too long ago."""
    overdue_at: datetime | None = document.get("overdue_at")
    return document["due_at"] if overdue_at is not None and overdue_at <= now else None


def _source(source_id: str, described: Mapping[str, Any]) -> Source:
    # what an older version described has none
    options = json.loads(described.get("options", "{}"))
    return Source(id=source_id, **{**described, "tags": tuple(described["tags"]), "options": options})


def _looks(document: Mapping[str, Any]) -> Looks:
    looks = dict(document.get("looks", {}))
    looks["notices"] = tuple(looks.get("notices", ()))
    looks["hints"] = _hints(looks.get("hints") or {})
    looks["failure"] = Failure(looks["failure"]) if looks.get("failure") else None
    return Looks(**looks, next_at=document["due_at"] if document["active"] else None)


def _hints(document: Mapping[str, Any]) -> Hints:
    return Hints(
        ttl_s=document.get("ttl_s"),
        skip_hours=frozenset(document.get("skip_hours", ())),
        skip_days=frozenset(document.get("skip_days", ())),
    )
