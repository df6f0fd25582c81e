"""A table of 200,000 rows: all of them, each once, and no more memory than a tenth of it takes."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from feedmirror.storage import Storage
from feedmirror.table import TableOrder
from tests.feed_server import Answer, FeedServer, Reply, Request
from tests.processes import PYTHON, ROOT, environment

pytestmark = pytest.mark.long

MANY = 200_000
PER_PAGE = 4_000
GONE_IN = 20
CHANGED_IN = 1_000
# What two walks of the same rows may differ by. A list of all ids takes more, and one of all rows many times as much.
NOISE_KB = 20_000


class LargeApi:
    """So many rows, made as they are asked for; at the second turn some are others, and some are not there."""

    def __init__(self, server: FeedServer, count: int):
        self.url = server.url(f"/{count}")
        self._count = count
        self._turn = 1
        server.serve(f"/{count}/next-turn", self._next_turn)

    def _next_turn(self, _: Request) -> bytes:
        self._turn += 1
        return b""

    def answer(self, request: Request) -> Answer:
        params = dict(parse_qsl(urlsplit(request.path).query))
        start = PER_PAGE * (int(params["page"]) - 1)
        numbers = range(start, min(start + PER_PAGE, self._count))
        rows = b",".join(self._row(number) for number in numbers if self._turn == 1 or number % GONE_IN != 7)
        return Reply(b"[%s]" % rows, headers={"Content-Type": "application/json"})

    def _row(self, number: int) -> bytes:
        price = number % 997 + (self._turn > 1 and number % CHANGED_IN == 0)
        return b'{"id":%d,"name":"row %d","price":%d}' % (number, number, price)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FeedServer]:
    with FeedServer() as server:
        apis = {f"/{count}": LargeApi(server, count) for count in (MANY // 10, MANY)}
        ordinary = server.answer

        def answer(request: Request) -> Answer:
            api = apis.get(urlsplit(request.path).path)
            return api.answer(request) if api else ordinary(request)

        monkeypatch.setattr(server, "answer", answer)
        yield server


def walked(database_uri: str, server: FeedServer, count: int, runs: int) -> dict[str, Any]:
    """What a process says that walked over so many rows so many times."""
    command = [PYTHON, "-m", "tests.walking", database_uri, server.url(f"/{count}"), "{}", str(runs)]
    output = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=True
    ).stdout
    found: dict[str, Any] = json.loads(output)
    return found


def test_a_large_table_is_stored_whole_and_followed_in_the_memory_of_a_small_one(
    database_uri: str, storage: Storage, server: FeedServer
) -> None:
    few, gone, changed = MANY // 10, MANY // 10 // GONE_IN, MANY // 10 // CHANGED_IN
    small = walked(database_uri, server, few, 2)
    assert small["runs"] == [
        {"error": None, "arrived": few, "edited": 0},
        {"error": None, "arrived": 0, "edited": gone + changed},
    ]
    assert storage.sheets.standing("large").rows == few - gone
    large = walked(database_uri, server, MANY, 1)
    assert large["runs"] == [{"error": None, "arrived": MANY - few, "edited": gone + changed}]
    assert storage.sheets.standing("large").rows == MANY
    for number, row in enumerate(storage.sheets.every("large")):
        assert f'"id":{number},' in row.text
    assert number == MANY - 1
    # two walks of a small table, and one of a table ten times as large
    assert large["grown_kb"] < small["grown_kb"] + NOISE_KB, (small, large)


def test_some_rows_of_a_large_table_are_found_in_any_order(
    database_uri: str, storage: Storage, server: FeedServer
) -> None:
    walked(database_uri, server, MANY // 10, 1)
    standing = storage.sheets.standing("large")
    page = storage.sheets.page(standing, order=TableOrder(column="price", descending=True), limit=25)
    prices = [json.loads(row.text)["price"] for row in page.rows]
    assert prices == [996] * 20 + [995] * 5
    page = storage.sheets.page(standing, order=TableOrder(column="price", descending=True), after=page.last, limit=25)
    assert [json.loads(row.text)["price"] for row in page.rows] == [995] * 15 + [994] * 10
    found = storage.sheets.page(standing, words=["row 1234"], limit=100)
    assert {json.loads(row.text)["id"] for row in found.rows} == {1234, *range(12340, 12350)}
