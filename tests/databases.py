"""A database for each test: nobody else has it, and the test finds it as if it were new.

To make the indexes takes MongoDB longer than most tests take, since it makes a file for each. So a database that was
prepared for one test is emptied behind the next one, and given to a later one.
"""

import secrets
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient

from feedmirror.storage import Storage

_Document = dict[str, Any]

# To remove more documents than this takes longer than to prepare another database.
_MANY = 5_000


class Databases:
    """Those of one MongoDB, by their names; `behind` cleans up while the next tests are at work."""

    def __init__(self, client: MongoClient[_Document], behind: Executor):
        self._client = client
        self._behind = behind
        self._prepared: deque[str] = deque()
        # What `Storage.prepare` has written into one, by collection.
        self._written: dict[str, list[_Document]] = {}

    @contextmanager
    def new(self) -> Iterator[str]:
        """One in which there is nothing at all."""
        name = _name()
        yield name
        self._behind.submit(self._client.drop_database, name)

    @contextmanager
    def prepared(self) -> Iterator[str]:
        """One as `Storage.prepare` leaves it."""
        name = self._prepared.popleft() if self._prepared else self._prepare()
        yield name
        self._behind.submit(self._restore, name)

    def _prepare(self) -> str:
        database = self._client[_name()]
        Storage(database).prepare()
        every = {name: list(database[name].find()) for name in database.list_collection_names()}
        self._written = {name: documents for name, documents in every.items() if documents}
        return database.name

    def _restore(self, name: str) -> None:
        """Make it again what it was; one with which that does not succeed is not given to anybody."""
        database = self._client[name]
        if database.command("dbStats")["objects"] > _MANY:
            self._client.drop_database(name)
            return
        database.command("profile", 0)
        for collection in database.list_collection_names():
            if collection.startswith("system."):
                database.drop_collection(collection)
            else:
                database[collection].delete_many({})
                # how a query is best answered here was learnt from other documents
                database.command("planCacheClear", collection)
        for collection, documents in self._written.items():
            database[collection].insert_many(documents)
        self._prepared.append(name)


def _name() -> str:
    return f"test_{secrets.token_hex(6)}"
