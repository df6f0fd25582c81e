"""The form of what is stored, as a number; and the steps from one number to the next.

    admit ── the same number ──> go on                              asked again after a second
      ├───── a higher one ─────> NewerSchema
      └───── a lower one ──────> a thread runs the steps, under a lease ──> go on
                                   └─ meanwhile: readers go on where the step lets them, others wait, then Upgrading

A change of what is stored adds a `Step` to the end of STEPS; data without a number has number 0. One process runs the
steps, and the others wait for it. A step that is killed is run again from its beginning, by whichever process is next.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from feedmirror.errors import NewerSchema, Upgrading
from feedmirror.storage.further_columns import find_further_columns
from feedmirror.storage.sources import note_overdue

log = logging.getLogger(__name__)

_Document = dict[str, Any]
Say = Callable[[str], None]
"""Says how far a step is, in a few words. A step calls it after each portion: it ends a step that lost its lease."""

# A program that was up while another one upgraded the data learns of it this late.
_FRESH_S = 1.0
# A process that was killed within a step holds up the others for no longer than this.
_LEASE_S = 10.0
_RENEW_S = _LEASE_S / 4
# How often a process that waits for another one's step, or for MongoDB, looks again.
_AGAIN_S = 0.5
# Steps take minutes where there are millions of documents: a line now and then says that they go on.
_SAID_EVERY_S = 5.0
# A step that fails because of a mistake in it would fail again at once.
_AFTER_MISTAKE_S = 60.0
_AWAY_SAID_EVERY_S = 60.0

_ID = "schema"


@dataclass(frozen=True, slots=True)
class Step:
    """From one number to the next.

    `run` may be killed at any moment, or hang for so long that another process begins it as well. So it works in
    portions, leaves alone what is done, and does no harm when run twice, even at once. `readers_wait`: what is stored
    cannot be shown while the step runs.
    """

    name: str
    run: Callable[[Database[_Document], Say], None]
    readers_wait: bool = False


STEPS: tuple[Step, ...] = (
    Step("find the columns that tables do not show", find_further_columns),
    Step("note from when on each source is overdue", note_overdue),
)


class LeaseLost(Exception):
    """Another process has taken the step over."""


class Schema:
    """The number that one database has, and the way to the number that `steps` lead to."""

    def __init__(self, database: Database[_Document], steps: Sequence[Step] = STEPS):
        self._database = database
        self._schema = database["schema"]
        self.steps = tuple(steps)

    def pending(self) -> tuple[Step, ...]:
        """The steps that are still to be made. Raises NewerSchema."""
        return self.steps[self._number() :]

    def _number(self) -> int:
        document = self._schema.find_one({"_id": _ID}) or {}
        number: int = document.get("number", 0)
        if number > len(self.steps):
            raise NewerSchema(number, len(self.steps))
        return number

    def progress(self) -> str:
        """The step that is being made, in words for a reader of the page."""
        document = self._schema.find_one({"_id": _ID}) or {}
        said = document.get("said")
        return f"the data is being brought up to date{f' ({said})' if said else ''}; try again in a few seconds"

    def upgrade(self) -> None:
        """Make the steps that are pending, or wait until another process has. Raises NewerSchema and PyMongoError."""
        with suppress(DuplicateKeyError):  # another process was first
            self._schema.update_one({"_id": _ID}, {"$setOnInsert": {"number": 0}}, upsert=True)
        while (number := self._number()) < len(self.steps):
            holder = uuid4().hex
            if not self._take(number, holder):
                time.sleep(_AGAIN_S)
                continue
            with suppress(LeaseLost):
                self._make(number, holder)

    def _take(self, number: int, holder: str) -> bool:
        """Take the lease where it is free: by the server's clock, and also where that was set back meanwhile."""
        held = {"$gte": ["$lease.until", "$$NOW"]}, {"$lte": ["$lease.until", _from_now()]}
        free = {"_id": _ID, "number": number, "$expr": {"$not": [{"$and": list(held)}]}}
        lease = {"by": holder, "until": _from_now()}
        return self._schema.update_one(free, [{"$set": {"lease": lease}}]).modified_count > 0

    def _make(self, number: int, holder: str) -> None:
        """Run one step. Raises LeaseLost."""
        step = self.steps[number]
        log.info("schema %d to %d: %s", number, number + 1, step.name)
        held = {"_id": _ID, "number": number, "lease.by": holder}
        with _Kept(lambda said: self._renew(held, said), step.name) as kept:
            step.run(self._database, kept.say)
        done = {"$set": {"number": number + 1}, "$unset": {"lease": "", "said": ""}}
        if self._schema.update_one(held, done).matched_count:
            log.info("schema %d to %d: done", number, number + 1)

    def _renew(self, held: _Document, said: str) -> bool:
        renewed = [{"$set": {"lease.until": _from_now(), "said": {"$literal": said}}}]
        return self._schema.update_one(held, renewed).matched_count > 0


def _from_now() -> _Document:
    return {"$add": ["$$NOW", int(_LEASE_S * 1000)]}


class _Kept:
    """A lease that a thread renews for the time of the block."""

    def __init__(self, renew: Callable[[str], bool], name: str):
        self._renew = renew
        self._name = self._said = name
        self._logged_at = time.monotonic()
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keep the schema's lease", daemon=True)

    def say(self, how_far: str) -> None:
        """Raises LeaseLost."""
        if self._lost.is_set():
            raise LeaseLost
        self._said = f"{self._name}: {how_far}"
        if time.monotonic() - self._logged_at >= _SAID_EVERY_S:
            self._logged_at = time.monotonic()
            log.info("schema: %s", self._said)

    def _keep(self) -> None:
        while not self._ended.wait(_RENEW_S):
            with suppress(PyMongoError):  # away for a moment: the step says so itself where it lasts
                if not self._renew(self._said):
                    self._lost.set()
                    return

    def __enter__(self) -> "_Kept":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


class Gate:
    """Of one database in one process: lets callers pass that may use the data, and has older data upgraded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fits_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._mistake_at = self._said_at = float("-inf")

    def admit(self, schema: Schema, *, only_reads: bool, patience_s: float | None) -> bool:
        """Whether the data has our number; False: it is older, and may be read as it is.

        Waits for at most `patience_s` (None: for as long as it takes) while it is upgraded. Raises NewerSchema,
        Upgrading and PyMongoError.
        """
        if time.monotonic() - self._fits_at < _FRESH_S:
            return True
        asked_at = time.monotonic()
        pending = schema.pending()
        if pending:
            upgrade = self._upgrading(schema)
            if only_reads and not any(step.readers_wait for step in pending):
                return False
            upgrade.join(patience_s)
            if schema.pending():
                raise Upgrading(schema.progress())
        self._fits_at = asked_at
        return True

    def _upgrading(self, schema: Schema) -> threading.Thread:
        """The thread that upgrades; its end, as that of the process, may come at any moment."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._upgrade, args=(schema,), name="upgrade", daemon=True)
                self._thread.start()
            return self._thread

    def _upgrade(self, schema: Schema) -> None:
        if time.monotonic() - self._mistake_at < _AFTER_MISTAKE_S:
            return
        try:
            schema.upgrade()
        except NewerSchema:  # the next caller finds the same, and says it
            return
        except PyMongoError as error:  # the next caller begins again
            self._say(f"the data is not brought up to date yet, MongoDB is away: {error}")
        except Exception:
            self._mistake_at = time.monotonic()
            log.exception("the data could not be brought up to date: a bug in Feedmirror")

    def _say(self, what: str) -> None:
        if time.monotonic() - self._said_at >= _AWAY_SAID_EVERY_S:
            self._said_at = time.monotonic()
            log.warning("%s", what)
