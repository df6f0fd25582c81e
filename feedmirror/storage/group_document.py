"""A politeness group as a document: how it is counted in the server, and how it becomes a model again.

    slots    one for each request in flight: {id, until, for_ms}
    recent   what was granted or counted within the last minute, oldest first: {at, n}
    day      the calendar's window, as `month` is: {start, used}
    heard    who was asked to wait within the last minute, and for how long: {source, at, for_ms}
    counted  whether the last refusal counted as being asked to wait; `refused_at` is the last 429
    blocked  what the group as a whole was asked: {until, for_ms, status}
    queue_at when all those that were sent away will have come back
    limits   those that count: `common`, where the group has any, else what the last one who asked knew of
    active_at, forget_at

The stages of an update pipeline are made here, so that a decision and what it rests on are one atomic write. Pure:
knows no collection and makes no query.

A time is never trusted to lie in the past: a server's clock may jump back. What would begin in the future begins now
(a slot, a pause and a window each know how long they last), so nothing lasts longer than it was meant to.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from feedmirror.politeness import (
    BURST,
    BURSTS_A_MINUTE,
    MINUTE,
    REQUEST_S,
    RETRY_MAX_S,
    Demand,
    Granted,
    GroupLedger,
    GroupLimits,
)

Document = dict[str, Any]
Expression = Any

# Calls that began at the same time write in any order, and the server's clock is corrected in small steps: within
# this, a group's time stands still rather than go back. More is a jump.
_STANDSTILL = timedelta(seconds=5)
# Grants this close to each other are one entry, counted from the last of them: 241 entries at most in all.
_GRAIN_MS = 250
# Longer than any window: what a group counted is worth nothing then.
FORGET_AFTER_MS = 32 * 86_400_000
# Two sources are enough to block a group; these are for the longest of what they were asked.
_HEARD_MOST = 8
_LIMITS = tuple(field.name for field in fields(GroupLimits))


def admit(wanted: Mapping[str, Demand], *, ticket: str, lease_ms: int) -> list[Document]:
    """Grant, in each of these groups, as many slots, named after the ticket, as its limits leave.

    One pipeline for all of them, which looks up what is demanded of the group at hand: the server reads it once, and
    that is most of what it costs.
    """
    common = {"ticket": ticket, "lease_ms": lease_ms}
    demanded = [{"count": one.count, "limits": limits_document(one.limits), **common} for one in wanted.values()]
    place = {"$indexOfArray": [{"$literal": list(wanted)}, "$_id"]}
    return [{"$set": {"asked": {"$arrayElemAt": [{"$literal": demanded}, place]}}}, *_ADMIT]


def count() -> list[Document]:
    """Count a request that nobody asked for: it takes its room, whether the limits leave any or not."""
    return [
        {"$set": {"now": _NOW}},
        {"$set": {**_SETTLED, "granted": {"$literal": 1}}},
        {"$set": {**_COUNTED, **_ACTIVE}},
        {"$unset": ["now", "granted"]},
    ]


def hear(source_id: str, *, status: int, wait_ms: int, counts: bool) -> list[Document]:
    """Note that a source was refused; block the group if that makes two within a minute.

    `counts` False: only if it follows a 429.
    """
    minute_ago = _before(MINUTE)
    refused_just_now = {"$and": [{"$gt": ["$refused_at", minute_ago]}, {"$lte": ["$refused_at", "$now"]}]}
    hearing = {"source": {"$literal": source_id}, "at": "$now", "for_ms": wait_ms}
    others = {
        "$filter": {
            "input": _array("$heard"),
            "as": "one",
            "cond": {
                "$and": [
                    {"$ne": ["$$one.source", {"$literal": source_id}]},
                    {"$gt": ["$$one.at", minute_ago]},
                    {"$lte": ["$$one.at", "$now"]},
                ]
            },
        }
    }
    heard = {"$cond": ["$counted", {"$slice": [{"$concatArrays": [others, [hearing]]}, -_HEARD_MOST]}, others]}
    ends = {"$map": {"input": "$heard", "as": "one", "in": {"$add": ["$$one.at", "$$one.for_ms"]}}}
    until = {"$max": ["$blocked.until", {"$max": ends}]}
    block = {"until": until, "for_ms": {"$subtract": [until, "$now"]}, "status": status}
    both = {"$and": ["$counted", {"$gte": [{"$size": "$heard"}, 2]}]}
    return [
        {"$set": {"now": _NOW}},
        {"$set": {**_SETTLED, "counted": {"$literal": True} if counts else refused_just_now}},
        {"$set": {"heard": heard, "refused_at": "$now" if status == 429 else "$refused_at"}},
        {"$set": {"blocked": {"$cond": [both, block, "$blocked"]}}},
        {"$set": _ACTIVE},
        {"$unset": ["now"]},
    ]


def limits_document(limits: GroupLimits) -> Document:
    """What `asdict` gives, at a fraction of its time: it is made for every source that is begun."""
    return {name: getattr(limits, name) for name in _LIMITS}


def ledger_of(document: Mapping[str, Any]) -> GroupLedger:
    """The group as it stands at the server's time `server_now`, which was read together with the document."""
    now: datetime = document["server_now"].astimezone(UTC)
    active_at: datetime | None = document.get("active_at")
    if active_at is not None and now < active_at <= now + _STANDSTILL:
        now = active_at
    blocked = document.get("blocked") or {}
    blocked_until = _ends(blocked, now)
    queue_until = document.get("queue_at")
    return GroupLedger(
        name=document["_id"],
        as_of=now,
        limits=GroupLimits(**(document.get("common") or document.get("limits") or {})),
        in_flight=sum(_ends(slot, now) is not None for slot in document.get("slots", ())),
        recent=_recent(document, now),
        used_day=_used(document.get("day"), now.replace(hour=0, minute=0, second=0, microsecond=0)),
        used_month=_used(document.get("month"), now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)),
        blocked_until=blocked_until,
        blocked_status=blocked["status"] if blocked_until else None,
        queue_until=queue_until if queue_until and queue_until > now else None,
        active_at=active_at,
    )


def apart_s(limits: GroupLimits) -> float:
    """The pace at which a group under these limits takes those that had to wait; 0 where nothing limits it."""
    by_rate = MINUTE.total_seconds() / limits.per_minute if limits.per_minute else 0.0
    by_flight = REQUEST_S / limits.in_flight if limits.in_flight else 0.0
    return max(by_rate, by_flight)


# -- the same questions, answered in Python for reading and in the server for deciding


def _ends(lasting: Mapping[str, Any], now: datetime) -> datetime | None:
    """When something that lasts `for_ms` until `until` ends, None if it has ended."""
    until: datetime | None = lasting.get("until")
    if until is None or until <= now:
        return None
    return min(until, now + timedelta(milliseconds=lasting["for_ms"]))


def _recent(document: Mapping[str, Any], now: datetime) -> tuple[Granted, ...]:
    granted = (Granted(min(one["at"], now), int(one["n"])) for one in document.get("recent", ()))
    return tuple(one for one in granted if one.at > now - MINUTE)


def _used(window: Mapping[str, Any] | None, start: datetime) -> int:
    return int(window["used"]) if window and window["start"] >= start else 0


def _array(field: str) -> Expression:
    return {"$ifNull": [field, []]}


def _before(span: timedelta) -> Expression:
    return {"$subtract": ["$now", _ms(span)]}


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


_NOW: Expression = {
    "$cond": [
        {
            "$and": [
                {"$gt": ["$active_at", "$$NOW"]},
                {"$lte": ["$active_at", {"$add": ["$$NOW", _ms(_STANDSTILL)]}]},
            ]
        },
        "$active_at",
        "$$NOW",
    ]
}


def _shortened(lasting: str) -> Expression:
    return {"$min": [f"{lasting}.until", {"$add": ["$now", f"{lasting}.for_ms"]}]}


def _window(name: str) -> Document:
    start = {"$dateTrunc": {"date": "$now", "unit": name}}
    # a window of the future is the present one, seen from a clock that has jumped back: what is used stays used
    used = {"$cond": [{"$gte": [f"${name}.start", start]}, f"${name}.used", 0]}
    return {"start": start, "used": used}


# Everything that has ended is gone, and nothing lies in the future.
_SETTLED: Document = {
    "slots": {
        "$map": {
            "input": {
                "$filter": {"input": _array("$slots"), "as": "slot", "cond": {"$gt": ["$$slot.until", "$now"]}},
            },
            "as": "slot",
            "in": {"id": "$$slot.id", "until": _shortened("$$slot"), "for_ms": "$$slot.for_ms"},
        }
    },
    "recent": {
        "$map": {
            "input": {
                "$filter": {"input": _array("$recent"), "as": "one", "cond": {"$gt": ["$$one.at", _before(MINUTE)]}},
            },
            "as": "one",
            "in": {"at": {"$min": ["$$one.at", "$now"]}, "n": "$$one.n"},
        }
    },
    "day": _window("day"),
    "month": _window("month"),
    "blocked": {
        "$cond": [
            {"$gt": ["$blocked.until", "$now"]},
            {"until": _shortened("$blocked"), "for_ms": "$blocked.for_ms", "status": "$blocked.status"},
            "$$REMOVE",
        ]
    },
}

_ACTIVE: Document = {
    "active_at": "$now",
    "forget_at": {"$cond": [{"$ifNull": ["$common", False]}, "$$REMOVE", {"$add": ["$now", FORGET_AFTER_MS]}]},
}


def _used_within(span: timedelta) -> Expression:
    within = {"$filter": {"input": "$recent", "as": "one", "cond": {"$gt": ["$$one.at", _before(span)]}}}
    return _sum_of(within)


def _sum_of(entries: Expression) -> Expression:
    return {"$sum": {"$map": {"input": entries, "as": "one", "in": "$$one.n"}}}


# How many of those asked for the limits leave. A limit that is null takes no part: `$min` ignores it.
_LEFT: Expression = {
    "$toInt": {
        "$max": [
            0,
            {
                "$min": [
                    "$asked.count",
                    {"$cond": [{"$gt": ["$blocked.until", "$now"]}, 0, "$asked.count"]},
                    {"$subtract": ["$limits.in_flight", {"$size": "$slots"}]},
                    {"$subtract": ["$limits.per_minute", _used_within(MINUTE)]},
                    {
                        "$subtract": [
                            {"$ceil": {"$divide": ["$limits.per_minute", BURSTS_A_MINUTE]}},
                            _used_within(BURST),
                        ]
                    },
                    {"$subtract": ["$limits.per_day", "$day.used"]},
                    {"$subtract": ["$limits.per_month", "$month.used"]},
                ]
            },
        ]
    }
}


_SLOTS: Expression = {
    "$map": {
        "input": {"$range": [0, "$granted"]},
        "as": "number",
        "in": {
            "id": {"$concat": ["$asked.ticket", ":", {"$toString": "$$number"}]},
            "until": {"$add": ["$now", "$asked.lease_ms"]},
            "for_ms": "$asked.lease_ms",
        },
    }
}


def _appended() -> Expression:
    """`recent` with what is granted now."""
    grain = {"$dateTrunc": {"date": "$now", "unit": "millisecond", "binSize": _GRAIN_MS}}
    earlier = {"$filter": {"input": "$recent", "as": "one", "cond": {"$lt": ["$$one.at", grain]}}}
    same = {"$filter": {"input": "$recent", "as": "one", "cond": {"$gte": ["$$one.at", grain]}}}
    entry = {"at": "$now", "n": {"$add": ["$granted", _sum_of(same)]}}
    return {"$cond": [{"$eq": ["$granted", 0]}, "$recent", {"$concatArrays": [earlier, [entry]]}]}


def _queue() -> Expression:
    """The end of the queue, behind those that are sent away now; an hour long at most."""
    begin = {"$max": ["$now", "$blocked.until"]}
    by_rate = {"$divide": [_ms(MINUTE), "$limits.per_minute"]}
    by_flight = {"$divide": [REQUEST_S * 1000, "$limits.in_flight"]}
    apart = {"$ifNull": [{"$max": [by_rate, by_flight]}, 0]}
    denied = {"$subtract": ["$asked.count", "$granted"]}
    longest = {"$add": [begin, int(RETRY_MAX_S * 1000)]}
    return {"$min": [longest, {"$add": [{"$max": ["$queue_at", begin]}, {"$multiply": [denied, apart]}]}]}


_COUNTED: Document = {
    "recent": _appended(),
    "day.used": {"$add": ["$day.used", "$granted"]},
    "month.used": {"$add": ["$month.used", "$granted"]},
}

_GRANT: Document = {"slots": {"$concatArrays": ["$slots", _SLOTS]}, **_COUNTED, "queue_at": _queue()}

_ADMIT: list[Document] = [
    {"$set": {"now": _NOW, "limits": {"$ifNull": ["$common", "$asked.limits"]}}},
    {"$set": _SETTLED},
    {"$set": {"granted": _LEFT}},
    {"$set": {**_GRANT, **_ACTIVE}},
    {"$unset": ["now", "asked", "granted"]},
]
