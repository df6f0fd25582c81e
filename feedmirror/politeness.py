"""Politeness: which sources share one publisher's patience, how much of it there is, and the words for its end.

A group is everything that a publisher would count as one visitor's requests: one host and port, or what the operator
gives one name. A source that has moved is asked elsewhere, and counts there: whoever asks, counts or shows takes it
`as_asked`. Pure: what is counted, by whom and where, is not known here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from feedmirror.models import Slot, Source, WatchedSource

MINUTE = timedelta(minutes=1)
# A minute's requests all at once are a burst that publishers block for, so no ten seconds see more than their share.
BURST = timedelta(seconds=10)
BURSTS_A_MINUTE = MINUTE // BURST
# How long a request takes, for all that is known before it was made.
REQUEST_S = 1.0
# Nobody is sent away for longer: by then the limits may be other ones.
RETRY_MAX_S = 3600.0

# A publisher that asks for more than a day is asked again after one, as a source alone is.
RETRY_AFTER_MAX_S = 86_400.0
# 429 without a Retry-After: most publishers count by the minute.
RETRY_AFTER_UNSAID_S = 60.0

# A publisher that calls a move permanent may have made a mistake that lasts an hour.
_LOOKS_UNTIL_MOVED = 3

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """At most `in_flight` requests at once, and so many a minute, UTC day and UTC month. None: no such limit."""

    in_flight: int | None = None
    per_minute: int | None = None
    per_day: int | None = None
    per_month: int | None = None

    @property
    def per_burst(self) -> int | None:
        """The most within any ten seconds: a minute's share of them, and one at least."""
        return None if self.per_minute is None else -(-self.per_minute // BURSTS_A_MINUTE)

    @property
    def words(self) -> str:
        """All of them in words: "4 at once, 60 a minute", "no limits"."""
        spans = (
            (self.in_flight, "at once"),
            (self.per_minute, "a minute"),
            (self.per_day, "a day"),
            (self.per_month, "a month"),
        )
        return ", ".join(f"{number:,} {span}" for number, span in spans if number is not None) or "no limits"


@dataclass(frozen=True, slots=True)
class Demand:
    """How many requests somebody wants to make in a group now (one at least), and the limits that they know of."""

    count: int
    limits: GroupLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a demand was granted: a slot for each request that may be made now.

    Those not granted come back after `retry_in_s`, one every `apart_s`, so that they find room and not each other;
    `why` says in a few words what is in their way, "" if nothing is.
    """

    slots: tuple[Slot, ...] = ()
    retry_in_s: float = 0
    apart_s: float = 0
    why: str = ""

    @property
    def granted(self) -> int:
        return len(self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """What holds for a group after one of its sources was refused.

    `counted`: the refusal counts as being asked to wait. `wait_s` 0: the group as a whole has not been asked.
    """

    counted: bool
    wait_s: float = 0
    why: str = ""


class Granted(NamedTuple):
    """So many requests that were granted at one moment."""

    at: datetime
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLedger:
    """How a group stands at the moment `as_of`. `recent` are the requests counted within the last minute, oldest first.

    `blocked_until` None: nobody has asked the group to wait. `queue_until` is when those that were sent away will all
    have come back, None if nobody was.
    """

    name: str
    as_of: datetime
    limits: GroupLimits = GroupLimits()
    in_flight: int = 0
    recent: tuple[Granted, ...] = ()
    used_day: int = 0
    used_month: int = 0
    blocked_until: datetime | None = None
    blocked_status: int | None = None
    queue_until: datetime | None = None
    active_at: datetime | None = None

    @property
    def blocked_why(self) -> str:
        """The words for what the publisher asked, "" if it did not."""
        if self.blocked_until is None:
            return ""
        status = "" if self.blocked_status is None else f" ({self.blocked_status})"
        return f"asked to wait until {self.blocked_until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC{status}"

    @property
    def used_minute(self) -> int:
        return self.used_within(MINUTE)

    def used_within(self, window: timedelta) -> int:
        """Requests granted in the last `window`, a minute at most."""
        return sum(granted.number for granted in self.recent if granted.at > self.as_of - window)

    @property
    def wait_s(self) -> float:
        """Seconds until one more request may be granted, 0 if at once; `why` says what is in its way."""
        return self._obstacle()[0]

    @property
    def why(self) -> str:
        return self._obstacle()[1]

    def _obstacle(self) -> tuple[float, str]:
        """Of all that is in the way of one more request, what takes longest."""
        return max(self._obstacles(), default=(0.0, ""))

    def _obstacles(self) -> Iterable[tuple[float, str]]:
        limits, now = self.limits, self.as_of
        if self.blocked_until is not None and self.blocked_until > now:
            yield (self.blocked_until - now).total_seconds(), self.blocked_why
        if limits.in_flight is not None and self.in_flight >= limits.in_flight:
            yield REQUEST_S, f"{_counted(self.in_flight, 'request')} in flight"
        if limits.per_minute is not None and limits.per_burst is not None:
            if wait_s := self._frees_in_s(BURST, limits.per_burst):
                yield wait_s, f"{limits.per_burst} in 10 seconds are used up"
            if wait_s := self._frees_in_s(MINUTE, limits.per_minute):
                yield wait_s, f"{limits.per_minute} a minute are used up"
        if limits.per_day is not None and self.used_day >= limits.per_day:
            yield (next_day(now) - now).total_seconds(), f"{limits.per_day} a day are used up"
        if limits.per_month is not None and self.used_month >= limits.per_month:
            yield (next_month(now) - now).total_seconds(), f"{limits.per_month} a month are used up"

    def _frees_in_s(self, window: timedelta, most: int) -> float:
        """Seconds until fewer than `most` requests lie within the window that ends then."""
        excess = self.used_within(window) - most + 1
        if excess <= 0:
            return 0.0
        for granted in self.recent:
            if granted.at > self.as_of - window:
                excess -= granted.number
                if excess <= 0:
                    return (granted.at + window - self.as_of).total_seconds()
        return window.total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStanding:
    """A group's ledger, and about how many requests were sent away and have a place in its queue."""

    ledger: GroupLedger
    queued: int = 0


def as_asked(watched: WatchedSource) -> Source:
    """The source as it is asked: where it has moved to, if it has said so often enough."""
    source, moved_to = watched.source, watched.looks.moved_to
    if moved_to is None or watched.looks.moved_looks < _LOOKS_UNTIL_MOVED:
        return source
    return led_to(source, moved_to)


def led_to(source: Source, url: str) -> Source:
    """The source as it is asked at an address of its publisher's choice.

    On another host or port nothing of a private source is private.
    """
    return replace(source, url=url, private=source.private and _host_of(url) == _host_of(source.url))


def is_limited(source: Source, defaults: GroupLimits) -> bool:
    """Whether it counts. A private source that names neither a group nor a limit is its operator's own business."""
    return source.group is not None or limits_of([source], defaults) != GroupLimits()


def group_of(source: Source) -> str:
    """The name of the group that a source belongs to: the one it gives, else the host and port of its URL.

    A given name is the same in capitals; it may be a host and port, to join those that give none.
    """
    return _host_of(source.url) if source.group is None else " ".join(source.group.split()).casefold()


def _host_of(url: str) -> str:
    """The host and port of an address."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def limits_of(sources: Iterable[Source], defaults: GroupLimits) -> GroupLimits:
    """The limits of the group that is made of these sources: the strictest that any of them gives.

    Where none gives one, the default; none at all if every source of the group is private.
    """
    members = list(sources)
    private = all(source.private for source in members)

    def strictest(name: str) -> int | None:
        given = [value for source in members if (value := getattr(source, name)) is not None]
        default: int | None = None if private else getattr(defaults, name)
        return min(given, default=default)

    return GroupLimits(**{field.name: strictest(field.name) for field in fields(GroupLimits)})


def common_limits(sources: Iterable[Source], defaults: GroupLimits) -> dict[str, GroupLimits]:
    """The limits, by group, of those groups that no source of theirs could tell alone.

    Who polls knows a few sources of a group only. Where all of them would say the same, that is enough; a group of
    ten thousand blogs is none to be told of.
    """
    members: dict[str, list[Source]] = {}
    for source in sources:
        members.setdefault(group_of(source), []).append(source)
    common = {name: limits_of(group, defaults) for name, group in members.items()}
    return {
        name: limits
        for name, limits in common.items()
        if any(limits_of([source], defaults) != limits for source in members[name])
    }


def demands(sources: Iterable[Source], defaults: GroupLimits) -> dict[str, Demand]:
    """What it takes to make one request for each of these sources, by group."""
    members: dict[str, list[Source]] = {}
    for source in sources:
        members.setdefault(group_of(source), []).append(source)
    return {name: Demand(len(group), limits_of(group, defaults)) for name, group in members.items()}


def next_day(moment: datetime) -> datetime:
    """The midnight, UTC, that ends the day of this moment."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)


def next_month(moment: datetime) -> datetime:
    """The midnight, UTC, that ends the month of this moment."""
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=31)).replace(day=1)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
