"""The clock that numbers the stream: one document, advanced within the transaction that stores what it numbers.

Whoever advances it holds the document until the commit, so stamps become visible in ascending order: that is what
lets `/update?timestamp=` promise that nothing is ever stored below a stamp that somebody has seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from feedmirror.storage.turns import Turns

STREAM = "stream"
_Result = TypeVar("_Result")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tick:
    """`count` stamps that nobody else has: `first_us` and those after it, up to `head_us`; `now` is the server's."""

    first_us: int
    head_us: int
    now: datetime


class Clock:
    """The highest stamp ever given, and the only way to get a higher one."""

    def __init__(self, database: Database[dict[str, Any]]):
        self._client = database.client
        self._clock = database["clock"]
        self._turns = Turns(database)

    def create(self) -> None:
        """Make the document, so that the first transactions need not race to insert it."""
        try:
            self._clock.update_one({"_id": STREAM}, {"$setOnInsert": {"head": 0}}, upsert=True)
        except DuplicateKeyError:  # another process was first
            return

    def transaction(self, write: Callable[[ClientSession], _Result]) -> _Result:
        """Do this in a transaction, which may advance the clock; it is done again if another one is in its way."""
        with self._turns.turn(), self._client.start_session() as session:
            return session.with_transaction(write, read_concern=ReadConcern("snapshot"))

    def advance(self, count: int, session: ClientSession) -> Tick:
        """Take the next `count` stamps: the server's time in microseconds, or just above the last one given.

        Write-locks the clock until the session's transaction ends; a second one gets a write conflict, and
        `transaction` tries again.
        """
        now_us = {"$multiply": [{"$toLong": "$$NOW"}, 1000]}
        document = self._clock.find_one_and_update(
            {"_id": STREAM},
            [{"$set": {"head": {"$max": [{"$add": ["$head", count]}, now_us]}, "now": "$$NOW"}}],
            upsert=True,
            session=session,
            return_document=ReturnDocument.AFTER,
        )
        assert document is not None  # upserted
        head_us = int(document["head"])
        return Tick(head_us - count + 1, head_us, document["now"])

    def publish(self, tick: Tick, session: ClientSession) -> None:
        """Say, as the last write of a transaction, that it ends here: see `tail`."""
        self._clock.update_one({"_id": STREAM}, {"$set": {"published": tick.head_us}}, session=session)

    def head_us(self, session: ClientSession | None = None) -> int:
        """The highest stamp ever published, 0 before the first."""
        document = self._clock.find_one({"_id": STREAM}, session=session)
        return int(document["head"]) if document else 0

    def raise_to(self, stamp_us: int) -> None:
        """Never give a stamp at or below this one again: for a clock that came from an older backup."""
        self._clock.update_one({"_id": STREAM}, {"$max": {"head": stamp_us}}, upsert=True)


def stamp_us(moment: datetime) -> int:
    """Whole microseconds since the epoch of an aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
