"""Real programs on data of a newer version: each ends with one line and code 2, or stops where it is up already."""

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.db import Connection
from feedmirror.mongod import Mongod
from feedmirror.storage import Storage
from tests.feed_server import FeedServer
from tests.fronts import SERVE, SITE
from tests.processes import BEAT, PYTHON, WORKER, Running, environment, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.long

NEWER = 99
LINE = rf"the data was written by a newer Feedmirror \(schema {NEWER}, this one knows \d+\): update Feedmirror, or .*"
PROGRAMS = {
    "site": SITE,
    "serve": SERVE,
    "worker": WORKER,
    "worker with beat": [*WORKER, "-B"],
    "beat": BEAT,
    "one pass": [PYTHON, "stack_scrap.py"],
    "sources": [PYTHON, "-m", "feedmirror", "sources"],
    "poll": [PYTHON, "-m", "feedmirror", "poll", "Any"],
}


@pytest.fixture
def start(tmp_path: Path, database_uri: str) -> Iterator[Callable[..., Running]]:
    """Starts a program on the test's database; it is ended with the test."""
    (tmp_path / "sources.toml").write_text("")
    settings = {
        "MONGODB_URI": database_uri,
        "PORT": str(free_port()),
        "FEEDMIRROR_SOURCES": str(tmp_path / "sources.toml"),
        "FEEDMIRROR_DATA": str(tmp_path / "data"),
    }
    with ExitStack() as stack:
        outputs = (tmp_path / f"output{number}" for number in range(10))

        def start(command: list[str], **others: str) -> Running:
            return stack.enter_context(Running(command, next(outputs), environment(**{**settings, **others})))

        yield start


def upgraded(database: Database[dict[str, Any]]) -> None:
    """What a newer Feedmirror does to the data."""
    database["schema"].update_one({"_id": "schema"}, {"$set": {"number": NEWER}}, upsert=True)


def lines_of(program: Running) -> list[str]:
    return [line for line in program.output.splitlines() if "newer Feedmirror" in line]


@pytest.mark.parametrize("command", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_on_newer_data_it_ends_with_one_line_and_code_2(
    command: list[str], start: Callable[..., Running], database: Database[dict[str, Any]]
) -> None:
    upgraded(database)
    program = start(command)
    assert program.process.wait(30) == 2, program.output
    output = program.output
    if command == BEAT:  # Celery's banner comes before anything of ours
        output = output[output.index("feedmirror: ") :]
    assert re.fullmatch(f"feedmirror: {LINE}\n+", output), output
    assert database.list_collection_names() == ["schema"]  # nothing was written


@pytest.mark.parametrize("command", [WORKER, [*WORKER, "-B"]], ids=["worker", "with beat"])
def test_a_worker_that_is_up_ends_when_the_data_becomes_newer(
    command: list[str], start: Callable[..., Running], database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    with FeedServer() as server:
        server.serve("/a", b"<rss version='2.0'><channel><title>A</title></channel></rss>")
        (tmp_path / "sources.toml").write_text(
            f'[[source]]\nname = "A"\nurl = "{server.url("/a")}"\nevery = "1s"\nprivate = true\n'
        )
        program = start(command)
        others = [] if "-B" in command else [start(BEAT)]
        wait_until(lambda: len(server.requests_for("/a")) > 1, "polls")
        upgraded(database)
        assert program.process.wait(30) == 2, program.output
        assert len(lines_of(program)) == 1, program.output
        assert "Traceback" not in program.output, program.output
        for other in others:
            assert other.process.poll() is None


@pytest.mark.parametrize("command", [SITE, SERVE], ids=["site", "serve"])
@pytest.mark.parametrize("path", ["/update?timestamp=1", "/api/sources", "/"])
def test_a_site_that_is_up_answers_503_when_the_data_becomes_newer(
    command: list[str], path: str, start: Callable[..., Running], storage: Storage, database: Database[dict[str, Any]]
) -> None:
    program = start(command, FEEDMIRROR_PROCESSES="1")
    address = program.wait_for(r"Feedmirror is at (http://\S+)/")[1]

    def told() -> str:
        try:
            with urllib.request.urlopen(address + path, timeout=5):
                return ""
        except urllib.error.HTTPError as error:
            return error.read().decode() if error.code == 503 else ""

    assert told() == ""
    upgraded(database)
    text = wait_until(told, "a refusal", timeout_s=10)
    assert f"a newer Feedmirror (schema {NEWER}" in (json.loads(text)["error"] if text.startswith("{") else text)
    for _ in range(5):
        assert told()
    wait_until(lambda: lines_of(program), "a line in the log")
    assert len(lines_of(program)) == 1, program.output
    assert "Traceback" not in program.output

    database["schema"].update_one({}, {"$set": {"number": 1}})  # what a restored backup has
    wait_until(lambda: told() == "", "an answer", timeout_s=10)


def test_a_worker_whose_database_comes_later_refuses_it_then(
    start: Callable[..., Running], database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """The check at the start finds no MongoDB; the first use finds newer data."""
    upgraded(database)
    script = tmp_path / "late.py"
    script.write_text(
        "import sys\n"
        "from celery.__main__ import main\n"
        "from feedmirror import schema_gate\n"
        "check, tries = schema_gate.refuse_newer, []\n"
        "def at_first_away(settings):\n"
        "    tries.append(1)\n"
        "    if len(tries) > 1: check(settings)\n"
        "schema_gate.refuse_newer = at_first_away\n"
        "sys.argv = ['celery', '-A', 'stack_scrap', 'worker', '-B', '--concurrency=1', '--loglevel=INFO']\n"
        "main()\n"
    )
    program = start([sys.executable, str(script)], PYTHONPATH=str(Path(__file__).resolve().parent.parent))
    assert program.process.wait(30) == 2, program.output
    assert len(lines_of(program)) == 1, program.output
    assert "Traceback" not in program.output


def test_a_site_that_starts_before_its_database_refuses_newer_data_then(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    port = free_port()
    uri = f"mongodb://127.0.0.1:{port}/feedmirror?replicaSet=feedmirror"

    @contextmanager
    def running_mongod() -> Iterator[None]:
        mongod = Mongod(tmp_path / "mongod", port)
        try:
            mongod.wait_until_usable()
            yield
        finally:
            mongod.stop()

    def told() -> str:
        try:
            urllib.request.urlopen(address + "/api/sources", timeout=5).close()
        except urllib.error.HTTPError as error:
            return str(json.load(error)["error"])
        return ""

    with closing(Connection(uri, timeout_s=10)) as connection:
        with running_mongod():
            upgraded(connection.database())
        program = start(SITE, MONGODB_URI=uri)
        address = program.wait_for(r"(http://\S+)/ answers, but its database is away")[1]
        assert "away" in told()
        with running_mongod():
            wait_until(lambda: "a newer Feedmirror" in told(), "a refusal")
            assert connection.database().list_collection_names() == ["schema"]
