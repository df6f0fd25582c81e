"""Work on demand as its users meet it, through each broker: processes that are killed within it, a broker that is away.

Whoever is asked for the work holds its answer until the kill is done, so that each kill hits a job.
"""

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from feedmirror.models import Selection
from feedmirror.storage import Storage
from tests.atom import atom
from tests.brokers import Broker
from tests.feed_server import FeedServer, Request
from tests.fronts import SITE, children
from tests.processes import BEAT, CELERY, Running, environment, free_port, kill
from tests.waiting import wait_until

# Two that are held within a job, one that looks for what is due.
WORKER = [*CELERY, "worker", "--concurrency=3", "--loglevel=INFO"]
# What a job, and a poll, of a process that was killed is over after.
LEASE_S = 3
DATA = b'{"dataset_data": {"column_names": ["Date", "Value"], "data": [["2026-11-20", 1.5], ["2026-11-19", 1.25]]}}'
DATA_PATH = "/api/v3/datasets/WIKI/AAPL/data.json"


class Publisher:
    """A feed, and an API that gives data sets as Quandl did; the answers to both can be held back."""

    def __init__(self, server: FeedServer):
        self._server = server
        self._free = threading.Event()
        self._free.set()
        self._waiting: set[str] = set()
        server.serve("/feed", self._answered(atom([(0, "The only question")])))
        server.serve(DATA_PATH, self._answered(DATA))

    def asked(self, path: str) -> int:
        return len(self._server.requests_for(path))

    def hold(self) -> None:
        self._waiting.clear()
        self._free.clear()

    def wait_until_held(self, *paths: str) -> None:
        wait_until(lambda: self._waiting >= set(paths), f"a request for each of {paths}")

    def release(self) -> None:
        self._free.set()

    def _answered(self, body: bytes) -> Callable[[Request], bytes]:
        def answer(request: Request) -> bytes:
            self._waiting.add(request.path)
            assert self._free.wait(60)
            return body

        return answer


class Installation:
    """A site, and whatever else a test starts, on one database and broker."""

    def __init__(self, start: Callable[[list[str]], Running]):
        self.start = start
        self.site = start(SITE)
        self.address = self.site.wait_for(r"Feedmirror is at (http://\S+)/")[1]

    def ask(self, path: str, body: object = None) -> Any:
        """What the site answers to a GET, or a POST of this body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def ask_for_data(self) -> str:
        """Ask for the data set; gives its id."""
        return str(self.ask("/timeseries", {"database_code": "WIKI", "dataset_code": "AAPL"})["id"])

    def ask_for_look(self) -> str:
        """Ask for a look at the feed; gives the job's id."""
        return str(self.ask("/create", {"source": "Feed"})["data"]["task_id"])

    def wait_for_data(self, series_id: str) -> None:
        def standing() -> Any:
            (series,) = self.ask("/timeseries")
            assert series["id"] == series_id
            return series["status"] != "pending" and series

        series = wait_until(standing, "the data set")
        assert (series["status"], series["rows"], series["error"]) == ("success", 2, None)
        assert self.ask(f"/timeseries?id={series_id}") == json.loads(DATA)

    def wait_for_look(self, job_id: str) -> None:
        ended = wait_until(lambda: self._ended(job_id), "the look")
        assert ended == {"status": "SUCCESS", "result": {"new": 0, "edited": 0}}

    def _ended(self, job_id: str) -> Any:
        status = self.ask(f"/status/{job_id}")
        return status["status"] in ("SUCCESS", "FAILURE") and status


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with FeedServer() as server:
        publisher = Publisher(server)
        (tmp_path / "sources.toml").write_text(
            f'[[source]]\nname = "Feed"\nurl = "{server.url("/feed")}"\nevery = "1d"\nprivate = true\n'
        )
        (tmp_path / "datasets-url").write_text(server.url("/api/v3"))
        yield publisher
        publisher.release()


@pytest.fixture
def install(tmp_path: Path, database_uri: str, publisher: Publisher) -> Iterator[Callable[..., Installation]]:
    """Begins an installation; all of its programs are ended with the test."""
    with ExitStack() as stack:
        logs = (tmp_path / f"{number}.log" for number in range(10))

        def install(broker: Broker | None = None) -> Installation:
            env = environment(
                MONGODB_URI=database_uri,
                PORT=str(free_port()),
                FEEDMIRROR_SOURCES=str(tmp_path / "sources.toml"),
                FEEDMIRROR_DATASETS_URL=(tmp_path / "datasets-url").read_text(),
                FEEDMIRROR_LEASE=f"{LEASE_S}s",
                **({"CELERY_BROKER_URL": broker.url} if broker else {}),
            )

            def start(command: list[str]) -> Running:
                program = stack.enter_context(Running(command, next(logs), env))
                stack.callback(kill, program)  # how they end when they are asked to is tested elsewhere
                return program

            return Installation(start)

        yield install


def wait_for_first_look(storage: Storage) -> None:
    """Until the source has been looked at because it was new: what comes after that was asked for."""

    def looked() -> bool:
        (source,) = storage.sources.all() or [None]
        return source is not None and source.looks.items == 1 and source.lease is None

    wait_until(looked, "the first look")


def assert_stored_once(storage: Storage) -> None:
    (item,) = storage.items.newest(Selection(), limit=100).items
    assert item.title == "The only question"


# -- through each broker


def test_what_is_asked_for_is_done(
    broker: Broker, publisher: Publisher, storage: Storage, install: Callable[..., Installation]
) -> None:
    here = install(broker)
    worker = here.start([*WORKER, "-B"])
    wait_for_first_look(storage)
    here.wait_for_data(here.ask_for_data())
    here.wait_for_look(here.ask_for_look())
    assert (publisher.asked(DATA_PATH), publisher.asked("/feed")) == (1, 2)
    assert "Traceback" not in worker.output + here.site.output


@pytest.mark.parametrize("victim", ["worker", "children"])
def test_jobs_whose_process_is_killed_are_done_once_all_the_same(
    broker: Broker, victim: str, publisher: Publisher, storage: Storage, install: Callable[..., Installation]
) -> None:
    here = install(broker)
    worker = here.start(WORKER)
    beat = here.start(BEAT)
    wait_for_first_look(storage)
    publisher.hold()
    series_id, job_id = here.ask_for_data(), here.ask_for_look()
    publisher.wait_until_held(DATA_PATH, "/feed")

    if victim == "worker":
        kill(worker)
        here.start(WORKER)
    else:
        for child in children(worker.process.pid):
            os.kill(child, signal.SIGKILL)
    publisher.release()

    here.wait_for_data(series_id)
    here.wait_for_look(job_id)
    assert publisher.asked(DATA_PATH) == 2
    assert 3 <= publisher.asked("/feed") <= 4  # a source whose poll was cut off is due as well
    assert_stored_once(storage)
    assert beat.process.poll() is None


def test_a_broker_that_is_away_when_work_is_asked_for_delays_it_and_no_more(
    broker: Broker, publisher: Publisher, storage: Storage, install: Callable[..., Installation]
) -> None:
    here = install(broker)
    worker = here.start([*WORKER, "-B"])
    wait_for_first_look(storage)
    broker.stop()
    worker.wait_for("the broker is away")
    series_id, job_id = here.ask_for_data(), here.ask_for_look()
    here.site.wait_for("the broker is away")
    assert here.ask(f"/status/{job_id}") == {"status": "PENDING", "result": None}
    broker.start()
    here.wait_for_data(series_id)
    here.wait_for_look(job_id)
    assert (publisher.asked(DATA_PATH), publisher.asked("/feed")) == (1, 2)


# -- through the one that needs nothing


def test_two_hundred_who_ask_for_the_same_at_once_cause_one_fetch(
    publisher: Publisher, storage: Storage, install: Callable[..., Installation]
) -> None:
    here = install()
    here.start([*WORKER, "-B"])
    wait_for_first_look(storage)
    publisher.hold()
    with ThreadPoolExecutor(50) as many:
        series_ids = set(many.map(lambda _: here.ask_for_data(), range(200)))
        job_ids = set(many.map(lambda _: here.ask_for_look(), range(200)))
    (series_id,), (job_id,) = series_ids, job_ids
    publisher.wait_until_held(DATA_PATH, "/feed")
    publisher.release()
    here.wait_for_data(series_id)
    here.wait_for_look(job_id)
    assert (publisher.asked(DATA_PATH), publisher.asked("/feed")) == (1, 2)


def test_a_site_that_is_killed_and_started_anew_in_the_middle_knows_what_was_asked_for(
    publisher: Publisher, storage: Storage, install: Callable[..., Installation]
) -> None:
    here = install()
    here.start([*WORKER, "-B"])
    wait_for_first_look(storage)
    publisher.hold()
    series_id, job_id = here.ask_for_data(), here.ask_for_look()
    publisher.wait_until_held(DATA_PATH, "/feed")
    kill(here.site)
    here.start(SITE).wait_for("Feedmirror is at")
    assert here.ask(f"/status/{job_id}")["status"] == "STARTED"
    publisher.release()
    here.wait_for_data(series_id)
    here.wait_for_look(job_id)
    assert (publisher.asked(DATA_PATH), publisher.asked("/feed")) == (1, 2)
