"""The sources as a reader asks for them: which ones, a part of the list, how many of each state; and how polling is."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from feedmirror.models.mirror import State, WatchedSource


class Place(NamedTuple):
    """Where a source stands in the list of all: those that are polled first, in the order of the sources file."""

    active: bool
    order: int
    source_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFilter:
    """Which sources a reader wants: all of these at once; the empty filter is every one.

    `window_lost`: those polled that lost a window. `words`: each stands somewhere in the name, in capitals or not.
    `ids`: one of these; None is any.
    """

    state: State | None = None
    window_lost: bool = False
    words: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePage:
    """A part of the list of sources. `last` is where it ends if there are more behind it, else None."""

    sources: tuple[WatchedSource, ...]
    last: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """How many sources there are: `active` ones are polled, of which so many are in each state, or lost a window."""

    active: int = 0
    overdue: int = 0
    failing: int = 0
    waiting: int = 0
    window_lost: int = 0
    retired: int = 0

    @property
    def live(self) -> int:
        return max(0, self.active - self.overdue - self.failing - self.waiting)

    @property
    def all(self) -> int:
        return self.active + self.retired


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """Whether sources that are due are polled, at the moment `now` of the server's time.

    `stalled`: a source has been due for some seconds, and no poll of any source has begun for as long. `last_at`: when
    the last poll began, None: never. `workers`: processes that poll by themselves and gave a sign of life lately.
    `overdue`: how many sources are.
    """

    now: datetime
    stalled: bool = False
    last_at: datetime | None = None
    workers: int = 0
    overdue: int = 0
