"""Paginated APIs for tests, on loopback, and the mirror of one: the real poller on the real MongoDB."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from feedmirror.config import Settings
from feedmirror.fetch.connections import connections_of_this_process
from feedmirror.models import Finished, Outcome, Source
from feedmirror.poll import Poller
from feedmirror.storage import Storage
from feedmirror.table import Run, TableOrder
from tests.feed_server import Answer, FeedServer, Reply, Request

LEASE_S = 60
SETTINGS = Settings(lease_s=LEASE_S, fetch_max_bytes=1_000_000, threads=4)
Params = Mapping[str, str]
_AS_LISTED = TableOrder()
_OF_EVERY_SOURCE = ("every_s", "private", "in_flight", "per_minute", "keep_s")


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "name": f"row {number}", **more}


class Api:
    """Rows behind an address, given page by page; what is asked of it is remembered."""

    def __init__(self, server: FeedServer, path: str = "/rows"):
        self.server = server
        self.path = path
        self.rows: list[Any] = []
        self.asked: list[Params] = []
        # said instead, once each, by the number of the request
        self.instead: dict[int, Reply] = {}
        self.give: Callable[[Params], bytes | Answer] = self.by_page

    @property
    def url(self) -> str:
        return self.server.url(self.path)

    def answer(self, request: Request) -> bytes | Answer:
        params = dict(parse_qsl(urlsplit(request.path).query, keep_blank_values=True))
        self.asked.append(params)
        return self.instead.pop(len(self.asked), None) or self.give(params)

    def part(self, params: Params, size: int = 3) -> list[Any]:
        size = int(params.get("per_page", size))
        start = size * (int(params.get("page", 1)) - 1)
        return self.rows[start : start + size]

    def by_page(self, params: Params) -> bytes:
        return json.dumps(self.part(params)).encode()


class Mirror:
    """A server, a database, and the poller between them."""

    def __init__(self, storage: Storage, server: FeedServer):
        self.storage = storage
        self.server = server
        self.poller = Poller(storage, SETTINGS)
        self.finished: list[Finished] = []

    def watch(self, url: str, **options: Any) -> None:
        own = {name: options.pop(name) for name in list(options) if name in _OF_EVERY_SOURCE}
        described: dict[str, Any] = {"id": "t", "name": "T", "url": url, "private": True, "every_s": 300, **own}
        source = Source(**described, kind="api", options={"key": "id", **options})
        self.storage.sources.synchronise([source], [])

    def visit(self) -> Outcome:
        """One poll, as a worker does it."""
        claim = self.storage.sources.claim_now(["t"], lease_s=LEASE_S)
        (watched,), _ = self.poller.begin(claim)
        self.finished.append(self.poller.poll(watched))
        self.storage.sources.finish(self.finished[-1:])
        return self.finished[-1].outcome

    def run(self) -> Outcome:
        """Poll until the run is at its end, however often it has to wait."""
        for _ in range(100):
            outcome = self.visit()
            if outcome.goes_on_in_s is None:
                return outcome
        raise AssertionError(f"it does not come to an end: {outcome}")

    def rows(self) -> list[Any]:
        return sorted((json.loads(one.text) for one in self.update() if not one.gone), key=json.dumps)

    def update(self, after_us: int = 0) -> list[Any]:
        return list(self.storage.sheets.since("t", after_us=after_us, limit=500).rows)

    def head(self) -> int:
        return self.storage.clock.head_us()

    def gone(self) -> list[Any]:
        return sorted(json.loads(one.text)["id"] for one in self.update() if one.gone)

    def listed(self) -> list[Any]:
        """All rows, in the order of the API."""
        return [json.loads(one.text) for one in self.storage.sheets.every("t")]

    def paged(self, order: TableOrder = _AS_LISTED, *, words: Sequence[str] = (), limit: int = 7) -> list[Any]:
        """The same by as many questions as it takes, as a reader asks them."""
        rows: list[Any] = []
        after = None
        for _ in range(1000):
            page = self.storage.sheets.page(
                self.storage.sheets.standing("t"), order=order, words=words, after=after, limit=limit
            )
            assert len(page.rows) <= limit
            rows += (json.loads(one.text) for one in page.rows)
            after = page.last
            if after is None:
                return rows
        raise AssertionError(f"the table does not come to an end: {len(rows)} rows")

    @property
    def state(self) -> Run:
        walking = self.storage.sheets.standing("t").walking
        assert walking is not None
        return walking


@pytest.fixture
def api_server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server
    connections_of_this_process().close()


@pytest.fixture
def api(api_server: FeedServer, monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api(api_server)
    found = api_server.answer

    def answer(request: Request) -> Answer:
        if urlsplit(request.path).path != api.path:
            return found(request)
        api_server.requests.append(request)
        made = api.answer(request)
        return Reply(made, headers={"Content-Type": "application/json"}) if isinstance(made, bytes) else made

    monkeypatch.setattr(api_server, "answer", answer)
    return api


@pytest.fixture
def mirror(storage: Storage, api_server: FeedServer) -> Mirror:
    return Mirror(storage, api_server)
