"""A server on loopback that behaves as Quandl did, and Nasdaq Data Link does: GET /datasets/X/Y/data.json."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.feed_server import Answer, FeedServer, Reply, Request

KEY = "hUnter2-KEY/with.signs"
JSON = {"Content-Type": "application/json; charset=utf-8"}
UNKNOWN = "You have submitted an incorrect Quandl code. Please check your Quandl codes and try again."
TOO_OFTEN = "You have exceeded the API speed limit of 2000 calls per 10 minutes. Please slow down your requests."


def dataset(rows: Sequence[Any], columns: Sequence[str] = ("Date", "Close")) -> bytes:
    """A document as the API gives it."""
    data = {
        **{"limit": None, "transform": None, "column_index": None, "column_names": list(columns)},
        **{"start_date": "2012-05-18", "end_date": "2018-03-27", "frequency": "daily", "data": list(rows)},
        **{"collapse": None, "order": None},
    }
    return json.dumps({"dataset_data": data}).encode()


def long_dataset(megabytes: int) -> bytes:
    """A series of this size, and a row's length more at most."""
    start, end = dataset([]).split(b"[]")
    row = b'["2012-05-18",42.05,45.0,38.0,38.2318,573576400.0,0.0,1.0,42.05,45.0,38.0,38.2318,573576400.0]'
    rows = megabytes * 1_000_000 // (len(row) + 1)
    return start + b"[" + b",".join([row] * rows) + b"]" + end


def refusal(status: int, code: str, message: str, **headers: str) -> Reply:
    body = json.dumps({"quandl_error": {"code": code, "message": message}}).encode()
    return Reply(body, status, {**JSON, **headers})


class Quandl:
    """The API. `series` is what there is; `instead` is said in place of it, by the path, first things first."""

    def __init__(self, server: FeedServer):
        self.server = server
        self.series: dict[str, bytes] = {}
        self.instead: dict[str, list[Answer]] = {}
        # of requests that are under way at once
        self.most = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self._under_way = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self.server.url("/api/v3")

    def have(self, *names: str, data: bytes | None = None) -> None:
        for name in names:
            self.series[name] = dataset([["2018-03-27", 152.19], ["2018-03-26", 160.06]]) if data is None else data
            self.server.serve(self.path(name), self._answer)

    def say(self, name: str, *answers: Answer) -> None:
        """Say these, once each, before what there is."""
        self.instead[self.path(name)] = list(answers)
        self.server.serve(self.path(name), self._answer)

    def path(self, name: str) -> str:
        return f"/api/v3/datasets/{name}/data.json"

    def asked(self, name: str) -> list[Request]:
        return self.server.requests_for(self.path(name))

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        try:
            self.meanwhile()
            return self._said(request)
        finally:
            with self._lock:
                self._under_way -= 1

    def _said(self, request: Request) -> Answer:
        if instead := self.instead.get(request.path):
            return instead.pop(0)
        name = request.path.removeprefix("/api/v3/datasets/").removesuffix("/data.json")
        found = self.series.get(name)
        return refusal(404, "QECx02", UNKNOWN) if found is None else Reply(found, headers=self.headers())

    def headers(self) -> Mapping[str, str]:
        return {**JSON, "X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "49"}
