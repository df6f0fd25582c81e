"""The whole system as its users start it: real processes, a feed that grows, and a browser that watches."""

import json
import os
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
from tests.fronts import children, lives
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
        FEEDMIRROR_SOURCES=str(feed.sources),
        FEEDMIRROR_DATA=str(tmp_path / "data"),
        FEEDMIRROR_LEASE="5s",  # of what a killed worker held
        PORT=str(free_port()),
    )
    runs = iter(range(10))
    return lambda: start(f"make{next(runs)}", ["make", "run"], env)


def processes_of(run: Running, name: str = "") -> list[int]:
    """The processes that `make run` started, by the ids that it printed."""
    return [int(match) for match in re.findall(rf"{name} *\| started \(pid=(\d+)\)", run.output)]


def supervisor_of(run: Running) -> int:
    """The process that keeps the parts up."""
    return parent_of(processes_of(run)[0])


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def all_of(run: Running) -> set[int]:
    """Every process of `make run` that lives, the pool's and the schedule's too."""
    found = {run.process.pid}
    while more := set().union(*map(children, found)) - found:
        found |= more
    return found


def ended(pid: int) -> bool:
    return not lives(pid)


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_make_run_ends_in_seconds_and_in_order(make_run: Callable[[], Running], number: signal.Signals) -> None:
    run = make_run()
    ready(run)
    everything = all_of(run)
    run.signal_group(number)
    run.process.wait(10)  # half of what a part is given before it is killed
    assert not any(map(lives, everything))
    assert "SIGKILL" not in run.output
    assert "Traceback" not in run.output


def test_make_run_ends_in_seconds_while_mongodb_hangs(make_run: Callable[[], Running], tmp_path: Path) -> None:
    run = make_run()
    address = ready(run)
    wait_until(lambda: titles(address) == ["The first question"], "the first question")
    everything = all_of(run)
    os.kill(mongod_of(tmp_path / "data"), signal.SIGSTOP)
    run.signal_group(signal.SIGINT)
    run.process.wait(15)
    assert not any(map(lives, everything))
    assert "Traceback" not in run.output


@pytest.mark.parametrize("name", ["mongodb", "site", "worker"])
def test_a_part_that_dies_comes_back_and_items_still_arrive(
    make_run: Callable[[], Running], feed: GrowingFeed, name: str
) -> None:
    run = make_run()
    address = ready(run)
    wait_until(lambda: titles(address) == ["The first question"], "the first question")
    [victim] = processes_of(run, name)
    others = set(processes_of(run)) - {victim}
    os.kill(victim, signal.SIGKILL)
    run.wait_for(rf"{name} +\| ended \(SIGKILL\), starts again in 0.5 s")
    feed.ask("Asked afterwards")
    wait_until(lambda: "Asked afterwards" in titles_if_any(address), "the next question", timeout_s=60)
    assert len(processes_of(run, name)) == 2
    assert set(processes_of(run)) > others
    assert all(map(lives, others)), "the others go on by themselves"


def test_a_killed_process_manager_leaves_nothing_and_the_next_start_needs_no_other_port(
    make_run: Callable[[], Running], feed: GrowingFeed
) -> None:
    first = make_run()
    address = ready(first)
    wait_until(lambda: titles(address) == ["The first question"], "the first question")
    everything = all_of(first)
    os.kill(supervisor_of(first), signal.SIGKILL)
    second = make_run()
    wait_until(lambda: not any(map(lives, everything)), "the end of all", timeout_s=10)
    feed.ask("Asked afterwards")
    assert ready(second) == address
    wait_until(lambda: titles_if_any(address) == ["Asked afterwards", "The first question"], "both", timeout_s=60)


def test_a_killed_make_leaves_nothing(make_run: Callable[[], Running]) -> None:
    run = make_run()
    ready(run)
    everything = all_of(run)
    run.process.kill()
    wait_until(lambda: not any(map(lives, everything - {run.process.pid})), "the end of all")


def test_a_part_that_is_misconfigured_ends_everything_with_its_line(
    tmp_path: Path, feed: GrowingFeed, start: Callable[..., Running]
) -> None:
    missing = tmp_path / "missing" / "site.log"  # which only the site needs
    env = environment(
        FEEDMIRROR_SOURCES=str(feed.sources),
        FEEDMIRROR_DATA=str(tmp_path / "data"),
        FEEDMIRROR_LOG=str(missing),
        PORT=str(free_port()),
    )
    run = start("wrong", [PYTHON, "-m", "feedmirror.system", "run"], env)
    assert run.process.wait(60) == 2
    assert run.output.splitlines()[-1] == f"feedmirror: FEEDMIRROR_LOG={str(missing)!r}: No such file or directory"
    assert not any(map(lives, processes_of(run)))


def ready(run: Running) -> str:
    """The address, once the site answers, and the worker, its schedule and its pool have begun."""
    run.wait_for(r"celery@\S+ ready", timeout_s=60)
    return str(run.wait_for(r"Feedmirror is at (http://\S+)/", timeout_s=60)[1])


def titles_if_any(address: str) -> list[str]:
    """The titles; none while the site or its database is away."""
    try:
        return titles(address)
    except OSError:
        return []


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


def test_a_port_that_another_feedmirror_has_is_told_with_the_process_to_stop(make_run: Callable[[], Running]) -> None:
    first = make_run()
    first.wait_for("Feedmirror is at", timeout_s=60)
    second = make_run()
    assert second.process.wait(30) == 2
    assert re.match(
        rf"feedmirror: another Feedmirror \(process {supervisor_of(first)}\) serves at 127\.0\.0\.1 port \d+:"
        r" stop it, or set PORT to another\nmake: ",
        second.output,
    )


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
