"""What a reader sees of each fault, and how long until all is polled again: `python -m tests.faults [WORD ...]`.

Everything real, as `make run` starts it: three sources polled every second, each with a new question every second; an
open page; and a client that follows /update with its cursor. The words name the faults to try; without any it is all.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from feedmirror.db import Connection
from tests.atom import atom
from tests.browser import chromium_path, launch
from tests.feed_server import FeedServer, Request
from tests.processes import Running, children_of, environment, free_port
from tests.waiting import wait_until

SOURCES = 3
# Of a feed that grows each second, so that an outage of less than that loses nothing.
LISTED = 90
# A source is polled again when no poll of it was further apart than this.
APART_S = 2.5
# How long a fault that stops something lasts, but for one that lasts until a reader is told.
STOPPED_S = 10
LONG_STOPPED_S = 30
LONG = "worker and its children stopped for 30 s"


class Feeds:
    """Feeds that grow each second until `stop`, and when each of them was asked for."""

    def __init__(self, server: FeedServer):
        self._began = time.monotonic()
        self._grown: int | None = None
        self.asked: list[list[float]] = [[] for _ in range(SOURCES)]
        for number in range(SOURCES):
            server.serve(f"/{number}", lambda _, number=number: self._document(_, number))

    def _document(self, _: Request, number: int) -> bytes:
        self.asked[number].append(time.monotonic())
        newest = self.size
        return atom(
            [
                (number * 100_000 + place, title(number, place))
                for place in range(newest, newest - LISTED, -1)
                if place > 0
            ]
        )

    @property
    def size(self) -> int:
        return int(time.monotonic() - self._began) + 1 if self._grown is None else self._grown

    def stop(self) -> set[str]:
        """Grow no more; every title there was."""
        self._grown = self.size
        return {title(number, place) for number in range(SOURCES) for place in range(1, self._grown + 1)}

    def polled_again_s(self, since: float) -> float:
        """How long after this moment the last of the pauses in which a source was not polled was over."""
        ends = [since]
        for asked in self.asked:
            times = [one for one in asked if one > since - 2 * APART_S]
            ends += [later for earlier, later in pairwise(times) if later > since and later - earlier > APART_S]
        return max(ends) - since


def title(number: int, place: int) -> str:
    return f"Question {place} of {number}"


@dataclass
class Follower:
    """A client that goes on from its cursor, as /update promises each item once to."""

    address: str
    titles: list[str] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> None:
        cursor = "0.000001"
        while not self.ending.wait(0.2):
            with suppress(OSError):
                with urllib.request.urlopen(f"{self.address}/update?timestamp={cursor}&limit=500", timeout=5) as answer:
                    items = json.load(answer)
                    cursor = answer.headers["Feedmirror-Cursor"]
                self.titles += [item["title"] for item in items]


class Installation:
    """The processes of `make run`, by what they are."""

    def __init__(self, run: Running, data: Path, restart: Callable[[], Running]):
        self.run = run
        self.data = data
        self.restart = restart

    def part(self, name: str) -> int:
        found = [line for line in self.run.output.splitlines() if f"{name}" in line and "started (pid=" in line]
        return int(found[-1].rpartition("pid=")[2].rstrip(")"))

    def pool(self) -> list[int]:
        with self._processes() as processes:
            return [one["pid"] for one in processes if one["pid"] in children_of(self.part("worker"))]

    def schedule(self) -> int:
        (schedule,) = set(children_of(self.part("worker"))) - set(self.pool())
        return schedule

    def all(self) -> list[int]:
        supervisor = children_of(self.run.process.pid)
        parts = [child for pid in supervisor for child in children_of(pid)]
        return [*supervisor, *parts, *(child for pid in parts for child in children_of(pid))]

    @contextmanager
    def _processes(self) -> Iterator[list[dict[str, int]]]:
        connection = Connection((self.data / "mongodb-uri").read_text().split()[0], timeout_s=10)
        try:
            yield list(connection.database()["processes"].find({"role": "worker"}))
        finally:
            connection.close()


def kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def everything(installation: Installation) -> None:
    installation.run.process.kill()
    kill(*installation.all())
    installation.run.process.wait()
    installation.run = installation.restart()


def supervisor(installation: Installation) -> None:
    kill(*children_of(installation.run.process.pid))
    installation.run.process.wait(30)
    installation.run = installation.restart()


# What is done to the installation; a list of processes is stopped for some seconds.
FAULTS: dict[str, Callable[[Installation], Sequence[int] | None]] = {
    "schedule killed": lambda it: kill(it.schedule()),
    "schedule stopped": lambda it: [it.schedule()],
    "pool process killed": lambda it: kill(it.pool()[0]),
    "worker killed": lambda it: kill(it.part("worker")),
    "worker and its children stopped": lambda it: [it.part("worker"), *children_of(it.part("worker"))],
    LONG: lambda it: [it.part("worker"), *children_of(it.part("worker"))],
    "site killed": lambda it: kill(it.part("site")),
    "MongoDB killed": lambda it: kill(it.part("mongodb")),
    "MongoDB stopped": lambda it: [it.part("mongodb")],
    "supervisor killed, make run again": supervisor,
    "everything killed, make run again": everything,
}


def measure(name: str) -> str:
    """One row of the table."""
    executable = chromium_path()
    if executable is None:
        sys.exit("there is no Chromium on this machine")
    with tempfile.TemporaryDirectory() as directory, FeedServer() as server, sync_playwright() as playwright:
        data = Path(directory)
        feeds = Feeds(server)
        sources = data / "sources.toml"
        sources.write_text(
            "".join(
                f'[[source]]\nname = "F{number}"\nurl = "{server.url(f"/{number}")}"\nevery = "1s"\nprivate = true\n'
                for number in range(SOURCES)
            )
        )
        port = free_port()
        env = environment(FEEDMIRROR_DATA=directory, FEEDMIRROR_SOURCES=str(sources), PORT=str(port))
        logs = (data / f"run{number}.log" for number in range(2))
        installation = Installation(
            Running(["make", "run"], next(logs), env), data, lambda: Running(["make", "run"], next(logs), env)
        )
        try:
            installation.run.wait_for(r"Feedmirror is at (http://\S+)/", timeout_s=120)
            follower = Follower(f"http://127.0.0.1:{port}")
            following = threading.Thread(target=follower.follow)
            following.start()
            with launch(playwright, executable) as browser:
                page = browser.new_page()
                page.goto(follower.address)
                wait_until(lambda: all(len(asked) > 5 for asked in feeds.asked), "polls", timeout_s=60)
                began = time.monotonic()
                seen = Seen(page, began)
                lasting = FAULTS[name](installation)
                if lasting:
                    with stopped(*lasting):
                        seen.watch(LONG_STOPPED_S if name == LONG else STOPPED_S)
                seen.watch(25)
            again_s = feeds.polled_again_s(began)
            titles = feeds.stop()
            wait_until(lambda: set(follower.titles) >= titles, "all titles", timeout_s=60)
            follower.ending.set()
            following.join()
            lost, twice = len(titles - set(follower.titles)), len(follower.titles) - len(set(follower.titles))
            return f"| {name} | {seen.words} | {again_s:.1f} s | {lost} of {len(titles)} | {twice} |"
        finally:
            installation.run.stop()


class Seen:
    """What the open page says of itself, and how long after the fault."""

    def __init__(self, page: Page, began: float):
        self._page = page
        self._began = began
        self._said: list[tuple[str, float]] = []

    def watch(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            state = self._page.locator("#live").get_attribute("data-state") or ""
            if not self._said or self._said[-1][0] != state:
                self._said.append((state, time.monotonic() - self._began))
            self._page.wait_for_timeout(100)

    @property
    def words(self) -> str:
        return ", ".join(f"{state} after {at:.0f} s" if at >= 1 else state for state, at in self._said)


def main(words: Sequence[str]) -> None:
    print("| fault | the open page says | all is polled again after | lost | twice |\n| --- | --- | --- | --- | --- |")
    for name in FAULTS:
        if not words or any(word in name for word in words):
            print(measure(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
