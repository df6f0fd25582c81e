"""The demo's server: the feed, a page for each question in it, and the coin market.

What is unchanged in the feed is a 304. Nothing of it is kept.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from feedmirror.demo.feed import FEED_PATH, InventedFeed, atom
from feedmirror.demo.market import InventedMarket, answer
from feedmirror.demo.questions import Question

MARKET_PATH = "/coins/markets"


class DemoServer(ThreadingHTTPServer):
    """Serves what is invented, as of `now`."""

    daemon_threads = True  # an idle connection does not keep the process alive

    def __init__(
        self, address: tuple[str, int], *, feed: InventedFeed, market: InventedMarket, now: Callable[[], datetime]
    ):
        super().__init__(address, _Handler)
        self.feed = feed
        self.market = market
        self.now = now

    @property
    def site(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def feed_url(self) -> str:
        return self.site + FEED_PATH

    @property
    def market_url(self) -> str:
        return self.site + MARKET_PATH


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1  # head and body in one packet
    server: DemoServer

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        now = self.server.now()
        if path == FEED_PATH:
            self._feed(now)
        elif path == MARKET_PATH:
            self._market(dict(parse_qsl(query)), now)
        else:
            self._question(path, now)

    def _feed(self, now: datetime) -> None:
        etag, entries = self.server.feed.entries(now)
        if etag in self.headers.get("If-None-Match", ""):
            self._answer(304, b"", {"ETag": etag})
        else:
            body = atom(entries, site=self.server.site, now=now)
            self._answer(200, body, {"ETag": etag, "Content-Type": "application/atom+xml; charset=utf-8"})

    def _market(self, query: Mapping[str, str], now: datetime) -> None:
        status, found = answer(self.server.market.rows(now), query)
        self._answer(status, json.dumps(found).encode(), {"Content-Type": "application/json; charset=utf-8"})

    def _question(self, path: str, now: datetime) -> None:
        _, entries = self.server.feed.entries(now)
        found = next((asked.question for asked in entries if path == asked.path), None)
        text = _page(found) if found else f"Nothing is here (any more). There are {FEED_PATH} and {MARKET_PATH}."
        self._answer(200 if found else 404, text.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a line a second would drown the rest."""


def _page(question: Question) -> str:
    title = escape(question.title)
    return f"<!doctype html><title>{title}</title><h1>{title}</h1>{question.summary}<p>{escape(question.author)}</p>"
