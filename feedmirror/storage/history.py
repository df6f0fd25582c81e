"""What numbers of a table were: for each row the last ones of the columns that keep their history.

Bounded by age and by number: as many points as a small picture has room for. The time that is kept is divided into as
many parts, and the last number within a part stands for it; a history that is younger has shorter parts.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

from feedmirror.storage.clock import stamp_us
from feedmirror.table import Column, RowText, Run, order_of, value_in

_Document = dict[str, Any]

# A picture in a row is about as many pixels wide.
POINTS = 96


class History:
    """The past of rows, a document for each that has one."""

    def __init__(self, database: Database[_Document]):
        self._history = database["history"]

    def note(self, run: Run, rows: Mapping[str, RowText]) -> None:
        """Remember the numbers of these rows, by their ids, as those of the time when the run began."""
        kept = [(str(number), column) for number, column in enumerate(run.columns) if _keeps(column)]
        if kept and rows:
            at_s = stamp_us(run.began_at) // 1_000_000
            longest_s = max(int(column.history_s or 0) for _, column in kept)
            points = {row_id: {"at": at_s, **_numbers(row.value, kept)} for row_id, row in rows.items()}
            self._history.bulk_write(
                [
                    UpdateOne({"_id": row_id}, _adding(point, run.shape, longest_s), upsert=True)
                    for row_id, point in points.items()
                ],
                ordered=False,
            )

    def of(
        self, ids: Iterable[str], columns: Iterable[Column], shape: int
    ) -> dict[str, dict[str, tuple[tuple[int, float], ...]]]:
        """The past of these rows: by row and by the column's name, moments (seconds since the epoch) and numbers."""
        kept = [(str(number), column) for number, column in enumerate(columns) if _keeps(column)]
        if not kept:
            return {}
        found = self._history.find({"_id": {"$in": list(ids)}, "shape": shape})
        return {
            one["_id"]: {
                column.name: tuple((point["at"], point[number]) for point in one["points"] if number in point)
                for number, column in kept
            }
            for one in found
        }

    def forget(self, ids: Iterable[str]) -> None:
        """Forget the past of these rows."""
        self._history.delete_many({"_id": {"$in": list(ids)}})


def _keeps(column: Column) -> bool:
    return column.history_s is not None and column.type is not None and column.type.is_numeric


def _numbers(row: Any, columns: Iterable[tuple[str, Column]]) -> dict[str, float]:
    found = {number: value_in(row, column) for number, column in columns}
    numbers = {
        number: float(order_of(value))  # type: ignore[arg-type]
        for number, value in found.items()
        if isinstance(value, int | Decimal) and not isinstance(value, bool)
    }
    return {number: value for number, value in numbers.items() if isfinite(value)}


def _adding(point: _Document, shape: int, longest_s: int) -> list[_Document]:
    """The update that adds a point, and lets go of what is too old, or was of columns that were others.

    While there is room every point stands for itself. When there is none, every second one goes, and parts are as long
    as those that are left are apart from each other, until as many parts as there may be points are all of the time.
    """
    at = point["at"]
    whole_s = max(1, longest_s // POINTS)
    there = {"$cond": [{"$eq": ["$shape", shape]}, {"$ifNull": ["$points", []]}, []]}
    part_began = {"$subtract": [at, {"$mod": [at, "$part_s"]}]}
    kept = {"$and": [{"$gte": ["$$this.at", at - longest_s]}, {"$lt": ["$$this.at", part_began]}]}
    is_full = {"$gt": [{"$size": "$points"}, POINTS]}
    span = {"$subtract": [at, {"$getField": {"field": "at", "input": {"$first": "$points"}}}]}
    apart = {"$toInt": {"$ceil": {"$divide": [{"$multiply": [2, span]}, POINTS]}}}
    return [
        {"$set": {"part_s": {"$min": [{"$ifNull": ["$part_s", 1]}, whole_s]}, "points": there, "shape": shape}},
        {
            "$set": {
                "points": {
                    "$concatArrays": [
                        {"$filter": {"input": "$points", "cond": kept}},
                        [{"$literal": point}],
                    ]
                }
            }
        },
        {
            "$set": {
                "part_s": {"$cond": [is_full, {"$max": ["$part_s", {"$min": [apart, whole_s]}]}, "$part_s"]},
                "points": {"$cond": [is_full, _every_second("$points"), "$points"]},
            }
        },
    ]


def _every_second(points: str) -> _Document:
    """Every second of these points, the last one among them."""
    places = {"$range": [{"$subtract": [{"$size": points}, 1]}, -1, -2]}
    return {"$reverseArray": {"$map": {"input": places, "as": "place", "in": {"$arrayElemAt": [points, "$$place"]}}}}
