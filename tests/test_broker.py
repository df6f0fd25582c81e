"""Messages of a process that is no worker, as the site is, through each broker."""

import base64
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.brokers import Broker
from tests.processes import PYTHON, ROOT, environment, free_port
from tests.waiting import wait_until

# Wakes somebody for each line that it reads, and says by how many threads; after the line "fork" its child goes on.
_PROGRAM = """
import os, sys, threading
from feedmirror.broker import Waker
from feedmirror.config import Settings
def say():
    print(sum(thread.name == "wake workers" for thread in threading.enumerate()), flush=True)
waker = Waker(Settings.from_environ())
say()
for line in sys.stdin:
    if line == "fork\\n" and os.fork():
        os.wait()
        break
    if line != "fork\\n":
        waker.wake(line.strip())
    say()
"""


class Sender:
    """The program, with what it complains about."""

    def __init__(self, url: str, log: Path, stack: ExitStack):
        self._log = log
        output = stack.enter_context(log.open("wb"))
        self._process = stack.enter_context(
            subprocess.Popen(
                [PYTHON, "-c", _PROGRAM],
                cwd=ROOT,
                env=environment(CELERY_BROKER_URL=url, FEEDMIRROR_LEASE="77"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        )
        stack.callback(self._process.kill)
        self.threads = self._threads()

    def wake(self, job_id: str) -> None:
        self._tell(job_id)

    def fork(self) -> None:
        """The messages from now on are those of a child."""
        self._tell("fork")

    def end(self) -> int:
        """Let it come to its end, and wait for that."""
        assert self._process.stdin
        self._process.stdin.close()
        return self._process.wait(timeout=30)

    @property
    def complaints(self) -> str:
        return self._log.read_text()

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        print(line, file=self._process.stdin, flush=True)
        self.threads = self._threads()

    def _threads(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Callable[[str], Sender]]:
    with ExitStack() as stack:
        yield lambda url: Sender(url, tmp_path / "log", stack)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are taken, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_messages_come_to_the_broker(broker: Broker, sender: Callable[[str], Sender]) -> None:
    site = sender(broker.url)
    for number in range(3):
        site.wake(f"job {number}")
    wait_until(lambda: broker.waiting() == 3, "three messages")
    assert site.complaints == ""


def test_a_message_names_the_job_and_is_over_when_a_lease_would_be(
    database_uri: str, database: Database[dict[str, Any]], sender: Callable[[str], Sender]
) -> None:
    before = datetime.now(UTC)
    sender(database_uri).wake("a job")
    message = json.loads(wait_until(lambda: database["messages"].find_one(), "a message")["payload"])
    args, *_ = json.loads(base64.b64decode(message["body"]))
    assert (message["headers"]["task"], args) == ("feedmirror.do_job", ["a job"])
    lease = timedelta(seconds=77)
    assert before + lease <= datetime.fromisoformat(message["headers"]["expires"]) <= datetime.now(UTC) + lease


def test_there_is_a_thread_from_the_first_message_on_and_no_second_one(
    database_uri: str, sender: Callable[[str], Sender]
) -> None:
    site = sender(database_uri)
    assert site.threads == 0
    for _ in range(3):
        site.wake("job")
        assert site.threads == 1


def test_a_child_sends_its_own_messages(
    database_uri: str, database: Database[dict[str, Any]], sender: Callable[[str], Sender]
) -> None:
    """After a fork there is no thread, and what waits at a queue is one that is gone."""
    site = sender(database_uri)
    site.wake("the parent's")
    wait_until(lambda: database["messages"].count_documents({}) == 1, "a message")
    site.fork()
    assert site.threads == 0
    site.wake("the child's")
    wait_until(lambda: database["messages"].count_documents({}) == 2, f"another message, or {site.complaints!r}")


def test_a_broker_that_was_started_anew_gets_the_next_message(broker: Broker, sender: Callable[[str], Sender]) -> None:
    site = sender(broker.url)
    site.wake("before")
    wait_until(lambda: broker.waiting() == 1, "a message")
    broker.stop()
    broker.start()
    site.wake("after")
    wait_until(lambda: broker.waiting() == 2, f"another message, or {site.complaints!r}", timeout_s=10)
    assert site.complaints == ""


def test_a_message_that_could_not_be_sent_is_let_go_and_the_next_one_comes(
    broker: Broker, sender: Callable[[str], Sender]
) -> None:
    site = sender(broker.url)
    broker.stop()
    site.wake("let go")
    wait_until(lambda: "the broker is away" in site.complaints, "a line")
    broker.start()
    site.wake("sent")
    wait_until(lambda: broker.waiting() == 1, f"a message, or {site.complaints!r}")
    wait_until(lambda: "the broker is back" in site.complaints, "a line")
    assert site.complaints.count("\n") == 2


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0", "amqp://127.0.0.1:{}//", "mongodb://127.0.0.1:{}/none"])
def test_a_broker_that_is_away_keeps_nobody_waiting_and_is_told_in_one_line(
    url: str, sender: Callable[[str], Sender]
) -> None:
    site = sender(url.format(free_port()))
    for _ in range(3):
        site.wake("job")
    wait_until(lambda: site.complaints, "a line", timeout_s=20)
    assert site.end() == 0
    assert site.complaints.count("\n") == 1
    assert site.complaints.startswith("the broker is away: jobs wait for the next look (")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0", "amqp://127.0.0.1:{}//", "mongodb://127.0.0.1:{}/none"])
def test_a_broker_that_says_nothing_is_away_as_well(url: str, silent: int, sender: Callable[[str], Sender]) -> None:
    site = sender(url.format(silent))
    site.wake("job")
    wait_until(lambda: site.complaints, "a line", timeout_s=20)
    assert site.complaints.startswith("the broker is away: jobs wait for the next look (")


def test_more_messages_than_can_wait_for_the_broker_are_let_go(silent: int, sender: Callable[[str], Sender]) -> None:
    site = sender(f"redis://127.0.0.1:{silent}/0")
    for _ in range(1_100):  # some have their turn meanwhile
        site.wake("job")
    wait_until(lambda: "too many messages wait for the broker" in site.complaints, "a line")
    assert site.end() == 0  # which waits for no message


def test_an_address_at_which_there_can_be_no_broker_is_told_likewise(sender: Callable[[str], Sender]) -> None:
    site = sender("nothing://127.0.0.1/")
    site.wake("job")
    wait_until(lambda: "the broker is away: jobs wait for the next look (" in site.complaints, "a line")
