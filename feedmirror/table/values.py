"""What a row says in a column.

Numbers stay what they are: a Decimal where a float would round, an int of any length. What is not of its column's type
is given as it is, and shown as text.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from feedmirror.table.models import Column, ColumnType, Path, Sortable

Value = str | int | Decimal | bool | datetime | None

# What is sorted by, and found by, has an end: a row may hold a book.
_ORDER_LENGTH = 100
_SEARCH_LENGTH = 2_000
_LARGEST_INT = 2**63 - 1
# Twelve signs of JSON may be a number of a thousand million digits, for whoever writes it out.
_LARGEST_EXPONENT = 1_000

_NUMBER = re.compile(r"[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Seconds, milliseconds and microseconds since the epoch of any year from 1973 to 5138 do not overlap.
_UNITS_S = ((1e8, 1e11, 1), (1e11, 1e14, 1e-3), (1e14, 1e17, 1e-6))


def loaded(text: str) -> Any:
    """The value of a row's JSON, with every digit of its numbers."""
    return json.loads(text, parse_float=exact)


def exact(text: str) -> Decimal | float:
    """A number as JSON writes it, with every digit; one whose exponent is beyond belief is infinite or zero."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return float(text)
    return number if abs(number.adjusted()) <= _LARGEST_EXPONENT else float(text)


def member(value: Any, path: Path) -> Any:
    """What stands at a path within a value; None where there is nothing. "" is the value itself."""
    for name in path:
        if not isinstance(value, dict):  # as JSON has them; to ask for any Mapping takes several times as long
            return None if name else value
        value = value.get(name)
    return value


def value_in(row: Any, column: Column) -> Value:
    """What the row says in this column; None if nothing. Lists and objects are their JSON, on one line."""
    return value_of(member(row, column.path), column)


def value_of(found: Any, column: Column) -> Value:
    """The same of what stands at the column's place."""
    if found is None or found == "":
        return None
    if isinstance(found, dict | list):
        return written(found) if found else None
    if isinstance(found, float):  # of a row that was not loaded with its digits
        found = Decimal(repr(found))
    kind = column.type
    if kind is ColumnType.TIME:
        return moment_of(found) or found
    if isinstance(found, str) and kind is not None and kind.is_numeric:
        number = number_of(found)
        return found if number is None else number
    return found  # type: ignore[no-any-return]


def written(value: Any) -> str:
    """JSON with every digit of its numbers, which `json.dumps` has no way to write."""
    if isinstance(value, Mapping):
        members = (f"{json.dumps(name, ensure_ascii=False)}: {written(inner)}" for name, inner in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def number_of(text: str) -> Decimal | None:
    """The number that this text is; None if it is none."""
    stripped = text.strip()
    return Decimal(stripped) if _NUMBER.fullmatch(stripped) else None


def moment_of(value: Any) -> datetime | None:
    """The moment that this is: ISO 8601, or a number that counts from the epoch. Without a zone it is UTC."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float | Decimal):
        seconds = next((float(value) * unit for low, high, unit in _UNITS_S if low <= value < high), None)
        return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def order_of(value: Value) -> Sortable:
    """What a value is ordered by, as the database can hold it: texts without regard to capitals."""
    if isinstance(value, str):
        return value[:_ORDER_LENGTH].casefold().replace("\0", "").encode(errors="replace").decode()
    if isinstance(value, Decimal) or (isinstance(value, int) and abs(value) > _LARGEST_INT):
        return _float(value)
    return value


def _float(value: Decimal | int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def search_text(values: Iterable[Value]) -> str:
    """What a row is found by: what it says, without regard to capitals, a line a column."""
    texts = (str(value).casefold() for value in values if value is not None and not isinstance(value, bool | datetime))
    return "\n".join(texts)[:_SEARCH_LENGTH].replace("\0", "").encode(errors="replace").decode()
