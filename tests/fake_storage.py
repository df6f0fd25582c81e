"""A storage in memory, written by hand: for what of the web needs no database, such as a page that misbehaves.

It keeps the interface's promises by the most obvious means (a sorted list), and can be told to be away.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pymongo.errors import ServerSelectionTimeoutError

from feedmirror.models import (
    Item,
    Looks,
    Place,
    Polling,
    Selection,
    Sighting,
    Source,
    SourceCounts,
    SourceFilter,
    SourcePage,
    State,
    Update,
    WatchedSource,
)
from feedmirror.politeness import GroupLedger, GroupLimits, GroupStanding
from feedmirror.words import words_of

START_US = 1_763_710_000_000_000


class FakeStorage:
    """Stands in for feedmirror.storage.Storage; `away` makes every question fail as the driver would."""

    def __init__(self) -> None:
        self.items = FakeItems(self)
        self.sources = FakeSources(self)
        self.watchlist = FakeWatchlist(self)
        self.ledger = FakeLedger(self)
        self.processes = FakeProcesses(self)
        self.away: Exception | None = None
        self.asked: Callable[[], None] = lambda: None

    def check(self) -> None:
        self.asked()
        if self.away is not None:
            raise self.away

    def go_away(self) -> None:
        self.away = ServerSelectionTimeoutError("secret-host:27017: connection refused")

    def come_back(self) -> None:
        self.away = None


class FakeItems:
    def __init__(self, storage: FakeStorage):
        self._storage = storage
        self.kept: list[Item] = []  # oldest first

    def add(self, *items: Item) -> None:
        self.kept.extend(items)

    def edit(self, number: int, **fields: object) -> None:
        """Let the item of this number have changed, under a stamp of its own."""
        place = next(n for n, item in enumerate(self.kept) if item.id == _id(number))
        changed = {**fields, "changed_us": self.head_us + 1}
        self.kept[place] = replace(self.kept[place], **changed)  # type: ignore[arg-type]

    def newest(self, selection: Selection, *, limit: int, before_us: int | None = None) -> Update:
        self._storage.check()
        found = [item for item in self._selected(selection) if before_us is None or item.fetched_us < before_us]
        given = found[-limit:]
        return self._update(given, cursor_us=self.head_us, more=len(found) > limit)

    def since(self, selection: Selection, *, after_us: int, limit: int, before_us: int | None = None) -> Update:
        self._storage.check()
        found = [
            item
            for item in self._selected(selection)
            if item.fetched_us > after_us and (before_us is None or item.fetched_us < before_us)
        ]
        given, more = found[:limit], len(found) > limit
        cursor_us = given[-1].fetched_us if more else max(after_us, self.head_us)
        return self._update(given, cursor_us=cursor_us, more=more)

    def changes(self, selection: Selection, *, after_us: int, limit: int, before_us: int | None = None) -> Update:
        self._storage.check()
        found = [
            item
            for item in sorted(self._selected(selection), key=lambda item: item.changed_us)
            if item.changed_us > after_us and (before_us is None or item.changed_us < before_us)
        ]
        given, more = found[:limit], len(found) > limit
        cursor_us = given[-1].changed_us if more else max(after_us, self.head_us)
        return self._update(given, cursor_us=cursor_us, more=more)

    @property
    def head_us(self) -> int:
        return max((item.changed_us for item in self.kept), default=0)

    def _selected(self, selection: Selection) -> list[Item]:
        return [item for item in self.kept if _matches(item, selection)]

    def _update(self, oldest_first: list[Item], *, cursor_us: int, more: bool) -> Update:
        return Update(items=tuple(oldest_first[::-1]), head_us=self.head_us, cursor_us=cursor_us, more=more)


class FakeSources:
    def __init__(self, storage: FakeStorage):
        self._storage = storage
        self.watched: list[WatchedSource] = []
        self.wrong: list[str] = []

    def mistakes(self) -> list[str]:
        self._storage.check()
        return list(self.wrong)


class FakeWatchlist:
    """Shows the sources in the order in which they are kept; a place is a position among them."""

    def __init__(self, storage: FakeStorage):
        self._storage = storage

    @property
    def _watched(self) -> list[WatchedSource]:
        return self._storage.sources.watched

    def page(self, wanted: SourceFilter, *, after: Place | None = None, limit: int) -> SourcePage:
        self._storage.check()
        first = 0 if after is None else after.order + 1
        found = [(n, one) for n, one in enumerate(self._watched) if n >= first and _is_wanted(one, wanted)]
        given = found[:limit]
        last = Place(True, given[-1][0], given[-1][1].source.id) if len(found) > limit else None
        return SourcePage(sources=tuple(one for _, one in given), last=last)

    def counts(self) -> SourceCounts:
        self._storage.check()
        states = [one.state for one in self._watched]
        return SourceCounts(
            active=len(states) - states.count(State.RETIRED),
            overdue=states.count(State.OVERDUE),
            failing=states.count(State.FAILING),
            waiting=states.count(State.WAITING),
            window_lost=sum(one.active and one.looks.windows_lost > 0 for one in self._watched),
            retired=states.count(State.RETIRED),
        )

    def names(self, source_ids: Iterable[str]) -> dict[str, str]:
        self._storage.check()
        asked = set(source_ids)
        return {one.source.id: one.source.name for one in self._watched if one.source.id in asked}


class FakeProcesses:
    """How polling stands is told, and not found out."""

    def __init__(self, storage: FakeStorage):
        self._storage = storage
        self.polling = Polling(now=datetime.now(UTC), workers=1)

    def stall(self, *, workers: int = 0, for_s: float | None = 120) -> None:
        """Nothing is polled; `for_s` None: nothing ever was."""
        now = datetime.now(UTC)
        last_at = None if for_s is None else now - timedelta(seconds=for_s)
        self.polling = Polling(now=now, stalled=True, last_at=last_at, workers=workers)

    def go_on(self) -> None:
        now = datetime.now(UTC)
        self.polling = Polling(now=now, last_at=now, workers=1)

    def standing(self) -> Polling:
        self._storage.check()
        return self.polling


class FakeLedger:
    def __init__(self, storage: FakeStorage):
        self._storage = storage
        self.kept: list[GroupStanding] = []

    def standings(self, *, limit: int) -> list[GroupStanding]:
        self._storage.check()
        return self.kept[:limit]

    def standings_of(self, names: Iterable[str]) -> dict[str, GroupStanding]:
        self._storage.check()
        asked = set(names)
        return {one.ledger.name: one for one in self.kept if one.ledger.name in asked}

    def count(self) -> int:
        self._storage.check()
        return len(self.kept)


def _is_wanted(watched: WatchedSource, wanted: SourceFilter) -> bool:
    return (
        wanted.state in (None, watched.state)
        and (not wanted.window_lost or (watched.active and watched.looks.windows_lost > 0))
        and all(word.casefold() in watched.source.name.casefold() for word in wanted.words)
        and (wanted.ids is None or watched.source.id in wanted.ids)
    )


def _matches(item: Item, selection: Selection) -> bool:
    words = words_of([item.title, *item.tags])
    return (
        selection.source_id in (None, *(sighting.source_id for sighting in item.sources))
        and set(selection.tags) <= set(item.tags)
        and set(selection.words) <= words
    )


def _id(number: int) -> str:
    return f"{number:056x}"


def an_item(number: int, *, source_id: str = "so", arrived_at: datetime | None = None, **more: object) -> Item:
    """The item of this number; numbers are their order in the stream."""
    stamp_us = START_US + number * 10
    given: dict[str, object] = {
        "id": _id(number),
        "title": f"Question {number}",
        "link": f"https://example.com/questions/{number}",
        "author": f"asker{number}",
        "fetched_us": stamp_us,
        "changed_us": stamp_us,
        "arrived_at": arrived_at or datetime.now(UTC),
        "sources": (Sighting(source_id=source_id, fetched_us=stamp_us),),
    }
    return Item(**{**given, **more})  # type: ignore[arg-type]


def a_source(
    source_id: str = "so",
    *,
    name: str = "Stack Overflow",
    active: bool = True,
    identity: str | None = None,
    overdue_since: datetime | None = None,
    mistake: str | None = None,
    **looks: object,
) -> WatchedSource:
    """A watched source; what is not given of its looks is as if it had never been looked at."""
    return WatchedSource(
        source=Source(id=source_id, name=name, url=f"https://{source_id}.example.com/feeds", every_s=30.0),
        looks=Looks(**looks),  # type: ignore[arg-type]
        identity=identity,
        active=active,
        overdue_since=overdue_since,
        mistake=mistake,
    )


def a_standing(
    name: str = "so.example.com:443", *, limits: GroupLimits | None = None, queued: int = 0, **fields: object
) -> GroupStanding:
    """How a group stands at this moment; what is not given is unused."""
    now = datetime.now(UTC)
    limits = limits or GroupLimits(in_flight=4, per_minute=60)
    ledger = GroupLedger(name=name, as_of=now, limits=limits, active_at=now, **fields)  # type: ignore[arg-type]
    return GroupStanding(ledger=ledger, queued=queued)
