"""What an answer of the data sets' API holds: how many rows, which columns, and a preview of them. Pure.

Read row by row: an answer may have forty megabytes, and would take ten times as much as values. What is kept are its
numbers, eight bytes each.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite, nan
from typing import Any

import ijson

from feedmirror.errors import ParseError
from feedmirror.models import Preview
from feedmirror.table import moment_of

# Twice as many points as a picture has room for across: of each place the lowest and the highest.
_PLACES = 500
_MOST_COLUMNS = 50
_ROWS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class DatasetAnswer:
    """What is known of a series."""

    columns: tuple[str, ...]
    rows: int
    preview: Preview


def read(body: bytes) -> DatasetAnswer:
    """Read an answer. Raises ParseError if it is none."""
    try:
        columns = tuple(str(name) for name in _items(body, "dataset_data.column_names.item"))
        reading = _Reading(columns)
        for row in _items(body, "dataset_data.data.item"):
            reading.add(row)
        if not columns and not reading.rows and next(_items(body, "dataset_data.data"), None) is None:
            raise ParseError("the answer is no data set: it has no dataset_data.data")
    except (ijson.JSONError, UnicodeDecodeError, OverflowError) as error:
        raise ParseError(f"the answer is no data set: {str(error)[:200]}") from error
    return DatasetAnswer(columns, reading.rows, reading.preview())


def _items(body: bytes, path: str) -> Iterator[Any]:
    return iter(ijson.items(body, path, use_float=True))


@dataclass(slots=True)
class _Reading:
    """Rows as they come."""

    columns: Sequence[str]
    rows: int = 0
    _first: list[str] = field(default_factory=list)
    _places: "array[float]" = field(default_factory=lambda: array("d"))
    _numbers: list["array[float]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = [array("d") for _ in self.columns[:_MOST_COLUMNS]]

    def add(self, row: Any) -> None:
        self.rows += 1
        cells = row if isinstance(row, list) else [row]
        if len(self._first) < _ROWS_SHOWN:
            self._first.append(json.dumps(cells, ensure_ascii=False))
        moment = moment_of(cells[0]) if cells and isinstance(cells[0], str) else None
        self._places.append(nan if moment is None else moment.timestamp())
        for number, numbers in enumerate(self._numbers):
            numbers.append(_number(cells[number]) if number < len(cells) else nan)

    def preview(self) -> Preview:
        is_time = bool(self.rows) and all(map(isfinite, self._places))
        places = self._places if is_time else array("d", range(self.rows))
        order = sorted(range(self.rows), key=places.__getitem__)
        lines = {
            name: line
            for name, numbers in zip(self.columns, self._numbers, strict=False)
            if (line := _line([(places[n], numbers[n]) for n in order if isfinite(numbers[n])]))
        }
        return Preview(is_time=is_time, lines=lines, rows=tuple(self._first))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else nan


def _line(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """As many points as there is room for: of each part of the line its lowest and its highest, and both ends."""
    if len(points) <= 2 * _PLACES:
        return tuple(points)
    parts = (_extremes(part) for part in _parts(points[1:-1], _PLACES - 1))
    return (points[0], *(point for part in parts for point in part), points[-1])


def _parts(points: Sequence[tuple[float, float]], number: int) -> Iterator[Sequence[tuple[float, float]]]:
    bounds = [len(points) * n // number for n in range(number + 1)]
    return (points[low:high] for low, high in zip(bounds, islice(bounds, 1, None), strict=False))


def _extremes(part: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    low, high = min(part, key=_height), max(part, key=_height)
    return [low] if low == high else sorted((low, high))


def _height(point: tuple[float, float]) -> float:
    return point[1]
