"""The server of `python site.py`: what its listening thread answers by itself, what it leaves to the others, and whom
neither keeps waiting.
"""

import gzip
import json
import socket
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cherrypy._cpserver import Server

from feedmirror.models import Entry
from feedmirror.storage import Storage
from feedmirror.web import prompt, server
from tests.fronts import Front
from tests.processes import free_port
from tests.waiting import wait_until

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

# Of a client who is kept waiting by nobody; far more than an answer takes, and less than the servers wait for others.
PROMPTLY_S = 4
SILENT_S = 6
THREADS = 2
AT_HAND = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nat hand"
PLAIN = b"GET /known?a=%20b HTTP/1.1\r\nHost: feedmirror\r\n\r\n"


class Site:
    """The server, in this process; a thread of its own says "thread", and what is at hand says "at hand"."""

    def __init__(self) -> None:
        self.at_hand = {"/known": AT_HAND}
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.by_threads = 0
        adapter = Server()
        adapter.socket_port = self.port = free_port()
        adapter.thread_pool = THREADS
        adapter.socket_timeout = SILENT_S
        adapter.socket_queue_size = 100
        self.server = prompt.PromptServer(adapter, self._asked)
        self.server.wsgi_app = self._application
        self.server.shutdown_timeout = 1
        self.server.keep_alive_conn_limit = 100
        self.server.prepare()
        self._thread = threading.Thread(target=self.server.serve)
        self._thread.start()

    def _asked(self, target: str, headers: Mapping[str, str]) -> bytes | None:
        self.asked.append((target, headers))
        return self.at_hand.get(target.partition("?")[0])

    def _application(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        self.by_threads += 1
        start_response("200 OK", [("Content-Length", "6")])
        return [b"thread"]

    def connected(self, *, receive: int | None = None) -> socket.socket:
        return connected(self.port, receive=receive)

    def stop(self) -> None:
        self.server.stop()
        self._thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.stop()


def connected(port: int, *, receive: int | None = None) -> socket.socket:
    """A connection; `receive` is how much of what comes the kernel takes while nobody reads."""
    client = socket.socket()
    client.settimeout(PROMPTLY_S)
    if receive:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.connect(("127.0.0.1", port))
    return client


def answer(client: socket.socket) -> tuple[bytes, bytes]:
    """The head and the body of the next answer."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += received(client, 1)  # not more: what follows belongs to the body, or to the next answer
    missing = int(header(head, b"content-length"))
    body = b""
    while missing > len(body):
        body += received(client, missing - len(body))
    return head, body


def everything(client: socket.socket) -> bytes:
    """All that comes until the server ends it."""
    parts = []
    with suppress(ConnectionResetError):
        while some := client.recv(1 << 16):
            parts.append(some)
    return b"".join(parts)


def received(client: socket.socket, most: int) -> bytes:
    some = client.recv(most)
    assert some, "closed within an answer"
    return some


def body(client: socket.socket, request: bytes = PLAIN) -> bytes:
    client.sendall(request)
    return answer(client)[1]


# -- which requests need no thread


def test_a_request_whose_answer_is_at_hand_needs_no_thread(site: Site) -> None:
    with site.connected() as client:
        assert [body(client) for _ in range(3)] == [b"at hand"] * 3
    assert site.by_threads == 0
    assert site.asked == [("/known?a=%20b", {"host": "feedmirror"})] * 3


def test_headers_come_by_their_names_in_lower_case(site: Site) -> None:
    lines = b'If-None-Match: \t"a" \r\nX-Empty:\r\nX-Latin: caf\xe9\r\nconnection: Keep-Alive\r\n'
    with site.connected() as client:
        assert body(client, b"GET /known HTTP/1.1\r\n" + lines + b"\r\n") == b"at hand"
    assert site.asked[0][1] == {"if-none-match": '"a"', "x-empty": "", "x-latin": "café", "connection": "Keep-Alive"}


def test_what_is_not_at_hand_has_a_thread_and_the_same_connection_goes_on(site: Site) -> None:
    other = PLAIN.replace(b"/known", b"/other")
    with site.connected() as client:
        bodies = [body(client, request) for request in (PLAIN, other, other, PLAIN)]
    assert bodies == [b"at hand", b"thread", b"thread", b"at hand"]


def test_an_answer_that_might_have_to_wait_for_room_has_a_thread(site: Site) -> None:
    site.at_hand["/known"] += b" " * 9_000
    with site.connected() as client:
        assert body(client) == b"thread"


HOST = b"Host: feedmirror\r\n"
LIBERAL = {
    "a body": b"GET /known HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
    "an empty body": b"GET /known HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "a body in chunks": b"GET /known HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another method": b"POST /known HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "a header twice": b"GET /known HTTP/1.1\r\nIf-None-Match: a\r\nif-none-match: b\r\n\r\n",
    "a header on two lines": b"GET /known HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
    "an absolute address": b"GET http://feedmirror/known HTTP/1.1\r\n" + HOST + b"\r\n",
    "an older version": b"GET /known HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "the last request": b"GET /known HTTP/1.1\r\nConnection: close\r\n\r\n",
    "an upgrade": b"GET /known HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "something to wait for": b"GET /known HTTP/1.1\r\nExpect: 200-ok\r\n\r\n",
    "a space before the colon": b"GET /known HTTP/1.1\r\nContent-Length : 0\r\n\r\n",
    "a lone line feed": b"GET /known HTTP/1.1\r\nX: a\nY: b\r\n\r\n",
    "a fragment": b"GET /known#a HTTP/1.1\r\n" + HOST + b"\r\n",
    "two spaces": b"GET  /known HTTP/1.1\r\n" + HOST + b"\r\n",
    "more than a browser sends": b"GET /known HTTP/1.1\r\nX: " + b"x" * 5_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_", LIBERAL.values(), ids=list(LIBERAL))
def test_what_can_be_read_in_two_ways_or_holds_more_is_left_to_a_thread(site: Site, request_: bytes) -> None:
    with site.connected() as client:
        client.sendall(request_)
        assert answer(client)[0].startswith(b"HTTP/1.")
    assert site.asked == []


def test_a_head_without_a_body_is_left_to_a_thread(site: Site) -> None:
    with site.connected() as client:
        client.sendall(PLAIN.replace(b"GET", b"HEAD") + PLAIN)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += received(client, 1)
        assert b"Content-Length: 6\r\n" in head
        assert answer(client)[1] == b"thread"


def test_requests_that_come_together_are_answered_in_their_order(site: Site) -> None:
    other = PLAIN.replace(b"/known", b"/other")
    with site.connected() as client:
        client.sendall(other + PLAIN + other)
        assert [answer(client)[1] for _ in range(3)] == [b"thread"] * 3
        assert body(client) == b"at hand"


def test_a_request_that_comes_in_pieces_is_answered(site: Site) -> None:
    with site.connected() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(PLAIN), 7):
            client.sendall(PLAIN[start : start + 7])
        assert answer(client)[1] in (b"thread", b"at hand")
        assert body(client) == b"at hand"


# -- who keeps whom waiting


def is_open(client: socket.socket) -> bool:
    """Whether neither side has ended the connection (tcp(7))."""
    established = 1
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == established


def test_a_connection_without_a_request_holds_no_thread(site: Site) -> None:
    with ExitStack() as stack:
        for _ in range(10 * THREADS):
            stack.enter_context(site.connected())
        with site.connected() as client:
            assert body(client, PLAIN.replace(b"/known", b"/other")) == b"thread"
            assert body(client) == b"at hand"


def test_what_is_at_hand_is_answered_while_every_thread_is_held(site: Site) -> None:
    with ExitStack() as stack:
        for _ in range(10 * THREADS):
            stack.enter_context(site.connected()).sendall(b"GET /other HTTP/1.1\r\nHost: ")
        with site.connected() as client:
            assert [body(client) for _ in range(100)] == [b"at hand"] * 100


def test_who_asks_and_never_listens_keeps_nobody_waiting(site: Site) -> None:
    whole = site.at_hand["/known"] = AT_HAND.replace(b": 7", b": 8000").replace(b"at hand", b"x" * 8000)
    site.server.socket.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000
    )  # of its connections; it would be megabytes
    with site.connected(receive=4096) as deaf:
        # until there is no room for another answer, and a thread waits for some, or it is let go
        while not site.by_threads and is_open(deaf):
            asked = len(site.asked)
            deaf.sendall(PLAIN)
            wait_until(
                lambda asked=asked: len(site.asked) > asked or site.by_threads or not is_open(deaf), "the next answer"
            )
        with site.connected() as client:
            assert [len(body(client)) for _ in range(10)] == [8000] * 10
        # nothing is put behind half an answer
        rest = everything(deaf).replace(whole, b"")
        assert whole.startswith(rest) or (rest.endswith(b"thread") and b"x" not in rest)


def test_idle_connections_are_let_go(site: Site) -> None:
    site.server.timeout = 1
    with site.connected() as said_nothing, site.connected() as was_answered:
        body(was_answered)
        assert said_nothing.recv(1) == was_answered.recv(1) == b""


# -- as its users meet it


@pytest.fixture
def front(tmp_path: Path, database_uri: str) -> Iterator[Front]:
    with Front("site", database_uri, tmp_path) as front:
        yield front.wait_until_usable()


def poll(cursor: str) -> bytes:
    lines = "Host: feedmirror\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n"
    return f"GET /update?timestamp={cursor} HTTP/1.1\r\n{lines}\r\n".encode()


def is_followed(front: Front) -> bool:
    with urllib.request.urlopen(f"{front.address}/api/window", timeout=PROMPTLY_S) as told:
        return bool(json.load(told)["state"] == "live")


def has_arrived(front: Front) -> bool:
    """Whether there is an item: a window that is live may be a moment behind."""
    with urllib.request.urlopen(f"{front.address}/update?timestamp=1", timeout=PROMPTLY_S) as update:
        return bool(json.load(update))


def test_an_open_page_is_answered_while_silent_clients_hold_every_thread(front: Front, storage: Storage) -> None:
    storage.items.store("one", {"a": Entry(title="a")}, now=datetime.now(UTC))
    wait_until(lambda: is_followed(front), "the window")
    wait_until(lambda: has_arrived(front), "the item in it")
    port = front.sites[0].port
    with connected(port) as page, ExitStack() as stack:
        page.sendall(poll("1"))
        head, items = answer(page)
        asked = poll(header(head, b"feedmirror-cursor"))
        assert titles((head, items)) == ["a"]
        page.sendall(asked)
        by_a_thread = answer(page)
        for _ in range(server._THREADS):
            stack.enter_context(connected(port)).sendall(b"GET /update HTTP/1.1\r\nHost: ")
        for _ in range(10):
            page.sendall(asked)
            assert undated(answer(page)) == undated(by_a_thread)
        etag = header(by_a_thread[0], b"etag").encode()
        page.sendall(asked.replace(b"Host:", b"If-None-Match: " + etag + b"\r\nHost:"))
        assert page.recv(1 << 16).startswith(b"HTTP/1.1 304 Not Modified\r\n")


def test_what_is_new_is_told_at_once(front: Front, storage: Storage) -> None:
    """A remembered answer is not given once there is another."""
    wait_until(lambda: is_followed(front), "the window")
    with connected(front.sites[0].port) as page:
        for number in range(20):
            page.sendall(poll("1"))
            before = titles(answer(page))
            storage.items.store("one", {str(number): Entry(title=str(number))}, now=datetime.now(UTC))

            def given(number: int = number, before: list[str] = before) -> bool:
                page.sendall(poll("1"))
                return titles(answer(page)) == [str(number), *before]

            wait_until(given, "the new item", timeout_s=PROMPTLY_S)


def titles(answer: tuple[bytes, bytes]) -> list[str]:
    head, body = answer
    return [item["title"] for item in json.loads(gzip.decompress(body) if b"Content-Encoding: gzip" in head else body)]


def header(head: bytes, name: bytes) -> str:
    line = next(line for line in head.split(b"\r\n") if line.lower().startswith(name + b":"))
    return line.partition(b":")[2].strip().decode()


def undated(answer: tuple[bytes, bytes]) -> tuple[list[bytes], bytes]:
    head, body = answer
    return sorted(line for line in head.split(b"\r\n") if not line.startswith(b"Date:")), body
