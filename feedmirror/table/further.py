"""Columns beyond those that a table shows: found in every row, kept for what is exported.

A column is shown where a run's first rows have it, and while there is room across. What other rows say elsewhere gets a
column here, once a row says something there. There is an end to them as well, for an API may have another key in every
row; one more column has all values beyond that end, so each value is in the files.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from feedmirror.table.columns import can_have_column, places, says_something, titled, type_of
from feedmirror.table.models import Column, ColumnType, Path

# A sheet of Excel has 16,384; the last one is FURTHER.
MOST_COLUMNS = 16_383
# What stands in so many rows tells the type of a column.
_LOOKED_AT = 50

FURTHER = Column((), f"Further values: {MOST_COLUMNS:,} columns are the most", ColumnType.TEXT)
"""The column of what has none, as one JSON object."""


def further_values(shown: Iterable[Column], rows: Iterable[Any]) -> tuple[dict[Path, list[Any]], bool]:
    """What rows say beside the `shown` columns: some values of each place, and whether there are too many places."""
    covered = Covered(shown)
    found: dict[Path, list[Any]] = {}
    is_beyond = False
    for row in rows:
        if not (others := covered.others(row)):  # as nearly always
            continue
        for path, value in places(others):
            if path in covered or not says_something(value):
                continue
            if (values := found.get(path)) is not None:
                if len(values) < _LOOKED_AT:
                    values.append(value)
            elif len(found) < MOST_COLUMNS and can_have_column(path, row):
                found[path] = [value]
            else:
                is_beyond = True
    return found, is_beyond


def further_columns(values: Mapping[Path, Sequence[Any]]) -> list[Column]:
    """A column for each place, as its values are."""
    return [Column(path, titled(path), type_of(path[-1], some)) for path, some in values.items()]


class Covered:
    """The places in a row of which these columns say all."""

    def __init__(self, columns: Iterable[Column]):
        self._paths = {column.path for column in columns}
        self._names = {path[0] for path in self._paths if len(path) == 1}

    def others(self, row: Any) -> Any:
        """The row without the members that have a column."""
        if not isinstance(row, dict):
            return row
        return {name: value for name, value in row.items() if name not in self._names}

    def __contains__(self, path: Path) -> bool:
        # an object that has a column is written there, whatever columns its members have
        return path in self._paths or (len(path) > 1 and path[:1] in self._paths)


def all_columns(shown: Sequence[Column], further: Iterable[Column], *, is_beyond: bool) -> tuple[Column, ...]:
    """The columns of what is exported: those that are shown come first."""
    covered = Covered(shown)
    others = [column for column in further if column.path not in covered]
    return (*shown, *others, *([FURTHER] if is_beyond else []))
