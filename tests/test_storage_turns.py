"""Turns at the clock: writers of one machine do not undo each other's work, and one that is stuck holds up none."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.client_session import ClientSession
from pymongo.database import Database

from feedmirror.storage import Storage
from feedmirror.storage.turns import Turns
from tests.processes import PYTHON, ROOT, environment

# The tests' own housekeeping may get into the way of a transaction as well.
FEW_MORE = 1.05

# Advances the clock as often as it is told to, and says how often that was begun.
_WRITER = """
import sys, time
from feedmirror.db import Connection
from feedmirror.storage import Storage
clock = Storage(Connection(sys.argv[1], timeout_s=20).database()).clock
begun = 0
def write(session):
    global begun
    begun += 1
    clock.advance(1, session)
    time.sleep(0.002)  # what it takes to insert something
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    clock.transaction(write)
print(begun, flush=True)
"""
# Takes its turn and keeps it.
_KEEPER = """
import sys
from feedmirror.db import Connection
from feedmirror.storage.turns import Turns
database = Connection(sys.argv[1], timeout_s=20).database()
database.client.admin.command("ping")
with Turns(database).turn():
    print("mine", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def program(text: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [PYTHON, "-c", text, *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def turns(database: Database[dict[str, Any]]) -> Turns:
    database.client.admin.command("ping")  # whose turns they are is known with the first connection
    return Turns(database)


def waited(turns: Turns) -> float:
    began = time.monotonic()
    with turns.turn():
        return time.monotonic() - began


def test_processes_do_not_meet_at_the_clock(database_uri: str, storage: Storage) -> None:
    count = 200
    with program(_WRITER, database_uri, str(count)) as one, program(_WRITER, database_uri, str(count)) as other:
        for process in (one, other):
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):
            assert process.stdin
            print("go", file=process.stdin, flush=True)
        begun = [process.communicate(timeout=60)[0] for process in (one, other)]
    assert sum(map(int, begun)) < 2 * count * FEW_MORE


def test_threads_do_not_meet_at_the_clock(storage: Storage) -> None:
    begun: list[int] = []

    def write(session: ClientSession) -> None:
        begun.append(1)
        storage.clock.advance(1, session)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: storage.clock.transaction(write), range(100)))
    assert len(begun) < 100 * FEW_MORE


def test_one_that_is_stopped_holds_up_the_others_for_a_moment(database_uri: str, turns: Turns) -> None:
    with program(_KEEPER, database_uri) as keeper:
        assert keeper.stdout
        assert keeper.stdout.readline() == "mine\n"
        keeper.send_signal(signal.SIGSTOP)
        assert 0.9 < waited(turns) < 5
        assert waited(turns) < 0.5  # nor is it waited for again and again


def test_one_that_is_killed_holds_up_nobody(database_uri: str, turns: Turns) -> None:
    with program(_KEEPER, database_uri) as keeper:
        assert keeper.stdout
        assert keeper.stdout.readline() == "mine\n"
        keeper.kill()
        keeper.wait()
        assert waited(turns) < 0.5


def test_the_next_one_goes_on_when_a_turn_ends(turns: Turns, database: Database[dict[str, Any]]) -> None:
    waits = threading.Event()

    def wait() -> float:
        waits.set()
        return waited(Turns(database))

    with ThreadPoolExecutor(1) as thread:
        with turns.turn():
            other = thread.submit(wait)
            assert waits.wait(10)
            assert not other.done()
        assert other.result(10) < 0.9


def test_an_error_ends_a_turn(turns: Turns, database: Database[dict[str, Any]]) -> None:
    with pytest.raises(OSError, match="a disk"), turns.turn():
        raise OSError("a disk")
    assert waited(Turns(database)) < 0.5


def test_databases_have_turns_of_their_own(turns: Turns, database: Database[dict[str, Any]]) -> None:
    with turns.turn():
        assert waited(Turns(database.client["another"])) < 0.5


def test_where_there_are_no_such_names_it_goes_on_without(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turns, "name", "/missing/directory/of/a/socket")
    assert waited(turns) < 0.5
