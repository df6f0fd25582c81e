"""Log files that are renamed while they are written, as logrotate does: nothing is lost, and it goes on in a new one.

Each wish for another data set is one line in the log of the worker, which does it; that of the site says when its
broker goes and comes.
"""

import json
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest

from feedmirror.storage import Storage
from tests.brokers import Redis
from tests.feed_server import FeedServer
from tests.fronts import SERVE, SITE
from tests.processes import CELERY, PYTHON, Running, environment, free_port, kill
from tests.waiting import wait_until

WORKER = [*CELERY, "worker", "-B", "--concurrency=2", "--loglevel=INFO"]
DATA = b'{"dataset_data": {"column_names": ["Date", "Value"], "data": [["2026-11-20", 1.5]]}}'
AT_ONCE = 20
ROTATIONS = 3


class Wishes:
    """Asks a site for data sets, each time another one."""

    def __init__(self, address: str):
        self._address = address
        self._numbers = count()

    def ask(self, _: object = None) -> None:
        body = json.dumps({"database_code": "WIKI", "dataset_code": f"D{next(self._numbers)}"}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._address}/timeseries", body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201

    def ask_until(self, log: Path, line: str) -> None:
        """Ask for one after the other until there is this line: which of the site's processes answers is not known."""

        def told() -> bool:
            self.ask()
            return log.exists() and line in log.read_text("utf-8")

        wait_until(told, f"{line!r} in {log}")

    def ask_and_rotate(self, log: Path, is_line: Callable[[str], bool]) -> None:
        """Rename the log again and again while lines are written; all are somewhere, the last in the new one."""
        old = [log.with_name(f"{log.name}.{number}") for number in range(ROTATIONS)]

        def lines(path: Path) -> int:
            return sum(map(is_line, path.read_text("utf-8").splitlines())) if path.exists() else 0

        with ThreadPoolExecutor(4) as several:
            for path in old:
                asked = [several.submit(self.ask) for _ in range(AT_ONCE)]
                wait_until(lambda: lines(log) > 0, "the first lines in a log")
                log.rename(path)
                for one in asked:
                    one.result()
        expected = ROTATIONS * AT_ONCE
        wait_until(lambda: sum(map(lines, [*old, log])) == expected, f"{expected} lines in all logs")

        before = lines(log)
        written = log.read_text("utf-8") if log.exists() else ""
        self.ask()
        wait_until(lambda: lines(log) == before + 1, "a line in the new log")
        assert log.read_text("utf-8").startswith(written)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts a program with these settings; it is ended with the test."""
    with ExitStack() as stack:
        outputs = (tmp_path / f"output{number}" for number in range(10))

        def start(command: list[str], **settings: str) -> Running:
            program = stack.enter_context(Running(command, next(outputs), environment(**settings)))
            stack.callback(kill, program)
            return program

        (tmp_path / "sources.toml").write_text("")
        yield start


@pytest.mark.parametrize("command", [SITE, SERVE], ids=["site", "serve"])
def test_the_log_of_the_site_may_be_renamed(
    command: list[str], tmp_path: Path, database_uri: str, start: Callable[..., Running]
) -> None:
    log = tmp_path / "site.log"
    redis = Redis(tmp_path / "redis")
    site = start(
        command,
        MONGODB_URI=database_uri,
        PORT=str(free_port()),
        FEEDMIRROR_LOG=str(log),
        CELERY_BROKER_URL=redis.url,
    )
    with closing(redis):
        wishes = Wishes(site.wait_for(r"Feedmirror is at (http://\S+)/")[1])
        assert log.read_text() == ""  # nothing is wrong so far
        redis.stop()
        wishes.ask_until(log, "the broker is away: jobs wait")
        log.rename(tmp_path / "site.log.1")
        redis.start()
        wishes.ask_until(log, "the broker is back")
    assert "broker" not in site.output


@pytest.mark.parametrize("command", [SITE, SERVE], ids=["site", "serve"])
def test_without_a_log_file_warnings_go_to_standard_error(
    command: list[str], database_uri: str, start: Callable[..., Running]
) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    site = start(command, MONGODB_URI=database_uri, PORT=str(free_port()), CELERY_BROKER_URL=away)
    address = site.wait_for(r"Feedmirror is at (http://\S+)/")[1]
    Wishes(address).ask()
    site.wait_for("the broker is away: jobs wait")


@pytest.mark.parametrize("named", [False, True], ids=["standard error", "file"])
def test_the_traceback_of_an_error_within_the_framework_is_not_lost(
    named: bool, tmp_path: Path, start: Callable[..., Running]
) -> None:
    program = "import cherrypy; from feedmirror.config import Settings; from feedmirror.web.assembled import assemble"
    program += "; assemble(Settings.from_environ()); cherrypy.log('a bug', severity=40); cherrypy.log('no bug')"
    log = tmp_path / "site.log"
    settings = {"FEEDMIRROR_LOG": str(log)} if named else {}
    running = start([PYTHON, "-c", program], MONGODB_URI="mongodb://127.0.0.1:1/x", **settings)
    assert running.process.wait(30) == 0
    told = log.read_text() if named else running.output
    assert "a bug" in told
    assert "no bug" not in told + running.output


@pytest.mark.parametrize("command", [SITE, SERVE], ids=["site", "serve"])
def test_a_log_that_cannot_be_written_is_told_in_one_line(
    command: list[str], tmp_path: Path, start: Callable[..., Running]
) -> None:
    missing = tmp_path / "missing" / "site.log"
    site = start(command, MONGODB_URI="mongodb://127.0.0.1:1/x", PORT=str(free_port()), FEEDMIRROR_LOG=str(missing))
    assert site.process.wait(30) == 2
    assert site.output == f"feedmirror: FEEDMIRROR_LOG={str(missing)!r}: No such file or directory\n"


def test_the_log_of_the_worker_may_be_renamed(
    tmp_path: Path, database_uri: str, storage: Storage, start: Callable[..., Running]
) -> None:
    log = tmp_path / "worker.log"
    with FeedServer() as server:
        for number in range(ROTATIONS * AT_ONCE + 1):
            server.serve(f"/api/v3/datasets/WIKI/D{number}/data.json", DATA)
        settings = {
            "MONGODB_URI": database_uri,
            "PORT": str(free_port()),
            "FEEDMIRROR_SOURCES": str(tmp_path / "sources.toml"),
            "FEEDMIRROR_DATASETS_URL": server.url("/api/v3"),
            "FEEDMIRROR_GROUP_PER_MINUTE": "60000",
        }
        address = start(SITE, **settings).wait_for(r"Feedmirror is at (http://\S+)/")[1]
        worker = start([*WORKER, f"--logfile={log}"], **settings)
        wait_until(lambda: log.exists() and "ready" in log.read_text(), "the worker")
        Wishes(address).ask_and_rotate(log, lambda line: line.endswith(": done"))
        assert "done" not in worker.output
        kill(worker)
