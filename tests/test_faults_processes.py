"""Processes that are killed, stopped or told to end within a poll, and a broker that is away.

Nothing is lost, nothing comes twice, and all is polled again within seconds, though a lease lasts for two minutes. The
feed's server holds its answer until the kill is done, so that each kill hits a poll.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.db import Connection
from feedmirror.models import Selection
from feedmirror.mongod import Mongod
from feedmirror.storage import Storage
from tests.atom import atom
from tests.brokers import Redis
from tests.feed_server import FeedServer, Request
from tests.processes import BEAT, WORKER, Running, child_of, children_of, environment, free_port, kill
from tests.waiting import wait_until

pytestmark = pytest.mark.long

EVERY_S = 2
# What a dead process held is polled again within this.
AGAIN_S = 10


class HeldFeed:
    """A feed that grows, whose answers can be held back; the sources file that names it."""

    def __init__(self, server: FeedServer, sources: Path):
        self.titles: list[str] = []
        self.asked_at: list[float] = []
        self._holding = threading.Event()
        self._held = threading.Event()
        self._released = threading.Event()
        self.ask(*(f"Question {number}" for number in range(5)))
        server.serve("/feed", self._answer, etag=True)
        self._server, self._sources = server, sources
        sources.write_text(self._source("Held", "/feed"))

    def ask(self, *titles: str) -> None:
        self.titles += titles

    def hold(self) -> None:
        """Hold back the next answer; returns when somebody waits for it."""
        self._holding.set()
        wait_until(self._held.is_set, "a poll", timeout_s=20)

    def release(self) -> None:
        self._released.set()

    def add_sources_that_hang(self, number: int) -> None:
        """Add so many to the sources file, none of which is answered before `release`; returns when some are asked."""
        asked = threading.Semaphore(0)

        def hang(_: Request) -> bytes:
            asked.release()
            assert self._released.wait(60)
            return atom([])

        paths = [f"/new/{place}" for place in range(number)]
        for path in paths:
            self._server.serve(path, hang)
        text = self._sources.read_text() + "".join(self._source(path, path) for path in paths)
        written = self._sources.with_suffix(".new")
        written.write_text(text)
        written.replace(self._sources)
        for _ in range(number // 5):
            assert asked.acquire(timeout=20)

    def _source(self, name: str, path: str) -> str:
        url = self._server.url(path)
        return f'[[source]]\nname = "{name}"\nurl = "{url}"\nevery = "{EVERY_S}s"\nprivate = true\n'

    def _answer(self, _: Request) -> bytes:
        self.asked_at.append(time.monotonic())
        document = atom(list(enumerate(self.titles))[::-1])
        if self._holding.is_set() and not self._held.is_set():
            self._held.set()
            assert self._released.wait(60)
        return document


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[HeldFeed]:
    with FeedServer() as server:
        feed = HeldFeed(server, tmp_path / "sources.toml")
        yield feed
        feed.release()


@pytest.fixture
def start(tmp_path: Path, feed: HeldFeed) -> Iterator[Callable[..., Running]]:
    """Starts a program of an installation with this feed; all of them are ended with the test."""
    with ExitStack() as stack:
        logs = (tmp_path / f"{number}.log" for number in range(10))

        def start(command: list[str], uri: str, **settings: str) -> Running:
            env = environment(
                MONGODB_URI=uri,
                FEEDMIRROR_SOURCES=str(tmp_path / "sources.toml"),
                **settings,
            )
            program = stack.enter_context(Running(command, next(logs), env))
            stack.callback(kill, program)  # how they end when they are asked to is tested elsewhere, and takes seconds
            return program

        yield start


def stored(storage: Storage) -> list[str]:
    """What the stream gives, oldest first; an item that came twice is in it twice."""
    return [item.title for item in storage.items.newest(Selection(), limit=100).items[::-1]]


def assert_polled_again(feed: HeldFeed) -> None:
    asked = len(feed.asked_at)
    wait_until(lambda: len(feed.asked_at) > asked + 1, "it to be polled again, twice", timeout_s=AGAIN_S + 2 * EVERY_S)


def schedule_of(worker: Running, storage: Storage, database: Database[dict[str, Any]]) -> int:
    """The process of the schedule that is embedded in a worker: the child that has no heartbeat of its own."""

    def found() -> list[int]:
        polling = {one["pid"] for one in database["processes"].find({"role": "worker"})}
        others = [pid for pid in children_of(worker.process.pid) if pid not in polling]
        return others if polling and len(others) == 1 and not storage.processes.schedule_is_silent() else []

    (schedule,) = wait_until(found, "the schedule", timeout_s=20)
    return schedule


def assert_each_once(storage: Storage, feed: HeldFeed) -> None:
    """Waits until all of the feed is there; it is polled again, and each item was stored once."""
    wait_until(lambda: set(stored(storage)) >= set(feed.titles), "every item", timeout_s=30)
    feed.ask("Asked after all that")
    wait_until(lambda: feed.titles[-1] in stored(storage), "what was asked after all that", timeout_s=30)
    assert sorted(stored(storage)) == sorted(feed.titles)


# -- killed within a poll


def test_a_pool_child_that_is_killed_within_a_poll_loses_nothing(
    database_uri: str, storage: Storage, feed: HeldFeed, start: Callable[..., Running]
) -> None:
    worker = start(WORKER, database_uri)
    start(BEAT, database_uri)
    feed.hold()
    child = child_of(worker.process.pid)
    os.kill(child, signal.SIGKILL)
    feed.release()
    assert_polled_again(feed)
    assert_each_once(storage, feed)
    assert child_of(worker.process.pid) != child


def test_a_worker_that_is_killed_within_a_poll_loses_nothing(
    database_uri: str, storage: Storage, feed: HeldFeed, start: Callable[..., Running]
) -> None:
    worker = start(WORKER, database_uri)
    start(BEAT, database_uri)
    feed.hold()
    kill(worker)
    feed.release()
    start(WORKER, database_uri).wait_for(r"celery@\S+ ready")
    assert_polled_again(feed)
    assert_each_once(storage, feed)


def test_a_beat_that_is_killed_within_a_poll_costs_that_poll_nothing(
    database_uri: str, storage: Storage, feed: HeldFeed, start: Callable[..., Running]
) -> None:
    start(WORKER, database_uri)
    beat = start(BEAT, database_uri)
    feed.hold()
    kill(beat)
    feed.release()
    wait_until(lambda: stored(storage) == feed.titles, "the poll that was under way")
    start(BEAT, database_uri)
    assert_each_once(storage, feed)


def test_an_embedded_schedule_that_is_killed_is_started_again(
    database_uri: str,
    storage: Storage,
    database: Database[dict[str, Any]],
    feed: HeldFeed,
    start: Callable[..., Running],
) -> None:
    worker = start([*WORKER, "-B"], database_uri)
    killed = schedule_of(worker, storage, database)
    os.kill(killed, signal.SIGKILL)
    worker.wait_for(r"the schedule ended \(SIGKILL\): it is started again")
    wait_until(lambda: killed not in children_of(worker.process.pid), "its process to be gone")
    assert schedule_of(worker, storage, database) != killed
    assert_polled_again(feed)
    assert_each_once(storage, feed)


def test_a_schedule_that_hangs_is_done_without(
    database_uri: str,
    storage: Storage,
    database: Database[dict[str, Any]],
    feed: HeldFeed,
    start: Callable[..., Running],
) -> None:
    worker = start([*WORKER, "-B"], database_uri)
    schedule = schedule_of(worker, storage, database)
    os.kill(schedule, signal.SIGSTOP)
    wait_until(storage.processes.schedule_is_silent, "the schedule to be silent")
    assert_polled_again(feed)
    assert_each_once(storage, feed)
    os.kill(schedule, signal.SIGCONT)
    worker.wait_for("the schedule sends looks again")


def test_a_worker_without_a_schedule_polls(
    database_uri: str, storage: Storage, feed: HeldFeed, start: Callable[..., Running]
) -> None:
    start(WORKER, database_uri)
    assert_each_once(storage, feed)


def test_many_sources_that_are_new_hold_up_none_that_is_polled(
    database_uri: str, storage: Storage, feed: HeldFeed, start: Callable[..., Running]
) -> None:
    start([*WORKER, "-B"], database_uri)
    wait_until(lambda: stored(storage) == feed.titles, "the first items", timeout_s=20)
    feed.add_sources_that_hang(100)
    assert_polled_again(feed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_end_gives_back_what_hangs(
    number: signal.Signals, database_uri: str, storage: Storage, feed: HeldFeed, start: Callable[..., Running]
) -> None:
    worker = start([*WORKER, "-B"], database_uri)
    worker.wait_for(r"celery@\S+ ready")
    feed.hold()
    worker.signal_group(number)
    worker.process.wait(10)  # half of what the fetch may take
    assert [one.lease for one in storage.sources.all()] == [None]
    assert "Traceback" not in worker.output
    assert storage.processes.others("") == {}
    feed.release()


# -- MongoDB


@pytest.fixture
def own_mongod(tmp_path: Path) -> Iterator[Callable[[], Mongod]]:
    """Starts a MongoDB of this test's own, the same one each time."""
    with ExitStack() as stack:
        port = free_port()

        def start() -> Mongod:
            mongod = Mongod(tmp_path / "mongod", port)
            stack.callback(mongod.stop)
            mongod.wait_until_usable()
            return mongod

        yield start


def test_a_mongodb_that_is_killed_within_a_poll_loses_nothing(
    own_mongod: Callable[[], Mongod], feed: HeldFeed, start: Callable[..., Running]
) -> None:
    mongod = own_mongod()
    start([*WORKER, "-B"], mongod.uri)
    feed.hold()
    mongod.process.kill()
    mongod.process.wait()
    feed.release()
    own_mongod()
    with closing(Connection(mongod.uri, timeout_s=20)) as connection:
        assert_each_once(Storage(connection.database()).prepare(), feed)


def test_a_mongodb_and_a_worker_that_are_killed_together_go_on_together(
    own_mongod: Callable[[], Mongod], feed: HeldFeed, start: Callable[..., Running]
) -> None:
    mongod = own_mongod()
    worker = start([*WORKER, "-B"], mongod.uri)
    feed.hold()
    mongod.process.kill()
    kill(worker)
    mongod.process.wait()
    feed.release()
    own_mongod()
    start([*WORKER, "-B"], mongod.uri).wait_for(r"celery@\S+ ready")
    assert_polled_again(feed)
    with closing(Connection(mongod.uri, timeout_s=20)) as connection:
        assert_each_once(Storage(connection.database()).prepare(), feed)


def test_a_mongodb_that_stalls_costs_no_source_its_lease(
    own_mongod: Callable[[], Mongod], feed: HeldFeed, start: Callable[..., Running]
) -> None:
    mongod = own_mongod()
    worker = start([*WORKER, "-B"], mongod.uri)
    with closing(Connection(mongod.uri, timeout_s=20)) as connection:
        storage = Storage(connection.database()).prepare()
        wait_until(lambda: stored(storage) == feed.titles, "the first items")
        os.kill(mongod.process.pid, signal.SIGSTOP)
        try:
            worker.wait_for("MongoDB is away|OperationCancelled|AutoReconnect|Connection to broker lost")
        finally:
            os.kill(mongod.process.pid, signal.SIGCONT)
        assert_polled_again(feed)
        assert_each_once(storage, feed)


def test_a_redis_that_goes_while_messages_are_held_does_not_end_the_worker(
    tmp_path: Path, database_uri: str, storage: Storage, feed: HeldFeed, start: Callable[..., Running]
) -> None:
    with closing(Redis(tmp_path / "redis")) as redis:
        worker = start([*WORKER, "-B"], database_uri, CELERY_BROKER_URL=redis.url)
        wait_until(lambda: stored(storage) == feed.titles, "the first items", timeout_s=20)
        feed.add_sources_that_hang(100)  # each look waits for a thread, so its message is held
        redis.stop()
        worker.wait_for("the broker is away")
        assert_polled_again(feed)  # without a broker
        redis.start()
        worker.wait_for(r"MainProcess\] the broker is back", timeout_s=60)
        assert_polled_again(feed)
        assert worker.process.poll() is None


def test_a_broker_that_is_away_and_back_is_polled_by_again_and_nothing_twice_within_its_interval(
    own_mongod: Callable[[], Mongod],
    database_uri: str,
    storage: Storage,
    feed: HeldFeed,
    start: Callable[..., Running],
) -> None:
    broker = own_mongod()
    url = f"{broker.uri}&serverSelectionTimeoutMS=1000"  # how soon they notice; it is half a minute by default
    worker = start([*WORKER, "-B"], database_uri, CELERY_BROKER_URL=url)
    wait_until(lambda: stored(storage) == feed.titles, "the first items")
    broker.stop()
    worker.wait_for("the broker is away")
    asked = len(feed.asked_at)
    feed.ask("Asked meanwhile")
    own_mongod()
    assert_each_once(storage, feed)
    assert len(feed.asked_at) > asked
    # a look may begin half a second sooner than that, if the one before was late; and be seen here half a second late
    assert min(later - earlier for earlier, later in pairwise(feed.asked_at)) > EVERY_S - 1
