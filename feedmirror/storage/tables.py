"""The tables of paginated APIs: rows by key, numbered by the stream's clock where they change, and the runs over them.

    begin    the run that is under way, or a new one
    store    one page of it, in one transaction: rows that are new or changed, which were seen, and where to go on
    end      after the last page: rows that the run has not seen are gone
    since    what changed after a stamp

A row that did not change is not written. That it was seen is noted by its page, so what a run costs does not depend on
how many rows there are, and one that is broken off goes on at its page.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha224
from itertools import islice
from typing import Any

from bson import Int64
from pymongo import ASCENDING, DESCENDING, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from feedmirror.errors import StorageError
from feedmirror.models import Row, RowText, Run, TableUpdate
from feedmirror.storage.clock import Clock
from feedmirror.storage.indexes import have_index

_Document = dict[str, Any]

# Everybody else waits while a transaction holds the clock; and rows may be large.
_PORTION = 500


# A run that was broken off goes on within a day: later, its first pages would be too old for one table with the last.
_LONGEST_RUN = timedelta(days=1)
_SHOWN = {"text": 1, "changed": 1, "gone": 1}
_WALKING, _ENDED, _GIVEN_UP = "walking", "ended", "given up"


class Superseded(StorageError):
    """Somebody else has gone on with this run meanwhile: their word counts."""


class Tables:
    """The rows of all sources that have some."""

    def __init__(self, database: Database[_Document], clock: Clock):
        self._client = database.client
        self._rows = database["rows"]
        self._runs = database["runs"]
        self._seen = database["seen"]
        self._clock = clock

    def create_indexes(self) -> None:
        """One for every query made here."""
        have_index(self._rows, ("source", ASCENDING), ("changed", ASCENDING))
        have_index(self._rows, ("source", ASCENDING), ("gone", ASCENDING), ("_id", ASCENDING))
        have_index(self._seen, ("source", ASCENDING), ("run", ASCENDING), ("at", ASCENDING), unique=True)
        have_index(self._seen, ("source", ASCENDING), ("run", ASCENDING), ("digest", ASCENDING))

    # -- runs

    def begin(self, source_id: str, *, now: datetime) -> Run:
        """The run that is under way, or a new one."""
        known = self._runs.find_one({"_id": source_id})
        if known and known["state"] == _WALKING and now - known["began_at"] < _LONGEST_RUN:
            return _run(known)
        number = known["number"] + 1 if known else 1
        begun: _Document = {"number": number, "state": _WALKING, "began_at": now, "position": {}, "tries": 0}
        counts = dict.fromkeys(("pages", "rows", "new", "changed"), 0)
        self._runs.update_one({"_id": source_id}, {"$set": {**begun, **counts}}, upsert=True)
        self._forget_seen(source_id, before=number)
        return Run(source_id=source_id, number=number, began_at=now)

    def was_at(self, run: Run, position: Mapping[str, Any]) -> bool:
        """Whether this run has read the page at this position already."""
        return self._seen.find_one({**_of(run), "at": _place(position, 0)}, {"_id": 1}) is not None

    def tried(self, run: Run) -> Run:
        """Note that the page where the run is could not be had."""
        self._advance(run, {"tries": run.tries + 1})
        return replace(run, tries=run.tries + 1)

    def give_up(self, run: Run, why: str) -> None:
        """End a run that cannot be brought to its end: what it has not seen stays as it is."""
        self._advance(run, {"state": _GIVEN_UP, "why": why})

    def _advance(self, run: Run, change: _Document, session: ClientSession | None = None) -> None:
        """Raises Superseded where the run is not where it was when this was begun."""
        where = {"_id": run.source_id, "number": run.number, "state": _WALKING, "position": _kept(run.position)}
        if not self._runs.update_one(where, {"$set": change}, session=session).matched_count:
            raise Superseded(f"another worker has gone on with {run.source_id}")

    # -- rows

    def store(self, run: Run, rows: Mapping[str, RowText], position: Mapping[str, Any] | None) -> Run:
        """Store the page at the run's position; gives the run as it goes on, at `position`.

        `rows`: each by its id. Raises Superseded.
        """
        new = changed = 0
        pairs = list(rows.items())
        # an empty page is a page
        for number, start in enumerate(range(0, len(pairs) or 1, _PORTION)):
            portion = dict(pairs[start : start + _PORTION])
            is_last = start + _PORTION >= len(pairs)
            known = self._known(portion)
            to_write = {row_id: row for row_id, row in portion.items() if known.get(row_id) != row.digest}
            inserted = sum(row_id not in known for row_id in to_write)
            new, changed = new + inserted, changed + len(to_write) - inserted
            after = replace(
                run,
                position=position,
                pages=run.pages + 1,
                rows=run.rows + len(rows),
                new=run.new + new,
                changed=run.changed + changed,
                tries=0,
            )
            self._write(run, to_write, list(portion), number, after if is_last else run)
        return after

    def shows_again(self, run: Run, rows: Iterable[str]) -> bool:
        """Whether a page of this run had these very rows."""
        return self._seen.find_one({**_of(run), "digest": _digest_of_ids(rows)}, {"_id": 1}) is not None

    def _known(self, ids: Iterable[str]) -> dict[str, bytes | None]:
        """The digest of what is stored of these rows; None of one that is gone."""
        found = self._rows.find({"_id": {"$in": list(ids)}}, {"digest": 1, "gone": 1})
        return {row["_id"]: None if row["gone"] else row["digest"] for row in found}

    def _write(self, run: Run, rows: Mapping[str, RowText], seen: Sequence[str], number: int, after: Run) -> None:
        note = {**_of(run), "at": _place(run.position or {}, number)}
        content = {"ids": list(seen), "digest": _digest_of_ids(seen)}

        def write(session: ClientSession) -> None:
            self._advance(run, _progress(after), session)
            self._seen.update_one(note, {"$set": content}, upsert=True, session=session)
            if rows:
                # behind whatever may fail: others wait from here on
                tick = self._clock.advance(len(rows), session)
                stamps = range(tick.first_us, tick.head_us + 1)
                documents = [
                    _document(run.source_id, *row, stamp) for row, stamp in zip(rows.items(), stamps, strict=True)
                ]
                self._rows.bulk_write(
                    [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in documents], session=session
                )
                self._clock.publish(tick, session)

        self._within(write)

    def end(self, run: Run, *, now: datetime) -> int:
        """End a run that has seen every page: what it has not seen is gone. Gives how many rows that were."""
        gone = 0
        for ids in _portions(self._unseen(run)):
            self._within(lambda session, ids=ids: self._mark_gone(run, ids, session))  # type: ignore[misc]
            gone += len(ids)
        counts = {"rows": run.rows, "new": run.new, "changed": run.changed, "gone": gone, "pages": run.pages}
        last = {"began_at": run.began_at, "ended_at": now, **counts}
        self._advance(run, {"state": _ENDED, "last": last})
        self._forget_seen(run.source_id, before=run.number + 1)
        return gone

    def _unseen(self, run: Run) -> Iterator[str]:
        """The rows that are there and that the run has not seen, by merging two sorted lists: both may be long."""
        there = self._rows.find({"source": run.source_id, "gone": False}, {"_id": 1}).sort("_id", ASCENDING)
        stages: list[_Document] = [
            {"$match": _of(run)},
            {"$unwind": "$ids"},
            {"$sort": {"ids": 1}},
            {"$project": {"ids": 1}},
        ]
        seen = (one["ids"] for one in self._seen.aggregate(stages, allowDiskUse=True))
        last = next(seen, None)
        for row in there:
            while last is not None and last < row["_id"]:
                last = next(seen, None)
            if last != row["_id"]:
                yield row["_id"]

    def _mark_gone(self, run: Run, ids: Sequence[str], session: ClientSession) -> None:
        self._advance(run, {"tries": 0}, session)
        tick = self._clock.advance(len(ids), session)
        stamps = range(tick.first_us, tick.head_us + 1)
        self._rows.bulk_write(
            [
                UpdateOne({"_id": row_id}, {"$set": {"gone": True, "changed": stamp}})
                for row_id, stamp in zip(ids, stamps, strict=True)
            ],
            session=session,
        )
        self._clock.publish(tick, session)

    def _forget_seen(self, source_id: str, *, before: int) -> None:
        self._seen.delete_many({"source": source_id, "run": {"$lt": before}})

    def _within(self, write: Callable[[ClientSession], None]) -> None:
        with self._client.start_session() as session:
            session.with_transaction(write, read_concern=ReadConcern("snapshot"))

    # -- what changed

    def since(self, source_id: str, *, after_us: int, limit: int, before_us: int | None = None) -> TableUpdate:
        """The oldest `limit` changes after a stamp and below `before_us`, those that changed last first."""
        with self._client.start_session(causal_consistency=True) as session:
            head_us = self._clock.head_us(session)
            high = head_us if before_us is None else min(head_us, before_us - 1)
            rows = self._changed(source_id, after_us, high, limit + 1, ASCENDING, session)
        more = len(rows) > limit
        rows = rows[:limit]
        cursor_us = rows[-1].changed_us if more else max(high, after_us)
        return TableUpdate(rows=tuple(reversed(rows)), head_us=head_us, cursor_us=cursor_us, more=more)

    def newest(self, source_id: str, *, limit: int, before_us: int | None = None) -> TableUpdate:
        """The rows that changed last, below `before_us`; the cursor is the head: what changes from now on is behind it."""
        with self._client.start_session(causal_consistency=True) as session:
            head_us = self._clock.head_us(session)
            high = head_us if before_us is None else min(head_us, before_us - 1)
            rows = self._changed(source_id, 0, high, limit + 1, DESCENDING, session)
        more = len(rows) > limit
        return TableUpdate(rows=tuple(rows[:limit]), head_us=head_us, cursor_us=high, more=more)

    def _changed(
        self, source_id: str, low: int, high: int, limit: int, order: int, session: ClientSession
    ) -> list[Row]:
        stamps = {"$gt": low, "$lte": high}
        found = self._rows.find({"source": source_id, "changed": stamps}, _SHOWN, session=session)
        return [_row(one) for one in found.sort("changed", order).limit(limit)]


def row_id(source_id: str, key: str) -> str:
    """The id of the row with this key, which is text; keys are unique within a source only."""
    return sha224(f"{source_id}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()


def _portions(ids: Iterator[str]) -> Iterator[list[str]]:
    while portion := list(islice(ids, _PORTION)):
        yield portion


def _of(run: Run) -> _Document:
    return {"source": run.source_id, "run": run.number}


def _place(position: Mapping[str, Any], number: int) -> str:
    """A position and a part of its page, as text: addresses may be long, and what is in an index may not."""
    return f"{sha224(repr(sorted(position.items())).encode()).hexdigest()}-{number}"


def _digest_of_ids(ids: Iterable[str]) -> str:
    return sha224("\0".join(sorted(ids)).encode()).hexdigest()


def _document(source_id: str, row_id: str, row: RowText, stamp: int) -> _Document:
    content = {"text": row.text, "digest": row.digest}
    return {"_id": row_id, "source": source_id, **content, "changed": Int64(stamp), "gone": False}


def _row(document: _Document) -> Row:
    return Row(
        id=document["_id"], text=document["text"], changed_us=int(document["changed"]), gone=bool(document["gone"])
    )


def _progress(run: Run) -> _Document:
    counts = {"pages": run.pages, "rows": run.rows, "new": run.new, "changed": run.changed, "tries": run.tries}
    return {"position": _kept(run.position), **counts}


def _kept(position: Mapping[str, Any] | None) -> _Document | None:
    return None if position is None else dict(position)


def _run(document: _Document) -> Run:
    counts = {name: document[name] for name in ("pages", "rows", "new", "changed", "tries")}
    return Run(
        source_id=document["_id"],
        number=document["number"],
        began_at=document["began_at"],
        position=document["position"],
        **counts,
    )
