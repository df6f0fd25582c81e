"""The one MongoClient of a process: when it is made, what it insists on, and when it is another."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from textwrap import dedent
from threading import Barrier

import pytest
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from feedmirror.db import Connection

ROOT = Path(__file__).resolve().parent.parent


Connect = Callable[..., Connection]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes connections that are closed afterwards, however the test ends."""
    with ExitStack() as opened:

        def connect(uri: str | Callable[[], str], *, timeout_s: float = 20) -> Connection:
            connection = Connection(uri, timeout_s=timeout_s)
            opened.callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def away() -> str:
    """The address of a MongoDB that is not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"mongodb://127.0.0.1:{probe.getsockname()[1]}/x"


# -- when it is made


def test_nothing_is_asked_for_and_nothing_connects_until_the_first_use(away: str, connect: Connect) -> None:
    asked: list[str] = []

    def uri() -> str:
        asked.append(away)
        return away

    connection = connect(uri, timeout_s=5)
    connection.close()
    assert asked == []
    connection.database()
    assert asked == [away]


def test_the_database_is_handed_out_without_a_round_trip(away: str, connect: Connect) -> None:
    connection = connect(away, timeout_s=30)
    begin = time.monotonic()
    connection.database()
    assert time.monotonic() - begin < 5


def test_a_process_has_one_client_however_many_threads_ask_first(connection: Connection) -> None:
    start = Barrier(8)

    def client(_: int) -> object:
        start.wait()
        return connection.database().client

    with ThreadPoolExecutor(8) as threads:
        assert len({id(one) for one in threads.map(client, range(8))}) == 1


def test_after_a_close_the_next_use_connects_anew(connection: Connection) -> None:
    first = connection.database().client
    assert connection.database()["things"].count_documents({}) == 0
    connection.close()
    assert connection.database().client is not first
    assert connection.database()["things"].count_documents({}) == 0


def test_the_address_is_asked_for_anew_after_a_close(away: str, database_uri: str, connect: Connect) -> None:
    addresses = iter([away, database_uri])
    connection = connect(lambda: next(addresses))
    connection.database()
    connection.close()
    assert connection.database().command("ping")["ok"] == 1


# -- after a fork

_FORKED = dedent(
    """
    import os, sys
    from feedmirror.db import Connection

    connection = Connection(sys.argv[1], timeout_s=20)
    things = connection.database()["things"]
    things.insert_one({"by": "parent"})
    mine = connection.database().client
    child = os.fork()
    if child == 0:
        other = connection.database()
        assert other.client is not mine, "the child uses its parent's client"
        assert other["things"].count_documents({}) == 1
        other["things"].insert_one({"by": "child"})
        connection.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert connection.database().client is mine
    assert things.count_documents({}) == 2, "the parent's own connection is disturbed"
    connection.close()

    again = os.fork()
    if again == 0:
        assert connection.database()["things"].count_documents({}) == 2
        connection.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(again, 0)[1]) == 0
    """
)


def test_a_forked_child_drops_its_parents_client_and_makes_its_own(database_uri: str) -> None:
    # in a process of its own: a fork of the test run would take along whatever else it has open. Newer Pythons
    # warn of any fork beside threads, which is what this is about
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", _FORKED, database_uri],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_child_that_inherits_a_connection_may_close_it_without_harm(database_uri: str) -> None:
    script = dedent(
        """
        import os, sys
        from feedmirror.db import Connection

        connection = Connection(sys.argv[1], timeout_s=20)
        connection.database().command("ping")
        child = os.fork()
        if child == 0:
            connection.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert connection.database().command("ping")["ok"] == 1
        connection.close()
        """
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, database_uri],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


# -- what it insists on


def test_the_database_is_the_one_that_the_address_names_else_feedmirror(connect: Connect) -> None:
    for address, name in (
        ("mongodb://db/news", "news"),
        ("mongodb://db/", "feedmirror"),
        ("mongodb://db", "feedmirror"),
    ):
        connection = connect(address, timeout_s=1)
        assert connection.database().name == name


@pytest.mark.parametrize("options", ["", "w=1", "w=1&journal=false&readConcernLevel=local"])
def test_writes_are_durable_and_reads_are_of_a_majority_whatever_the_address_says(
    database_uri: str, options: str, connect: Connect
) -> None:
    connection = connect(f"{database_uri}&{options}" if options else database_uri, timeout_s=20)
    database = connection.database()
    assert database.write_concern.document == {"w": "majority", "j": True}
    assert database.read_concern.document == {"level": "majority"}
    assert database["things"].write_concern.document == {"w": "majority", "j": True}
    assert database["things"].insert_one({}).acknowledged


def test_times_come_back_aware(connection: Connection) -> None:
    moment = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    things = connection.database()["things"]
    things.insert_one({"at": moment})
    document = things.find_one()
    assert document is not None
    assert document["at"] == moment
    assert document["at"].tzinfo is not None


def test_what_the_operator_writes_into_the_address_wins(away: str, connect: Connect) -> None:
    connection = connect(f"{away}?appName=mine&TIMEOUTMS=150&connectTimeoutMS=170", timeout_s=60)
    options = connection.database().client.options
    assert options.pool_options.appname == "mine"
    assert options.pool_options.connect_timeout == 0.17
    begin = time.monotonic()
    with pytest.raises(ServerSelectionTimeoutError):
        connection.database().command("ping")
    assert time.monotonic() - begin < 10


# -- away


def test_a_server_that_is_not_there_is_an_error_within_the_time_given(away: str, connect: Connect) -> None:
    connection = connect(away, timeout_s=0.3)
    begin = time.monotonic()
    with pytest.raises(PyMongoError):
        connection.database()["things"].find_one()
    assert time.monotonic() - begin < 5


def test_a_server_that_swallows_everything_is_an_error_within_the_time_given(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = connect(f"mongodb://127.0.0.1:{silent.getsockname()[1]}/x", timeout_s=0.3)
        begin = time.monotonic()
        with pytest.raises(PyMongoError):
            connection.database()["things"].find_one()
        assert time.monotonic() - begin < 5


def test_an_operation_that_takes_too_long_is_an_error_within_the_time_given(
    connection: Connection, database_uri: str, connect: Connect
) -> None:
    connection.database()["things"].insert_one({})
    things = connect(database_uri, timeout_s=0.5).database()["things"]
    begin = time.monotonic()
    with pytest.raises(PyMongoError):
        things.find_one({"$where": "sleep(30000) || true"})
    assert time.monotonic() - begin < 10
