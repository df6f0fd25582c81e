"""Tables as a reader sees them: some rows at a time in one order or another, what changed, how each table stands.

Reads what `tables` writes. A part of a table is found by the row that it goes on behind, never by counting. In the
order of the API that is a place in what its last complete run noted, however large the table; in any other the database
looks at each row's keys, and keeps no more rows than are asked for.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.client_session import ClientSession
from pymongo.database import Database

from feedmirror.errors import StorageError
from feedmirror.storage.clock import Clock
from feedmirror.storage.further_columns import FurtherColumns
from feedmirror.storage.history import History
from feedmirror.storage.run_document import WALKING, columns_of, run_of
from feedmirror.table import Column, Row, Standing, TableOrder, TablePage, TableUpdate, all_columns

_Document = dict[str, Any]

_SHOWN = {"text": 1, "changed": 1, "gone": 1}
_OF_UPDATES = {"gap": 1, "listing": 1}
_API_ORDER = [("page", ASCENDING), ("part", ASCENDING)]
_AT_ONCE = 500


class Sheets:
    """The tables of an installation."""

    def __init__(self, database: Database[_Document], clock: Clock):
        self._client = database.client
        self._rows = database["rows"]
        self._runs = database["runs"]
        self._seen = database["seen"]
        self._history = History(database)
        self._further = FurtherColumns(database)
        self._clock = clock

    def has(self, source_id: str) -> bool:
        """Whether there ever was a run that brought rows of this source."""
        return self._runs.find_one({"_id": source_id}, {"_id": 1}) is not None

    def standing(self, source_id: str) -> Standing:
        """How a table stands; one of which nothing is known has no columns and no rows."""
        document = self._runs.find_one({"_id": source_id})
        return Standing(source_id=source_id) if document is None else _standing(document)

    def standings(self, *, limit: int) -> list[Standing]:
        """How the first `limit` tables stand, by their sources' ids."""
        return [_standing(document) for document in self._runs.find().sort("_id", ASCENDING).limit(limit)]

    def columns(self, standing: Standing) -> tuple[Column, ...]:
        """All columns of a table: those that are shown, and those that are only exported."""
        further = self._further.of(standing.source_id) if standing.further else ()
        return all_columns(standing.columns, further, is_beyond=standing.is_beyond)

    # -- some rows at a time

    def page(
        self,
        standing: Standing,
        *,
        order: TableOrder = TableOrder(),  # noqa: B008 (a constant)
        words: Sequence[str] = (),
        after: str | None = None,
        limit: int,
    ) -> TablePage:
        """The first `limit` rows in an order behind the row whose id is `after`, of those that say all of the words.

        `words` are case-folded. A row that is not there any more is none to go on behind: this is the beginning then.
        """
        if order.column is None and not words:
            rows = list(self._listed(standing, after, limit + 1))
        else:
            rows = self._ordered(standing, order, words, after, limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        past = self._history.of((row.id for row in rows), standing.columns, standing.shape)
        shown = tuple(replace(row, past=past.get(row.id, {})) for row in rows)
        return TablePage(rows=shown, last=rows[-1].id if more else None)

    def every(self, source_id: str) -> Iterator[Row]:
        """All rows that are there, in the order of the API, some of them in memory at a time.

        Raises StorageError where a run ends meanwhile and the next one begins: what is being read is forgotten then.
        """
        listed = self._listed_run(source_id)
        first = listed and self._seen.find_one(listed, {"_id": 1}, sort=_API_ORDER)
        for ids in self._places(source_id, None):
            yield from self._there(ids)
        # what is replaced goes from its beginning on
        if first and self._seen.find_one(first, {"_id": 1}) is None:
            raise StorageError(f"the rows of {source_id} took longer to read than to be listed anew; begin again")

    def _listed(self, standing: Standing, after: str | None, limit: int) -> Iterator[Row]:
        """Rows in the order of the API."""
        left = limit
        for ids in self._places(standing.source_id, after):
            while ids and left:
                rows = self._there(ids[:left])
                ids = ids[left:]
                yield from rows
                left -= len(rows)
            if not left:
                return

    def _places(self, source_id: str, after: str | None) -> Iterator[list[str]]:
        """The ids that the last complete run listed, or else the one that is under way, from behind a row on."""
        listed = self._listed_run(source_id)
        if listed is None:
            return
        place = self._seen.find_one({**listed, "ids": after}) if after is not None else None
        if place is not None:
            yield place["ids"][place["ids"].index(after) + 1 :]
            behind: _Document = {
                "$or": [{"page": place["page"], "part": {"$gt": place["part"]}}, {"page": {"$gt": place["page"]}}]
            }
        else:
            behind = {}
        for one in self._seen.find({**listed, **behind}, {"ids": 1}).sort(_API_ORDER).batch_size(20):
            yield one["ids"]

    def _listed_run(self, source_id: str) -> _Document | None:
        """What finds the notes of the run that says which rows are listed, and where."""
        runs = self._runs.find_one({"_id": source_id}, {"listed": 1, "number": 1})
        return None if runs is None else {"source": source_id, "run": runs.get("listed") or runs["number"]}

    def _there(self, ids: Sequence[str]) -> list[Row]:
        """These rows, in this order; those that are gone are left out."""
        found: dict[str, Row] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = self._rows.find({"_id": {"$in": list(ids[start : start + _AT_ONCE])}, "gone": False}, _SHOWN)
            found |= {one["_id"]: _row(one) for one in some}
        return [found[one] for one in ids if one in found]

    def _ordered(
        self, standing: Standing, order: TableOrder, words: Sequence[str], after: str | None, limit: int
    ) -> list[Row]:
        conditions: _Document = {"source": standing.source_id, "gone": False}
        if words:
            conditions["$and"] = [{"search": {"$regex": re.escape(word)}} for word in words]
        last = self._rows.find_one({"_id": after}, {"changed": 1, "order": 1}) if after is not None else None
        direction = DESCENDING if order.descending else ASCENDING
        if order.column == "":
            behind = {} if last is None else {"changed": {"$lt" if order.descending else "$gt": last["changed"]}}
            return self._found([{"$match": {**conditions, **behind}}, {"$sort": {"changed": direction}}], limit)
        numbers = [number for number, column in enumerate(standing.columns) if column.name == order.column]
        if not numbers:  # without a column to order by, any order that stays the same will do
            behind = {} if last is None else {"_id": {"$gt": last["_id"]}}
            return self._found([{"$match": {**conditions, **behind}}, {"$sort": {"_id": ASCENDING}}], limit)
        return self._by_column(conditions, str(numbers[0]), direction, last, limit)

    def _by_column(
        self, conditions: _Document, number: str, direction: int, last: _Document | None, limit: int
    ) -> list[Row]:
        """Rows by what they say in a column, and those that say nothing last."""
        field = f"order.{number}"
        rows: list[Row] = []
        if last is None or number in last["order"]:
            stages: list[_Document] = [{"$match": {**conditions, field: {"$exists": True}}}]
            if last is not None:
                stages.append(
                    {"$match": {"$expr": _behind(f"${field}", direction, last["order"][number], last["_id"])}}
                )
            rows = self._found([*stages, {"$sort": {field: direction, "_id": ASCENDING}}], limit)
            last = None
        if len(rows) < limit:
            behind = {} if last is None else {"_id": {"$gt": last["_id"]}}
            empty = {"$match": {**conditions, field: {"$exists": False}, **behind}}
            rows += self._found([empty, {"$sort": {"_id": ASCENDING}}], limit - len(rows))
        return rows

    def _found(self, stages: Sequence[_Document], limit: int) -> list[Row]:
        # the text comes last, and of those rows alone that are wanted
        given = [*stages, {"$limit": limit}, {"$project": _SHOWN}]
        return [_row(one) for one in self._rows.aggregate(given, allowDiskUse=True)]

    # -- what changed

    def since(self, source_id: str, *, after_us: int, limit: int, before_us: int | None = None) -> TableUpdate:
        """The oldest `limit` changes after a stamp and below `before_us`, those that changed last first."""
        with self._client.start_session(causal_consistency=True) as session:
            head_us = self._clock.head_us(session)
            high = head_us if before_us is None else min(head_us, before_us - 1)
            rows = self._changed(source_id, after_us, high, limit + 1, ASCENDING, session)
            runs = self._runs.find_one({"_id": source_id}, _OF_UPDATES, session=session) or {}
        more = len(rows) > limit
        rows = rows[:limit]
        cursor_us = rows[-1].changed_us if more else max(high, after_us)
        gap_us = int(runs.get("gap", 0))
        return TableUpdate(
            rows=tuple(reversed(rows)),
            head_us=head_us,
            cursor_us=cursor_us,
            more=more,
            gap_us=gap_us if gap_us > after_us else None,
            listing=runs.get("listing", ""),
        )

    def newest(self, source_id: str, *, limit: int, before_us: int | None = None) -> TableUpdate:
        """The rows that changed last, below `before_us`; the cursor is the head: what changes from now on is new."""
        with self._client.start_session(causal_consistency=True) as session:
            head_us = self._clock.head_us(session)
            high = head_us if before_us is None else min(head_us, before_us - 1)
            rows = self._changed(source_id, 0, high, limit + 1, DESCENDING, session)
            runs = self._runs.find_one({"_id": source_id}, _OF_UPDATES, session=session) or {}
        more, listing = len(rows) > limit, runs.get("listing", "")
        return TableUpdate(rows=tuple(rows[:limit]), head_us=head_us, cursor_us=high, more=more, listing=listing)

    def _changed(
        self, source_id: str, low: int, high: int, limit: int, order: int, session: ClientSession
    ) -> list[Row]:
        stamps = {"$gt": low, "$lte": high}
        found = self._rows.find({"source": source_id, "changed": stamps}, _SHOWN, session=session)
        return [_row(one) for one in found.sort("changed", order).limit(limit)]


def _behind(field: str, direction: int, value: Any, row_id: str) -> _Document:
    """What comes behind a row; as an expression, since a query would only look at values of the same type."""
    literal = {"$literal": value}
    further = {"$lt" if direction == DESCENDING else "$gt": [field, literal]}
    return {"$or": [further, {"$and": [{"$eq": [field, literal]}, {"$gt": ["$_id", row_id]}]}]}


def _standing(document: _Document) -> Standing:
    last: _Document = document.get("last") or {}
    return Standing(
        source_id=document["_id"],
        columns=columns_of(document),
        shape=document.get("shape", 0),
        rows=last["rows"] if last else document["rows"],
        complete_from=last.get("began_at"),
        complete_at=last.get("ended_at"),
        listing=document.get("listing", ""),
        walking=run_of(document) if document["state"] == WALKING else None,
        why=document.get("why"),
        further=document.get("further", 0),
        is_beyond=document.get("is_beyond", False),
    )


def _row(document: _Document) -> Row:
    return Row(
        id=document["_id"], text=document["text"], changed_us=int(document["changed"]), gone=bool(document["gone"])
    )
