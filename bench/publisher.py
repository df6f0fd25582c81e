"""Publishers for measuring: one loopback server, in a process of its own, that answers as fast as asyncio can.

    python -m bench.publisher           serves until its standard input ends; prints its port

    /same/N        the same feed for ever, with an ETag: 304 to whoever sends that back
    /moving/N      the same entries, in bytes that differ each time (a comment), and nothing to ask 304 with
    /new/N         as many entries as the others, none of which was there before
    /rare/N        a feed that has a new entry every hour, with an ETag
    /busy/N        a feed that has a new entry every second, with an ETag
    /fails/KIND/N  one that fails: see FAILURES

    /asked         how many requests there were so far, as a number
    /times         when each feed of /rare was asked for, as JSON: {N: [seconds since the epoch, ...]}

N tells feeds apart. Every feed has ENTRIES entries of Stack Overflow's shape.
"""

import asyncio
import gzip
import itertools
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from bench.documents import stack_overflow

ENTRIES = 30
# A feed of /rare has something new this often.
RARE_S = 3600

_TEMPLATE = stack_overflow(ENTRIES).replace(b"/questions/", b"/questions/@").replace(b"/q/", b"/q/@")
_REQUEST = re.compile(rb"GET (/\S*) HTTP/1\.1\r\n")
_IF_NONE_MATCH = re.compile(rb"\r\nif-none-match: ([^\r]*)", re.IGNORECASE)


class Publisher(asyncio.Protocol):
    """One connection of a client."""

    asked: ClassVar[Counter[str]] = Counter()
    _times: ClassVar[dict[str, list[float]]] = {}
    _fresh = itertools.count(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[:end], self._received[end + 4 :]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        match = _REQUEST.match(head)
        path = match[1].decode() if match else "/"
        kind, _, number = path[1:].partition("/")
        if kind == "asked":
            self._transport.write(response(str(sum(self.asked.values())).encode()))
            return
        if kind == "times":
            self._transport.write(response(json.dumps(self._times).encode()))
            return
        self.asked[kind] += 1
        if kind == "fails":
            self._fail(number.partition("/")[0])
            return
        self._transport.write(self._feed(kind, number.encode(), head))

    def _feed(self, kind: str, number: bytes, head: bytes) -> bytes:
        if kind == "moving":
            return response(feed(number) + b"<!-- %d -->" % next(self._fresh))
        if kind == "new":
            return response(feed(b"%s-%d-" % (number, next(self._fresh))))
        if kind == "rare":
            self._times.setdefault(number.decode(), []).append(time.time())
            # each feed at a time of its own
            turn = int(time.time() + int(number) * 7919 % RARE_S) // RARE_S
            return self._conditional(head, b'"%d"' % turn, lambda: rare(number, turn))
        if kind == "busy":
            second = int(time.time())
            return self._conditional(head, b'"%d"' % second, lambda: busy(number, second))
        return self._conditional(head, b'"same"', lambda: feed(number))

    def _conditional(self, head: bytes, etag: bytes, body: Callable[[], bytes]) -> bytes:
        asked = _IF_NONE_MATCH.search(head)
        if asked and asked[1] == etag:
            return b"HTTP/1.1 304 Not Modified\r\netag: %s\r\n\r\n" % etag
        return response(body(), b"etag: %s\r\n" % etag)

    def _fail(self, kind: str) -> None:
        answer = FAILURES[kind]
        if isinstance(answer, bytes):
            self._transport.write(answer)
        else:
            answer(self._transport)


def response(body: bytes, headers: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\n%scontent-type: application/atom+xml\r\ncontent-length: %d\r\n\r\n%s" % (
        status,
        headers,
        len(body),
        body,
    )


def feed(number: bytes) -> bytes:
    """The feed of this number; its links tell its entries from those of all others."""
    return _TEMPLATE.replace(b"@", number + b"-")


def rare(number: bytes, turn: int) -> bytes:
    """The same at its so manieth turn: each brings one entry, and the others are those of before."""
    head, *entries = _TEMPLATE.split(b"<entry>")
    last, tail = entries[-1].split(b"</feed>")
    entries[-1] = last
    listed = [entry.replace(b"@", b"%s-%d-" % (number, turn - place)) for place, entry in enumerate(entries)]
    return head + b"".join(b"<entry>" + entry for entry in listed) + b"</feed>" + tail


def busy(number: bytes, second: int) -> bytes:
    """What came in the seconds before this one, one entry each; all look alike."""
    head, first, *_ = _TEMPLATE.split(b"<entry>")
    entries = (first.replace(b"@", b"%s-%d-" % (number, second - place)) for place in range(ENTRIES))
    return head + b"".join(b"<entry>" + entry for entry in entries) + b"</feed>"


# -- those that fail


def _hang(_: asyncio.Transport) -> None:
    """Never answer."""


def _reset(transport: asyncio.Transport) -> None:
    transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n<feed")
    transport.abort()


def _drip(transport: asyncio.Transport) -> None:
    """A byte a second, for ever."""
    transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")

    def drop() -> None:
        if not transport.is_closing():
            transport.write(b" ")
            asyncio.get_running_loop().call_later(1, drop)

    drop()


def _endless(transport: asyncio.Transport) -> None:
    """A chunked body without an end, as fast as the client reads; 64 MB at most."""
    transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"

    def pour(left: int) -> None:
        if transport.is_closing() or not left:
            transport.abort()
            return
        if transport.get_write_buffer_size() < 1_000_000:
            transport.write(chunk)
            left -= 1
        asyncio.get_running_loop().call_later(0.001, pour, left)

    pour(1024)


def _short(transport: asyncio.Transport) -> None:
    """Less than it says, and then the end."""
    transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + feed(b"short")[:20_000])
    transport.close()


_BOMB = gzip.compress(b" " * 50_000_000)
FAILURES: dict[str, bytes | Callable[[asyncio.Transport], None]] = {
    "hang": _hang,
    "drip": _drip,
    "reset": _reset,
    "endless": _endless,
    "short": _short,
    "bomb": response(_BOMB, b"content-encoding: gzip\r\n"),
    "truncated": response(feed(b"truncated")[:20_000]),
    "page": response(b"<!doctype html><title>No feed</title><p>Nothing."),
    "loop": response(b"", b"location: /fails/loop/0\r\n", b"302 Found"),
    "gone": response(b"", b"", b"404 Not Found"),
    "throttled": response(b"", b"retry-after: 60\r\n", b"429 Too Many Requests"),
    "broken": response(b"", b"", b"500 Internal Server Error"),
}


# -- running it


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Publisher, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def running() -> Iterator[str]:
    """Its address, for the time of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.publisher"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(_serve())
