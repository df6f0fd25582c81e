"""How far retention has removed something: the highest stamp that is gone, of the whole stream and of each source.

A reader who goes on from a stamp below it may have missed something that nobody can give any more, and is told so. It
is written before the removal and read after the items, so nobody is told too little; now and then somebody is told
of items that are there still.
"""

from typing import Any, Literal

from pymongo.client_session import ClientSession
from pymongo.database import Database

# No source has the empty id.
WHOLE_STREAM = ""

Order = Literal["fetched", "changed"]
"""By which of its stamps a reader follows the items."""


class Gaps:
    """For each list of items that can be followed, the highest stamps that have been removed. They only ever rise."""

    def __init__(self, database: Database[dict[str, Any]]):
        self._gaps = database["gaps"]

    def widen(self, source_id: str | None, *, fetched_us: int, changed_us: int) -> None:
        """Say that items up to these stamps are going to be removed from a source's list; None: from the stream."""
        raised = {"$max": {"fetched": fetched_us, "changed": changed_us}}
        self._gaps.update_one({"_id": _name(source_id)}, raised, upsert=True)

    def after(self, stamp_us: int, source_id: str | None, order: Order, session: ClientSession) -> int | None:
        """The highest stamp removed from a source's list, or the stream, if it lies after this one."""
        found = self._gaps.find_one({"_id": _name(source_id)}, session=session)
        gap_us = int(found[order]) if found else 0
        return gap_us if gap_us > stamp_us else None


def _name(source_id: str | None) -> str:
    return WHOLE_STREAM if source_id is None else source_id
