"""The columns of tables that are only exported: a document for each, so that there may be thousands.

A column is noted before the row that says something there, so a reader that asks first for the clock's head and then
for the columns knows those of every row up to that stamp.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha224
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from feedmirror.storage.indexes import have_indexes
from feedmirror.storage.run_document import column_document, column_of, columns_of
from feedmirror.table import MOST_COLUMNS, Column, Covered, further_columns, further_values, loaded
from feedmirror.table.models import Path

_Document = dict[str, Any]

_DUPLICATE = 11000
# As many rows as fit into memory where each is long.
_PORTION = 500


class FurtherColumns:
    """Those of all sources."""

    def __init__(self, database: Database[_Document]):
        self._columns = database["columns"]

    def create_indexes(self) -> None:
        """One for every query made here."""
        have_indexes(self._columns, [IndexModel([("source", ASCENDING), ("number", ASCENDING)])])

    def of(self, source_id: str) -> list[Column]:
        """In the order in which they were found."""
        found = self._columns.find({"source": source_id}).sort([("number", ASCENDING), ("_id", ASCENDING)])
        return [column_of(one["column"]) for one in found]

    def forget_all(self, source_id: str) -> None:
        self._columns.delete_many({"source": source_id})

    def count(self, source_id: str) -> int:
        return self._columns.count_documents({"source": source_id})

    def note(self, source_id: str, shown: Sequence[Column], rows: Iterable[Any]) -> tuple[int, bool]:
        """Note the columns that these rows add to the `shown` ones; how many, and whether there are too many."""
        values, is_beyond = further_values(shown, rows)
        if not values:
            return 0, is_beyond
        ids = {_id(source_id, path): path for path in values}
        for known in self._columns.find({"_id": {"$in": list(ids)}}, {"_id": 1}):
            del values[ids[known["_id"]]]
        if not values:
            return 0, is_beyond
        before = self.count(source_id)
        new = further_columns(values)
        room = max(0, MOST_COLUMNS - len(shown) - before)
        self._insert(source_id, new[:room], before)
        return min(room, len(new)), is_beyond or len(new) > room

    def add(self, source_id: str, columns: Sequence[Column]) -> None:
        """Note columns that were shown, and will not be."""
        if columns:
            self._insert(source_id, columns, self.count(source_id))

    def forget(self, source_id: str, shown: Sequence[Column]) -> None:
        """Forget those that are shown now."""
        covered = Covered(shown)
        found = self._columns.find({"source": source_id}, {"column.path": 1})
        self._columns.delete_many(
            {"_id": {"$in": [one["_id"] for one in found if tuple(one["column"]["path"]) in covered]}}
        )

    def _insert(self, source_id: str, columns: Sequence[Column], number: int) -> None:
        documents = [
            {"_id": _id(source_id, column.path), "source": source_id, "number": at, "column": column_document(column)}
            for at, column in enumerate(columns, number)
        ]
        try:
            if documents:
                self._columns.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if any(one["code"] != _DUPLICATE for one in error.details["writeErrors"]):
                raise


def find_further_columns(database: Database[_Document], say: Callable[[str], None]) -> None:
    """Note the columns of rows that were stored before these were noted; goes on where it was killed."""
    further, runs = FurtherColumns(database), database["runs"]
    further.create_indexes()
    for run in list(runs.find({"further": {"$exists": False}}, {"columns": 1, "further_at": 1, "is_beyond": 1})):
        source_id, shown = run["_id"], columns_of(run)
        is_beyond, at, done = run.get("is_beyond", False), run.get("further_at", ""), 0
        while portion := _rows_behind(database, source_id, at):
            _, more = further.note(source_id, shown, (loaded(row["text"]) for row in portion))
            is_beyond, at, done = is_beyond or more, portion[-1]["_id"], done + len(portion)
            runs.update_one({"_id": source_id}, {"$set": {"further_at": at, "is_beyond": is_beyond}})
            say(f"{done:,} rows of {source_id}")
        noted = {"further": further.count(source_id), "is_beyond": is_beyond}
        runs.update_one({"_id": source_id}, {"$set": noted, "$unset": {"further_at": ""}})


def _rows_behind(database: Database[_Document], source_id: str, row_id: str) -> list[_Document]:
    behind = {"source": source_id, "gone": False, "_id": {"$gt": row_id}}
    return list(database["rows"].find(behind, {"text": 1}).sort("_id", ASCENDING).limit(_PORTION))


def _id(source_id: str, path: Path) -> str:
    return sha224("\0".join((source_id, *path)).encode()).hexdigest()
