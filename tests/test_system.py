"""The whole system as its users start it: real processes, a feed that grows, and a browser that watches."""

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from feedmirror.mongod import Mongod
from tests.atom import atom
from tests.feed_server import FeedServer
from tests.processes import PYTHON, ROOT, SCRIPTS, Running, environment, free_port, kill
from tests.waiting import wait_until

HOSTILE = '<script>alert(1)</script> & "quotes"'

# -- what the tests start


class GrowingFeed:
    """A feed on loopback to which questions are added, and the sources file that names it."""

    def __init__(self, server: FeedServer, sources: Path):
        self._server = server
        self._titles: list[str] = []
        self.sources = sources
        sources.write_text(f'[[source]]\nname = "Grows"\nurl = "{server.url("/feed")}"\nevery = "1s"\nprivate = true\n')
        self.ask("The first question")

    def ask(self, *titles: str) -> None:
        self._titles += titles
        self._server.serve("/feed", atom(list(enumerate(self._titles))[::-1][:30]), etag=True)


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[GrowingFeed]:
    with FeedServer() as server:
        yield GrowingFeed(server, tmp_path / "sources.toml")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts programs, each with a log of its own; all of them are ended with the test."""
    with ExitStack() as stack:

        def start(name: str, command: list[str], env: dict[str, str]) -> Running:
            program = stack.enter_context(Running(command, tmp_path / f"{name}.log", env))
            if command[0] != "make":  # `make` ends what it has started; how the others end takes seconds
                stack.callback(kill, program)
            return program

        yield start


WORKER = [str(SCRIPTS / "celery"), "-A", "stack_scrap", "worker", "-B", "--loglevel=INFO"]
SITE = [PYTHON, "site.py"]


def items(address: str, query: str = "timestamp=0") -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{address}/update?{query}", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def titles(address: str) -> list[str]:
    return [item["title"] for item in items(address)]


# -- worker and site by name


def test_a_new_question_appears_on_the_open_page_once_and_without_a_reload(
    database_uri: str, feed: GrowingFeed, start: Callable[..., Running], page: Page
) -> None:
    env = environment(MONGODB_URI=database_uri, FEEDMIRROR_SOURCES=str(feed.sources), PORT=str(free_port()))
    address = start("site", SITE, env).wait_for(r"Feedmirror is at (http://\S+)/")[1]
    worker = start("worker", WORKER, env)
    wait_until(lambda: titles(address) == ["The first question"], "the first question")

    page.goto(address)
    page.evaluate("window.notReloaded = true")
    expect(page.get_by_text("The first question")).to_have_count(1)
    feed.ask(HOSTILE)
    expect(page.get_by_role("article").first.get_by_role("heading")).to_have_text(HOSTILE)
    feed.ask("The third question")
    expect(page.get_by_role("article").first.get_by_role("heading")).to_have_text("The third question")
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.get_by_text(HOSTILE)).to_have_count(1)
    assert page.evaluate("window.notReloaded")
    assert "Traceback" not in worker.output


@pytest.fixture
def own_mongod(tmp_path: Path) -> Iterator[Callable[[], Mongod]]:
    """Starts a MongoDB of this test's own, the same one each time."""
    with ExitStack() as stack:
        port = free_port()

        def start() -> Mongod:
            mongod = Mongod(tmp_path / "data", port)
            stack.callback(mongod.stop)
            mongod.wait_until_usable()
            return mongod

        yield start


def test_mongodb_away_and_back_costs_neither_page_nor_worker_anything(
    own_mongod: Callable[[], Mongod], feed: GrowingFeed, start: Callable[..., Running], page: Page
) -> None:
    mongod = own_mongod()
    env = environment(MONGODB_URI=mongod.uri, FEEDMIRROR_SOURCES=str(feed.sources), PORT=str(free_port()))
    address = start("site", SITE, env).wait_for(r"Feedmirror is at (http://\S+)/")[1]
    start("worker", WORKER, env)
    wait_until(lambda: titles(address) == ["The first question"], "the first question")
    page.goto(address)
    rows = page.get_by_role("article")
    expect(rows).to_have_count(1)

    mongod.stop()
    expect(page.locator("header").get_by_text("Database away")).to_be_visible()
    feed.ask("Asked meanwhile", "And another")
    own_mongod()

    expect(rows.get_by_role("heading")).to_have_text(["And another", "Asked meanwhile", "The first question"])
    feed.ask("Asked afterwards")
    expect(rows.get_by_role("heading").first).to_have_text("Asked afterwards")
    expect(rows).to_have_count(4)
    assert titles(address) == ["Asked afterwards", "And another", "Asked meanwhile", "The first question"]


def test_two_workers_with_a_beat_each_store_every_item_once(
    database_uri: str, feed: GrowingFeed, start: Callable[..., Running]
) -> None:
    env = environment(MONGODB_URI=database_uri, FEEDMIRROR_SOURCES=str(feed.sources), PORT=str(free_port()))
    address = start("site", SITE, env).wait_for(r"Feedmirror is at (http://\S+)/")[1]
    for number in (1, 2):
        start(f"worker{number}", [*WORKER, "-n", f"worker{number}@%h"], env)
    for number in range(2, 6):
        feed.ask(f"Question {number}")
        wait_until(lambda: len(titles(address)) == number, f"{number} questions")  # noqa: B023 (waited for here)
    assert len(set(titles(address))) == 5


# -- one pass by hand


def test_one_pass_prints_what_is_new_and_the_second_one_nothing(database_uri: str, feed: GrowingFeed) -> None:
    env = environment(MONGODB_URI=database_uri, FEEDMIRROR_SOURCES=str(feed.sources))

    def one_pass() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, "stack_scrap.py"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True
        )

    first = one_pass()
    assert first.stdout == "Grows: The first question\n    https://example.com/questions/0\n"
    assert one_pass().stdout == ""


# -- all of it with one command


@pytest.fixture
def make_run(tmp_path: Path, feed: GrowingFeed, start: Callable[..., Running]) -> Callable[[], Running]:
    env = environment(
        FEEDMIRROR_SOURCES=str(feed.sources), FEEDMIRROR_DATA=str(tmp_path / "data"), PORT=str(free_port())
    )
    runs = iter(range(10))
    return lambda: start(f"make{next(runs)}", ["make", "run"], env)


def processes_of(run: Running) -> list[int]:
    """The processes that `make run` started, by the ids that it printed."""
    return [int(match) for match in re.findall(r"started \(pid=(\d+)\)", run.output)]


def ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_make_run_starts_everything_and_ctrl_c_ends_all_of_it_and_tomorrow_it_is_still_there(
    make_run: Callable[[], Running], tmp_path: Path, feed: GrowingFeed
) -> None:
    for expected in (["The first question"], ["The second question", "The first question"]):
        run = make_run()
        address = run.wait_for(r"Feedmirror is at (http://\S+)/", timeout_s=60)[1]
        wait_until(lambda: titles(address) == expected, str(expected))  # noqa: B023 (waited for here)
        mongod = mongod_of(tmp_path / "data")
        run.signal_group(signal.SIGINT)
        run.process.wait(30)
        assert all(ended(pid) for pid in [*processes_of(run), mongod])
        feed.ask("The second question")


def test_a_child_that_dies_takes_the_rest_down_and_its_last_lines_are_shown(
    make_run: Callable[[], Running], tmp_path: Path
) -> None:
    run = make_run()
    run.wait_for("Feedmirror is at", timeout_s=60)
    mongod = mongod_of(tmp_path / "data")
    subprocess.run(["kill", "-KILL", str(mongod)], check=True)
    assert run.process.wait(30) != 0
    assert "MongoDB ended by itself" in run.output
    assert str(tmp_path / "data" / "mongod.log") in run.output
    assert all(ended(pid) for pid in processes_of(run))


@pytest.mark.parametrize("name", ["site", "worker"])
def test_a_program_that_dies_takes_the_rest_down(make_run: Callable[[], Running], tmp_path: Path, name: str) -> None:
    run = make_run()
    run.wait_for("Feedmirror is at", timeout_s=60)
    run.wait_for(r"celery@\S+ ready")  # its beat and its pool have begun, and must not outlive it
    mongod = mongod_of(tmp_path / "data")
    victim = run.wait_for(rf"{name}\.1 started \(pid=(\d+)\)")[1]
    subprocess.run(["kill", "-KILL", victim], check=True)
    assert run.process.wait(30) != 0
    assert f"{name}.1 stopped" in run.output
    assert all(ended(pid) for pid in [*processes_of(run), mongod])


def test_two_installations_side_by_side_have_nothing_in_common(
    start: Callable[..., Running], tmp_path: Path, feed: GrowingFeed
) -> None:
    empty = tmp_path / "none.toml"
    empty.write_text("")
    addresses = []
    for name, sources in (("one", feed.sources), ("two", empty)):
        env = environment(FEEDMIRROR_SOURCES=str(sources), FEEDMIRROR_DATA=str(tmp_path / name), PORT=str(free_port()))
        run = start(name, ["make", "run"], env)
        addresses.append(run.wait_for(r"Feedmirror is at (http://\S+)/", timeout_s=60)[1])
    wait_until(lambda: titles(addresses[0]) == ["The first question"], "the first question")
    assert titles(addresses[1]) == []


def test_a_port_that_is_taken_is_told_in_one_line(make_run: Callable[[], Running]) -> None:
    make_run().wait_for("Feedmirror is at", timeout_s=60)
    second = make_run()
    assert second.process.wait(30) != 0
    assert "set PORT or HOST to another" in second.output
    assert "Traceback" not in second.output


def mongod_of(data: Path) -> int:
    return int((data / "mongodb" / "mongod.lock").read_text())


# -- genuine feeds


@pytest.mark.corpora
def test_genuine_feeds_are_mirrored_whole(corpora: Path, tmp_path: Path, database_uri: str) -> None:
    genuine = [*(corpora / "stackoverflow").glob("*.xml"), *(corpora / "huginn").rglob("*.atom")]
    assert genuine
    with FeedServer() as server:
        sources = ""
        for number, path in enumerate(genuine):
            server.serve(f"/{number}", path.read_bytes())
            sources += f'[[source]]\nname = "{number}"\nurl = "{server.url(f"/{number}")}"\nprivate = true\n'
        (tmp_path / "sources.toml").write_text(sources)
        env = environment(MONGODB_URI=database_uri, FEEDMIRROR_SOURCES=str(tmp_path / "sources.toml"))
        one_pass = subprocess.run(
            [PYTHON, "stack_scrap.py"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
        )
    entries = sum(len(re.findall(rb"<(?:entry|item)[\s>]", path.read_bytes())) for path in genuine)
    assert one_pass.stderr == f"{entries} new from {len(genuine)} sources\n"
