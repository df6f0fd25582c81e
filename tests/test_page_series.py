"""The pages of the series in a real Chromium, in front of a server and the real storage: the test is the worker."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect
from pymongo.errors import ServerSelectionTimeoutError

from feedmirror.storage import Storage
from tests.series_writer import SeriesWriter, prices
from tests.serving import serving

OFTEN_S = 0.1  # so that a test need not wait
PHONE = {"width": 390, "height": 700}


@pytest.fixture
def series(storage: Storage) -> SeriesWriter:
    return SeriesWriter(storage)


@pytest.fixture
def site(storage: Storage) -> Iterator[str]:
    with serving(lambda: storage, OFTEN_S) as address:
        yield address


@pytest.fixture
def unheard(browser: Browser) -> Iterator[Page]:
    """A tab that may complain: Chromium does of each answer of 400 and 404."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def ask(page: Page, database: str, dataset: str) -> None:
    page.get_by_label("Database").fill(database)
    page.get_by_label("Data set").fill(dataset)
    page.get_by_role("button", name="Fetch").click()


def expect_a_picture(page: Page) -> None:
    """The chart is there, and was understood by the browser."""
    expect(page.locator("#chart")).to_be_visible()
    page.wait_for_function("() => document.getElementById('chart').naturalWidth > 0")


def test_what_is_asked_for_becomes_a_chart_without_a_reload(page: Page, series: SeriesWriter, site: str) -> None:
    page.goto(site + "/series")
    expect(page.locator(".empty")).to_be_visible()
    ask(page, " WIKI ", "AAPL")
    page.wait_for_url(site + series.path)
    page.evaluate("window.neverReloaded = true")
    expect(page.locator("#standing")).to_contain_text("being fetched")
    expect(page.locator("#chart")).to_have_count(0)
    job = series.pending()
    assert job is not None
    series.bring(prices(400), job=job)
    expect_a_picture(page)
    expect(page.locator("#standing")).to_contain_text("400 rows")
    expect(page.locator("#standing")).not_to_contain_text("being fetched")
    expect(page.locator("#rows tbody tr")).to_have_count(100)
    assert page.evaluate("window.neverReloaded")


def test_what_the_api_refuses_is_told_beside_the_form(unheard: Page, site: str) -> None:
    page = unheard
    page.goto(site + "/series")
    ask(page, "WI KI", "AAPL")
    expect(page.locator("#problem")).to_contain_text("Database_code must have letters, digits")
    expect(page.get_by_label("Database")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Database")).to_be_focused()
    expect(page.get_by_role("button", name="Fetch")).to_be_enabled()
    assert page.url == site + "/series"


def test_a_reason_is_seen_without_a_reload(page: Page, series: SeriesWriter, site: str) -> None:
    job = series.ask()
    page.goto(site + series.path)
    expect(page.locator("#standing")).to_contain_text("being fetched")
    series.fail("There is no such data set", job=job)
    expect(page.locator("#current > .trouble")).to_contain_text("There is no such data set")
    expect(page.locator("#standing")).to_contain_text("failed")


def test_fetching_anew_keeps_the_chart_until_there_is_another(page: Page, series: SeriesWriter, site: str) -> None:
    series.bring(prices(30))
    page.goto(site + series.path)
    expect_a_picture(page)
    before = page.locator("#chart").get_attribute("src")
    page.evaluate("window.chart = document.getElementById('chart')")
    page.get_by_role("button", name="Fetch anew").click()
    expect(page.locator("#standing")).to_contain_text("being fetched")
    expect_a_picture(page)
    job = series.pending()
    assert job is not None
    series.bring(prices(31), job=job)
    expect(page.locator("#standing")).to_contain_text("31 rows")
    assert page.locator("#chart").get_attribute("src") != before
    expect_a_picture(page)
    assert page.evaluate("window.chart.isConnected")


def test_one_is_removed_after_a_question(page: Page, storage: Storage, series: SeriesWriter, site: str) -> None:
    series.bring(prices(5))
    page.goto(site + series.path)
    asked: list[str] = []

    def refuse(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", refuse)
    page.get_by_role("button", name="Remove").click()
    assert asked == ["Remove WIKI/AAPL and its data?"]
    assert storage.series.get(series.id) is not None
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    page.wait_for_url(site + "/series")
    expect(page.locator(".empty")).to_be_visible()
    assert storage.series.get(series.id) is None


def test_one_that_is_being_removed_is_not_asked_for(page: Page, series: SeriesWriter, site: str) -> None:
    series.bring(prices(5))
    page.clock.install()
    page.goto(site + series.path)
    expect_a_picture(page)
    requests: list[str] = []

    def while_others_wait(route: Route) -> None:
        answer = route.fetch()  # it is gone now, and the page does not know yet
        page.clock.run_for(10_000)
        route.fulfill(response=answer)

    page.route("**/timeseries?id=*", while_others_wait)
    page.on("request", lambda request: requests.append(request.method + " " + request.url.removeprefix(site)))
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    page.wait_for_url(site + "/series")
    removal = next(number for number, line in enumerate(requests) if line.startswith("DELETE"))
    assert f"GET {series.path}" not in requests[removal:]


def test_one_that_is_not_removed_goes_on_being_shown(unheard: Page, series: SeriesWriter, site: str) -> None:
    page = unheard
    series.bring(prices(5))
    page.goto(site + series.path)
    page.route("**/timeseries?id=*", lambda route: route.fulfill(status=503, json={"error": "not now"}))
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#problem")).to_have_text("Not now")
    series.bring(prices(6))
    expect(page.locator("#standing")).to_contain_text("6 rows")


def test_columns_are_chosen_by_links_and_stay_while_it_refreshes(page: Page, series: SeriesWriter, site: str) -> None:
    series.bring(prices(30))
    page.goto(site + series.path)
    page.get_by_role("link", name="Volume").click()
    expect(page.locator(".choices [aria-current]")).to_have_text(["Open", "Close", "Volume"])
    expect_a_picture(page)
    series.bring(prices(32))
    expect(page.locator("#standing")).to_contain_text("32 rows")
    expect(page.locator(".choices [aria-current]")).to_have_text(["Open", "Close", "Volume"])
    assert "column=Volume" in (page.locator("#chart").get_attribute("src") or "")


def test_the_list_follows_what_comes(page: Page, series: SeriesWriter, site: str) -> None:
    job = series.ask()
    page.goto(site + "/series")
    expect(page.locator("#list tbody tr")).to_contain_text("being fetched")
    series.bring(prices(12), job=job)
    expect(page.locator("#list .number").last).to_have_text("12")
    expect(page.locator("#list tbody tr")).not_to_contain_text("being fetched")


def test_the_chart_can_be_opened_by_itself_under_its_own_policy(page: Page, series: SeriesWriter, site: str) -> None:
    series.bring(prices(30))
    page.goto(site + series.path + "/chart.svg")
    # the line has its colour: the policy lets the picture's own styles be
    strokes = page.evaluate(
        "() => Array.from(document.querySelectorAll('path'), (path) => getComputedStyle(path).stroke)"
    )
    assert "rgb(11, 107, 116)" in strokes


def test_a_chart_that_does_not_come_is_asked_for_once_more(page: Page, series: SeriesWriter, site: str) -> None:
    series.bring(prices(30))
    page.route("**/chart.svg?*", lambda route: route.fulfill(status=503), times=1)
    page.goto(site + series.path)
    expect_a_picture(page)


def test_the_dark_has_a_chart_of_its_own(browser: Browser, series: SeriesWriter, site: str) -> None:
    series.bring(prices(30))
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(site + series.path)
    expect_a_picture(page)
    assert "dark=1" in page.evaluate("document.getElementById('chart').currentSrc")
    context.close()


def test_a_phone_is_not_to_be_moved_sideways(browser: Browser, series: SeriesWriter, site: str) -> None:
    columns = ["Date", *(f"A column of the name {number}" for number in range(12))]
    series.bring([[f"2026-01-0{day}", *(1e9 * day + n for n in range(12))] for day in range(1, 9)], columns)
    context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    for path in ("/series", series.path):
        page.goto(site + path)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], path
    expect_a_picture(page)
    assert "narrow=1" in page.evaluate("document.getElementById('chart').currentSrc")
    box = page.locator("#chart").bounding_box()
    assert box is not None
    # its letters are no smaller than those around it
    assert box["width"] / 400 > 0.8
    context.close()


def test_it_can_be_read_and_columns_chosen_without_script(browser: Browser, series: SeriesWriter, site: str) -> None:
    series.bring(prices(30))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site + "/series")
    expect(page.locator("#ask")).to_be_hidden()
    page.get_by_role("link", name="WIKI/AAPL").click()
    expect(page.locator("#actions")).to_be_hidden()
    page.get_by_role("link", name="Volume").click()
    expect(page.locator(".choices [aria-current]")).to_have_count(3)
    with page.expect_response("**/chart.svg?*") as response:
        page.reload()
    assert response.value.status in (200, 304)
    expect(page.locator("#figures tbody tr")).to_have_count(3)
    expect(page.locator("#rows tbody tr")).to_have_count(30)
    context.close()


def test_what_somebody_else_removed_is_told_of_and_not_asked_for_again(
    unheard: Page, storage: Storage, series: SeriesWriter, site: str
) -> None:
    page = unheard
    page.clock.install()
    series.ask()
    page.goto(site + series.path)
    storage.series.remove(series.id)
    page.clock.run_for(200)
    expect(page.locator("#stale")).to_have_text("This is no longer there.")
    questions: list[str] = []
    page.on("request", lambda request: questions.append(request.url))
    page.clock.run_for(60_000)
    page.evaluate("fetch('/ping')")  # what was asked before it would have been seen before it
    assert questions == [site + "/ping"]


def test_a_database_that_was_away_is_told_of_and_got_over(page: Page, storage: Storage, series: SeriesWriter) -> None:
    away = False

    def open_storage() -> Storage:
        if away:
            raise ServerSelectionTimeoutError("away")
        return storage

    job = series.ask()
    with serving(open_storage, OFTEN_S) as address:
        page.goto(address + series.path)
        away = True
        expect(page.locator("#stale")).to_be_visible()
        away = False
        series.bring(prices(5), job=job)
        expect_a_picture(page)
        expect(page.locator("#stale")).to_be_hidden()
