"""Columns beyond those that a table shows: found in every row, kept for what is exported.

A column is shown where a run's first rows have it, and while there is room across. What other rows say elsewhere gets a
column here, once a row says something there. There is an end to them as well, for an API may have another key in every
row; what is said beyond that end is given in one column for all of it, so each value is in what is exported.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from feedmirror.table.columns import can_have_column, places, says_something, titled, type_of
from feedmirror.table.models import Column, ColumnType, Path

# A sheet of Excel has 16,384; the last one is FURTHER.
MOST_COLUMNS = 16_383
# What stands in so many rows tells the type of a column.
_LOOKED_AT = 50

FURTHER = Column((), f"Further values: {MOST_COLUMNS:,} columns are the most", ColumnType.TEXT)
"""The column of what has none, as one JSON object."""


class Further:
    """The columns of a table that are not among the `shown` ones.

    `known`: gives those that are kept, and is not asked while all rows keep to what is shown. `is_beyond`: some row
    says more than there may be columns for.
    """

    def __init__(self, shown: Sequence[Column], known: Callable[[], Iterable[Column]], *, is_beyond: bool = False):
        self._covered = Covered(shown)
        self._load = known
        self._known: set[Path] | None = None
        self._room = MOST_COLUMNS - len(shown)
        self.is_beyond = is_beyond

    def seen(self, rows: Iterable[Any]) -> list[Column]:
        """The columns that these rows add."""
        found: dict[Path, list[Any]] = {}
        for row in rows:
            for path, value in places(row):
                if path not in self._covered and not self._is_known(path) and says_something(value):
                    self._note(found, path, value, row)
        if self._known is not None:
            self._known.update(found)
        return [Column(path, titled(path), type_of(path[-1], values)) for path, values in found.items()]

    def _is_known(self, path: Path) -> bool:
        if self._known is None:
            self._known = {column.path for column in self._load()}
        return path in self._known

    def _note(self, found: dict[Path, list[Any]], path: Path, value: Any, row: Any) -> None:
        values = found.get(path)
        if values is not None:
            if len(values) < _LOOKED_AT:
                values.append(value)
        elif len(self._known or ()) + len(found) < self._room and can_have_column(path, row):
            found[path] = [value]
        else:
            self.is_beyond = True


class Covered:
    """The places in a row of which these columns say all."""

    def __init__(self, columns: Iterable[Column]):
        self._paths = {column.path for column in columns}

    def __contains__(self, path: Path) -> bool:
        # an object that has a column is written there, whatever columns its members have
        return path in self._paths or (len(path) > 1 and path[:1] in self._paths)


def all_columns(shown: Sequence[Column], further: Iterable[Column], *, is_beyond: bool) -> tuple[Column, ...]:
    """The columns of what is exported: those that are shown come first."""
    covered = Covered(shown)
    others = [column for column in further if column.path not in covered]
    return (*shown, *others, *([FURTHER] if is_beyond else []))
