"""The servers that `bench.update` asks: ours as users run it, and those that it is divided by.

    python -m bench.servers bare PORT       cheroot answering two bytes, with as many threads as ours
    python -m bench.servers plain PORT      what one writes in an evening: MongoDB asked at every poll, by CherryPy

All on loopback, each a process of its own.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from bench.stored import wait_for
from feedmirror.web import server
from tests.processes import PYTHON, Running, environment, free_port

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_START_S = 30


@contextmanager
def site(uri: str, directory: Path) -> Iterator[str]:
    """`python site.py` on this database."""
    with _running([PYTHON, "site.py"], directory, MONGODB_URI=uri) as address:
        yield address


@contextmanager
def bare(directory: Path) -> Iterator[str]:
    """Cheroot answering two bytes."""
    port = free_port()
    with _running([PYTHON, "-m", "bench.servers", "bare", str(port)], directory, port=port) as address:
        yield address


@contextmanager
def plain(uri: str, directory: Path) -> Iterator[str]:
    """The plain handler on this database."""
    port = free_port()
    command = [PYTHON, "-m", "bench.servers", "plain", str(port)]
    with _running(command, directory, port=port, MONGODB_URI=uri) as address:
        yield address


@contextmanager
def _running(command: list[str], directory: Path, *, port: int = 0, **settings: str) -> Iterator[str]:
    """A server's address, once it answers there."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    env = environment(HOST="127.0.0.1", PORT=str(port), FEEDMIRROR_DATA=str(directory), **settings)
    with Running(command, directory / f"server-{port}.log", env) as running:

        def answers() -> bool:
            assert running.process.poll() is None, running.output
            try:
                with urlopen(address, timeout=5):
                    return True
            except OSError:
                return False

        wait_for(answers, " ".join(command), _START_S)
        yield address


# -- the others


def two_bytes(_: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """The least that can be answered with."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"[]"]


def _bare(port: int) -> None:
    from cheroot.wsgi import Server

    Server(("127.0.0.1", port), two_bytes, numthreads=server._THREADS, request_queue_size=server._BACKLOG).start()


def _plain(port: int) -> None:
    import cherrypy
    from pymongo import MongoClient

    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"])
    items = client.get_default_database()["items"]

    class Plain:
        """The stream, without anything else that it promises."""

        @cherrypy.expose  # type: ignore[untyped-decorator]
        def index(self) -> str:
            return "plain"

        @cherrypy.expose  # type: ignore[untyped-decorator]
        def update(self, timestamp: str = "0") -> bytes:
            after_us = round(float(timestamp) * 1e6)
            found = items.find({"fetched": {"$gt": after_us}}).sort("fetched", -1).limit(100)
            cherrypy.response.headers["Content-Type"] = "application/json"
            return json.dumps(list(found), default=str).encode()

    server.serve(cherrypy.Application(Plain(), ""), "127.0.0.1", port)


_OTHERS: dict[str, Callable[[int], None]] = {"bare": _bare, "plain": _plain}


if __name__ == "__main__":
    _OTHERS[sys.argv[1]](int(sys.argv[2]))
