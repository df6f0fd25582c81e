"""The MongoDB server's time, by which everything here is due, and what is done when somebody sets it back.

The highest time ever seen is a note. A time well below it says that the clock was set back (or that another member of
the replica set, with a clock of its own, was elected): what was due in a minute would then be due in an hour. So the
moments that are kept are moved with the clock, in the transaction that lowers the note: once, whoever notices it, and
whatever is killed meanwhile. A clock that is set ahead needs nothing: all is due, once.

What is kept with such moments is not known here; they are moved by whoever keeps them.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReturnDocument, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

log = logging.getLogger(__name__)

_ID = "clock"
# Calls that began at the same time write in any order, and clocks are corrected in small steps. More is a jump.
_STANDSTILL = timedelta(seconds=5)

MoveBack = Callable[[datetime, timedelta, ClientSession], None]


class ServerClock:
    """The time of the server, whatever the clocks of the workers say.

    `move_back(now, by, session)` is called within a transaction when the clock turns out to have been set back: what
    lies after `now` has to come sooner by that much. It may be called anew if the transaction has to be tried again.
    """

    def __init__(self, database: Database[dict[str, Any]], move_back: MoveBack):
        self._client = database.client
        self._notes = database["notes"]
        # A note that is lost costs nothing, it is taken once a second: nobody should wait for the disk that often.
        self._hasty_notes = self._notes.with_options(write_concern=WriteConcern(w=1))
        self._move_back = move_back

    def create(self) -> None:
        """Make the note, so that the first calls need not race to insert it."""
        try:
            self._notes.update_one({"_id": _ID}, [{"$set": {"highest": {"$max": ["$highest", "$$NOW"]}}}], upsert=True)
        except DuplicateKeyError:  # another process was first
            return

    def now(self) -> datetime:
        """The server's time; what is kept is moved before, if the clock was set back since anybody last asked."""
        note = self._hasty_notes.find_one_and_update(
            {"_id": _ID},
            [{"$set": {"highest": {"$max": ["$highest", "$$NOW"]}, "now": "$$NOW"}}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert note is not None  # upserted
        now: datetime = note["now"]
        if note["highest"] - now > _STANDSTILL:
            with self._client.start_session() as session:
                by = session.with_transaction(self._follow)
            if by:
                log.warning("MongoDB's clock was set back by %s: what is due has been moved with it", by)
        return now

    def _follow(self, session: ClientSession) -> timedelta | None:
        """Lower the note and have the rest moved; None if somebody else has done it meanwhile."""
        standstill_ms = _STANDSTILL // timedelta(milliseconds=1)
        note = self._notes.find_one_and_update(
            {"_id": _ID, "$expr": {"$gt": ["$highest", {"$add": ["$$NOW", standstill_ms]}]}},
            [{"$set": {"highest": "$$NOW", "now": "$$NOW", "was": "$highest"}}],
            session=session,
            return_document=ReturnDocument.AFTER,
        )
        if note is None:
            return None
        by: timedelta = note["was"] - note["now"]
        self._move_back(note["now"], by, session)
        return by


def server_time(database: Database[dict[str, Any]]) -> datetime:
    """The server's time, to compare kept moments with; `ServerClock.now` is for deciding by them."""
    now: datetime = database.command("hello", codec_options=database.codec_options)["localTime"]
    return now
