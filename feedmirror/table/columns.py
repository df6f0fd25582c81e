"""Which columns a table has, where the operator does not say it: what its rows show, in the order in which they do.

Columns only ever come on; one whose rows have all been empty gets its type with the first value.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from feedmirror.table.models import Column, ColumnType, Path
from feedmirror.table.values import member, moment_of, number_of

# A screen has room for fewer; all others are in what is exported (see `further`).
MOST_SHOWN = 60
# An object within a row gets a column for each member; one within that is shown as it is.
_DEEPEST = 2
_LOOKED_AT = 50
# Of a name in a path: that of a column is short, and an object whose keys are texts has no columns.
_LONGEST_NAME = 500

_IDENTIFIERS = re.compile(r"(?:^|_)(?:id|ids|number|no|year|zip|phone|rank|code)$|(?<=[a-z])(?:Id|Number|Year|Code)$")
_TIMES = re.compile(
    r"(?:^|_)(?:date|time|timestamp|at|on|created|updated|modified|published)$|(?<=[a-z])(?:Date|Time|At)$"
)
_PERCENTS = re.compile(r"percent|pct", re.IGNORECASE)
_IMAGES = re.compile(r"image|icon|logo|avatar|thumb|picture|photo", re.IGNORECASE)
_PICTURE = re.compile(r"https?://[^?#]+\.(?:png|jpe?g|gif|svg|webp|avif|ico)(?:[?#].*)?", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)


def extended(known: Sequence[Column], rows: Iterable[Any], *, new: bool) -> tuple[Column, ...]:
    """The columns, with the types that these rows tell; and, if `new` ones are wanted, with those that they add."""
    sample = [row for _, row in zip(range(_LOOKED_AT), rows, strict=False)]
    columns = [column if column.type else replace(column, type=_type(column.path, sample)) for column in known]
    if new:
        there = {column.path for column in columns}
        paths = _leaves(dict.fromkeys(path for row in sample for path in _paths(row)), sample)
        added = (Column(path, titled(path), _type(path, sample)) for path in paths if path not in there)
        columns += [column for _, column in zip(range(MOST_SHOWN - len(columns)), added, strict=False)]
    return tuple(columns)


def extends(columns: Sequence[Column], former: Sequence[Column]) -> bool:
    """Whether the `former` columns are the first of these: what is known by their numbers is known of the same ones."""
    return [column.path for column in columns[: len(former)]] == [column.path for column in former]


def _paths(value: Any) -> Iterator[Path]:
    return (path for path, _ in places(value) if can_have_column(path, value))


def places(value: Any, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every place in a row that can have a column, with what stands there."""
    if isinstance(value, Mapping) and value and len(above) < _DEEPEST:
        for name, inner in value.items():
            if inner and isinstance(inner, Mapping):
                yield from places(inner, (*above, name))
            else:
                yield (*above, name), inner
    else:
        yield above or ("",), value


def _leaves(paths: Iterable[Path], rows: Sequence[Any]) -> list[Path]:
    """Without those where some rows have an object, whose members have columns, and the others nothing."""
    found = list(paths)
    above = {path[:length] for path in found for length in range(1, len(path))}
    return [path for path in found if path not in above or any(_is_leaf(member(row, path)) for row in rows)]


def _is_leaf(value: Any) -> bool:
    return value not in (None, "", {}) and not isinstance(value, Mapping)


def can_have_column(path: Path, row: Any) -> bool:
    """Whether there may be a column for this place in the row."""
    return all(map(_is_name, path)) or not isinstance(row, Mapping)


def _is_name(name: str) -> bool:
    """Half of a surrogate pair is no text that a database would take."""
    return 0 < len(name) <= _LONGEST_NAME and (name.isascii() or not any("\ud800" <= one <= "\udfff" for one in name))


def titled(path: Path) -> str:
    """A name as one writes it: "market_cap" is "Market cap"."""
    words = " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", re.sub(r"[_\-]+", " ", name)) for name in path).strip()
    return words[:1].upper() + words[1:] or "Value"


def _type(path: Path, rows: Sequence[Any]) -> ColumnType | None:
    """What the values at this path are, and by what it is called; None where there are none."""
    values = [value for row in rows if says_something(value := member(row, path))]
    return type_of(path[-1], values) if values else None


def says_something(value: Any) -> bool:
    return value not in (None, "", [], {})


def type_of(name: str, values: Sequence[Any]) -> ColumnType:
    """What these values, of which there are some, are shown as."""
    if all(isinstance(value, str) and _ADDRESS.fullmatch(value) for value in values):
        is_image = bool(_IMAGES.search(name)) or all(_PICTURE.fullmatch(value) for value in values)
        return ColumnType.IMAGE if is_image else ColumnType.LINK
    # digits alone are rather a number of somebody's than a date
    if all(
        isinstance(value, str) and len(value) >= 10 and not value.isdigit() and moment_of(value) for value in values
    ):
        return ColumnType.TIME
    are_numbers = all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in values)
    if are_numbers and _TIMES.search(name) and all(moment_of(value) for value in values):
        return ColumnType.TIME
    if are_numbers and not _IDENTIFIERS.search(name):
        return ColumnType.PERCENT if _PERCENTS.search(name) else ColumnType.NUMBER
    if all(isinstance(value, str) and "." in value and number_of(value) is not None for value in values):
        return ColumnType.PERCENT if _PERCENTS.search(name) else ColumnType.NUMBER  # money that must not be rounded
    return ColumnType.TEXT
