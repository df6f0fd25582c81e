"""Sources, their pages of entries, the items kept, and how a poll went."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from feedmirror.errors import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One thing to watch, as the operator describes it in the sources file.

    `every_s` None: the interval adapts. `private`: its URL may lead to private addresses. `keep_s` and
    `keep_items`: how long its items are kept and how many, whichever is reached first; None: for ever, and all.
    `options`: what only sources of its kind have, as plain data that its kind understands.
    """

    id: str
    name: str
    url: str
    kind: str = "feed"
    every_s: float | None = None
    group: str | None = None
    in_flight: int | None = None
    per_minute: int | None = None
    per_day: int | None = None
    per_month: int | None = None
    private: bool = False
    tags: tuple[str, ...] = ()
    keep_s: float | None = None
    keep_items: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Entry:
    """One thing that a document lists, as the document says it.

    `link` is absolute http(s) or None; `guid` is what the document itself calls the entry, or None. `title` and
    `author` are plain text, `summary` is sanitised HTML, each "" where there is none. `published` and `updated`
    are the feed's own words, None where absent or beyond belief: for display, never for order. `score` (votes) and
    `comments` (how many) change all the time and say nothing of what the entry is.

    Not frozen, though nobody changes one: freezing its twelve fields takes 3 % of all the time of parsing.
    """

    title: str = ""
    link: str | None = None
    guid: str | None = None
    author: str = ""
    summary: str = ""
    tags: tuple[str, ...] = ()
    published: datetime | None = None
    updated: datetime | None = None
    thumbnail: str | None = None
    comments_link: str | None = None
    score: int | None = None
    comments: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What a feed says about how often to look: RSS `ttl`, `skipHours` (0 to 23, GMT), `skipDays` (0 is Monday)."""

    ttl_s: float | None = None
    skip_hours: frozenset[int] = frozenset()
    skip_days: frozenset[int] = frozenset()


class Cut(NamedTuple):
    """A limit that a document went beyond: one of what, several of what, and what was done about them."""

    one: str
    many: str
    done: str

    def words(self, number: int) -> str:
        """So many of them, in plain words."""
        return f"{number:,} {self.one if number == 1 else self.many} {self.done}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One document of a source, parsed: its entries in document order.

    `next` is the URL of the following page (older entries) if the document names one. `recovered`: the strict
    parser refused the document, and the entries are what a forgiving one could read. `truncated`: its end is missing,
    and the entries are those that had arrived whole. `cuts` counts what went beyond a limit, and was kept in part or
    not at all.
    """

    entries: tuple[Entry, ...]
    format: str
    title: str = ""
    next: str | None = None
    encoding: str | None = None
    recovered: bool = False
    truncated: bool = False
    hints: Hints = Hints()
    cuts: Mapping[Cut, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What a server gave us for asking whether a document changed; sent back verbatim (RFC 9110, 13.1)."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The answer to a fetch. `body` is decompressed; None means not modified (304).

    `url` is the address that answered in the end: what relative links in the body are relative to. `moved_to`: it
    says that it is the address from now on (every redirect on the way was a permanent one). `max_age_s`: how
    long the publisher says that it will not change, None if nothing was said. `next_url` is where a Link header says
    that the next page is, as it stands there.
    """

    url: str
    body: bytes | None
    content_type: str = ""
    validators: Validators = Validators()
    moved_to: str | None = None
    max_age_s: float | None = None
    next_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Where an item was seen, and the stamp of its arrival there."""

    source_id: str
    fetched_us: int


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Item(Entry):
    """An entry that is kept: it has an id, and stamps of the one clock that numbers everything in commit order.

    `fetched_us` is its place in the stream, `changed_us` that of its last edit (equal at first), `arrived_at` the
    time of day at which it was stored.
    """

    id: str
    fetched_us: int
    changed_us: int
    arrived_at: datetime
    sources: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a source's last good document left us, so that the next poll can tell that nothing changed.

    `body_digest` is the digest of its bytes. `version` is the Feedmirror that read it: a newer one, which may
    read more out of the same bytes, asks for them anew.
    """

    validators: Validators = Validators()
    body_digest: str | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one poll of one source went; a failure is a value like any other.

    `new` holds the items stored, oldest first; `sighted` counts known items that this source shows for the first
    time, `edited` those whose text changed. `error` is one line for the user, None on success. `remembered` and
    `identity` (the rule by which entries got their ids) None: what held before still holds. `notices` are short
    words on a document that could be read but was not well. `failure` is the kind of an error. `listed` counts the
    entries of the document, `shared` those of them that this source had shown before; both 0 where it was not
    read, because it had not changed. `max_age_s` is how long the publisher calls it fresh, `hints` what the
    document says of when to look (None: it was not read), `moved_to` where it says that it is now.

    `arrived` counts what came and is no item. `goes_on_in_s`: the look is not at its end, and goes on so many seconds
    from now, for the reason in `goes_on_why`; None: it is. It began `began_before_s` before this visit, if that was not
    its first.
    """

    new: tuple[Item, ...] = ()
    sighted: int = 0
    edited: int = 0
    error: str | None = None
    retry_after_s: float | None = None
    remembered: Remembered | None = None
    identity: str | None = None
    notices: tuple[str, ...] = ()
    failure: Failure | None = None
    listed: int = 0
    shared: int = 0
    max_age_s: float | None = None
    hints: Hints | None = None
    moved_to: str | None = None
    arrived: int = 0
    goes_on_in_s: float | None = None
    goes_on_why: str = ""
    began_before_s: float = 0

    @property
    def ok(self) -> bool:
        """Whether the source answered with a document that could be read, or that nothing changed."""
        return self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """How a source fares. Times are MongoDB's; None means never. `next_at` None: it is not polled by itself.

    `failures` counts those since the last success, `failure` is the kind of the last one, `items` counts all that ever
    arrived here. `why` says in a few words why `interval_s` is what it is; `items_per_day` is the rate at which new
    ones come, a running mean. `windows_lost` counts the looks that shared no entry with the one before, so that items
    probably fell out between them. `moved_looks` counts the looks in a row that were told permanently of `moved_to`.
    `notices` say what was not well with the last document that could be read. `going_on`: the last look is not at its
    end, and goes on at `next_at`.
    """

    next_at: datetime | None = None
    last_at: datetime | None = None
    last_ok_at: datetime | None = None
    last_new_at: datetime | None = None
    interval_s: float | None = None
    failures: int = 0
    error: str | None = None
    error_since: datetime | None = None
    failure: Failure | None = None
    why: str = ""
    notices: tuple[str, ...] = ()
    going_on: bool = False
    items: int = 0
    items_per_day: float | None = None
    windows_lost: int = 0
    window_lost_at: datetime | None = None
    hints: Hints = Hints()
    moved_to: str | None = None
    moved_looks: int = 0


class State(StrEnum):
    """How a source fares, in one word."""

    WAITING = "waiting"  # not polled yet
    OVERDUE = "overdue"  # should have been polled a while ago
    FAILING = "failing"
    LIVE = "live"
    RETIRED = "retired"  # no longer in the sources file; its items stay


class Slot(NamedTuple):
    """The right to make one request in a politeness group; given back when the request is done."""

    group: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSource:
    """A source, how it fares, and the lease under which it is polled right now (None: nobody is at it).

    `identity` is the rule by which its entries get their ids, None before the first one. `active` False: the sources
    file does not name it any more; its items stay. `slot`: what its group granted for this poll, None where that has no
    limits. `overdue_since`: when it should have been polled, if that is so long ago that it is overdue. `by_hand`: this
    poll was asked for and was not due. `mistake`: what is wrong with the source in the sources file, so that its last
    good version is polled; None if nothing is.
    """

    source: Source
    looks: Looks = Looks()
    remembered: Remembered = Remembered()
    identity: str | None = None
    lease: str | None = None
    slot: Slot | None = None
    active: bool = True
    overdue_since: datetime | None = None
    by_hand: bool = False
    mistake: str | None = None

    @property
    def interval_s(self) -> float | None:
        """How often it is looked at; None before the first look at one that adapts.

        The last interval may have been shorter than what is configured: a look that took a while began earlier.
        """
        return max((one for one in (self.looks.interval_s, self.source.every_s) if one is not None), default=None)

    @property
    def state(self) -> State:
        if not self.active:
            return State.RETIRED
        if self.looks.error is None and self.looks.last_ok_at is None:
            return State.WAITING
        if self.overdue_since is not None:
            return State.OVERDUE
        return State.LIVE if self.looks.error is None else State.FAILING


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A poll that is over: how it went, and when to look again: `interval_s` after it began, and `why` then.

    `from_due`: counted from when it was due, or from a moment before it began if that is later; without that each look
    would be later than the one before by as long as it takes to find out that it is due. `items_per_day` is the new
    running mean, None where nothing can be said. `window_lost`: it shared no entry with the look before.
    """

    watched: WatchedSource
    outcome: Outcome
    interval_s: float
    why: str = ""
    from_due: bool = False
    items_per_day: float | None = None
    window_lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """A source that was begun and could not be looked at: it is due again in `by_s` seconds, and `why` then."""

    watched: WatchedSource
    by_s: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which items a reader wants: all of these at once; the empty selection is everything.

    `words` are case-folded, each one must stand in title or tags (see `feedmirror.words`).
    """

    source_id: str | None = None
    tags: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """An answer of the stream: items newest first, and how far it is complete.

    `cursor_us`: everything up to here (that the selection holds) has been given; ask on from it. `head_us`: the
    highest stamp ever published. `more`: there are further items on the far side of the last one, later than the
    cursor when asked forwards, older than the oldest item when asked backwards. `gap_us`: of what came after the stamp
    that was asked from, some up to here has been removed since, by retention; None: nothing.
    """

    items: tuple[Item, ...]
    head_us: int
    cursor_us: int
    more: bool
    gap_us: int | None = None
