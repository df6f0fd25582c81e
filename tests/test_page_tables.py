"""The page of a table in a real Chromium, in front of a real server and the real storage."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pymongo.errors import ServerSelectionTimeoutError

from feedmirror.models import Finished, Outcome
from feedmirror.storage import Storage
from feedmirror.table import Column, ColumnType
from tests.serving import serving
from tests.table_writer import Table

OFTEN_S = 0.1  # so that a test need not wait
COLUMNS = (
    Column(("id",), "Coin"),
    Column(("price",), "Price", ColumnType.MONEY, history_s=86_400),
    Column(("logo",), "Logo", ColumnType.IMAGE),
    Column(("site",), "Site", ColumnType.LINK),
)


@pytest.fixture
def table(storage: Storage) -> Table:
    table = Table(storage, columns=COLUMNS)
    table.watch()
    return table


@pytest.fixture
def site(storage: Storage) -> Iterator[str]:
    with serving(lambda: storage, OFTEN_S) as address:
        yield address


def coin(number: int, price: float, **more: Any) -> dict[str, Any]:
    return {"id": f"coin {number:02}", "price": price, **more}


def names(page: Page) -> list[str]:
    return page.locator("tbody td:first-child").all_text_contents()


def price_of(page: Page, number: int) -> Any:
    return page.locator("tbody tr", has_text=f"coin {number:02}").locator("td").nth(1)


def test_rows_change_where_they_stand(page: Page, table: Table, site: str) -> None:
    table.run([coin(1, 10), coin(2, 20), coin(3, 30)])
    page.goto(site + "/tables/coins")
    first = page.locator("tbody tr").first
    first.evaluate("row => { window.first = row; }")
    page.evaluate("window.neverReloaded = true")
    table.run([coin(1, 11), coin(2, 19.5), coin(3, 30)])
    expect(price_of(page, 1)).to_have_text("11.00", use_inner_text=True)
    expect(price_of(page, 2)).to_have_text("19.50", use_inner_text=True)
    expect(price_of(page, 3)).to_have_text("30.00", use_inner_text=True)
    assert page.evaluate("window.first.isConnected && window.neverReloaded")


def test_a_price_that_rises_or_falls_shows_it_for_a_moment(page: Page, table: Table, site: str) -> None:
    table.run([coin(1, 10), coin(2, 20), coin(3, 30)])
    page.goto(site + "/tables/coins")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    moved: list[str] = []
    page.expose_function("note", lambda what: moved.append(what))
    # noted when it happens: it is over before a test has looked twice
    page.evaluate(
        """() => {
            new MutationObserver((changes) => changes.forEach((change) => {
                const how = change.target.dataset.moved;
                if (how) window.note(change.target.closest("tr").cells[0].textContent + " " + how);
            })).observe(document.querySelector("tbody"), { subtree: true, attributeFilter: ["data-moved"] });
        }"""
    )
    table.run([coin(1, 11), coin(2, 19.5), coin(3, 30)])
    expect(price_of(page, 2)).to_have_text("19.50", use_inner_text=True)
    # and nothing stays behind
    expect(page.locator("[data-moved]")).to_have_count(0)
    assert sorted(moved) == ["coin 01 up", "coin 02 down"]


def test_rows_come_and_go_and_move_to_their_places(page: Page, table: Table, site: str) -> None:
    table.run([coin(1, 10), coin(2, 20), coin(3, 30)])
    page.goto(site + "/tables/coins?sort=-price")
    assert names(page) == ["coin 03", "coin 02", "coin 01"]
    page.locator("tbody tr").nth(2).evaluate("row => { window.last = row; }")
    table.run([coin(1, 99), coin(3, 30), coin(4, 40)])
    expect(page.locator("tbody td:first-child")).to_have_text(["coin 01", "coin 04", "coin 03"])
    assert page.evaluate("window.last === document.querySelector('tbody tr')")
    expect(page.locator("#standing")).to_contain_text("3 rows")


def test_new_rows_are_listed_when_their_run_is_over(page: Page, table: Table, site: str) -> None:
    table.run([coin(1, 10), coin(2, 20)])
    page.goto(site + "/tables/coins")
    table.run([coin(3, 30)], end=False)
    expect(page.locator("#standing")).to_contain_text("Reading page 2")
    assert names(page) == ["coin 01", "coin 02"]
    # nothing but the order changes now
    run = table.storage.tables.begin("coins", now=datetime.now(UTC))
    run = table.storage.tables.store(run, table.texts([coin(1, 10), coin(2, 20)]), None, columns=run.columns)
    table.storage.tables.end(run, now=datetime.now(UTC))
    expect(page.locator("tbody td:first-child")).to_have_text(["coin 03", "coin 01", "coin 02"])


def test_the_first_rows_of_a_new_table_appear_by_themselves(page: Page, table: Table, site: str) -> None:
    page.goto(site + "/tables/coins")
    expect(page.locator("#empty")).to_be_visible()
    table.run([coin(1, 10)])
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("thead th")).to_have_text(["Coin", "Price", "Logo", "Site"])
    expect(page.locator("#empty")).to_be_hidden()


def test_the_reader_keeps_place_and_focus(page: Page, table: Table, site: str) -> None:
    rows = [coin(number, number, site=f"https://example.com/{number}") for number in range(90)]
    table.run(rows)
    page.goto(site + "/tables/coins")
    link = page.get_by_role("link", name="example.com/60", exact=True)
    link.scroll_into_view_if_needed()
    link.focus()
    before = link.bounding_box()
    table.run([*({**coin(100 + number, 5), "id": f"new {number}"} for number in range(8)), *rows])
    expect(page.locator("tbody tr")).to_have_count(98)
    expect(link).to_be_focused()
    after = link.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2


def test_a_picture_that_does_not_come_leaves_its_room_empty(page: Page, table: Table, site: str) -> None:
    page.route("https://pictures.example/**", lambda route: route.abort())
    table.run([coin(1, 10, logo="https://pictures.example/1.png")])
    page.goto(site + "/tables/coins")
    expect(page.locator("tbody img.missing")).to_be_hidden()
    table.run([coin(1, 10, logo="https://pictures.example/1.png"), coin(2, 20, logo="https://pictures.example/2.png")])
    expect(page.locator("tbody img.missing")).to_have_count(2)


def test_a_database_that_was_away_is_told_of_and_got_over(page: Page, storage: Storage, table: Table) -> None:
    away = False

    def open_storage() -> Storage:
        if away:
            raise ServerSelectionTimeoutError("away")
        return storage

    table.run([coin(1, 10)])
    with serving(open_storage, OFTEN_S) as address:
        page.goto(address + "/tables/coins")
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        away = True
        expect(page.locator("#live")).to_have_attribute("data-state", "away")
        expect(price_of(page, 1)).to_have_text("10.00", use_inner_text=True)
        table.run([coin(1, 12)])
        away = False
        expect(price_of(page, 1)).to_have_text("12.00", use_inner_text=True)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")


def test_what_went_wrong_is_seen_without_a_reload(page: Page, storage: Storage, table: Table, site: str) -> None:
    table.run([coin(1, 10)])
    page.goto(site + "/tables/coins")
    (watched,) = storage.sources.begin(storage.sources.claim_now(["coins"], lease_s=30), lease_s=30)
    outcome = Outcome(error="It answered 500")
    storage.sources.finish([Finished(watched=watched, outcome=outcome, interval_s=600)])
    table.run([coin(1, 11)])
    expect(page.locator("#standing .trouble")).to_contain_text("It answered 500")


def test_heads_order_and_a_search_narrows(page: Page, table: Table, site: str) -> None:
    table.run([coin(number, (7 * number) % 120) for number in range(120)])
    page.goto(site + "/tables/coins")
    page.locator("thead a", has_text="Price").click()
    expect(page.locator("th", has_text="Price")).to_have_attribute("aria-sort", "descending")
    expect(page.locator("tbody td").nth(1)).to_have_text("119.00")
    page.get_by_role("link", name="Further rows").click()
    expect(page.locator("tbody tr")).to_have_count(20)
    page.locator("thead a", has_text="Price").click()
    expect(page.locator("th", has_text="Price")).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("tbody td").nth(1)).to_have_text("0.00")
    page.get_by_label("Search in all columns").fill("coin 110")
    page.keyboard.press("Enter")
    # one is called so, and one says it in its price
    expect(page.locator("tbody tr")).to_have_count(2)
    page.locator("#chosen a", has_text="search").click()
    expect(page.locator("tbody tr")).to_have_count(100)
    page.locator("#chosen a", has_text="Price").click()
    expect(page.locator("tbody td").first).to_have_text("coin 00")


def test_it_can_be_read_without_script(browser: Browser, table: Table, site: str) -> None:
    now = datetime.now(UTC)
    table.run([coin(1, 9)], now=now - timedelta(hours=2))
    table.run([coin(1, 10, logo="https://127.0.0.1:1/a.png"), coin(2, 20)], now=now)
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 700})
    page = context.new_page()
    page.goto(site + "/tables/coins?sort=price")
    assert names(page) == ["coin 01", "coin 02"]
    expect(page.locator("svg.past")).to_have_count(1)
    expect(page.locator("tbody img")).to_have_attribute("src", "https://127.0.0.1:1/a.png")
    expect(page.locator("#live")).to_be_hidden()
    # a phone is not to be moved sideways, but for the table within
    assert page.locator("main").bounding_box()["width"] <= 390  # type: ignore[index]
    context.close()
