"""The promise of `/update?timestamp=`: every poller gets every item exactly once, whatever happens meanwhile.

Eight writers (processes) store at the same time, some of them the same items; four pollers ask over HTTP, each in
a way of its own: `site.py`, the processes of `make serve`, or nginx with one of each behind it. Then somebody is
killed.
"""

import json
import os
import random
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.fronts import BEHIND, Front, workers
from tests.processes import PYTHON, Running, environment
from tests.replica_set import ReplicaSet
from tests.waiting import wait_until
from tests.writer import SHARED

WRITERS = 8
ITEMS_EACH = 50
START = "0.000001"  # the smallest stamp that is not "from the newest"


@dataclass(frozen=True)
class Answer:
    items: list[tuple[str, str]]  # id and stamp, oldest first
    cursor: str
    next: str | None


@dataclass(eq=False)
class Poller(threading.Thread):
    """Asks for what came after what it has, until it is told to stop; remembers what it was given, in order."""

    address: str
    wanted: set[str]
    seen: list[tuple[str, str]] = field(default_factory=list)
    polls: int = 0
    failures: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.over = threading.Event()
        self.mistake: Exception | None = None

    def run(self) -> None:
        try:
            self._poll_until_complete()
        except Exception as error:  # noqa: BLE001 (raised again in the test's own thread)
            self.mistake = error

    def _poll_until_complete(self) -> None:
        where = f"/update?timestamp={START}&limit={self.limit}"
        while not self.over.is_set():
            answer = self.ask(where)
            if answer is None:
                self.over.wait(0.05)
                continue
            self.seen += answer.items
            where = self.go_on(answer, where)
            if self.is_complete():
                return
            if not answer.items:
                self.over.wait(0.02)  # those that write need the processor too

    def is_complete(self) -> bool:
        return bool(self.wanted) and {name for name, _ in self.seen} >= self.wanted

    def go_on(self, answer: Answer, where: str) -> str:
        raise NotImplementedError

    def after(self, stamp: str) -> str:
        return f"/update?timestamp={stamp}&limit={self.limit}"

    def ask(self, where: str) -> Answer | None:
        """An answer, None if the service was away (which is said with a 503, or by nobody listening)."""
        self.polls += 1
        try:
            with urllib.request.urlopen(self.address + where, timeout=10) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            assert error.code == 503, error.read()  # noqa: PT017 (any other is a mistake of the service)
            error.close()
        except (OSError, HTTPException):
            pass
        self.failures += 1
        return None


def _answer(response: HTTPResponse) -> Answer:
    # the stamps as the text they came as: what a client sends back must be what it was given
    text = response.read().decode()
    stamps = re.findall(r'"fetched": (\d+\.\d{6})', text)
    names = [item["title"] for item in json.loads(text)]
    link = re.fullmatch(r'<([^>]+)>; rel="next"', response.headers["Link"] or "")
    return Answer(
        items=list(zip(names, stamps, strict=True))[::-1],
        cursor=response.headers["Feedmirror-Cursor"],
        next=link[1] if link else None,
    )


class ByCursor(Poller):
    """As our page does it: sends back the cursor that it was given, and follows Link to the end."""

    def go_on(self, answer: Answer, where: str) -> str:
        return answer.next or self.after(answer.cursor)


class ByLargestStamp(Poller):
    """As people write it with curl: the largest `fetched` seen so far."""

    def go_on(self, answer: Answer, where: str) -> str:
        return self.after(self.seen[-1][1]) if self.seen else where


class IgnoringLink(ByLargestStamp):
    """Asks for three at a time, and takes no notice of Link."""

    limit = 3


class BreakingOff(Poller):
    """Follows Link, and every now and then drops it and starts over from what it has."""

    def go_on(self, answer: Answer, where: str) -> str:
        if answer.next and random.random() < 0.7:
            return answer.next
        return self.after(self.seen[-1][1]) if self.seen else where


POLLERS = (ByCursor, ByLargestStamp, IgnoringLink, BreakingOff)


@dataclass
class House:
    """A MongoDB and a front of this test alone, and the writers and pollers at work on them."""

    mongodb: ReplicaSet
    front: Front
    writers: list[Running]  # each that is to stop within its transaction, and all others
    pollers: list[Poller]
    items: int = ITEMS_EACH  # of each writer alone

    def kill_mongod(self) -> None:
        """Kill the only one, and start it again once a poller has been told that it is away."""
        self.mongodb.kill_primary()
        wait_until(lambda: any(poller.failures for poller in self.pollers), "a poller that is told")
        self.mongodb.restart()

    def fail_over(self) -> None:
        """Have another member take over from the one that takes writes, which comes back behind it."""
        self.mongodb.kill_primary()
        self.mongodb.restart()

    def wait_for_share(self, share: float) -> None:
        """Wait until the pollers have been given this share of what the writers bring by themselves."""
        enough = share * WRITERS * self.items
        wait_until(lambda: any(len(poller.seen) >= enough for poller in self.pollers), f"{share:.0%} of the items")

    def kill_site(self) -> None:
        """Kill it, and start it again: what it had in memory is gone."""
        self.front.sites[0].kill()
        self.front.sites[0].start()

    def kill_worker(self) -> None:
        """Kill one of the processes of `make serve`, and wait until another has taken its place."""
        [serve] = self.front.sites
        before = workers(serve)
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(workers(serve) - before) == 1, "a new process")

    def reload_nginx(self) -> None:
        """Have it read its configuration anew: other processes take over."""
        assert self.front.nginx
        nginx = self.front.nginx
        before = nginx.children()
        nginx.running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: nginx.children() and not nginx.children() & before, "nginx's new processes")

    def kill_nginx(self) -> None:
        """Kill it, and start it again; what it kept is still there."""
        assert self.front.nginx
        self.front.nginx.kill()
        self.front.nginx.start()

    def cut_stream(self) -> None:
        """End the cursor of the site's change stream at the server, as soon as there is one."""
        with MongoClient[Any](self.mongodb.uri) as client:

            def cut() -> bool:
                streams = [
                    operation["cursor"]["cursorId"]
                    for operation in client.admin.aggregate([{"$currentOp": {"idleCursors": True}}])
                    if "$changeStream" in str(operation.get("cursor"))
                ]
                if not streams:
                    return False
                answer = client["feedmirror"].command("killCursors", "$cmd.aggregate", cursors=streams)
                return bool(answer["cursorsKilled"])

            wait_until(cut, "a stream to cut off")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    with ExitStack() as stack:

        def build(
            kind: str = "site", *, members: int = 1, pausing: int = 0, items: int = ITEMS_EACH, **settings_of_site: str
        ) -> House:
            mongodb = stack.enter_context(closing(ReplicaSet(tmp_path / "data", members=members)))
            front = stack.enter_context(Front(kind, mongodb.uri, tmp_path, **settings_of_site)).wait_until_usable()
            pollers = [poller(front.address, set()) for poller in POLLERS]
            for poller in pollers:
                stack.callback(poller.join)
                stack.callback(poller.over.set)
                poller.start()
            names = [f"writer{number}" for number in range(WRITERS)]
            writers = [
                stack.enter_context(
                    Running(
                        [PYTHON, "-m", "tests.writer", mongodb.uri, str(items), *together],
                        tmp_path / f"{together[0]}.log",
                        environment(),
                    )
                )
                for together in [*([name, "pause"] for name in names[:pausing]), names[pausing:]]
            ]
            return House(mongodb, front, writers, pollers, items)

        yield build


def finish(house: House, *, dead: int = 0) -> None:
    """Wait for the writers that live and then for the pollers, and hold what every poller has seen to the promise."""
    began = time.monotonic()
    for writer in house.writers[dead:]:
        assert writer.process.wait(90) == 0, writer.output
    everything = stored(house.mongodb.uri)
    own = {f"writer{number}-{item}" for number in range(dead, WRITERS) for item in range(house.items)}
    assert everything >= own | {f"shared-{number}" for number in range(SHARED)}
    for poller in house.pollers:
        poller.wanted |= everything
    for poller in house.pollers:
        poller.join(60)
        if poller.mistake:
            raise poller.mistake
        names = [name for name, _ in poller.seen]
        assert sorted(names) == sorted(everything), f"{poller.name}: {differences(names, everything)}"
        stamps = [stamp for _, stamp in poller.seen]
        assert stamps == sorted(stamps), f"{poller.name} was given stamps out of order"
    polls = ", ".join(f"{poller.name} {poller.polls} polls ({poller.failures} away)" for poller in house.pollers)
    print(f"{len(everything)} items to each of {len(house.pollers)} pollers, each once: {polls};", end=" ")
    print(f"{time.monotonic() - began:.1f} s after the last event")


def differences(names: list[str], everything: set[str]) -> str:
    twice = {name for name in names if names.count(name) > 1}
    return f"lost {sorted(everything - set(names))[:5]}, twice {sorted(twice)[:5]}"


def stored(uri: str) -> set[str]:
    from feedmirror.db import Connection

    connection = Connection(uri, timeout_s=20)
    found = {document["_id"] for document in connection.database()["items"].find({}, {"_id": 1})}
    connection.close()
    return found


@pytest.mark.parametrize("front", BEHIND)
def test_everybody_gets_everything_once(house: Callable[..., House], front: str) -> None:
    finish(house(front))


def test_more_comes_between_two_polls_than_the_window_holds(house: Callable[..., House]) -> None:
    finish(house(FEEDMIRROR_WINDOW_ITEMS="5"))


@pytest.mark.parametrize("front", ["site", "nginx"])
def test_a_site_that_is_killed_costs_nobody_anything(house: Callable[..., House], front: str) -> None:
    at_work = house(front)
    for share in (0.2, 0.5):
        at_work.wait_for_share(share)
        at_work.kill_site()
    finish(at_work)


def test_one_of_several_processes_that_is_killed_costs_nobody_anything(house: Callable[..., House]) -> None:
    at_work = house("granian")
    for share in (0.2, 0.5):
        at_work.wait_for_share(share)
        at_work.kill_worker()
    finish(at_work)


def test_nginx_loaded_anew_and_killed_costs_nobody_anything(house: Callable[..., House]) -> None:
    at_work = house("nginx")
    at_work.wait_for_share(0.2)
    at_work.reload_nginx()
    at_work.wait_for_share(0.5)
    at_work.kill_nginx()
    finish(at_work)


def test_a_stream_that_is_cut_off_costs_nobody_anything(house: Callable[..., House]) -> None:
    at_work = house()
    for share in (0.2, 0.4, 0.6, 0.8):
        at_work.wait_for_share(share)
        at_work.cut_stream()
    finish(at_work)
    assert [poller.failures for poller in at_work.pollers] == [0] * len(POLLERS), "the database was there to be asked"


def test_a_writer_that_is_killed_within_its_transaction_costs_nobody_anything(house: Callable[..., House]) -> None:
    at_work = house(pausing=1)
    victim = at_work.writers[0]
    victim.wait_for("within a transaction")
    victim.process.kill()
    finish(at_work, dead=1)


def test_a_writer_that_is_stopped_within_its_transaction_loses_and_holds_up_nothing(
    house: Callable[..., House],
) -> None:
    at_work = house(pausing=1)
    stopped = at_work.writers[0]
    stopped.wait_for("within a transaction")
    for writer in at_work.writers[1:]:
        assert writer.process.wait(90) == 0, writer.output
    assert stopped.process.poll() is None
    os.kill(stopped.process.pid, signal.SIGCONT)
    finish(at_work)


@pytest.mark.parametrize("front", ["site", "nginx"])  # nginx has the processes of `make serve` behind it
def test_mongod_killed_and_started_again_loses_and_repeats_nothing(house: Callable[..., House], front: str) -> None:
    at_work = house(front)
    for writer in at_work.writers:
        writer.wait_for("writes")
    wait_until(lambda: len(at_work.pollers[0].seen) > WRITERS * ITEMS_EACH / 4, "a quarter of the items")
    assert any(writer.process.poll() is None for writer in at_work.writers), "nobody writes any more"
    at_work.kill_mongod()
    finish(at_work)


def test_another_mongod_that_takes_over_loses_and_repeats_nothing(house: Callable[..., House]) -> None:
    at_work = house("nginx", members=3, items=3 * ITEMS_EACH)  # else the writers may be done before the second kill
    for share in (0.2, 0.5):
        at_work.wait_for_share(share)
        assert any(writer.process.poll() is None for writer in at_work.writers), "nobody writes any more"
        at_work.fail_over()
    finish(at_work)
