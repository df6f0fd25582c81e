"""An open page says it when nothing is polled, and "Live" only while it is: in a real Chromium."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from feedmirror.storage import Storage
from feedmirror.web.watch import Watch
from tests.atom import atom
from tests.fake_storage import FakeStorage, a_source, an_item
from tests.feed_server import FeedServer
from tests.processes import PYTHON, WORKER, Running, environment, free_port, kill
from tests.serving import serving
from tests.table_writer import Table

# cheroot 11.1 on Python 3.13 says so of every answer that a browser which left did not take
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function IOBase.__del__:pytest.PytestUnraisableExceptionWarning"
)

OFTEN_S = 0.1
ALARM = "Nothing has been polled for 2 min: no worker is running"


@pytest.fixture
def fake() -> FakeStorage:
    fake = FakeStorage()
    fake.items.add(an_item(1))
    fake.sources.watched = [a_source(last_ok_at=datetime.now(UTC))]
    return fake


@pytest.fixture
def site(fake: FakeStorage) -> Iterator[str]:
    """A site that tells of a stall as soon as it sees one."""
    with serving(lambda: fake, OFTEN_S, watch=Watch(lambda: fake, patience_s=0)) as address:  # type: ignore[arg-type, return-value]
        yield address


def be(page: Page, state: str, words: str) -> None:
    expect(page.locator("#live")).to_have_attribute("data-state", state)
    expect(page.locator("#live")).to_contain_text(words)


def test_an_open_page_says_that_nothing_is_polled(page: Page, fake: FakeStorage, site: str) -> None:
    page.goto(site)
    be(page, "live", "Live, checked")
    expect(page.locator("#stalled")).to_be_hidden()
    fake.processes.stall()
    be(page, "stalled", "Nothing is polled")
    expect(page.locator("#stalled")).to_have_text(ALARM)
    expect(page.locator("#news")).to_have_text("Nothing is polled")
    fake.items.add(an_item(2))  # by hand, for instance: the page is current all the same
    expect(page.locator(".row")).to_have_count(2)
    fake.processes.go_on()
    be(page, "live", "Live, checked")
    expect(page.locator("#stalled")).to_be_hidden()


def test_a_page_says_it_without_script(browser: Browser, fake: FakeStorage) -> None:
    fake.processes.stall()
    watch = Watch(lambda: fake, patience_s=0)  # type: ignore[arg-type, return-value]
    with serving(lambda: fake, OFTEN_S, watch=watch) as site, browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        for path in ("/", "/sources"):
            page.goto(site + path)
            expect(page.locator("#stalled")).to_have_text(ALARM)
            expect(page.locator("#stalled")).to_be_visible()


def test_the_page_of_the_sources_says_it_and_goes_on(page: Page, fake: FakeStorage, site: str) -> None:
    page.goto(site + "/sources")
    expect(page.locator("#stalled")).to_be_hidden()
    fake.processes.stall()
    expect(page.locator("#stalled")).to_have_text(ALARM)
    fake.processes.go_on()
    expect(page.locator("#stalled")).to_be_hidden()


def test_a_table_says_it_and_is_live_again(page: Page, storage: Storage, fake: FakeStorage) -> None:
    Table(storage).run([{"id": 1}])
    watch = Watch(lambda: fake, patience_s=0)  # type: ignore[arg-type, return-value]
    with serving(lambda: storage, OFTEN_S, watch=watch) as address:
        page.goto(address + "/tables/coins")
        be(page, "live", "Live")
        fake.processes.stall(workers=1)
        be(page, "stalled", "Nothing is polled")
        expect(page.locator("#stalled")).to_contain_text("a worker is running, but it polls nothing")
        fake.processes.go_on()
        be(page, "live", "Live")
        expect(page.locator("#stalled")).to_be_hidden()


def test_a_database_that_goes_away_hides_what_was_said_of_polling(page: Page, fake: FakeStorage, site: str) -> None:
    fake.processes.stall()
    page.goto(site)
    be(page, "stalled", "Nothing is polled")
    fake.go_away()
    be(page, "away", "Database away")
    expect(page.locator("#stalled")).to_be_hidden()
    fake.come_back()
    be(page, "stalled", "Nothing is polled")


def test_a_page_without_a_network_is_offline(page: Page, fake: FakeStorage, site: str) -> None:
    page.goto(site)
    be(page, "live", "Live")
    page.context.set_offline(True)
    be(page, "offline", "Offline")
    page.context.set_offline(False)
    be(page, "live", "Live")


def test_a_page_whose_server_lost_its_way_is_behind(page: Page, fake: FakeStorage, site: str) -> None:
    page.goto(site)
    be(page, "live", "Live")
    old = {"Feedmirror-Cursor": "1.000000", "Feedmirror-Head": "1.000000", "Feedmirror-Polling": "live"}
    page.route("**/update?*", lambda route: route.fulfill(json=[], headers=old))
    be(page, "behind", "Behind")
    page.unroute("**/update?*")
    be(page, "live", "Live")


def test_a_page_that_was_not_current_for_long_is_not_live(page: Page, fake: FakeStorage, site: str) -> None:
    page.clock.install()
    page.goto(site)
    page.clock.run_for(1000)
    be(page, "live", "Live")
    page.route("**/update?*", lambda route: None)  # a request that hangs, and a machine that slept
    page.clock.fast_forward(120_000)
    expect(page.locator("#live")).not_to_have_attribute("data-state", "live")
    page.unroute_all(behavior="ignoreErrors")


# -- beside the items


def test_an_overdue_source_is_counted_beside_live(page: Page, fake: FakeStorage, site: str) -> None:
    now = datetime.now(UTC)
    late = a_source("lwn", name="LWN", last_ok_at=now, overdue_since=now)
    fake.sources.watched.append(late)
    page.goto(site)
    be(page, "live", "Live")
    expect(page.locator("#overdue")).to_have_text("1 of 2 sources is overdue")
    page.locator("#overdue a").click()
    expect(page.locator("#list tbody tr")).to_have_count(1)
    expect(page.locator("#source-lwn .state")).to_have_text("overdue for 0 s")
    expect(page.locator(".tabs a[aria-current]")).to_have_text("Overdue 1")


def test_an_open_page_learns_what_is_overdue_and_what_is_wrong(page: Page, fake: FakeStorage, site: str) -> None:
    now = datetime.now(UTC)
    page.goto(site)
    be(page, "live", "Live")
    expect(page.locator("#mistakes")).to_be_hidden()
    fake.sources.watched = [a_source(last_ok_at=now, overdue_since=now)]
    fake.sources.wrong = [f"sources.toml, line {n}: <b>no</b>" for n in range(1, 6)]
    fake.processes.stall()  # which is when the page asks
    expect(page.locator("#overdue")).to_have_text("1 of 1 source is overdue")
    lines = [*(f"sources.toml, line {n}: <b>no</b>" for n in range(1, 4)), "and 2 more"]
    expect(page.locator("#mistakes li")).to_have_text(lines)
    page.reload()
    expect(page.locator("#mistakes li")).to_have_text(lines)
    page.locator("#mistakes a").click()
    expect(page.locator("#mistakes li")).to_have_count(5)
    page.goto(site)
    fake.sources.watched, fake.sources.wrong = [a_source(last_ok_at=now)], []
    fake.processes.go_on()
    expect(page.locator("#overdue")).to_be_hidden()
    expect(page.locator("#mistakes")).to_be_hidden()


# -- with a worker that dies


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with ExitStack() as stack:
        logs = (tmp_path / f"{number}.log" for number in range(10))

        def start(command: list[str], env: dict[str, str]) -> Running:
            return stack.enter_context(Running(command, next(logs), env))

        yield start


def test_a_worker_that_is_killed_is_told_of_and_one_that_comes(
    page: Page, database_uri: str, start: Callable[..., Running], tmp_path: Path
) -> None:
    with FeedServer() as server:
        server.serve("/feed", atom([(1, "The first question")]), etag=True)
        sources = tmp_path / "sources.toml"
        text = f'[[source]]\nname = "Feed"\nurl = "{server.url("/feed")}"\nevery = "1s"\nprivate = true\n'
        sources.write_text(text, "utf-8")
        env = environment(MONGODB_URI=database_uri, FEEDMIRROR_SOURCES=str(sources), PORT=str(free_port()))
        site = start([PYTHON, "site.py"], env)
        address = site.wait_for(r"Feedmirror is at (http://\S+)/")[1]
        worker = start([*WORKER, "-B"], env)
        page.goto(address)
        expect(page.locator(".row")).to_have_count(1)
        be(page, "live", "Live")

        kill(worker)
        be(page, "stalled", "Nothing is polled")
        expect(page.locator("#stalled")).to_contain_text("no worker is running")
        site.wait_for(r"Nothing has been polled for \d+ s: no worker is running")

        start([*WORKER, "-B"], env)
        be(page, "live", "Live")
        expect(page.locator("#stalled")).to_be_hidden()
        site.wait_for("Due sources are polled again")
