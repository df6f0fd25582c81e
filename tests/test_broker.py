"""Messages of a process that is no worker, as the site is, through each broker."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.processes import PYTHON, ROOT, environment, free_port
from tests.waiting import wait_until

# Wakes somebody for each line that it reads, and says so.
_PROGRAM = """
import sys
from feedmirror.broker import Waker
from feedmirror.config import Settings
waker = Waker(Settings.from_environ())
for line in sys.stdin:
    waker.wake(line.strip())
    print("woken", flush=True)
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
                env=environment(CELERY_BROKER_URL=url),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        )
        stack.callback(self._process.kill)

    def wake(self, job_id: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        print(job_id, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "woken\n"

    @property
    def complaints(self) -> str:
        return self._log.read_text()


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Callable[[str], Sender]]:
    with ExitStack() as stack:
        yield lambda url: Sender(url, tmp_path / "log", stack)


def test_messages_come_to_the_broker(broker: Broker, sender: Callable[[str], Sender]) -> None:
    site = sender(broker.url)
    for number in range(3):
        site.wake(f"job {number}")
    wait_until(lambda: broker.waiting() == 3, "three messages")
    assert site.complaints == ""


def test_a_broker_that_was_started_anew_gets_the_next_message(broker: Broker, sender: Callable[[str], Sender]) -> None:
    site = sender(broker.url)
    site.wake("before")
    wait_until(lambda: broker.waiting() == 1, "a message")
    broker.stop()
    broker.start()
    site.wake("after")
    wait_until(lambda: broker.waiting() == 2, f"another message, or {site.complaints!r}", timeout_s=10)
    assert site.complaints == ""


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0", "amqp://127.0.0.1:{}//", "mongodb://127.0.0.1:{}/none"])
def test_a_broker_that_is_away_keeps_nobody_waiting_and_is_told_in_one_line(
    url: str, sender: Callable[[str], Sender]
) -> None:
    site = sender(url.format(free_port()))
    for _ in range(3):
        site.wake("job")
    wait_until(lambda: site.complaints.count("\n") == 3, "a line for each", timeout_s=20)
    assert site.complaints.count("the broker is away, a job waits for the next look: ") == 3
