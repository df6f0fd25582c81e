"""The pages of the series and their charts, called as WSGI: the real storage and the real library."""

import gzip
import re
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from html import unescape
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import ServerSelectionTimeoutError

from feedmirror.storage import Storage
from feedmirror.storage.server_clock import server_time
from feedmirror.web import chart
from feedmirror.web.chart import MOST_LINES, Line
from feedmirror.web.series_page import SERIES_ON_A_PAGE
from tests.series_writer import SeriesWriter, prices
from tests.serving import client_of
from tests.waiting import wait_until
from tests.wsgi_client import Client, Reply

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def client(storage: Storage) -> Client:
    return client_of(lambda: storage)


@pytest.fixture
def series(storage: Storage) -> SeriesWriter:
    return SeriesWriter(storage)


def chosen(page: Reply) -> list[str]:
    """The columns that are drawn, as the page says it."""
    assert page.status == 200
    return [unescape(name) for name in re.findall(r'data-colour="\d" title="[^"]*">([^<]*)</a>', page.text)]


def link_of(page: Reply, column: str) -> str:
    """Where a column's link leads."""
    found = re.search(rf'<a [^>]*?href="([^"]+)"[^>]*>{re.escape(column)}</a>', page.text)
    assert found
    return unescape(found[1])


def chart_of(page: Reply) -> str:
    """The address of the chart on a wide and light screen."""
    found = re.search(r'<img id="chart" src="([^"]+)"', page.text)
    assert found
    return unescape(found[1])


def texts(reply: Reply) -> list[str]:
    """What stands in a chart; it must be SVG without anything that runs or loads."""
    assert reply.status == 200
    assert reply.headers["content-type"] == "image/svg+xml"
    root = ElementTree.fromstring(reply.body)
    assert root.tag == f"{SVG}svg"
    for element in root.iter():
        assert element.tag not in (f"{SVG}script", f"{SVG}image", f"{SVG}foreignObject", f"{SVG}a")
        assert not [name for name in element.keys() if name.startswith("on")]  # noqa: SIM118
        links = [value for name, value in element.items() if name.endswith("href")]
        assert all(link.startswith("#") for link in links)
    return [element.text or "" for element in root.iter(f"{SVG}text")]


# -- the list


def listed(page: Reply) -> list[str]:
    assert page.status == 200
    return re.findall(r'<a href="/series/[0-9a-f]{56}">([^<]*)</a>', page.text)


def test_the_list_leads_through_all_the_last_asked_for_first(
    client: Client, storage: Storage, database: Database[dict[str, Any]]
) -> None:
    assert "No series yet" in client.get("/series").text
    names = [f"SET{number}" for number in range(SERIES_ON_A_PAGE + 3)]
    for name in names:
        SeriesWriter(storage, ("MANY", name)).ask()
        asked_at = server_time(database)
        wait_until(lambda: server_time(database) > asked_at, "the next millisecond")  # noqa: B023 (waited for here)
    first = client.get("/series")
    assert len(listed(first)) == SERIES_ON_A_PAGE
    further = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert further
    second = client.get(unescape(further[1]))
    assert listed(first) + listed(second) == [f"MANY/{name}" for name in reversed(names)]
    assert 'rel="next"' not in second.text


def test_the_list_says_how_each_stands(client: Client, storage: Storage) -> None:
    SeriesWriter(storage, ("A", "PENDING")).ask()
    SeriesWriter(storage, ("A", "THERE")).bring(prices(1234))
    SeriesWriter(storage, ("A", "FAILED")).fail("You are <b>wrong</b>")
    text = client.get("/series").text
    for name, words in (("PENDING", "being fetched"), ("THERE", "fetched"), ("FAILED", "failed")):
        assert f"</span>{words}</span>" in text.split(f">A/{name}<")[1].split("</tr>")[0]
    assert ">1,234<" in text
    assert "You are &lt;b&gt;wrong&lt;/b&gt;" in text


def test_a_page_says_how_many_columns_it_cannot_draw(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(3))
    assert "further-columns" not in client.get(series.path).text
    series.bring([list(range(120))] * 2, columns=[f"c{number}" for number in range(120)])
    page = client.get(series.path).text
    assert f'>70 more columns in the <a href="/timeseries?id={series.id}">data as it came</a>' in page


def test_a_page_says_that_rows_are_too_long_to_be_shown(client: Client, series: SeriesWriter) -> None:
    series.bring([["2026-01-02", "x" * 10_001]], columns=["Date", "Text"])
    page = client.get(series.path).text
    assert "Its rows are too long to be shown here" in page
    assert "has no rows" not in page


def test_a_page_asks_often_only_while_something_is_to_come(client: Client, series: SeriesWriter) -> None:
    def interval(path: str) -> int:
        found = re.search(r'id="current" data-interval="(\d+)"', client.get(path).text)
        assert found
        return int(found[1])

    job = series.ask()
    assert interval("/series") <= 2_000
    assert interval(series.path) <= 2_000
    series.bring(prices(1), job=job)
    assert interval("/series") >= 30_000
    assert interval(series.path) >= 30_000


def test_who_may_not_ask_is_told_so_and_gets_no_form(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(3))
    page = client.get("/series")  # called without the address of anybody
    assert "only requests from this machine itself may change something" in page.text
    assert "<form" not in page.text
    assert 'id="remove"' not in client.get(series.path).text


# -- one


def test_what_is_pending_says_so_and_why_it_takes_so_long(client: Client, series: SeriesWriter) -> None:
    series.say_why("It answered 503 <sorry>")
    page = client.get(series.path)
    assert "<h1>WIKI/AAPL</h1>" in page.text
    assert "being fetched" in page.text
    assert "It answered 503 &lt;sorry&gt;" in page.text
    assert "<img id=" not in page.text


def test_what_is_there_is_shown_in_words_numbers_and_a_chart(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(1500))
    page = client.get(series.path)
    assert "1,500 rows from" in page.text
    assert f'href="/timeseries?id={series.id}"' in page.text
    assert chosen(page) == ["Open", "Close"]
    alt = re.search(r'alt="([^"]+)"', page.text.split('id="chart"')[1])
    assert alt
    assert alt[1] == "Lines over 2012-03-01 to 2016-04-08: Open from 100 to 106, Close from 101.5 to 105.5."
    figures = page.text.split('id="figures"')[1].split("</table>")[0]
    # the last, the first, the lowest, the highest
    assert re.findall(r'number">([^<]+) <span class="place">([^<]+)<', figures)[:2] == [
        ("101", "2016-04-08"),
        ("100", "2012-03-01"),
    ]
    rows = page.text.split('id="rows"')[1]
    assert rows.count("<tr>") == 101
    assert ">2016-04-08</time>" in rows
    assert ">1,001,499</td>" in rows
    assert "The first 100 of 1,500 rows" in page.text


def test_what_failed_gives_the_reason_and_keeps_what_was_there(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(3))
    series.fail("Over your limit of <50> requests")
    page = client.get(series.path)
    assert "Over your limit of &lt;50&gt; requests" in page.text
    assert "What is shown is what was there before." in page.text
    assert chosen(page) == ["Open", "Close"]


def test_columns_are_added_and_taken_out_by_links(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(20))
    page = client.get(link_of(client.get(series.path), "Volume"))
    assert chosen(page) == ["Open", "Close", "Volume"]
    page = client.get(link_of(page, "Open"))
    assert chosen(page) == ["Close", "Volume"]
    assert "column=Close&column=Volume" in chart_of(page)
    page = client.get(link_of(page, "Reset"))
    assert chosen(page) == ["Open", "Close"]
    # a link from before the columns were others
    assert chosen(client.get(f"{series.path}?column=Gone&column=Volume")) == ["Volume"]
    assert chosen(client.get(f"{series.path}?column=Gone")) == ["Open", "Close"]


def test_more_columns_than_can_be_told_apart_are_left_out_and_named(client: Client, series: SeriesWriter) -> None:
    columns = ["Date", *(f"Column {number:02}" for number in range(12))]
    series.bring([["2026-01-01", *range(1, 13)], ["2026-01-02", *range(2, 14)]], columns)
    query = "&".join(f"column={name.replace(' ', '%20')}" for name in columns[1:11])
    page = client.get(f"{series.path}?{query}")
    assert chosen(page) == columns[1 : MOST_LINES + 1]
    assert "8 columns are drawn at once, and no more: Column 08, Column 09 are left out." in page.text
    assert len(set(re.findall(r'<a [^>]*data-colour="(\d)"', page.text))) == MOST_LINES
    assert len([text for text in texts(client.get(chart_of(page))) if text.startswith("Column")]) == MOST_LINES


def test_what_strangers_wrote_is_text(client: Client, series: SeriesWriter) -> None:
    evil = '"><script>alert(1)</script>'
    series.bring([["2026-01-01", 1, evil], ["2026-01-02", 2, "javascript:alert(1)"]], ["Date", evil, "<i>note"])
    page = client.get(series.path)
    assert "<script>" not in page.text
    assert "<i>" not in page.text
    assert chosen(page) == [evil]
    assert 'href="javascript:' not in page.text
    assert evil in texts(client.get(chart_of(page)))


@pytest.mark.parametrize(
    ("columns", "rows", "drawn"),
    [
        (["Date", "Close"], [], []),
        (["Date", "Note"], [["2026-01-01", "text"]], []),
        (["Date", "Close"], [["2026-01-01", 5]], ["Close"]),
        (["Name", "Close"], [["a", 1], ["b", None], ["c", 3]], ["Close"]),
        (["Date", "Close", "Close"], [["2026-01-01", 1, 2], ["2026-01-02", 3, 4]], ["Close"]),
        (["Date", ""], [["2026-01-01", 1, "more than columns"], ["2026-01-02", 2]], ["(no name)"]),
        ([], [[1, 2], [3]], []),
        (["Value"], [1, 2, 3], ["Value"]),
    ],
)
def test_data_of_any_shape_has_a_page(
    client: Client, series: SeriesWriter, columns: list[str], rows: list[Any], drawn: list[str]
) -> None:
    series.bring(rows, columns)
    page = client.get(series.path)
    assert chosen(page) == drawn
    assert ('id="chart"' in page.text) == bool(drawn)
    if drawn:
        assert drawn[0] in texts(client.get(chart_of(page)))
    else:
        assert client.get(f"{series.path}/chart.svg").status == 404
        assert client.get(f"{series.path}/chart.svg", if_none_match="*").status == 404


# -- the chart


def test_the_chart_has_dates_names_and_a_policy_of_its_own(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(1500))
    reply = client.get(chart_of(client.get(series.path)))
    assert {"Open", "Close", "2013", "2014", "2015", "2016"} <= set(texts(reply))
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "script-src" not in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    page = client.get(series.path)
    assert "style-src 'self'" in page.headers["content-security-policy"]


def test_the_chart_has_looks_for_the_dark_and_for_phones(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(300))
    page = client.get(series.path)
    found = re.findall(r'<source media="([^"]+)" srcset="([^"]+)" width="(\d+)"', page.text)
    pictures = {media: client.get(unescape(address)) for media, address, _ in found}
    assert len({picture.body for picture in pictures.values()} | {client.get(chart_of(page)).body}) == 4
    for media, _, width in found:
        assert f'viewBox="0 0 {width} ' in pictures[media].text
        assert (chart.DARK.lines[0] in pictures[media].text) == ("dark" in media)
        assert (width == "400") == ("width" in media)


def test_a_chart_is_kept_until_the_data_are_others(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(50))
    address = chart_of(client.get(series.path))
    first = client.get(address)
    assert "immutable" in first.headers["cache-control"]
    for known in (first.headers["etag"], "*"):
        assert client.get(address, if_none_match=known).status == 304
    assert client.get(f"{series.path}/chart.svg").headers["cache-control"] == "no-cache"
    packed = client.get(address, accept_encoding="gzip")
    assert gzip.decompress(packed.body) == first.body
    assert packed.headers["etag"] != first.headers["etag"]
    series.bring(prices(60))
    assert chart_of(client.get(series.path)) != address
    later = client.get(address, if_none_match=first.headers["etag"])
    assert later.status == 200
    assert later.headers["cache-control"] == "no-cache"
    assert later.body != first.body


def test_lines_of_another_size_get_a_panel_of_their_own() -> None:
    lines = [Line("Price", [(0, 5), (86_400, 6)], 0), Line("Volume", [(0, 5e6), (86_400, 6e6)], 1)]
    root = ElementTree.fromstring(chart.draw(lines, is_time=True))
    panels = [group for group in root.iter(f"{SVG}g") if re.fullmatch(r"axes_\d", group.get("id", ""))]
    assert [
        [text.text for text in panel.iter(f"{SVG}text") if text.text in ("Price", "Volume")] for panel in panels
    ] == [
        ["Price"],
        ["Volume"],
    ]


def seconds(year: int) -> float:
    return datetime(year, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(0, 0)],
        [(seconds(1), 1)],
        [(seconds(1), -1e299), (seconds(9999), 1e299)],
        [(0, 1e308), (1, float("inf")), (2, float("nan"))],
        [(0, 5e-324), (0.001, 1e-300)],
        [(5, 7)] * 40,
        [(n, 1e15 + n) for n in range(50)],
        [(n * 3e8, (-1) ** n * 10**n) for n in range(100)],
    ],
)
@pytest.mark.parametrize("is_time", [True, False])
def test_no_numbers_are_too_strange_to_draw(points: list[tuple[float, float]], is_time: bool) -> None:
    ElementTree.fromstring(chart.draw([Line("Any", points, 0)], is_time=is_time))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("$x$_^{\\frac", "$x$_^{\\frac"),
        ("a\0b\x07\ufffe", "a b"),
        ("", "(no name)"),
        ("日本語", "日本語"),
        ("_hidden", "_hidden"),
    ],
)
def test_any_name_stands_in_a_chart_as_it_is(name: str, shown: str) -> None:
    root = ElementTree.fromstring(chart.draw([Line(name, [(0, 1), (1, 2)], 0)], is_time=False, title=name))
    assert shown in [text.text for text in root.iter(f"{SVG}text")]


def test_a_column_keeps_its_colour_where_it_can() -> None:
    names = [str(number) for number in range(20)]
    assert chart.colours_of(["3", "5"], names) == {"3": 3, "5": 5}
    assert chart.colours_of(["3", "11", "19"], names) == {"3": 3, "11": 0, "19": 1}


def test_who_would_wait_behind_many_is_told_to_come_back(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(10))
    for _ in range(chart._MOST_AT_ONCE):
        assert chart._waiting.acquire(blocking=False)
    try:
        reply = client.get(f"{series.path}/chart.svg")
    finally:
        for _ in range(chart._MOST_AT_ONCE):
            chart._waiting.release()
    assert reply.status == 503
    assert "retry-after" in reply.headers
    assert client.get(f"{series.path}/chart.svg").status == 200


def test_a_process_draws_one_picture_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting, met = Barrier(2), []

    def drawn(*_: Any) -> str:
        try:
            met.append(meeting.wait(timeout=0.1))
        except BrokenBarrierError:  # nobody else came
            meeting.reset()
        return ""

    monkeypatch.setattr(chart, "_drawn", drawn)
    with ThreadPoolExecutor(chart._MOST_AT_ONCE) as pool:
        for ended in [pool.submit(chart.draw, [], is_time=False) for _ in range(chart._MOST_AT_ONCE)]:
            ended.result()
    assert met == []


def test_the_same_lines_are_the_same_bytes() -> None:
    lines = [Line("Any", [(x, x * x) for x in range(200)], 0)]
    assert chart.draw(lines, is_time=True) == chart.draw(lines, is_time=True)


# -- what is not there, or away


def test_unknown_addresses_are_not_found(client: Client, series: SeriesWriter) -> None:
    series.ask()
    for path in ("/series/" + "0" * 56, "/series/x/chart.svg", f"{series.path}/chart.svg", f"{series.path}/chart.png"):
        reply = client.get(path)
        assert reply.status == 404, path
        assert "<h1>Not Found</h1>" in reply.text


@pytest.mark.parametrize(
    "query",
    [
        "chart.svg?dark=2",
        "chart.svg?narrow=x",
        "chart.svg?v=1&v=2",
        "?column[]=a",
        "?" + "&".join(f"column={n}" for n in range(51)),
    ],
)
def test_a_bad_parameter_is_refused(client: Client, series: SeriesWriter, query: str) -> None:
    series.bring(prices(3))
    separator = "" if query.startswith("?") else "/"
    assert client.get(series.path + separator + query).status == 400


def test_a_list_that_goes_on_behind_nothing_is_refused(client: Client) -> None:
    assert client.get("/series?after=nothing").status == 400


def test_pages_are_only_read(client: Client, series: SeriesWriter) -> None:
    series.bring(prices(3))
    for path in ("/series", series.path, f"{series.path}/chart.svg"):
        assert client.request("POST", path).status == 405
        assert client.request("HEAD", path).body == b""


def test_while_the_database_is_away_the_pages_say_so() -> None:
    def away() -> Storage:
        raise ServerSelectionTimeoutError("away")

    client = client_of(away)
    for path in ("/series", "/series/x", "/series/x/chart.svg"):
        reply = client.get(path)
        assert reply.status == 503
        assert "The database is away" in reply.text
        assert reply.headers["cache-control"] == "no-store"
