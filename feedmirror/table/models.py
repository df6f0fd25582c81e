"""Rows, the runs that bring them, and the columns that they are shown in. Plain values, never changed once made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

Path = tuple[str, ...]
"""Names of members, from the outermost inwards."""

Sortable = str | int | float | bool | datetime | None
"""What a row is ordered by in a column; None comes last in either direction."""


class ColumnType(StrEnum):
    """What a column's values are shown as."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    PERCENT = "percent"
    TIME = "time"
    LINK = "link"
    IMAGE = "image"

    @property
    def is_numeric(self) -> bool:
        return self in (ColumnType.NUMBER, ColumnType.MONEY, ColumnType.PERCENT)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: where its value stands in a row, what it is called, and as what it is shown.

    `type` None: nobody has said it, and no row had anything there yet. `history_s`: for how long its numbers are kept;
    None: they are not.
    """

    path: Path
    title: str
    type: ColumnType | None = None
    history_s: float | None = None

    @property
    def name(self) -> str:
        """What it is asked for by: its path, dotted."""
        return ".".join(self.path)


class RowText(NamedTuple):
    """A row's JSON as its API wrote it, a digest that is the same where only the writing differs, and its value."""

    text: str
    digest: bytes
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a table, as its API gave it: `text` is JSON. `gone`: the last complete run did not see it any more.

    `past`: for columns that keep their history, by name: moments (seconds since the epoch) and numbers, oldest first.
    """

    id: str
    text: str
    changed_us: int
    gone: bool = False
    past: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A walk over all pages of an API.

    `position` is where it goes on, as its kind understands it; None: it was at the end.
    `rows`, `new` and `changed` count those of the pages so far, `tries` the failures in a row at this position.
    `columns` are those of the table, `shape` a number that is another one when they are not the same as before plus
    more. `is_first`: none was complete before, so that the table is listed as this one finds it. `further` counts the
    columns that are only exported, `is_beyond`: some values have no column of their own (see `further`).
    """

    source_id: str
    number: int
    began_at: datetime
    position: Mapping[str, Any] | None = field(default_factory=dict, hash=False)
    pages: int = 0
    rows: int = 0
    new: int = 0
    changed: int = 0
    tries: int = 0
    columns: tuple[Column, ...] = ()
    shape: int = 0
    is_first: bool = False
    further: int = 0
    is_beyond: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableUpdate:
    """Rows of a table that changed after a stamp, those that changed last first.

    `cursor_us`: everything up to here has been given; ask on from it. `head_us`: the highest stamp ever published.
    `more`: there are further ones on the far side of the last one. `gap_us`: of the rows that went after the stamp that
    was asked from, some up to here are not remembered any more; None: all are. `listing` is another one whenever the
    API lists other rows, or in another order; "" before the first complete run.
    """

    rows: tuple[Row, ...]
    head_us: int
    cursor_us: int
    more: bool
    gap_us: int | None = None
    listing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOrder:
    """In which order the rows of a table are wanted. `column` None: as the API lists them; "" is by the last change."""

    column: str | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePage:
    """Some rows of a table. `last` is the id of the row to go on behind, None if there are none."""

    rows: tuple[Row, ...]
    last: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a table.

    `rows` counts those that are there. `complete_at` is the end of the last complete run, and `complete_from` its
    beginning; both None before the first. For `listing` see `TableUpdate`, for `further` and `is_beyond` see `Run`.
    `walking` is the run that is under way, `why` what the last one that was given up stumbled over.
    """

    source_id: str
    columns: tuple[Column, ...] = ()
    shape: int = 0
    rows: int = 0
    complete_from: datetime | None = None
    complete_at: datetime | None = None
    listing: str = ""
    walking: Run | None = None
    why: str | None = None
    further: int = 0
    is_beyond: bool = False

    @property
    def is_known(self) -> bool:
        """Whether there ever was a run."""
        return self.walking is not None or self.complete_at is not None or self.why is not None or bool(self.columns)
