"""Heartbeats: a process that falls silent is noticed, and what it held is free; one that only stood still is not."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

import feedmirror.heartbeat as heartbeat_module
from feedmirror.heartbeat import Heartbeat, Observation
from feedmirror.models import LOOK, Source
from feedmirror.politeness import Demand, GroupLimits
from feedmirror.process_identity import ProcessIdentity
from feedmirror.storage import Storage
from feedmirror.storage.processes import Role
from tests.processes import ROOT
from tests.waiting import wait_until

LEASE_S = 600

IDENTITY = """
import signal
from feedmirror.process_identity import own_identity
identity = own_identity()
print(identity.pid, identity.started, identity.place, flush=True)
signal.pause()
"""


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Others:
    """Heartbeats as another process sees them, a second between two observations."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._observation = Observation(clock=self._clock)
        self.beat_at = datetime(2026, 11, 28, tzinfo=UTC)

    def observe(self, seconds: float = 1, *, beats: bool = False) -> bool:
        """Whether the other process is dead, so many seconds later."""
        self._clock.now += seconds
        if beats:
            self.beat_at += timedelta(seconds=seconds)
        return self._observation.dead({"other": self.beat_at}) == ["other"]


def test_a_heartbeat_that_stops_is_dead_after_five_seconds() -> None:
    others = Others()
    others.observe(beats=True)
    assert [others.observe() for _ in range(5)] == [False, False, False, False, True]


def test_a_heartbeat_that_is_late_is_not_dead() -> None:
    others = Others()
    assert not any(others.observe(beats=number % 4 == 0) for number in range(40))


def test_an_old_heartbeat_alone_is_no_death() -> None:
    others = Others()
    others.beat_at -= timedelta(days=1)
    assert not others.observe()


@pytest.mark.parametrize("slept_s", [10, 3600.0])
def test_a_machine_that_slept_is_given_time_to_beat(slept_s: float) -> None:
    others = Others()
    for _ in range(4):
        others.observe()
    assert not others.observe(slept_s)
    assert [others.observe() for _ in range(4)] == [False, False, False, False]
    assert others.observe()


def test_a_clock_that_is_set_back_kills_nothing() -> None:
    others = Others()
    others.observe(beats=True)
    others.beat_at -= timedelta(hours=1)
    assert not any(others.observe(beats=True) for _ in range(10))


# -- in the database


@pytest.fixture
def start(storage: Storage) -> Iterator[Callable[..., Heartbeat]]:
    """Starts heartbeats, which are stopped with the test."""
    with ExitStack() as stack:

        def start(role: Role = Role.WORKER, **options: Any) -> Heartbeat:
            heartbeat = Heartbeat(lambda: storage, role, **options)
            heartbeat.start()
            stack.callback(heartbeat.stop)
            return heartbeat

        yield start


@pytest.fixture
def _of_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats that say nothing of the machine."""
    monkeypatch.setattr(heartbeat_module, "own_identity", lambda: ProcessIdentity(os.getpid()))


def test_a_process_of_this_machine_that_ended_is_free_at_once(
    storage: Storage, database: Database[dict[str, Any]], start: Callable[..., Heartbeat]
) -> None:
    with subprocess.Popen([sys.executable, "-c", IDENTITY], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, started, place = process.stdout.readline().split(maxsplit=2)
        identity = ProcessIdentity(int(pid), int(started), place.strip())
        assert not identity.has_ended()
        process.kill()
        wait_until(identity.has_ended, "its end to be seen before its status is read")
    assert identity.has_ended()
    assert ProcessIdentity(os.getpid(), 1, identity.place).has_ended(), "a number that is used again"
    assert not ProcessIdentity(2**22 + 1, 1, "another machine").has_ended()

    storage.sources.synchronise([Source(id="a", name="a", url="https://a.example/")], [])
    storage.processes.register("dead", Role.WORKER, host="h", identity=identity)
    storage.sources.claim_now(["a"], lease_s=LEASE_S, holder="dead.crew")
    start()
    wait_until(lambda: storage.sources.all()[0].lease is None, "the source to be free", timeout_s=3)


@pytest.mark.usefixtures("_of_another_machine")
def test_what_a_silent_process_held_is_free_within_ten_seconds(
    storage: Storage, database: Database[dict[str, Any]], start: Callable[..., Heartbeat]
) -> None:
    storage.sources.synchronise([Source(id=one, name=one, url=f"https://{one}.example/") for one in "ab"], [])
    dead, alive = start(), start()
    for heartbeat, source_id in ((dead, "a"), (alive, "b")):
        storage.sources.claim_now([source_id], lease_s=LEASE_S, holder=f"{heartbeat.id}.crew")
        demand = Demand(count=1, limits=GroupLimits(in_flight=2))
        storage.groups.admit({"g": demand}, lease_s=LEASE_S, holder=f"{heartbeat.id}.crew")
    job = storage.jobs.create(LOOK, "a")[0]
    storage.jobs.claim(job.id, lease_s=LEASE_S, holder=f"{dead.id}.job")

    dead.stop()
    began = time.monotonic()
    wait_until(lambda: storage.sources.claim_due(limit=9, lease_s=LEASE_S).source_ids == ("a",), "the source")
    wait_until(lambda: storage.jobs.hand_out(limit=9) == [job.id], "the job")
    assert time.monotonic() - began < 10
    (group,) = storage.groups.ledger()
    assert group.in_flight == 1
    assert [one["_id"] for one in database["processes"].find()] == [alive.id]
    assert database["sources"].find_one({"_id": "b"})["lease"].startswith(alive.id)  # type: ignore[index]


def test_a_process_that_was_taken_for_dead_goes_on(storage: Storage, start: Callable[..., Heartbeat]) -> None:
    heartbeat = start()
    storage.processes.remove(heartbeat.id)
    wait_until(lambda: heartbeat.id in storage.processes.others(""), "it to be there again")


def test_each_heartbeat_calls_and_a_failure_does_not_end_it(start: Callable[..., Heartbeat]) -> None:
    calls = []

    def fail(_: Storage) -> None:
        calls.append(1)
        raise ZeroDivisionError

    start(each=fail)
    wait_until(lambda: len(calls) > 1, "a second call")
