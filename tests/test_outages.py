"""What a process says of something that is away: one line when it goes, one when it comes."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from celery.worker.consumer import Consumer
from kombu.exceptions import OperationalError
from pymongo.errors import DuplicateKeyError, ServerSelectionTimeoutError

from feedmirror.outages import Outage
from feedmirror.worker_log import say_outages_once
from feedmirror.worker_steps import Reconnecting
from tests.atom import atom
from tests.brokers import Broker, MongoDB, Redis
from tests.feed_server import FeedServer
from tests.processes import CELERY, Running, environment, kill
from tests.waiting import wait_until

WORKER = [*CELERY, "worker", "-B", "--concurrency=2"]
# In this time the schedule tries to send six messages, and the worker connects three times.
AWAY_S = 8


class TestOutage:
    def test_the_first_to_notice_is_told(self) -> None:
        outage = Outage("the printer")
        assert outage.begins("no paper") == "the printer is away: no paper"
        assert outage.begins("no ink") is None
        assert outage.ends() == "the printer is back after 0 s"
        assert outage.ends() is None
        assert outage.begins("no ink") == "the printer is away: no ink"

    def test_of_many_threads_one_is_told(self) -> None:
        outage = Outage("the printer")
        with ThreadPoolExecutor(8) as threads:
            told = [line for line in threads.map(outage.begins, ["no paper"] * 100) if line]
            assert len(told) == 1
            back = [line for line in threads.map(lambda _: outage.ends(), range(100)) if line]
            assert len(back) == 1

    def test_a_child_has_its_own_view(self) -> None:
        outage = Outage("the printer")
        outage.begins("no paper")
        if not (child := os.fork()):
            os._exit(0 if outage.ends() is None and outage.begins("no ink") else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert outage.ends()

    def test_a_long_reason_is_cut(self) -> None:
        line = Outage("the printer").begins("many\nwords " * 100)
        assert line is not None
        assert len(line) < 200
        assert "\n" not in line

    def test_an_error_without_a_text_is_named(self) -> None:
        assert Outage("the printer").begins(TimeoutError()) == "the printer is away: TimeoutError()"


class TestFilter:
    @pytest.fixture
    def written(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The lines of a handler with the filter."""
        monkeypatch.setattr("feedmirror.worker_log._broker", Outage("the broker"))
        monkeypatch.setattr("feedmirror.worker_log._database", Outage("MongoDB"))
        # those of a broker depend on which one is configured, and here none is
        monkeypatch.setattr("feedmirror.worker_log._broker_errors", lambda: (OperationalError,))
        lines: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: lines.append(logging.Formatter().format(record))  # type: ignore[method-assign]
        logger = logging.Logger("root")
        logger.addHandler(handler)
        say_outages_once(logger)
        self._handler = handler
        return lines

    def log(self, name: str, error: BaseException | None, message: str = "it failed") -> None:
        told = (type(error), error, None) if error else None
        record = logging.LogRecord(name, logging.ERROR, "", 0, message, (), told)  # type: ignore[arg-type]
        self._handler.handle(record)

    def test_a_task_that_meets_no_database_is_one_line(self, written: list[str]) -> None:
        for _ in range(3):
            self.log("celery.app.trace", ServerSelectionTimeoutError("connection refused"))
        assert written == ["MongoDB is away: connection refused"]

    def test_the_cause_counts_as_well(self, written: list[str]) -> None:
        error = RuntimeError("cannot apply the schedule")
        error.__cause__ = OperationalError("connection refused")
        self.log("celery.beat", error)
        assert written == ["the broker is away: connection refused"]

    def test_a_message_that_cannot_be_acknowledged_is_of_the_broker(self, written: list[str]) -> None:
        self.log("celery.worker.request", OperationalError("reset by peer"), "Couldn't ack 3")
        assert written == ["the broker is away: reset by peer"]

    def test_other_errors_keep_their_tracebacks(self, written: list[str]) -> None:
        self.log("celery.app.trace", ZeroDivisionError("a bug"))
        self.log("celery.app.trace", DuplicateKeyError("a bug of ours"))
        self.log("celery.beat", ZeroDivisionError("a bug"))
        self.log("feedmirror.poll", OSError("a disk"))
        assert len(written) == 4
        assert all(line.startswith("it failed\n") for line in written)

    def test_a_line_without_an_error_passes(self, written: list[str]) -> None:
        self.log("celery.beat", None, "a line")
        assert written == ["a line"]


def test_a_connection_that_cannot_be_closed_does_not_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """As kombu fails now and then where Redis goes while a message is held; the next connection is another one."""

    def fail(*_: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'hostname'")

    monkeypatch.setattr(Consumer, "on_connection_error_after_connected", fail)
    Reconnecting.__new__(Reconnecting).on_connection_error_after_connected(ConnectionError("gone"))


@pytest.fixture
def feed() -> Iterator[FeedServer]:
    """A publisher with one feed that is the same for ever."""
    with FeedServer() as server:
        server.serve("/feed", lambda _: atom([(0, "A question")]))
        yield server


@pytest.fixture
def worker(tmp_path: Path, feed: FeedServer) -> Iterator[Callable[..., Running]]:
    """Starts a worker that polls the feed every second, and returns once it does."""
    sources = tmp_path / "sources.toml"
    url = feed.url("/feed")
    sources.write_text(f'[[source]]\nname = "One"\nurl = "{url}"\nevery = "1s"\nprivate = true\n')
    with ExitStack() as stack:

        def start(**settings: str) -> Running:
            env = environment(FEEDMIRROR_SOURCES=str(sources), **settings)
            program = stack.enter_context(Running(WORKER, tmp_path / "log", env))
            stack.callback(kill, program)
            polled(feed)
            return program

        yield start


def polled(feed: FeedServer) -> None:
    """Waits until it is asked for some times from now on."""
    before = len(feed.requests)
    wait_until(lambda: len(feed.requests) > before + 2, "polls", timeout_s=45)


def go_away(what: Broker) -> None:
    """For so long that everything that needs it has tried again and again."""
    what.stop()
    until = time.monotonic() + AWAY_S
    wait_until(lambda: time.monotonic() > until, "the end of an outage")
    what.start()


def said(program: Running, before: str) -> dict[str, list[str]]:
    """What each process has said since then; every line must be one of its own."""
    found: dict[str, list[str]] = {}
    for line in program.output.removeprefix(before).splitlines():
        match = re.fullmatch(r"\[[^]]*/([^]]*)\] (.*)", line)
        assert match, program.output
        found.setdefault(match[1], []).append(match[2])
    return found


def assert_each_once(lines: list[str], what: str) -> None:
    assert len(lines) == 2, lines
    assert lines[0].startswith(f"{what} is away: ")
    assert re.fullmatch(rf"{what} is back after \d+ s", lines[1])


@pytest.mark.long
def test_a_broker_that_was_away_is_two_lines_in_each_process(
    broker: Broker, database_uri: str, feed: FeedServer, worker: Callable[..., Running]
) -> None:
    program = worker(MONGODB_URI=database_uri, CELERY_BROKER_URL=broker.url)
    before = program.output
    go_away(broker)
    polled(feed)
    for process in ("MainProcess", "Beat"):
        program.wait_for(rf"/{process}\] the broker is back")
    told = said(program, before)
    assert {"MainProcess", "Beat"} <= told.keys()
    for process, lines in told.items():
        if process in ("MainProcess", "Beat"):
            assert_each_once(lines, "the broker")
        else:  # one that polls, and had a message to send
            assert len(lines) <= 2, lines


@pytest.mark.long
def test_a_database_that_was_away_is_two_lines_in_each_process(
    tmp_path: Path, feed: FeedServer, worker: Callable[..., Running]
) -> None:
    with ExitStack() as stack:
        database, redis = MongoDB(tmp_path / "mongodb"), Redis(tmp_path / "redis")
        stack.callback(database.close)
        stack.callback(redis.close)
        # by itself it waits for 25 s, in which most outages pass unnoticed
        program = worker(MONGODB_URI=f"{database.url}&timeoutMS=1000", CELERY_BROKER_URL=redis.url)
        before = program.output
        go_away(database)
        polled(feed)
        program.wait_for("MongoDB is back")
        told = said(program, before)
        assert told
        for lines in told.values():
            assert lines[0].startswith("MongoDB is away: ")
            assert len(lines) <= 2, lines
