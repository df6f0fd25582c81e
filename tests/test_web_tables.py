"""Tables as pages and as updates, called as WSGI: the real storage."""

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest

from feedmirror.models import Entry, Finished, Outcome, Source
from feedmirror.storage import Storage
from feedmirror.table import Column, ColumnType, Row
from feedmirror.web.cells import cells_of
from feedmirror.web.table_page import ROWS_ON_A_PAGE
from tests.serving import client_of
from tests.table_writer import Table
from tests.wsgi_client import Client, Reply

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
UPDATE = "/tables/coins/update"


@pytest.fixture
def table(storage: Storage) -> Table:
    table = Table(storage)
    table.watch()
    return table


@pytest.fixture
def client(storage: Storage) -> Client:
    return client_of(lambda: storage)


def coin(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"coin-{number:03}", "price": number, **more}


def shown(page: Reply) -> list[str]:
    """What the first cell of each row says."""
    assert page.status == 200
    return [unescape(text) for text in re.findall(r'<tr id="row-[^>]*>\s*<td[^>]*>([^<]*)</td>', page.text)]


def further(page: Reply) -> str | None:
    found = re.search(r'rel="next" href="([^"]+)"', page.text)
    return unescape(found[1]) if found else None


def through(client: Client, address: str) -> list[str]:
    """What is shown from here to the end, page by page."""
    rows: list[str] = []
    following: str | None = address
    while following is not None:
        page = client.get(following)
        assert len(shown(page)) <= ROWS_ON_A_PAGE
        rows += shown(page)
        following = further(page)
    return rows


# -- the page


def test_the_page_shows_the_rows_as_the_api_lists_them_page_by_page(client: Client, table: Table) -> None:
    rows = [coin(7 * number % 230) for number in range(230)]
    table.run(rows)
    assert through(client, "/tables/coins") == [row["id"] for row in rows]


@pytest.mark.parametrize("direction", ["", "-"])
def test_any_column_orders_the_rows_and_what_it_says_nothing_of_comes_last(
    client: Client, table: Table, direction: str
) -> None:
    values = [3, 2.5, None, 10**30, "text", -1, 3, True, "Text b"] * 25
    rows = [coin(number, price=value) for number, value in enumerate(values)]
    table.run(rows)
    found = through(client, f"/tables/coins?sort={direction}price")
    assert sorted(found) == [row["id"] for row in rows]
    prices = [next(row["price"] for row in rows if row["id"] == one) for one in found]
    assert prices[-25:] == [None] * 25
    numbers = [price for price in prices if isinstance(price, int | float) and not isinstance(price, bool)]
    assert numbers == sorted(numbers, reverse=direction == "-")
    assert found == through(client, f"/tables/coins?sort={direction}price")


def test_the_last_changed_rows_are_shown_first_where_that_is_asked_for(client: Client, table: Table) -> None:
    table.run([coin(number) for number in range(150)])
    table.run([coin(number, **({"price": -1} if number == 70 else {})) for number in range(150)])
    found = through(client, "/tables/coins?sort=-_changed")
    assert found[0] == "coin-070"
    assert sorted(found) == [f"coin-{number:03}" for number in range(150)]


def test_a_search_finds_all_of_its_words_in_any_column(client: Client, table: Table) -> None:
    table.run([coin(1, name="Straße (new)"), coin(2, name="new"), coin(3, name="50% [x]"), coin(4, deep={"a": "NEW"})])
    assert shown(client.get("/tables/coins?q=new")) == ["coin-001", "coin-002", "coin-004"]
    assert shown(client.get("/tables/coins?q=(NEW%20strasse")) == ["coin-001"]
    assert shown(client.get("/tables/coins?q=50%25%20[X]&sort=-price")) == ["coin-003"]
    assert shown(client.get("/tables/coins?q=.*")) == []
    assert "No row matches." in client.get("/tables/coins?q=.*").text


def test_what_is_gone_is_not_shown(client: Client, table: Table) -> None:
    table.run([coin(number) for number in range(5)])
    table.run([coin(1), coin(3)])
    for address in ("/tables/coins", "/tables/coins?sort=price", "/tables/coins?q=coin"):
        assert shown(client.get(address)) == ["coin-001", "coin-003"]


def test_before_the_first_run_is_over_its_rows_are_there_already(client: Client, table: Table) -> None:
    assert "No rows yet" in client.get("/tables/coins").text
    assert client.get(UPDATE).json() == []
    table.run([coin(number) for number in range(100)], end=False)
    page = client.get("/tables/coins")
    assert len(shown(page)) == 100
    assert "100 rows so far" in page.text
    assert "Reading page 3" in page.text


def test_the_page_says_when_its_rows_are_from_and_what_went_wrong(
    client: Client, storage: Storage, table: Table
) -> None:
    table.run([coin(1), coin(2)], now=datetime.now(UTC) - timedelta(minutes=5))
    watched = storage.sources.begin(storage.sources.claim_now(["coins"], lease_s=30), lease_s=30)
    outcome = Outcome(error="It answered 500 <sorry>")
    storage.sources.finish([Finished(watched=watched[0], outcome=outcome, interval_s=600)])
    page = client.get("/tables/coins")
    assert "2 rows" in page.text
    assert re.search(r"as of <time[^>]*>5 min ago</time>", page.text)
    assert re.search(r"Next look in (?:9|10) min", page.text)
    assert "It answered 500 &lt;sorry&gt;" in page.text
    assert shown(page) == ["coin-001", "coin-002"]


def test_what_a_stranger_wrote_is_text(client: Client, table: Table) -> None:
    evil = "<script>alert(1)</script>\"'"
    table.run([{"id": 1, evil: evil, "link": "javascript:alert(1)", "image": "http://example.com/a.png"}])
    page = client.get("/tables/coins").text
    assert "<script>alert" not in page
    assert 'href="javascript:' not in page
    assert 'src="http:' not in page


def test_tables_are_listed_and_led_to(client: Client, storage: Storage, table: Table) -> None:
    assert "No table yet" in client.get("/tables").text
    table.run([coin(1)])
    assert 'href="/tables/coins"' in client.get("/tables").text
    assert 'href="/tables/coins"' in client.get("/sources").text


@pytest.mark.parametrize("address", ["/tables/nothing", "/tables/blog", "/tables/coins/more", UPDATE + "/more"])
def test_what_is_no_table_is_not_found(client: Client, storage: Storage, table: Table, address: str) -> None:
    table.watch(Source(id="blog", name="Blog", url="https://example.com/feed"))
    storage.items.store("blog", {"a": Entry(title="a")}, now=NOW)
    table.run([coin(1)])
    assert client.get(address).status == 404


@pytest.mark.parametrize("query", ["sort=", "sort=nothing", "after=nothing", "sort=price&after=nothing"])
def test_a_place_that_is_no_more_is_the_beginning(client: Client, table: Table, query: str) -> None:
    table.run([coin(1), coin(2)])
    assert shown(client.get("/tables/coins?" + query)) == ["coin-001", "coin-002"]


@pytest.mark.parametrize("query", ["sort=-", "sort=a&sort=b", "q=" + "a" * 201, "sort=" + "a" * 201, "after="])
def test_a_bad_parameter_is_refused_by_name(client: Client, table: Table, query: str) -> None:
    page = client.get("/tables/coins?" + query)
    assert page.status == 400
    assert query.partition("=")[0] in page.text


# -- what its cells say


@pytest.mark.parametrize(
    ("kind", "value", "text", "title"),
    [
        ("number", "1234567", "1,234,567", "1234567"),
        ("number", "0.1", "0.1", None),
        ("number", "68041.331729", "68,041.33", "68041.331729"),
        ("number", "0.000011683371234", "0.00001168337", "0.000011683371234"),
        ("number", "123456789012345678901234567890", "1.235e+29", "123456789012345678901234567890"),
        ("number", "1e400", "1e+400", "1E+400"),
        ("number", "-0.0", "-0.0", None),
        ("money", "1234.5", "1,234.50", "1234.5"),
        ("money", '"0.000123456"', "0.0001235", "0.000123456"),
        ("percent", "-3.14159", "-3.14 %", "-3.14159"),
        ("number", '"soon"', "soon", None),
        ("text", "79812345", "79812345", None),
        ("text", "true", "yes", None),
        ("text", '{"a": [1.50]}', '{"a": [1.50]}', None),
        ("text", '"' + "x" * 400 + '"', "x" * 300 + "…", "x" * 400),
        ("link", '"https://www.example.com/a/"', "example.com/a", "https://www.example.com/a/"),
        ("link", '"javascript:alert(1)"', "javascript:alert(1)", None),
        ("link", '"https://[broken"', "https://[broken", "https://[broken"),
        ("time", '"2026-11-21T11:58:00Z"', "2 min ago", None),
        ("time", "1795262280", "2 min ago", None),
        ("time", "1795262280000", "2 min ago", None),
        ("time", '"2026-11-20"', "2026-11-20", None),
        ("time", '"2026-11-21T12:30:00+00:00"', "in 30 min", None),
        ("time", '"tomorrow"', "tomorrow", None),
        (None, "null", "", None),
    ],
)
def test_a_value_is_shown_as_what_it_is_and_nothing_of_it_is_lost(
    kind: str | None, value: str, text: str, title: str | None
) -> None:
    column = Column(("v",), "V", ColumnType(kind) if kind else None)
    (cell,) = cells_of(Row(id="1", text=f'{{"v": {value}}}', changed_us=1), [column], NOW)
    assert (cell.text, cell.title) == (text, title)


def test_what_a_number_was_is_drawn_up_to_now() -> None:
    column = Column(("v",), "V", ColumnType.NUMBER, history_s=3600)
    at = int(NOW.timestamp())
    row = Row(id="1", text='{"v": 4}', changed_us=1, past={"v": ((at - 100, 2.0), (at - 50, 4.0))})
    (cell,) = cells_of(row, [column], NOW)
    assert cell.past is not None
    assert cell.past.points == "0.0,23.0 48.0,1.0 96.0,1.0"
    assert cell.past.words == "1 min: 2 to 4"
    assert cell.past.rises


@pytest.mark.parametrize("numbers", [(5.0, 5.0), (-1e308, 1e308), (0.0, 5e-324)])
def test_any_past_can_be_drawn(numbers: tuple[float, float]) -> None:
    column = Column(("v",), "V", ColumnType.MONEY)
    points = tuple((int(NOW.timestamp()) - 10 + n, number) for n, number in enumerate(numbers))
    (cell,) = cells_of(Row(id="1", text='{"v": 1}', changed_us=1, past={"v": points}), [column], NOW)
    assert cell.past is not None
    assert all(0 <= float(part) <= 96 for part in re.split("[ ,]", cell.past.points))


def test_the_history_of_a_column_is_kept_and_drawn(client: Client, storage: Storage) -> None:
    table = Table(storage, columns=[Column(("id",), "Id"), Column(("price",), "Price", ColumnType.MONEY, 7 * 86400)])
    now = datetime.now(UTC)
    for hours in (9, 6, 3):
        table.run([coin(1, price=hours)], now=now - timedelta(hours=hours))
    assert client.get("/tables/coins").text.count("<polyline") == 1


# -- what changed


def test_an_update_gives_rows_as_the_api_gave_them(client: Client, table: Table) -> None:
    text = '{"id": 1,  "n": 0.10000000000000000001, "big": 123456789012345678901234567890, "_id": "its own"}'
    table.run([text, '{"id":2}'])
    reply = client.get(UPDATE + "?timestamp=0")
    newest, oldest = json.loads(reply.body, parse_float=Decimal)
    assert newest["id"] == 2
    assert text[:-1] in reply.text
    assert list(oldest)[-1] == "changed"
    assert oldest["_id"] == table.id_of({"id": 1})
    assert oldest["changed"] < newest["changed"] <= Decimal(reply.headers["feedmirror-head"])
    assert reply.headers["feedmirror-cursor"] == reply.headers["feedmirror-head"]


def test_rows_that_are_no_objects_stand_under_value(client: Client, table: Table) -> None:
    table.run(["7", "[1, 2]", '"text"', "null"])
    assert [row["value"] for row in client.get(UPDATE).json()] == [None, "text", [1, 2], 7]


def test_whoever_follows_the_cursor_hears_of_each_change_once(client: Client, table: Table) -> None:
    table.run([coin(number) for number in range(30)])
    reply = client.get(UPDATE + "?timestamp=1&limit=500")
    assert len(reply.json()) == 30
    cursor = reply.headers["feedmirror-cursor"]
    assert client.get(f"{UPDATE}?timestamp={cursor}").json() == []
    table.run([coin(number, price=number * 2) for number in range(20)])
    heard: list[Any] = []
    for _ in range(20):
        reply = client.get(f"{UPDATE}?timestamp={cursor}&limit=7")
        heard += reply.json()
        cursor = reply.headers["feedmirror-cursor"]
        if "link" not in reply.headers:
            break
    gone = [row["id"] for row in heard if row.get("gone")]
    # 0 did not change: twice nothing is nothing
    assert sorted(row["id"] for row in heard) == [f"coin-{number:03}" for number in range(1, 30)]
    assert sorted(gone) == [f"coin-{number:03}" for number in range(20, 30)]


def test_link_leads_back_through_all_rows(client: Client, table: Table) -> None:
    table.run([coin(number) for number in range(30)])
    address: str | None = UPDATE + "?limit=8"
    heard: list[str] = []
    while address:
        reply = client.get(address)
        heard += [row["id"] for row in reply.json()]
        address = next(iter(re.findall(r"<(.+)>", reply.headers.get("link", ""))), None)
    assert sorted(heard) == [f"coin-{number:03}" for number in range(30)]


def test_whoever_was_away_for_too_long_is_told_of_the_gap(client: Client, storage: Storage, table: Table) -> None:
    table.run([coin(1), coin(2)])
    cursor = client.get(UPDATE).headers["feedmirror-cursor"]
    table.run([coin(1)])
    run = storage.tables.begin("coins", now=datetime.now(UTC))
    run = storage.tables.store(run, {}, None)
    storage.tables.end(run, now=datetime.now(UTC) + timedelta(days=1), gone_told=timedelta(hours=1))
    reply = client.get(f"{UPDATE}?timestamp={cursor}")
    assert "feedmirror-gap" in reply.headers
    assert "feedmirror-gap" not in client.get(f"{UPDATE}?timestamp={reply.headers['feedmirror-cursor']}").headers


def test_an_update_is_compressed_and_known_again(client: Client, table: Table) -> None:
    table.run([coin(number, text="x" * 50) for number in range(50)])
    plain = client.get(UPDATE)
    packed = client.get(UPDATE, accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    for known in (plain.headers["etag"], "*"):
        assert client.get(UPDATE, if_none_match=known).status == 304
    assert client.request("HEAD", UPDATE).body == b""
    assert client.request("POST", UPDATE).status == 405


def test_a_source_id_may_have_any_letters(client: Client, storage: Storage) -> None:
    table = Table(storage, "börse")
    table.run([coin(1), coin(2)])
    # a client as WSGI has it: bytes that pose as latin-1
    path = "/tables/börse".encode().decode("latin-1")
    reply = client.get(path + "/update?limit=1")
    assert reply.headers["link"].startswith("</tables/b%C3%B6rse/update?")
    assert len(shown(client.get(path))) == 2


@pytest.mark.parametrize("query", ["timestamp=x", "limit=501", "limit=0", "before=-1", "timestamp=1&timestamp=2"])
def test_a_bad_parameter_of_an_update_is_refused(client: Client, table: Table, query: str) -> None:
    reply = client.get(f"{UPDATE}?{query}")
    assert reply.status == 400
    assert reply.json()["parameter"] == query.partition("=")[0]


def test_an_update_of_no_table_is_not_found(client: Client, table: Table) -> None:
    reply = client.get("/tables/nothing/update?timestamp=5")
    assert reply.status == 404
    assert "error" in reply.json()
