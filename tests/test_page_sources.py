"""The page of the sources in a real Chromium, in front of a real server."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from feedmirror.models import Source
from feedmirror.politeness import Demand, Granted, GroupLimits
from feedmirror.storage import Storage
from tests.fake_storage import FakeStorage, a_source, a_standing
from tests.serving import serving

# cheroot 11.1 on Python 3.13 says so of every answer that a browser which left did not take
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function IOBase.__del__:pytest.PytestUnraisableExceptionWarning"
)

OFTEN_S = 0.1  # so that a test need not wait


@pytest.fixture
def fake() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def site(fake: FakeStorage) -> Iterator[str]:
    with serving(lambda: fake, OFTEN_S) as address:
        yield address


@pytest.fixture
def many(fake: FakeStorage) -> FakeStorage:
    """250 sources, every tenth of which fails."""
    now = datetime.now(UTC)
    fake.sources.watched = [
        a_source(f"s{n:03}", name=f"Source {n:03}", last_ok_at=now, error="no" if n % 10 == 0 else None)
        for n in range(250)
    ]
    return fake


def shown(page: Page) -> list[str]:
    """The numbers of the sources on the page."""
    return [name.split()[1] for name in page.locator("#list tbody th a").all_text_contents()]


def numbers(*of: int) -> list[str]:
    return [f"{number:03}" for number in of]


def test_the_sources_keep_themselves_current(page: Page, fake: FakeStorage, site: str) -> None:
    now = datetime.now(UTC)
    many = [a_source(f"s{n}", name=f"Source {n}", last_ok_at=now) for n in range(60)]
    fake.sources.watched = [*many, a_source("last", name="The last", last_at=now - timedelta(seconds=58))]
    page.goto(site + "/sources")
    page.evaluate("window.neverReloaded = true")
    link = page.get_by_role("link", name="Source 50", exact=True)
    link.focus()
    page.evaluate("window.scrollTo(0, 800)")
    link.evaluate("link => { window.same = link; }")
    fake.sources.watched[0] = a_source("s0", name="Source 0", error="It answered 500", error_since=now)
    fake.sources.watched[1] = a_source("s1", name="Source 1", last_ok_at=now, notices=("truncated",))
    expect(page.locator(".why")).to_contain_text("It answered 500")
    expect(page.locator(".notices")).to_have_text("truncated")
    expect(page.locator(".tabs a", has_text="Failing")).to_have_text("Failing 1")
    fake.sources.watched.insert(20, a_source("new", name="A new one"))
    expect(page.locator("tbody tr").nth(20)).to_contain_text("A new one")
    expect(link).to_be_focused()
    del fake.sources.watched[20]
    expect(page.get_by_text("A new one")).to_have_count(0)
    expect(page.locator("tr", has_text="The last").locator("time")).to_have_text("1 min ago")
    fake.go_away()
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(61)
    fake.come_back()
    expect(page.locator("#stale")).to_be_hidden()
    expect(link).to_be_focused()
    assert page.evaluate("window.same.isConnected && window.neverReloaded")
    assert page.evaluate("window.scrollY") == 800


def walk(page: Page, site: str) -> None:
    """Go through what narrows the list, and through the list, by what is there to click."""
    page.goto(site + "/sources")
    assert shown(page) == numbers(*range(100))
    page.get_by_role("link", name="Further sources").click()
    expect(page.locator("#list tbody th a").first).to_have_text("Source 100")
    assert shown(page) == numbers(*range(100, 200))
    page.get_by_role("link", name="Further sources").click()
    expect(page.locator("#list tbody th a").first).to_have_text("Source 200")
    assert shown(page) == numbers(*range(200, 250))
    expect(page.get_by_role("link", name="Further sources")).to_have_count(0)
    page.get_by_role("link", name="Back to the first").click()
    expect(page.locator("#list tbody th a").first).to_have_text("Source 000")
    page.get_by_role("link", name="Failing 25", exact=True).click()
    expect(page.locator("#list tbody tr")).to_have_count(25)
    assert shown(page) == numbers(*range(0, 250, 10))
    page.locator("#search").fill("source 11")
    page.locator("#search").press("Enter")
    expect(page.locator("#list tbody tr")).to_have_count(1)
    assert shown(page) == numbers(110)
    expect(page.locator(".tabs [aria-current]")).to_have_text("Failing 25")
    page.get_by_title("Remove this filter").click()
    expect(page.locator("#list tbody tr")).to_have_count(25)


def test_the_list_is_filtered_searched_and_paged(page: Page, many: FakeStorage, site: str) -> None:
    walk(page, site)


def test_without_script_the_list_is_of_the_same_use(browser: Browser, many: FakeStorage, site: str) -> None:
    many.ledger.kept = [a_standing(in_flight=3)]
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    walk(page, site)
    expect(page.locator("#groups tbody tr")).to_contain_text("3 of 4")
    context.close()


def test_what_is_narrowed_keeps_itself_current_as_such(page: Page, many: FakeStorage, site: str) -> None:
    page.goto(site + "/sources?state=failing")
    page.evaluate("window.neverReloaded = true")
    page.locator("#search").fill("half a wo")
    page.locator("#search").focus()
    now = datetime.now(UTC)
    many.sources.watched[0] = a_source("s000", name="Source 000", last_ok_at=now)
    expect(page.locator("#list tbody tr")).to_have_count(24)
    many.sources.watched[1] = a_source("s001", name="Source 001", error="It answered 500", error_since=now)
    expect(page.locator("#list tbody tr").first).to_contain_text("It answered 500")
    expect(page.locator(".tabs [aria-current]")).to_have_text("Failing 25")
    expect(page.locator("#search")).to_have_value("half a wo")
    expect(page.locator("#search")).to_be_focused()
    assert page.evaluate("window.neverReloaded")


def test_a_part_of_the_list_keeps_itself_current_as_such(page: Page, many: FakeStorage, site: str) -> None:
    page.goto(site + "/sources")
    page.get_by_role("link", name="Further sources").click()
    expect(page.locator("#list tbody th a").first).to_have_text("Source 100")
    many.sources.watched[150] = a_source("s150", name="Source 150", error="It answered 500")
    expect(page.locator("#source-s150 .why")).to_have_text("It answered 500")
    assert shown(page) == numbers(*range(100, 200))


def test_the_ledger_keeps_itself_current(page: Page, many: FakeStorage, site: str) -> None:
    now = datetime.now(UTC)
    limits = GroupLimits(in_flight=4, per_minute=60, per_day=5000, per_month=100_000)
    many.ledger.kept = [a_standing("stack exchange", limits=limits, in_flight=1)]
    page.goto(site + "/sources")
    group = page.locator("#groups tbody tr")
    cells = group.locator("td")
    expect(cells.nth(0)).to_have_text("free")
    expect(cells.nth(1)).to_have_text("1 of 4")
    assert cells.nth(1).locator("meter").evaluate("meter => meter.value / meter.max") == 0.25
    used = {"recent": (Granted(now - timedelta(seconds=20), 58),), "used_day": 1250, "used_month": 2000}
    many.ledger.kept = [
        a_standing(
            "stack exchange", limits=limits, in_flight=4, queued=12, queue_until=now + timedelta(minutes=2), **used
        )
    ]
    expect(cells.nth(0)).to_contain_text("full 4 requests in flight about 12 requests put off")
    expect(cells.nth(1)).to_have_text("4 of 4")
    expect(cells.nth(2)).to_have_text("58 of 60")
    expect(cells.nth(3)).to_have_text("1,250 of 5,000")
    expect(cells.nth(4)).to_have_text("2,000 of 100,000")
    assert cells.nth(1).locator("meter").evaluate("meter => meter.value / meter.max") == 1
    expect(page.locator(".heading a[href='#groups']")).to_have_text("Politeness groups, 1 held up")
    until = now + timedelta(hours=2, seconds=30)
    many.ledger.kept = [a_standing("stack exchange", limits=limits, blocked_until=until, blocked_status=429)]
    asked = re.compile(rf"asked to wait \(429\) until {until:%H:%M} UTC, over in 2 h")
    expect(cells.nth(0)).to_contain_text(asked)
    many.ledger.kept = []
    expect(group).to_have_count(0)


def test_what_the_groups_count_is_seen_on_an_open_page(page: Page, storage: Storage) -> None:
    storage.sources.synchronise([Source(id="a", name="A", url="https://a.example/")], [])
    with serving(lambda: storage, OFTEN_S) as site:
        page.goto(site + "/sources")
        expect(page.locator("#groups .empty")).to_be_visible()
        demand = Demand(3, GroupLimits(in_flight=4, per_minute=60))
        slots = storage.groups.admit({"a.example:443": demand}, lease_s=60)["a.example:443"].slots
        expect(page.locator("#groups tbody td").nth(1)).to_have_text("3 of 4")
        storage.groups.release(slots)
        expect(page.locator("#groups tbody td").nth(1)).to_have_text("0 of 4")
        expect(page.locator("#source-a .terms")).to_have_text("Group a.example:443, 4 at once, 60 a minute")


@pytest.mark.parametrize("width", [360, 390, 820, 1280, 2560])
def test_nothing_is_wider_than_the_screen(page: Page, fake: FakeStorage, site: str, width: int) -> None:
    long = "x" * 300
    limits = GroupLimits(in_flight=10**9, per_minute=10**9, per_day=10**12, per_month=10**12)
    now = datetime.now(UTC)
    soon = now + timedelta(hours=1)
    used = {"in_flight": 10**9, "used_day": 10**12, "used_month": 10**12}
    fake.sources.watched = [a_source("so", name=long, error=long, error_since=now, items_per_day=1e12)]
    fake.ledger.kept = [a_standing(long, limits=limits, queued=10**9, blocked_until=soon, queue_until=soon, **used)]
    page.set_viewport_size({"width": width, "height": 800})
    for query in ("", "?q=" + "y" * 200):
        page.goto(site + "/sources" + query)
        expect(page.locator("#groups tbody tr")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
