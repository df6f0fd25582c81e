"""A row as a line over all columns: what it says, and in which of them.

Where there are many columns a row says something in few of them: there it is the row that is walked, and not the
columns, so that an export takes time for what is said and not for what might be.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from feedmirror.table.columns import places, says_something
from feedmirror.table.further import FURTHER, Covered
from feedmirror.table.models import Column, Path
from feedmirror.table.values import Value, value_in, value_of, written

# Up to here to ask each column is as fast.
_FEW = 100


class Line:
    """Reads rows over these columns, of which the last may be FURTHER."""

    def __init__(self, columns: Sequence[Column]):
        self._columns = columns
        self._covered = Covered(columns)
        self._further = len(columns) - 1 if columns and columns[-1] is FURTHER else None
        self._is_walked = self._further is not None or len(columns) > _FEW
        # what a walk comes by, and what it does not: an object with a column of its own, or deeper than it goes
        self._at: dict[Path, int] = {}
        self._asked: list[int] = []
        if self._is_walked:
            for number, column in enumerate(columns[: self._further]):
                self._at.setdefault(column.path, number)
            within = {path[:length] for path in self._at for length in range(1, len(path))}
            self._asked = [
                number
                for number, column in enumerate(columns[: self._further])
                if len(column.path) > 2 or column.path in within or self._at[column.path] != number
            ]

    def values(self, row: Any) -> Iterable[tuple[int, Value]]:
        """What the row says, with the numbers of the columns, in ascending order; None where it says nothing."""
        if not self._is_walked:
            return enumerate([value_in(row, column) for column in self._columns])
        return sorted(self._walked(row).items())

    def _walked(self, row: Any) -> dict[int, Value]:
        found = {number: value_in(row, self._columns[number]) for number in self._asked}
        rest: dict[str, Any] = {}
        for path, value in places(row):
            number = self._at.get(path)
            if number is not None:
                found[number] = value_of(value, self._columns[number])
            elif path[:1] in self._at:
                number = self._at[path[:1]]
                found.setdefault(number, value_in(row, self._columns[number]))
            elif self._further is not None and says_something(value):
                _put(rest, path, value)
        if rest and self._further is not None:
            found[self._further] = written(rest)
        return found

    def says_all_of(self, row: Any) -> bool:
        """Whether each value of the row has a column."""
        return self._further is not None or not any(_uncovered(row, self._covered))


def _uncovered(row: Any, covered: Covered) -> Iterator[bool]:
    return (True for path, value in places(row) if path not in covered and says_something(value))


def _put(rest: dict[str, Any], path: Path, value: Any) -> None:
    *above, name = path
    for one in above:
        rest = rest.setdefault(one, {})
    rest[name] = value
