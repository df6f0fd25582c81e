"""`make flower`: a monitor that shows the worker and what it did, through each broker."""

import json
import signal
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from feedmirror.models import SERIES
from feedmirror.storage import Storage
from tests.brokers import Broker
from tests.processes import BEAT, WORKER, Running, environment, free_port, kill
from tests.waiting import wait_until

NEWEST = {
    "draw": 1,
    "start": 0,
    "length": 100,
    "search[value]": "do_job",
    "order[0][column]": 0,
    "order[0][dir]": "asc",
}


class Flower:
    """What its pages show."""

    def __init__(self, address: str):
        self._address = address

    def page(self, path: str) -> str | None:
        """A page; None if it is not there, or nobody listens yet."""
        try:
            with urllib.request.urlopen(self._address + path, timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            error.close()
            return None
        except urllib.error.URLError:
            return None

    def rows(self, path: str, **query: object) -> list[dict[str, Any]]:
        """What a page's table has, which the page asks for itself."""
        page = self.page(f"{path}?{urllib.parse.urlencode(query)}")
        rows: list[dict[str, Any]] = json.loads(page)["data"] if page else []
        return rows

    def worker(self) -> dict[str, Any] | None:
        return next((row for row in self.rows("/workers", json=1) if row["status"]), None)

    def job(self) -> dict[str, Any] | None:
        rows = self.rows("/tasks/datatable", **NEWEST, **{"columns[0][data]": "name"})
        return next((row for row in rows if row["state"] == "SUCCESS"), None)


@pytest.fixture
def start(tmp_path: Path, database_uri: str) -> Iterator[Callable[..., Running]]:
    (tmp_path / "sources.toml").write_text("")
    with ExitStack() as stack:
        logs = (tmp_path / f"{number}.log" for number in range(10))

        def start(command: list[str], **settings: str) -> Running:
            env = environment(MONGODB_URI=database_uri, FEEDMIRROR_SOURCES=str(tmp_path / "sources.toml"), **settings)
            return stack.enter_context(Running(command, next(logs), env))

        yield start


def test_flower_shows_the_worker_and_the_jobs_that_it_did(
    broker: Broker, storage: Storage, start: Callable[..., Running]
) -> None:
    port = free_port()
    settings = {"CELERY_BROKER_URL": broker.url, "FLOWER_PORT": str(port)}
    worker = start(WORKER, **settings)
    worker.wait_for("ready")  # on a broker through which nobody has said anything yet
    monitor = start(["make", "flower"], **settings)
    flower = Flower(f"http://127.0.0.1:{port}")
    shown = wait_until(flower.worker, "the worker", timeout_s=60)
    name = shown["hostname"]
    page = wait_until(lambda: flower.page(f"/worker/{name}"), "the worker's page")
    assert "feedmirror.do_job" in page
    assert flower.page("/tasks")

    storage.jobs.insert("asked for", SERIES, "a series that is gone")
    beat = start(BEAT, **settings)
    job = wait_until(flower.job, "the job")
    assert (job["name"], job["worker"], job["args"]) == ("feedmirror.do_job", name, "('asked for',)")
    assert flower.page("/api/workers") is None  # nobody may change something who is not known

    monitor.signal_group(signal.SIGINT)
    monitor.process.wait(20)
    for program in (beat, worker):
        assert "Traceback" not in program.output
        kill(program)
