"""Everything that is kept, and every question asked of it.

    schema     the number of the form that the data has, and the steps from one to the next
    clock      the one document that numbers new items and edits in commit order
    items      the stream: store what a page brings, give what came since
    groups     what each publisher's patience still allows; `ledger` reads it for showing
    tables     the rows of paginated APIs, and the runs over them; `sheets` reads them for showing, `history` is
               what some of their numbers were
    tail       what is committed to the stream, as it is
    sources    what is watched, when it is due and how it fares; `watchlist` reads it for showing
    processes  those that poll, each with a heartbeat, and whether what is due is polled
    jobs       work that somebody asked for, and how it goes
    series     data sets that somebody asked for, whatever their size
    retention  removes what the sources no longer keep; `gaps` says how far

A collection's documents are known to its module alone; models go in and come out. Who fetched what and who asks
is not known here. Errors of pymongo pass through: MongoDB away is for the caller to say.
"""

from collections import defaultdict
from typing import Any
from weakref import WeakKeyDictionary

from pymongo import MongoClient
from pymongo.database import Database

from feedmirror.errors import NotAReplicaSet
from feedmirror.storage.clock import Clock
from feedmirror.storage.groups import Groups
from feedmirror.storage.items import Items
from feedmirror.storage.jobs import Jobs
from feedmirror.storage.ledger import Ledger
from feedmirror.storage.processes import Processes
from feedmirror.storage.retention import Retention
from feedmirror.storage.schema import Gate, Schema
from feedmirror.storage.series import SeriesStore
from feedmirror.storage.sheets import Sheets
from feedmirror.storage.sources import Sources
from feedmirror.storage.tables import Tables
from feedmirror.storage.tail import Tail
from feedmirror.storage.watchlist import Watchlist

__all__ = ["Storage"]

# How long a caller waits for older data to be brought up to date: less than a task of the worker may take.
_PATIENCE_S = 20.0

# The databases that this process has prepared, by the client that reaches them.
_prepared: WeakKeyDictionary[MongoClient[dict[str, Any]], set[str]] = WeakKeyDictionary()
# Those that it has asked for their schema.
_gates: WeakKeyDictionary[MongoClient[dict[str, Any]], defaultdict[str, Gate]] = WeakKeyDictionary()


class Storage:
    """The collections of one database. Cheap to make: make one for each use, so that none outlives a fork."""

    def __init__(self, database: Database[dict[str, Any]]):
        self._database = database
        self.clock = Clock(database)
        self.items = Items(database, self.clock)
        self.tables = Tables(database, self.clock)
        self.sheets = Sheets(database, self.clock)
        self.tail = Tail(database, self.clock)
        self.groups = Groups(database)
        self.ledger = Ledger(database)
        self.jobs = Jobs(database)
        self.series = SeriesStore(database, self.jobs)
        self.sources = Sources(database, also_moved=self.jobs.move_back)
        self.watchlist = Watchlist(database)
        self.processes = Processes(database)
        self.retention = Retention(database)

    def prepare(self, *, only_reads: bool = False, patience_s: float | None = _PATIENCE_S) -> "Storage":
        """Check that the data is of our version and that the server can keep what we promise, and make the indexes.

        All but the first once a process, and the first once a second. `only_reads`: goes on with older data where
        that can be read while it is brought up to date; `patience_s` is how long others wait for that (None: until
        it is done). Raises NewerSchema, Upgrading, and NotAReplicaSet for a standalone server.
        """
        gate = _gates.setdefault(self._database.client, defaultdict(Gate))[self._database.name]
        prepared = _prepared.setdefault(self._database.client, set())
        if self._database.name not in prepared:
            _refuse_standalone(self._database)
        is_ours = gate.admit(Schema(self._database), only_reads=only_reads, patience_s=patience_s)
        if is_ours and self._database.name not in prepared:
            self._create()
            prepared.add(self._database.name)
        return self

    def _create(self) -> None:
        self.clock.create()
        self.items.create_indexes()
        self.sources.create_indexes()
        self.watchlist.create_indexes()
        self.processes.create_indexes()
        self.groups.create_indexes()
        self.ledger.create_indexes()
        self.tables.create_indexes()
        self.jobs.create_indexes()
        self.series.create_indexes()

    def release(self, process_id: str) -> int:
        """Free all that a process holds which ended or died; how many sources that were.

        Its heartbeat goes last: an observer that is killed meanwhile leaves the rest to the next one.
        """
        sources = self.sources.release(process_id)
        self.groups.release_of(process_id)
        self.jobs.release(process_id)
        self.processes.remove(process_id)
        return sources


def _refuse_standalone(database: Database[dict[str, Any]]) -> None:
    hello = database.client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise NotAReplicaSet(_how_to_become_one(waits_for_initiate=bool(hello.get("isreplicaset"))))


def _how_to_become_one(*, waits_for_initiate: bool) -> str:
    missing = "MongoDB must be a replica set (one member is enough), for transactions: "
    start = "" if waits_for_initiate else "start mongod with --replSet rs0 (or set replication.replSetName), then "
    return missing + start + "run rs.initiate() once in mongosh"
