"""The one MongoClient of a process.

Made at first use and never before a fork; a child that inherits one drops it (closing it would disturb the
parent's sockets) and makes its own. What is stored in the database is not known here.
"""

import os
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

_DEFAULT_DATABASE = "feedmirror"


class Connection:
    """The way to the database; safe to share between threads and to carry across a fork.

    `timeout_s` bounds every operation, the wait for a server to appear included: a web process must be able to
    say "away" within seconds, a worker rather waits for a restart to be over. `uri` is asked for at first use.
    """

    def __init__(self, uri: str | Callable[[], str], *, timeout_s: float):
        self._uri = uri
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._client: MongoClient[dict[str, Any]] | None = None
        self._pid = 0

    def database(self) -> Database[dict[str, Any]]:
        """The database that the URI names, "feedmirror" if it names none; connects at its first operation.

        Whatever the URI says of durability, writes are acknowledged by a majority and journalled, and only what
        a majority has is read: a stamp that was shown once must not be rolled back.
        """
        return (
            self._own_client()
            .get_default_database(_DEFAULT_DATABASE)
            .with_options(
                read_concern=ReadConcern("majority"),
                write_concern=WriteConcern(w="majority", j=True),
            )
        )

    def close(self) -> None:
        """Close this process's client; the next use makes a new one."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None and self._pid == os.getpid():
                client.close()

    def _own_client(self) -> MongoClient[dict[str, Any]]:
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client, self._pid = self._connect(), os.getpid()
            return self._client

    def _connect(self) -> MongoClient[dict[str, Any]]:
        uri = self._uri if isinstance(self._uri, str) else self._uri()
        return MongoClient(uri, tz_aware=True, **_without(_options_in(uri), self._defaults()))

    def _defaults(self) -> dict[str, Any]:
        milliseconds = int(self._timeout_s * 1000)
        return {
            "appname": "feedmirror",
            "timeoutMS": milliseconds,
            "serverSelectionTimeoutMS": milliseconds,
            # a server that is there answers at once; one that swallows packets must not eat the whole time
            "connectTimeoutMS": min(milliseconds, 3000),
        }


def _options_in(uri: str) -> set[str]:
    return {name.lower() for name, _ in parse_qsl(urlsplit(uri).query)}


def _without(given: set[str], defaults: dict[str, Any]) -> dict[str, Any]:
    """The defaults that the URI leaves open: what an operator writes there wins."""
    return {name: value for name, value in defaults.items() if name.lower() not in given}
