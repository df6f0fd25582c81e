"""The newest part of the stream in memory, with the JSON of each item ready made.

    publish, remove ...   what was committed, in the order of the commits (one thread writes)
    since                 what a poll asks for, as long as its cursor is not below the floor (any thread reads)

Complete above its floor: every arrival and every change with a higher stamp, up to the head, is here. What is at or
below it is the database's to answer. Bounded by a number of items and of bytes; the floor rises as the oldest
changes go. Knows neither where events come from nor HTTP.
"""

import threading
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from feedmirror.models import Item, Selection
from feedmirror.web import gzipped
from feedmirror.web.representation import item_json
from feedmirror.words import words_of

# The oldest go some at a time: the lists are made anew for it.
_KEPT_SHARE = 0.9
# Edits and removals leave places behind that mean nothing: as many as there are items, and so many more.
_TIDY_AFTER = 1_000
_LAST = "\U0010ffff"

_Place = tuple[int, str]
"""A stamp, and the id of the item that has it; an item has several."""


@dataclass(frozen=True, slots=True)
class Ready:
    """An item and its JSON, as it is and compressed; `terms` is what it can be found by."""

    item: Item
    json: bytes
    deflated: bytes
    terms: frozenset[str]

    @classmethod
    def of(cls, item: Item) -> "Ready":
        text = item_json(item).encode()
        labels = (f"t{tag.casefold()}" for tag in item.tags)
        words = (f"w{word}" for word in words_of((item.title, *item.tags)))
        return cls(item, text, gzipped.block(text), frozenset((*labels, *words)))

    @property
    def size(self) -> int:
        """Bytes, roughly: Python's own for the item's text are as many as the JSON's."""
        return 2 * len(self.json) + len(self.deflated) + 80 * len(self.terms) + 1000


@dataclass(frozen=True, slots=True)
class Part:
    """What came after a cursor, newest first; as `models.Update`, with the items ready made."""

    items: tuple[Ready, ...]
    head_us: int
    cursor_us: int
    more: bool = False
    gap_us: int | None = None


class Window:
    """The newest items; `max_items` and `max_bytes` bound it."""

    def __init__(self, *, max_items: int, max_bytes: int):
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        # rises with whatever may change an answer; read without the lock
        self.version = 0
        self.head_us = 0
        self._clear()

    def _clear(self) -> None:
        self.floor_us = 0
        self._ready: dict[str, Ready] = {}
        self._bytes = 0
        self._arrived: list[_Place] = []
        self._arrived_at: dict[str, list[_Place]] = {}
        self._changed: list[_Place] = []
        self._gaps: dict[str | None, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def bytes(self) -> int:
        """What it holds, roughly."""
        return self._bytes

    # -- writing

    def reset(self, items: Iterable[Item], *, head_us: int, floor_us: int) -> None:
        """Begin anew with the items that changed last; all with a change above `floor_us` are among them.

        The head may be lower than it was, if another server answers that has yet to learn of the newest: what comes
        after that is not here, and must not seem to be.
        """
        ready = [Ready.of(item) for item in items]
        with self._lock:
            self._clear()
            self.floor_us = floor_us
            self._add_all(ready)
            self._shrink()
            self.head_us = head_us
            self.version += 1

    def publish(self, items: Iterable[Item], head_us: int) -> None:
        """Add what one transaction brought; from now on the stream is complete up to `head_us`."""
        ready = [Ready.of(item) for item in items]
        with self._lock:
            self._add_all(ready)
            self._shrink()
            self.head_us = max(self.head_us, head_us)
            self.version += 1

    def remove(self, item_id: str) -> None:
        """Forget an item that nobody keeps any more."""
        with self._lock:
            self._drop(item_id)
            self.version += 1

    def let_go(self, item: Item) -> None:
        """Take an item out of the lists of the sources that it no longer names."""
        with self._lock:
            known = self._ready.get(item.id)
            if known:
                self._keep(Ready.of(replace(known.item, sources=item.sources)))
            self.version += 1

    def widen(self, source_id: str | None, *, fetched_us: int, changed_us: int) -> None:
        """Note up to which stamps something of a source's list, or of the stream (None), is gone."""
        with self._lock:
            fetched, changed = self._gaps.get(source_id, (0, 0))
            self._gaps[source_id] = max(fetched, fetched_us), max(changed, changed_us)
            self.version += 1

    def _add_all(self, ready: Sequence[Ready]) -> None:
        for one in ready:
            before = self._ready.get(one.item.id)
            self._keep(one)
            self._place(one.item, before.item if before else None)

    def _keep(self, ready: Ready) -> None:
        self._drop(ready.item.id)
        self._ready[ready.item.id] = ready
        self._bytes += ready.size

    def _drop(self, item_id: str) -> None:
        if gone := self._ready.pop(item_id, None):
            self._bytes -= gone.size

    def _place(self, item: Item, before: Item | None) -> None:
        """Enter its stamps, except those that it had before."""
        if before is None:
            insort(self._arrived, (item.fetched_us, item.id))
        if before is None or before.changed_us != item.changed_us:
            insort(self._changed, (item.changed_us, item.id))
        known = set(before.sources) if before else set()
        for seen in item.sources:
            if seen not in known:
                insort(self._arrived_at.setdefault(seen.source_id, []), (seen.fetched_us, item.id))

    def _shrink(self) -> None:
        """Let the oldest changes go if there are too many, and forget the places of what is gone."""
        if self._is_full(1):
            for stamp, item_id in self._changed:
                if not self._is_full(_KEPT_SHARE):
                    break
                self.floor_us = stamp
                if self._is_at(stamp, item_id):
                    self._drop(item_id)
        elif len(self._changed) <= 2 * len(self._ready) + _TIDY_AFTER:
            return
        self._changed = [place for place in self._changed if self._is_at(*place)]
        self._arrived = self._kept(self._arrived)
        kept = {source_id: self._kept(places) for source_id, places in self._arrived_at.items()}
        self._arrived_at = {source_id: places for source_id, places in kept.items() if places}

    def _is_full(self, share: float) -> bool:
        return len(self._ready) > share * self._max_items or self._bytes > share * self._max_bytes

    def _is_at(self, changed_us: int, item_id: str) -> bool:
        """Whether this was the last change of an item that is here."""
        ready = self._ready.get(item_id)
        return ready is not None and ready.item.changed_us == changed_us

    def _kept(self, places: list[_Place]) -> list[_Place]:
        return [place for place in places if place[0] > self.floor_us and place[1] in self._ready]

    # -- reading

    def since(
        self, selection: Selection, *, after_us: int, limit: int, before_us: int | None = None, changes: bool = False
    ) -> Part | None:
        """As `Items.since` and `Items.changes`, from memory; None where only the database can tell."""
        with self._lock:
            head_us = self.head_us
            high = head_us if before_us is None else min(head_us, before_us - 1)
            if high <= after_us:
                return Part((), head_us, cursor_us=after_us)
            if after_us < self.floor_us:
                return None
            found = self._find(selection, after_us, high, limit + 1, changes=changes)
            gap_us = self._gaps.get(selection.source_id, (0, 0))[int(changes)]
        more = len(found) > limit
        return Part(
            items=tuple(_as_seen_at(ready, selection.source_id) for _, ready in reversed(found[:limit])),
            head_us=head_us,
            cursor_us=found[limit - 1][0] if more else high,
            more=more,
            gap_us=gap_us if gap_us > after_us else None,
        )

    def _find(self, selection: Selection, low: int, high: int, limit: int, *, changes: bool) -> list[tuple[int, Ready]]:
        """At most `limit` items with low < stamp <= high, in the order of their stamps."""
        source_id = selection.source_id
        wanted = frozenset((*(f"t{tag.casefold()}" for tag in selection.tags), *(f"w{w}" for w in selection.words)))
        if changes:
            places = self._changed
        else:
            places = self._arrived if source_id is None else self._arrived_at.get(source_id, [])
        found: list[tuple[int, Ready]] = []
        for place in range(bisect_right(places, (low, _LAST)), len(places)):
            stamp, item_id = places[place]
            if stamp > high or len(found) == limit:
                break
            ready = self._ready.get(item_id)
            if ready is None or not wanted <= ready.terms:
                continue
            if changes and not self._is_at(stamp, item_id):  # it has changed again since
                continue
            if source_id is not None and all(seen.source_id != source_id for seen in ready.item.sources):
                continue
            found.append((stamp, ready))
        return found


def _as_seen_at(ready: Ready, source_id: str | None) -> Ready:
    """The item under the stamp of its arrival at this source."""
    stamps = [seen.fetched_us for seen in ready.item.sources if seen.source_id == source_id]
    if not stamps or stamps[0] == ready.item.fetched_us:
        return ready
    return Ready.of(replace(ready.item, fetched_us=stamps[0]))
