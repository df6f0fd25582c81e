"""What an answer of the data sets' API holds: how many rows, which columns, and a preview of them. Pure.

Read row by row: an answer may have forty megabytes, and would take ten times as much as values. What is kept are its
numbers, eight bytes each. By hand, as a parser that streams was found to be killed by what a stranger may write: a
hundred thousand brackets, or five thousand digits.
"""

import json
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from json.decoder import scanstring  # type: ignore[attr-defined]
from math import isfinite, nan
from typing import Any

from feedmirror.errors import ParseError
from feedmirror.models import Preview
from feedmirror.table import moment_of

# Twice as many points as a picture has room for across: of each place the lowest and the highest.
_PLACES = 500
# Of which one is chosen to be drawn; all of them are in the data as it came.
_MOST_COLUMNS = 50
_ROWS_SHOWN = 100
# Names and rows that somebody reads are far below; all of it has to fit into a document.
_MOST_NAMES = 2_000
_LONGEST_NAME = 200
_LONGEST_ROW = 10_000
# Whoever reads a row again must not fall over it: of digits Python takes 308 as a float, and 4,300 as a whole number.
_LONGEST_WHOLE = 300
_ENDLESS_DIGITS = re.compile(rf"[0-9]{{{_LONGEST_WHOLE}}}")
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class DatasetAnswer:
    """What is known of a series. `columns`: the names of the first two thousand."""

    columns: tuple[str, ...]
    rows: int
    preview: Preview


def read(body: bytes) -> DatasetAnswer:
    """Read an answer. Raises ParseError if it is none."""
    try:
        return _read(body.decode("utf-8-sig"))
    except (ValueError, IndexError, RecursionError) as error:
        what = "it ends too soon" if isinstance(error, IndexError) else str(error)[:200]
        raise ParseError(f"the answer is no data set: {what}") from error


def _read(text: str) -> DatasetAnswer:
    """Raises ValueError, IndexError and RecursionError."""
    columns: list[Any] = []
    rows: _Rows | None = None
    walk = _Walk(text)
    for name in walk.members():
        for inner in walk.members() if name == "dataset_data" else ():
            if inner == "column_names":
                columns = _list(walk.value())
            elif inner == "data":
                rows = _Rows()
                for row, written in walk.items():
                    rows.add(row, written)
    walk.end()
    if rows is None:
        raise ValueError("it has no dataset_data.data")
    names = tuple(str(name)[:_LONGEST_NAME] for name in columns[:_MOST_NAMES])
    return DatasetAnswer(names, rows.number, rows.preview(names, len(columns)))


def _list(value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise ValueError("its columns are no list")
    return value or []


def _reject(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _whole(digits: str) -> float:
    return int(digits) if len(digits) < _LONGEST_WHOLE else float(digits)


_DECODER = json.JSONDecoder(parse_int=_whole, parse_constant=_reject)


class _Walk:
    """A place in a JSON text, which goes on as its parts are asked for. Raises ValueError and IndexError."""

    def __init__(self, text: str):
        self._text = text
        self._at = 0

    def value(self) -> Any:
        """The value that begins here."""
        self._skip_space()
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def members(self) -> Iterator[str]:
        """The names in the object that begins here; a value that is not asked for is gone past."""
        self._expect("{")
        is_first = True
        while not self._ends("}", is_first=is_first):
            self._expect('"')
            name, self._at = scanstring(self._text, self._at)
            self._expect(":")
            begin = self._at
            yield name
            if self._at == begin:
                self.value()
            is_first = False

    def items(self) -> Iterator[tuple[Any, str]]:
        """The members of the list that begins here, each with its text; null is an empty one."""
        self._skip_space()
        if self._text.startswith("null", self._at):
            self._at += len("null")
            return
        self._expect("[")
        is_first = True
        while not self._ends("]", is_first=is_first):
            self._skip_space()
            begin = self._at
            value = self.value()
            yield value, self._text[begin : self._at]
            is_first = False

    def end(self) -> None:
        """There must be nothing more."""
        self._skip_space()
        if self._at < len(self._text):
            raise ValueError("there is more behind its end")

    def _ends(self, bracket: str, *, is_first: bool) -> bool:
        """Whether what was begun ends here; else a comma is gone past, which stands before all but the first."""
        self._skip_space()
        if self._text[self._at] == bracket:
            self._at += 1
            return True
        if not is_first:
            self._expect(",")
        return False

    def _expect(self, sign: str) -> None:
        self._skip_space()
        if self._text[self._at] != sign:
            raise ValueError(f"{sign} is missing at character {self._at}")
        self._at += 1

    def _skip_space(self) -> None:
        if self._text[self._at : self._at + 1] in ("", " ", "\t", "\r", "\n"):
            match = _SPACE.match(self._text, self._at)
            assert match is not None  # it may be empty
            self._at = match.end()


@dataclass(slots=True)
class _Rows:
    """Rows as they come."""

    number: int = 0
    _widest: int = 0
    _first: list[str] = field(default_factory=list)
    _places: "array[float]" = field(default_factory=lambda: array("d"))
    _columns: list["array[float]"] = field(default_factory=list)

    def add(self, row: Any, written: str) -> None:
        cells = row if isinstance(row, list) else [row]
        if len(self._first) < _ROWS_SHOWN and len(written) <= _LONGEST_ROW and not _ENDLESS_DIGITS.search(written):
            self._first.append(written if isinstance(row, list) else f"[{written}]")
        moment = moment_of(cells[0]) if cells and isinstance(cells[0], str) else None
        self._places.append(nan if moment is None else moment.timestamp())
        self._widest = max(self._widest, len(cells))
        while len(self._columns) < min(len(cells), _MOST_COLUMNS):
            self._columns.append(array("d", [nan]) * self.number)
        for number, numbers in enumerate(self._columns):
            numbers.append(_number(cells[number]) if number < len(cells) else nan)
        self.number += 1

    def preview(self, names: Sequence[str], named: int) -> Preview:
        """The preview; `named`: how many columns have names."""
        is_time = bool(self.number) and all(map(isfinite, self._places))
        places = self._places if is_time else array("d", range(self.number))
        order = sorted(range(self.number), key=places.__getitem__)
        lines = {}
        for name, numbers in zip(names, self._columns, strict=False):
            if line := _line([n for n in order if isfinite(numbers[n])], numbers):
                lines[name] = tuple((places[n], numbers[n]) for n in line)
        further = max(0, max(self._widest, named) - _MOST_COLUMNS)
        return Preview(is_time=is_time, lines=lines, rows=tuple(self._first), further=further)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else nan


def _line(rows: Sequence[int], heights: Sequence[float]) -> Sequence[int]:
    """As many of the rows as there is room for: of each part of the line its lowest and its highest, and both ends."""
    if len(rows) <= 2 * _PLACES:
        return rows
    parts = (_extremes(part, heights) for part in _parts(rows[1:-1], _PLACES - 1))
    return (rows[0], *(row for part in parts for row in part), rows[-1])


def _parts(rows: Sequence[int], number: int) -> Iterator[Sequence[int]]:
    bounds = [len(rows) * n // number for n in range(number + 1)]
    return (rows[low:high] for low, high in zip(bounds, islice(bounds, 1, None), strict=False))


def _extremes(part: Sequence[int], heights: Sequence[float]) -> list[int]:
    """The lowest and the highest, in their order."""
    low, high = min(part, key=heights.__getitem__), max(part, key=heights.__getitem__)
    return [row for row in part if row in (low, high)]
