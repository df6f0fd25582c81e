"""How the sources fare, for showing: a part of their list at a time, how many of each state there are, their names.

Reads what `sources` writes. There may be ten thousand of them, so nothing here reads all: a part is found by the place
where the one before it ended, and what an operator looks for (those that are overdue, fail, lost a window, or wait) has
an index of its own. Only a search by name has to look at every name.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database

from feedmirror.models import Place, SourceCounts, SourceFilter, SourcePage, State, WatchedSource
from feedmirror.storage.processes import overdue
from feedmirror.storage.server_clock import server_time
from feedmirror.storage.source_document import watched_of

_Document = dict[str, Any]

# The order of the list, which a part of it goes on from. `sources` has the index for all of them.
_ORDER = [("active", DESCENDING), ("order", ASCENDING), ("_id", ASCENDING)]

# The conditions of the indexes; a question must repeat one word for word to be answered from its index.
_FAILING: _Document = {"looks.error": {"$type": "string"}}
_WAITING: _Document = {"looks.last_ok_at": None}
_WINDOW_LOST: _Document = {"looks.windows_lost": {"$gt": 0}}
_INDEXES = {"failing": _FAILING, "waiting": _WAITING, "window_lost": _WINDOW_LOST}

_LOST: _Document = {"active": True, **_WINDOW_LOST}


def _states(now: datetime) -> dict[State, _Document]:
    """The same as `WatchedSource.state`."""
    in_time = {"overdue_at": {"$not": {"$lte": now}}}
    return {
        State.WAITING: {"active": True, "looks.error": None, **_WAITING},
        State.OVERDUE: overdue(now),
        State.FAILING: {"active": True, **_FAILING, **in_time},
        State.LIVE: {"active": True, "looks.error": None, "looks.last_ok_at": {"$ne": None}, **in_time},
        State.RETIRED: {"active": False},
    }


_AT_ONCE = 500


class Watchlist:
    """The list of an installation's sources, as a reader sees it."""

    def __init__(self, database: Database[_Document]):
        self._database = database
        self._sources = database["sources"]

    def create_indexes(self) -> None:
        """One for each question whose answer is a few among many; that of all is made by `Sources`."""
        self._sources.create_indexes(
            [
                *(
                    IndexModel(_ORDER, name=name, partialFilterExpression=condition)
                    for name, condition in _INDEXES.items()
                ),
                IndexModel([("active", ASCENDING), ("overdue_at", ASCENDING)]),
            ]
        )

    def page(self, wanted: SourceFilter, *, after: Place | None = None, limit: int) -> SourcePage:
        """The first `limit` sources behind a place, those that are polled first, in the order of the file."""
        now = server_time(self._database)
        question = {"$and": list(_conditions(wanted, after, now))}
        found = list(self._sources.find(question).sort(_ORDER).limit(limit + 1))
        given = found[:limit]
        last = _place(given[-1]) if len(found) > limit else None
        return SourcePage(sources=tuple(watched_of(one, now) for one in given), last=last)

    def every(self) -> Iterator[WatchedSource]:
        """All of them, some at a time."""
        page = self.page(SourceFilter(), limit=_AT_ONCE)
        yield from page.sources
        while page.last is not None:
            page = self.page(SourceFilter(), after=page.last, limit=_AT_ONCE)
            yield from page.sources

    def counts(self) -> SourceCounts:
        """How many there are of each state."""
        states = _states(server_time(self._database))
        return SourceCounts(
            active=self._count({"active": True}),
            overdue=self._count(states[State.OVERDUE]),
            failing=self._count(states[State.FAILING]),
            waiting=self._count(states[State.WAITING]),
            window_lost=self._count(_LOST),
            retired=self._count(states[State.RETIRED]),
        )

    def named(self, name: str) -> WatchedSource | None:
        """The source of this id or name: rather one that is polled, and rather by its id. None if there is none."""
        found = self._sources.find({"$or": [{"_id": name}, {"source.name": name}]})
        best = max(found, key=lambda one: (one["active"], one["_id"] == name), default=None)
        return watched_of(best) if best else None

    def names(self, source_ids: Iterable[str]) -> dict[str, str]:
        """What these sources are called, by id; one that there is not is left out."""
        found = self._sources.find({"_id": {"$in": list(source_ids)}}, {"source.name": 1})
        return {document["_id"]: document["source"]["name"] for document in found}

    def _count(self, question: _Document) -> int:
        return self._sources.count_documents(question)


def _conditions(wanted: SourceFilter, after: Place | None, now: datetime) -> Iterator[_Document]:
    yield {} if wanted.state is None else _states(now)[wanted.state]
    if wanted.window_lost:
        yield _LOST
    if wanted.ids is not None:
        yield {"_id": {"$in": list(wanted.ids)}}
    for word in wanted.words:
        yield {"source.name": {"$regex": _pattern(word), "$options": "i"}}
    if after is not None:
        yield _behind(after)


def _behind(place: Place) -> _Document:
    """What comes later in the order; each alternative is one range of the index."""
    active, order, source_id = place
    return {
        "$or": [
            {"active": active, "order": order, "_id": {"$gt": source_id}},
            {"active": active, "order": {"$gt": order}},
            {"active": {"$lt": active}},
        ]
    }


def _pattern(word: str) -> str:
    """The word as a regular expression, in which MongoDB refuses a NUL."""
    return re.escape(word).replace("\0", r"\x00")


def _place(document: _Document) -> Place:
    return Place(document["active"], document["order"], document["_id"])
