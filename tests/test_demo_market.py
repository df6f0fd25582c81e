"""The demo's table: an invented coin market that answers as CoinGecko does, and is mirrored by the real walk."""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median
from typing import Any

import pytest

from feedmirror.config import Settings
from feedmirror.demo.__main__ import sources_file
from feedmirror.demo.feed import InventedFeed
from feedmirror.demo.market import COINS, InventedMarket, answer
from feedmirror.demo.server import DemoServer
from feedmirror.errors import FetchError
from feedmirror.fetch import fetch
from feedmirror.fetch.connections import connections_of_this_process
from feedmirror.poll import Poller
from feedmirror.sources_file import parse_sources
from feedmirror.storage import Storage

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
# As CoinGecko's documentation has them, in its order.
FIELDS = """id symbol name image current_price market_cap market_cap_rank fully_diluted_valuation total_volume high_24h
low_24h price_change_24h price_change_percentage_24h market_cap_change_24h market_cap_change_percentage_24h
circulating_supply total_supply max_supply ath ath_change_percentage ath_date atl atl_change_percentage atl_date roi
last_updated""".split()

Rows = Sequence[Mapping[str, Any]]


def invented(seed: int = 1) -> InventedMarket:
    return InventedMarket(random=Random(seed), now=NOW)


def rows_after(market: InventedMarket, seconds: float) -> Rows:
    return market.rows(NOW + timedelta(seconds=seconds))


def by_id(rows: Rows) -> dict[str, Mapping[str, Any]]:
    return {row["id"]: row for row in rows}


# --- the rows ----------------------------------------------------------------------------------------------


def test_each_coin_is_another_one() -> None:
    rows = rows_after(invented(), 0)
    assert len(rows) == COINS == 120
    for name in ("id", "symbol", "name"):
        assert len({row[name] for row in rows}) == COINS
    assert all(re.fullmatch(r"[a-z]+", row["id"]) and row["name"].lower() == row["id"] for row in rows)


def test_a_row_has_the_fields_of_the_real_one() -> None:
    rows = rows_after(invented(), 0)
    assert {tuple(row) for row in rows} == {tuple(FIELDS)}
    assert {row["image"] for row in rows} == {None}
    assert {type(row["roi"]) for row in rows} == {dict, type(None)}
    assert {type(row["max_supply"]) for row in rows} == {int, type(None)}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["last_updated"]) for row in rows)


def test_the_numbers_of_a_row_go_together() -> None:
    for row in rows_after(invented(), 3600):
        price = row["current_price"]
        assert row["market_cap"] == pytest.approx(price * row["circulating_supply"], rel=1e-3)
        assert row["low_24h"] <= price <= row["high_24h"]
        assert row["atl"] <= row["low_24h"]
        assert row["high_24h"] <= row["ath"]
        before = price - row["price_change_24h"]
        assert row["price_change_percentage_24h"] == pytest.approx((price / before - 1) * 100, abs=0.05)
        assert 0 < row["total_volume"] < 5 * row["market_cap"]


def test_a_day_moves_prices_by_some_percent() -> None:
    changes = [abs(row["price_change_percentage_24h"]) for row in rows_after(invented(), 0)]
    assert 1 < median(changes) < 12
    assert max(changes) < 60


def test_ranks_follow_the_market_caps() -> None:
    market = invented()
    for seconds in (0, 600, 7200):
        rows = rows_after(market, seconds)
        assert [row["market_cap_rank"] for row in rows] == list(range(1, COINS + 1))
        caps = [row["market_cap"] for row in rows]
        assert caps == sorted(caps, reverse=True)


# --- its walk ----------------------------------------------------------------------------------------------


def test_within_seconds_some_coins_move_and_others_do_not() -> None:
    market = invented()
    before, after = by_id(rows_after(market, 0)), by_id(rows_after(market, 10))
    moved = [name for name in before if before[name]["current_price"] != after[name]["current_price"]]
    assert 5 < len(moved) < COINS / 2
    for name in moved:
        assert after[name]["current_price"] == pytest.approx(before[name]["current_price"], rel=0.02)
        assert after[name]["last_updated"] > before[name]["last_updated"]


def test_a_coin_that_nobody_traded_is_the_same_row_but_for_its_rank() -> None:
    market = invented()
    before, after = by_id(rows_after(market, 0)), by_id(rows_after(market, 10))
    untouched = [name for name in before if before[name]["last_updated"] == after[name]["last_updated"]]
    assert untouched
    for name in untouched:
        assert {**before[name], "market_cap_rank": 0} == {**after[name], "market_cap_rank": 0}


def test_rows_change_places_within_minutes() -> None:
    market = invented()
    before, after = rows_after(market, 0), rows_after(market, 180)
    assert [row["id"] for row in before] != [row["id"] for row in after]


def test_nothing_moves_while_no_time_passes() -> None:
    market = invented()
    assert rows_after(market, 7) == rows_after(market, 7)


def test_a_clock_that_is_set_back_moves_nothing() -> None:
    market = invented()
    rows = rows_after(market, 3600)
    assert rows_after(market, -3600) == rows


def test_how_often_one_asks_makes_no_difference() -> None:
    often, once = invented(), invented()
    rows_after(once, 0)
    for seconds in range(0, 601, 7):
        rows_after(often, seconds)
    assert rows_after(often, 601) == rows_after(once, 601)


def test_a_change_is_that_since_the_same_time_yesterday() -> None:
    market = invented()
    rows_after(market, 86_400)
    yesterday, today = (by_id(rows_after(market, days * 86_400)) for days in (2, 3))
    for name, row in today.items():
        before = row["current_price"] - row["price_change_24h"]
        assert before == pytest.approx(yesterday[name]["current_price"], rel=0.1)


def test_of_a_long_sleep_only_the_last_day_is_walked() -> None:
    woken = {}
    for days in (30, 900):
        market = invented()
        rows_after(market, 0)
        woken[days] = rows_after(market, days * 86_400)
    assert all(row["last_updated"] > "2026-03-31T11:00" for row in woken[30])
    assert [row["current_price"] for row in woken[30]] == [row["current_price"] for row in woken[900]]


def test_another_start_has_the_same_coins_at_about_the_same_prices() -> None:
    one, other = by_id(rows_after(invented(seed=1), 0)), by_id(rows_after(invented(seed=2), 0))
    assert one.keys() == other.keys()
    assert all(0.4 < one[name]["current_price"] / other[name]["current_price"] < 2.5 for name in one)
    assert [row["current_price"] for row in one.values()] != [row["current_price"] for row in other.values()]


def test_threads_that_ask_at_once_see_one_walk() -> None:
    shared, alone = invented(), invented()
    rows_after(shared, 0)
    rows_after(alone, 0)
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(lambda _: rows_after(shared, 1800), range(24)))
    assert all(rows == rows_after(alone, 1800) for rows in seen)


# --- what is asked -----------------------------------------------------------------------------------------


ROWS: list[dict[str, object]] = [{"id": number} for number in range(300)]


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ({}, 0, 100),
        ({"per_page": "50"}, 0, 50),
        ({"per_page": "50", "page": "2"}, 50, 50),
        ({"page": "3"}, 200, 100),
        ({"per_page": "250"}, 0, 250),
        ({"per_page": "251"}, 0, 250),
        ({"per_page": "9999", "page": "2"}, 250, 50),
        ({"per_page": "many", "page": "-1"}, 0, 100),
        ({"per_page": "0", "page": "0"}, 0, 100),
        ({"per_page": "", "page": "٣"}, 0, 100),
        ({"per_page": "9" * 5000}, 0, 100),
        ({"vs_currency": "USD", "sparkline": "true", "color": "green"}, 0, 100),
    ],
)
def test_pages(query: dict[str, str], first: int, count: int) -> None:
    assert answer(ROWS, {"vs_currency": "usd", **query}) == (200, ROWS[first : first + count])


def test_beyond_the_end_is_an_empty_page() -> None:
    assert answer(ROWS, {"vs_currency": "usd", "page": "4"}) == (200, [])


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, "Missing parameter vs_currency"),
        ({"vs_currency": ""}, "Missing parameter vs_currency"),
        ({"vs_currency": "shells"}, "invalid vs_currency"),
    ],
)
def test_a_currency_is_needed(query: dict[str, str], error: str) -> None:
    assert answer(ROWS, query) == (422, {"error": error})


# --- served and mirrored -----------------------------------------------------------------------------------


@pytest.fixture
def clock() -> list[datetime]:
    return [NOW]


@pytest.fixture
def server(clock: list[datetime]) -> Iterator[DemoServer]:
    feed = InventedFeed(random=Random(1), every_s=4, now=NOW)
    with DemoServer(("127.0.0.1", 0), feed=feed, market=invented(), now=lambda: clock[-1]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    connections_of_this_process().close()


def test_the_server_gives_a_page_of_coins_as_json(server: DemoServer) -> None:
    found = fetch(server.market_url + "?vs_currency=usd&per_page=50&page=3", private=True)
    assert found.content_type.startswith("application/json")
    assert found.body is not None
    assert [row["market_cap_rank"] for row in json.loads(found.body)] == list(range(101, 121))
    with pytest.raises(FetchError, match="422"):
        fetch(server.market_url, private=True)


def test_the_sources_file_has_no_mistake_and_names_both(server: DemoServer) -> None:
    file = parse_sources(sources_file(feed_url=server.feed_url, market_url=server.market_url))
    assert file.mistakes == ()
    assert [(source.id, source.kind, source.url) for source in file.sources] == [
        ("invented-questions", "feed", server.feed_url),
        ("coins", "api", server.market_url),
    ]


def test_the_mirror_reads_all_coins_and_then_only_what_moved(
    server: DemoServer, clock: list[datetime], storage: Storage
) -> None:
    poller = Poller(storage, Settings(lease_s=60, threads=4))
    file = parse_sources(sources_file(feed_url=server.feed_url, market_url=server.market_url))
    storage.sources.synchronise(file.sources, [])

    def look() -> tuple[int, int]:
        (watched,), _ = poller.begin(storage.sources.claim_now(["coins"], lease_s=60))
        finished = poller.poll(watched)
        storage.sources.finish([finished])
        assert (finished.outcome.error, finished.outcome.notices, finished.outcome.goes_on_in_s) == (None, (), None)
        return finished.outcome.arrived, finished.outcome.edited

    assert look() == (COINS, 0)
    assert look() == (0, 0)
    clock.append(NOW + timedelta(seconds=10))
    arrived, edited = look()
    assert arrived == 0
    assert 5 < edited < COINS / 2
    standing = storage.sheets.standing("coins")
    assert standing.rows == COINS
    shown = {column.name for column in standing.columns}
    assert shown < set(FIELDS)
    assert {"market_cap_rank", "name", "current_price", "price_change_percentage_24h"} <= shown
