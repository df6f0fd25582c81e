"""What a row says in a column, as a page shows it: numbers to read, moments to count from, safe links and pictures.

Nothing is lost by it: where a value is shown shorter than it is, `title` has the whole of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import starmap
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from feedmirror.table import Column, ColumnType, Row, Value, loaded, value_in
from feedmirror.web import links, times

_LONGEST_TEXT = 300
_FULLY_SEEN = 40
_LONGEST_TITLE = 2_000
# Prices and shares differ in their first digits; what follows is noise.
_DIGITS = 4
_MOST_DIGITS = 6
_LONGEST_INT = 24
_NO_MOVE = Decimal("0.005")
# Who counts thousands in whole ones does not count cents.
_WITHOUT_CENTS = 1_000
_LARGEST, _SMALLEST = Decimal("1e15"), Decimal("1e-12")

Pasts = Mapping[str, Sequence[tuple[int, float]]]
_NO_PAST: Pasts = {}

# The picture of a column's past, in units of its own.
_WIDTH, _HEIGHT = 96, 24


@dataclass(frozen=True, slots=True)
class Past:
    """What a number was: `points` of a line in a box of 96 by 24, and the same in words."""

    points: str
    words: str
    rises: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One value as it is shown.

    `number`: the value to compare with what it was; None: it is none. `sign`: "up" or "down" of what is a change.
    `href` and `src` are safe to follow and to load.
    """

    text: str = ""
    title: str | None = None
    number: str | None = None
    sign: str | None = None
    moment: datetime | None = None
    href: str | None = None
    src: str | None = None
    past: Past | None = None


def cells_of(row: Row, columns: Sequence[Column], now: datetime) -> list[Cell]:
    """The row's cells, a column each."""
    return cells_in(loaded(row.text), columns, now, row.past)


def cells_in(value: Any, columns: Sequence[Column], now: datetime, past: Pasts = _NO_PAST) -> list[Cell]:
    """The cells of a row that is this value; `past` as in `Row`."""
    return [_cell(column, value_in(value, column), past, now) for column in columns]


def _cell(column: Column, value: Value, pasts: Pasts, now: datetime) -> Cell:
    if value is None:
        return Cell()
    if isinstance(value, bool):
        return Cell(text="yes" if value else "no")
    if isinstance(value, datetime):
        return Cell(text=_when(value, now), moment=value)
    if isinstance(value, int | Decimal):
        exact = format(value, "f") if isinstance(value, Decimal) and abs(value.adjusted()) < 40 else str(value)
        text = _number(value, column.type) if column.type and column.type.is_numeric else exact
        past = _past(pasts.get(column.name, ()), column, now)
        sign = _sign(value) if column.type is ColumnType.PERCENT else None
        return Cell(text=text, title=None if text == exact else exact, number=exact, sign=sign, past=past)
    return _text(column, value)


def _text(column: Column, value: str) -> Cell:
    title = value[:_LONGEST_TITLE] if len(value) > _FULLY_SEEN else None
    href = links.followable(value) if column.type in (ColumnType.LINK, ColumnType.IMAGE) else None
    if href is not None and column.type is ColumnType.IMAGE and (src := links.loadable(value)) is not None:
        return Cell(text=_short_address(href), src=src)
    if href is not None:
        return Cell(text=_short_address(href), title=value[:_LONGEST_TITLE], href=href)
    return Cell(text=value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT].rstrip() + "…", title=title)


def _short_address(url: str) -> str:
    """The address without what every one begins with."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as brackets that hold no address
        return url[:60]
    short = parts.netloc.removeprefix("www.").rpartition("@")[2] + parts.path.rstrip("/")
    return short if len(short) <= 60 else short[:60] + "…"


def _when(moment: datetime, now: datetime) -> str:
    if moment.time() == datetime.min.time():  # a day is meant
        return moment.date().isoformat()
    if moment <= now:
        return times.ago(moment, now)
    return times.until(moment, now) if moment - now < timedelta(days=30) else moment.date().isoformat()


# -- numbers


def _number(value: int | Decimal, kind: ColumnType) -> str:
    is_long = len(str(value)) > _LONGEST_INT if isinstance(value, int) else not _SMALLEST < abs(value) < _LARGEST
    return f"{Decimal(value):.{_DIGITS}g}" if value and is_long else _FORMATS[kind](value)


def _plain(value: int | Decimal) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    exponent = value.as_tuple().exponent
    given = max(0, -exponent) if isinstance(exponent, int) else 0
    return f"{value:,.{min(given, _places(value, max(2, _MOST_DIGITS - value.adjusted())))}f}"


def _money(value: int | Decimal) -> str:
    if isinstance(value, int) and not -_WITHOUT_CENTS < value < _WITHOUT_CENTS:
        return f"{value:,}"
    return f"{value:,.{_places(Decimal(value), 2)}f}"


def _percent(value: int | Decimal) -> str:
    return f"{value:,.2f} %"


def _sign(value: int | Decimal) -> str | None:
    """Which way a share moves; None if it does not, as far as it is shown."""
    share = Decimal(value)
    if abs(share) < _NO_MOVE:
        return None
    return "up" if share > 0 else "down"


def _places(value: Decimal, ordinary: int) -> int:
    """How many places to show: the first digits of what is below 1, wherever they begin."""
    return ordinary if not value or value.adjusted() >= 0 else max(ordinary, _DIGITS - 1 - value.adjusted())


_FORMATS = {ColumnType.NUMBER: _plain, ColumnType.MONEY: _money, ColumnType.PERCENT: _percent}


# -- their past


def _past(points: Sequence[tuple[int, float]], column: Column, now: datetime) -> Past | None:
    """A line through what was, up to now; one number alone is none."""
    if len(points) < 2:
        return None
    numbers = [number for _, number in points]
    low, high = min(numbers), max(numbers)
    part = 1 if isfinite(high - low) else 0.5  # of numbers that are further apart than any number
    began, ends = points[0][0], max(points[-1][0] + 1, int(now.timestamp()))
    drawn = [*points, (ends, points[-1][1])]

    def place(at: int, number: float) -> str:
        across = (at - began) / (ends - began) * _WIDTH
        # a line of numbers that are all the same lies in the middle
        up = 0.5 if high == low else (part * number - part * low) / (part * high - part * low)
        down = 1 + (_HEIGHT - 2) * (1 - up)
        return f"{across:.1f},{down:.1f}"

    since = times.duration(min(ends - began, column.history_s or ends - began))
    kind = column.type or ColumnType.NUMBER
    words = f"{since}: {reading(low, kind)} to {reading(high, kind)}"
    return Past(" ".join(starmap(place, drawn)), words, rises=numbers[-1] >= numbers[0])


def reading(number: float, kind: ColumnType = ColumnType.NUMBER) -> str:
    """A number as a cell of this kind shows it."""
    exact = int(number) if number.is_integer() else Decimal(repr(number))
    return _number(exact, kind)
