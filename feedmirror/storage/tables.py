"""The tables of paginated APIs: rows by key, numbered by the stream's clock where they change, and the runs over them.

    begin    the run that is under way, or a new one
    store    one page of it, in one transaction: rows that are new or changed, which were seen, and where to go on
    end      after the last page: rows that the run has not seen are gone

A row that did not change is not written. That it was seen is noted by its page, so what a run costs does not depend on
how many rows there are, and one that is broken off goes on at its page. What the last complete run noted is kept: it is
the order in which the API lists its rows. `sheets` reads all of it for showing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha224
from itertools import islice
from typing import Any

from bson import Int64
from pymongo import ASCENDING, IndexModel, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from feedmirror.errors import StorageError
from feedmirror.storage.clock import Clock, stamp_us
from feedmirror.storage.further_columns import FurtherColumns
from feedmirror.storage.history import History
from feedmirror.storage.indexes import have_indexes
from feedmirror.storage.row_document import form_of, place_in_columns, row_document
from feedmirror.storage.run_document import ENDED, GIVEN_UP, WALKING, column_document, kept_position, progress, run_of
from feedmirror.table import Column, Covered, RowText, Run, extends

_Document = dict[str, Any]

# Everybody else waits while a transaction holds the clock; and rows may be large.
_PORTION = 500
# Each of some hundred ids.
_FEW_PAGES = 20
# Of ids alone, of which one of the database's own batches holds so many that they fill the memory.
_SMALL_BATCH = 2_000

# A run that was broken off goes on within a day: later, its first pages would be too old for one table with the last.
_LONGEST_RUN = timedelta(days=1)
# A page that somebody opens again after a month begins anew.
_GONE_TOLD = timedelta(days=30)
# Of a row that is not there.
_NONE = (None, None)


_OF_RUN = (("source", ASCENDING), ("run", ASCENDING))


class Superseded(StorageError):
    """Somebody else has gone on with this run meanwhile: their word counts."""


class Tables:
    """The rows of all sources that have some."""

    def __init__(self, database: Database[_Document], clock: Clock):
        self._rows = database["rows"]
        self._runs = database["runs"]
        self._seen = database["seen"]
        self._history = History(database)
        self._further = FurtherColumns(database)
        self._clock = clock

    def create_indexes(self) -> None:
        """One for every query made here."""
        self._further.create_indexes()
        have_indexes(
            self._rows,
            [
                IndexModel([("source", ASCENDING), ("changed", ASCENDING)]),
                IndexModel([("source", ASCENDING), ("gone", ASCENDING), ("_id", ASCENDING)]),
            ],
        )
        have_indexes(
            self._seen,
            [
                IndexModel([*_OF_RUN, ("page", ASCENDING), ("part", ASCENDING)], unique=True),
                IndexModel([*_OF_RUN, ("at", ASCENDING)]),
                IndexModel([*_OF_RUN, ("digest", ASCENDING)]),
            ],
        )

    # -- runs

    def begin(self, source_id: str, *, now: datetime, terms: str = "") -> Run:
        """The run that is under way, or a new one; `terms`: what its addresses are made of, and no other run's."""
        known = self._runs.find_one({"_id": source_id}) or {}
        goes_on = known.get("state") == WALKING and known.get("terms") == terms
        if goes_on and now - known["began_at"] < _LONGEST_RUN:
            return run_of(known)
        counts = dict.fromkeys(("pages", "rows", "new", "changed", "tries"), 0)
        begun: _Document = {"number": known.get("number", 0) + 1, "state": WALKING, "began_at": now, "terms": terms}
        begun |= {"position": {}, **counts}
        self._runs.update_one({"_id": source_id}, {"$set": begun}, upsert=True)
        self._forget_seen(source_id, keep=(known.get("listed"), begun["number"]))
        return run_of({**known, "_id": source_id, **begun})

    def was_at(self, run: Run, position: Mapping[str, Any]) -> bool:
        """Whether this run has read the page at this position already."""
        return self._seen.find_one({**_of(run), "at": _place(position)}, {"_id": 1}) is not None

    def tried(self, run: Run) -> Run:
        """Note that the page where the run is could not be had."""
        self._advance(run, {"tries": run.tries + 1})
        return replace(run, tries=run.tries + 1)

    def rest(self, run: Run) -> None:
        """Leave a run at its page for the time being."""
        self._advance(run, {"tries": 0})

    def give_up(self, run: Run, why: str) -> None:
        """End a run that cannot be brought to its end: what it has not seen stays as it is."""
        self._advance(run, {"state": GIVEN_UP, "why": why})

    def _advance(self, run: Run, change: _Document, session: ClientSession | None = None) -> None:
        """Raises Superseded where the run is not where it was when this was begun."""
        where = {"_id": run.source_id, "number": run.number, "state": WALKING, "position": kept_position(run.position)}
        if not self._runs.update_one(where, {"$set": change}, session=session).matched_count:
            raise Superseded(f"another worker has gone on with {run.source_id}")

    # -- a table as a whole

    def count(self, source_id: str) -> int:
        """How many rows are kept of it, those included that are gone."""
        return self._rows.count_documents({"source": source_id})

    def forget(self, source_id: str) -> Iterator[int]:
        """Forget a table, some rows at a time: how many went each time. From the first on there is no table."""
        self._runs.delete_one({"_id": source_id})
        self._seen.delete_many({"source": source_id})
        self._further.forget_all(source_id)
        while ids := [row["_id"] for row in self._rows.find({"source": source_id}, {"_id": 1}).limit(_PORTION)]:
            self._history.forget(ids)
            self._rows.delete_many({"_id": {"$in": ids}})
            yield len(ids)

    # -- rows

    def store(
        self,
        run: Run,
        rows: Mapping[str, RowText],
        position: Mapping[str, Any] | None,
        *,
        columns: Sequence[Column] = (),
    ) -> Run:
        """Store the page at the run's position; gives the run as it goes on, at `position`.

        `rows`: each by its id, in the order of the page. `columns`: those of the table, from now on. Raises Superseded.
        """
        run = self._widened(self._reshaped(run, columns), rows)
        new = changed = 0
        form = form_of(run.columns)
        page = _digest_of_ids(rows)
        pairs = list(rows.items())
        # an empty page is a page
        for part, start in enumerate(range(0, len(pairs) or 1, _PORTION)):
            portion = dict(pairs[start : start + _PORTION])
            is_last = start + _PORTION >= len(pairs)
            known = self._known(portion)
            to_write = {row_id: row for row_id, row in portion.items() if known.get(row_id, _NONE)[0] != row.digest}
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
            self._history.note(run, to_write)
            note = {"at": _place(run.position or {}), "ids": list(portion), "digest": page if is_last else ""}
            self._write(run, to_write, note, part, after if is_last else run, again=list(known))
            is_kept = known.keys() - to_write.keys()
            self._order_anew(run, {row_id: portion[row_id] for row_id in is_kept if known[row_id][1] != form})
        return after

    def _reshaped(self, run: Run, columns: Sequence[Column]) -> Run:
        """The run with these columns from now on."""
        if tuple(columns) == run.columns:
            return run
        shape = run.shape if extends(columns, run.columns) else run.shape + 1
        shown = Covered(columns)
        self._further.add(run.source_id, [column for column in run.columns if column.path not in shown])
        self._advance(run, {"columns": [column_document(column) for column in columns], "shape": shape})
        self._further.forget(run.source_id, columns)
        further = self._further.count(run.source_id)
        return self._noted(replace(run, columns=tuple(columns), shape=shape), further, is_beyond=run.is_beyond)

    def _widened(self, run: Run, rows: Mapping[str, RowText]) -> Run:
        """The run, with the columns that these rows add to what is exported."""
        added, is_beyond = self._further.note(run.source_id, run.columns, (row.value for row in rows.values()))
        return self._noted(run, run.further + added, is_beyond=run.is_beyond or is_beyond)

    def _noted(self, run: Run, further: int, *, is_beyond: bool) -> Run:
        if (further, is_beyond) != (run.further, run.is_beyond):
            self._runs.update_one({"_id": run.source_id}, {"$set": {"further": further, "is_beyond": is_beyond}})
        return replace(run, further=further, is_beyond=is_beyond)

    def shows_again(self, run: Run, rows: Iterable[str]) -> bool:
        """Whether a page of this run had these very rows."""
        return self._seen.find_one({**_of(run), "digest": _digest_of_ids(rows)}, {"_id": 1}) is not None

    def _known(self, ids: Iterable[str]) -> dict[str, tuple[bytes | None, str | None]]:
        """Of what is stored of these rows the digest, None of one that is gone, and the form that it is ordered by."""
        found = self._rows.find({"_id": {"$in": list(ids)}}, {"digest": 1, "gone": 1, "form": 1})
        return {row["_id"]: (None if row["gone"] else row["digest"], row.get("form")) for row in found}

    def _order_anew(self, run: Run, rows: Mapping[str, RowText]) -> None:
        """Order rows that did not change by other columns than before: nothing that anybody has to be told of."""
        if rows:
            form = form_of(run.columns)
            places = {row_id: {"form": form, **place_in_columns(run, row)} for row_id, row in rows.items()}
            self._rows.bulk_write(
                [UpdateOne({"_id": row_id}, {"$set": place}) for row_id, place in places.items()], ordered=False
            )

    def _write(
        self, run: Run, rows: Mapping[str, RowText], note: _Document, part: int, after: Run, again: Sequence[str]
    ) -> None:
        """Write a portion of a page and the note of it; `again`: those of its rows that were known before."""
        page = {**_of(run), "page": run.pages}
        form = form_of(run.columns)
        # before the transaction, in which everybody else waits
        documents = [row_document(run, form, *row) for row in rows.items()]

        def write(session: ClientSession) -> None:
            self._advance(run, progress(after), session)
            self._seen.update_one({**page, "part": part}, {"$set": note}, upsert=True, session=session)
            if after is not run:  # what a page that was broken off has noted, when it was longer
                self._seen.delete_many({**page, "part": {"$gt": part}}, session=session)
            if run.is_first and again:
                self._list_last(run, again, session)
            if rows:
                # behind whatever may fail: others wait from here on
                tick = self._clock.advance(len(rows), session)
                stamps = range(tick.first_us, tick.head_us + 1)
                for document, stamp in zip(documents, stamps, strict=True):
                    document["changed"] = Int64(stamp)
                self._rows.bulk_write(
                    [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in documents], session=session
                )
                self._clock.publish(tick, session)

        self._clock.transaction(write)

    def end(self, run: Run, *, now: datetime, gone_told: timedelta = _GONE_TOLD) -> int:
        """End a run that has seen every page: what it has not seen is gone. Gives how many rows that were.

        Where rows moved while it walked, one that it has not seen may have moved to a page that was read already: it is
        gone if the next complete run does not see it either. `gone_told`: for how long anybody is told that a row is
        gone.
        """
        seen = _Seen()
        gone = 0
        have_moved: bool | None = None
        for rows in _portions(self._unseen(run, seen)):
            if have_moved is None:
                have_moved = self._saw_rows_move(run)
            ids = self._missed_again(run, rows) if have_moved else [row["_id"] for row in rows]
            if ids:
                self._clock.transaction(lambda session, ids=ids: self._mark_gone(run, ids, session))  # type: ignore[misc]
            gone += len(ids)
        self._list_once(seen.before)
        counts = {"rows": seen.rows, "new": run.new, "changed": run.changed, "gone": gone}
        last = {"began_at": run.began_at, "ended_at": now, "pages": run.pages, **counts}
        order = self._listing(run)
        self._clock.transaction(lambda session: self._list(run, last, order, session))
        # what the run before listed is kept until the next begins: somebody may be reading it still
        self._forget_gone(run.source_id, before_us=stamp_us(now - gone_told))
        return gone

    def _list(self, run: Run, last: _Document, order: str, session: ClientSession) -> None:
        """What the run listed is the table from now on; where it is listed otherwise, everybody hears of a change."""
        is_other = self._runs.find_one({"_id": run.source_id, "listing": order}, {"_id": 1}, session=session) is None
        ended = {"state": ENDED, "listed": run.number, "listing": order, "last": last, "why": None}
        self._advance(run, ended, session)
        if is_other:
            self._clock.publish(self._clock.advance(1, session), session)

    def _listing(self, run: Run) -> str:
        """A digest of the rows that a run listed, in their order."""
        digest = sha224()
        places = self._seen.find(_of(run), {"ids": 1}).sort([("page", ASCENDING), ("part", ASCENDING)])
        for place in places.batch_size(_FEW_PAGES):
            digest.update("\0".join(place["ids"]).encode())
        return digest.hexdigest()[:16]

    def _missed_again(self, run: Run, rows: Sequence[_Document]) -> list[str]:
        """Of these rows, which the run has not seen, those that the one before did not see either; notes the others."""
        last = (self._runs.find_one({"_id": run.source_id}, {"listed": 1}) or {}).get("listed")
        maybe = [row["_id"] for row in rows if row.get("missed") != last]
        self._rows.update_many({"_id": {"$in": maybe}}, {"$set": {"missed": run.number}})
        return [row["_id"] for row in rows if row.get("missed") == last]

    def _saw_rows_move(self, run: Run) -> bool:
        """Whether it has seen a row on two pages."""
        stages: list[_Document] = [
            {"$match": _of(run)},
            {"$unwind": "$ids"},
            {"$group": {"_id": "$ids", "times": {"$sum": 1}}},
            {"$match": {"times": {"$gt": 1}}},
            {"$limit": 1},
        ]
        return next(self._seen.aggregate(stages, allowDiskUse=True), None) is not None

    def _unseen(self, run: Run, seen: "_Seen") -> Iterator[_Document]:
        """The rows that are there and that the run has not seen, by merging two sorted lists: both may be long."""
        there = self._rows.find({"source": run.source_id, "gone": False}, {"missed": 1}).sort("_id", ASCENDING)
        stages: list[_Document] = [
            {"$match": _of(run)},
            {"$project": {"page": 1, "part": 1, "ids": 1}},
            {"$unwind": "$ids"},
            {"$sort": {"ids": 1, "page": 1, "part": 1}},
        ]
        ids = seen.each(self._seen.aggregate(stages, allowDiskUse=True, batchSize=_SMALL_BATCH))
        last = next(ids, None)
        for row in there.batch_size(_SMALL_BATCH):
            while last is not None and last < row["_id"]:
                last = next(ids, None)
            if last != row["_id"]:
                yield row
        for _ in ids:  # to its end: there may be others that came again
            continue

    def _list_once(self, before: Mapping[Any, Sequence[str]]) -> None:
        """Rows that moved between pages while these were read are listed where they were seen last."""
        if before:
            self._seen.bulk_write(
                [UpdateOne({"_id": place}, {"$pull": {"ids": {"$in": list(ids)}}}) for place, ids in before.items()],
                ordered=False,
            )

    def _list_last(self, run: Run, ids: Sequence[str], session: ClientSession) -> None:
        """The same at once, for a run that is listed while it walks."""
        earlier = {**_of(run), "page": {"$lt": run.pages}, "ids": {"$in": list(ids)}}
        self._seen.update_many(earlier, {"$pull": {"ids": {"$in": list(ids)}}}, session=session)

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

    def _forget_seen(self, source_id: str, *, keep: Sequence[int | None]) -> None:
        self._seen.delete_many({"source": source_id, "run": {"$nin": list(keep)}})

    def _forget_gone(self, source_id: str, *, before_us: int) -> None:
        """Forget rows that went before this stamp; whoever asks from before it is told of the gap."""
        forgotten = {"source": source_id, "changed": {"$lt": before_us}, "gone": True}
        while found := list(self._rows.find(forgotten, {"changed": 1}).sort("changed", ASCENDING).limit(_PORTION)):
            gap = {"$max": {"gap": found[-1]["changed"]}}
            # before the rows: who reads both reads the rows first
            self._runs.update_one({"_id": source_id}, gap)
            ids = [row["_id"] for row in found]
            self._rows.delete_many({"_id": {"$in": ids}, **forgotten})
            self._history.forget(ids)


def _portions(rows: Iterator[_Document]) -> Iterator[list[_Document]]:
    while portion := list(islice(rows, _PORTION)):
        yield portion


def _of(run: Run) -> _Document:
    return {"source": run.source_id, "run": run.number}


def _place(position: Mapping[str, Any]) -> str:
    """A position as text: addresses may be long, and what is in an index may not."""
    return sha224(repr(sorted(position.items())).encode()).hexdigest()


def _digest_of_ids(ids: Iterable[str]) -> str:
    return sha224("\0".join(sorted(ids)).encode()).hexdigest()


class _Seen:
    """What a run has seen: how many rows, and by the note of each page those that came again on a later one."""

    def __init__(self) -> None:
        self.rows = 0
        self.before: dict[Any, list[str]] = {}

    def each(self, places: Iterable[_Document]) -> Iterator[str]:
        """The ids of places that are sorted, each once."""
        last: _Document = {}
        for place in places:
            if last.get("ids") == place["ids"]:
                self.before.setdefault(last["_id"], []).append(last["ids"])
            else:
                self.rows += 1
                yield place["ids"]
            last = place
