"""A real HTTP server on loopback for tests: it serves what a test lays out, and misbehaves where it is told to.

    with FeedServer() as server:
        server.serve("/feed", b"<feed/>", etag=True)          # again with another body: the feed has grown
        server.serve("/busy", status=429, headers={"Retry-After": "5"})
        server.serve("/live", lambda request: next(bodies))   # asked anew for each request
        server.redirect("/old", "/feed", status=301)
        server.misbehave("/slow", drip(b"HTTP/1.1 200 OK\\r\\nX-Slow: ", b"."))
        fetch(server.url("/feed"), private=True)
        assert server.requests[0].headers["User-Agent"] ...

It answers as soon as it is constructed. On close each of its threads has ended, and an exception that one of a
test's own functions raised meanwhile is raised again. It knows nothing of the code under test.
"""

import gzip
import hashlib
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_OPAQUE_TAG = re.compile(r'"[^"]*"')  # an entity tag without its W/: commas may stand in it


@dataclass(frozen=True)
class Request:
    """What a client asked. `headers` are looked up in any case; a missing one is None."""

    method: str
    path: str
    headers: Message


@dataclass(frozen=True)
class Reply:
    """An answer that gets its Content-Length, and no other header that is not given here."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Wire:
    """The raw connection of a request, for a server that misbehaves."""

    def __init__(self, connection: socket.socket, closing: threading.Event):
        self.connection = connection
        self._closing = closing

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait; True means that the server is about to close, and the behaviour has to end."""
        return self._closing.wait(seconds)


Behaviour = Callable[[Wire], None]
Answer = Reply | Behaviour
Body = bytes | Callable[[Request], bytes | Answer]


def raw(data: bytes) -> Behaviour:
    """Send these very bytes, and close the connection."""
    return lambda wire: wire.send(data)


def drip(start: bytes, drop: bytes, every_s: float = 0.02) -> Behaviour:
    """Send `start`, and then `drop` every so often until the client goes away."""

    def behaviour(wire: Wire) -> None:
        wire.send(start)
        while not wire.wait(every_s):
            wire.send(drop)

    return behaviour


def pour(start: bytes, portion: bytes) -> Behaviour:
    """Send `start`, and then `portion` as fast as the client takes it, until it goes away."""
    return drip(start, portion, every_s=0)


def hang(wire: Wire) -> None:
    """Say nothing at all."""
    wire.wait()


def reset(start: bytes = b"") -> Behaviour:
    """Send `start`, and end the connection with a TCP reset."""

    def behaviour(wire: Wire) -> None:
        wire.send(start)
        wire.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.connection.close()

    return behaviour


class FeedServer:
    """Documents, redirects and misbehaviour at paths; everything else is a 404."""

    def __init__(self, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None):
        self.requests: list[Request] = []
        self.connections = 0
        self._answers: dict[str, Callable[[Request], Answer]] = {}
        self._scheme = "https" if tls else "http"
        self._server = _Server(self, host, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="feed server")
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/") -> str:
        return f"{self._scheme}://{self._server.server_address[0]!s}:{self.port}{path}"

    def serve(
        self,
        path: str,
        body: Body = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        etag: bool | str = False,
        last_modified: datetime | None = None,
        compress: bool = False,
    ) -> None:
        """Answer `path` with `body` from now on.

        `etag` True makes one from the body; it and `last_modified` are answered with a 304 when they come back.
        A function as `body` is called for each request; a Reply or a behaviour that it gives is taken as it is.
        """
        extra = dict(headers or {})
        if last_modified:
            extra["Last-Modified"] = format_datetime(last_modified.astimezone(UTC), usegmt=True)

        def answer(request: Request) -> Answer:
            made: bytes | Answer = body if isinstance(body, bytes) else body(request)
            if not isinstance(made, bytes):
                return made
            tag = f'"{hashlib.sha256(made).hexdigest()[:16]}"' if etag is True else etag
            reply = Reply(made, status, {**extra, "ETag": tag} if tag else extra)
            return _conditional(request, _compressed(request, reply) if compress else reply)

        self._answers[path] = answer

    def redirect(self, path: str, location: str, *, status: int = 302, body: bytes = b"") -> None:
        self.serve(path, body, status=status, headers={"Location": location})

    def misbehave(self, path: str, behaviour: Behaviour) -> None:
        """Leave the connection to `behaviour` once `path` has been asked for; it is closed afterwards."""
        self._answers[path] = lambda _: behaviour

    def answer(self, request: Request) -> Answer:
        """Record a request, and find the answer to it."""
        self.requests.append(request)
        return self._answers.get(request.path, _not_found)(request)

    def requests_for(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    def close(self) -> None:
        """End every connection and thread. Raises what a test's own function raised."""
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()
        if self._server.mistakes:
            raise self._server.mistakes[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _not_found(_: Request) -> Reply:
    return Reply(status=404)


def _compressed(request: Request, reply: Reply) -> Reply:
    if "gzip" not in (request.headers["Accept-Encoding"] or ""):
        return reply
    return Reply(gzip.compress(reply.body), reply.status, {**reply.headers, "Content-Encoding": "gzip"})


def _conditional(request: Request, reply: Reply) -> Reply:
    """Answer 304 where the client has it already (RFC 9110, 13.2.2: a tag decides alone, if one was sent)."""
    if reply.status != 200:
        return reply
    tags, since = request.headers["If-None-Match"], request.headers["If-Modified-Since"]
    if tags is not None:
        has_it = reply.headers.get("ETag", "").removeprefix("W/") in _OPAQUE_TAG.findall(tags)
    elif since is not None and "Last-Modified" in reply.headers:
        has_it = parsedate_to_datetime(since) >= parsedate_to_datetime(reply.headers["Last-Modified"])
    else:
        has_it = False
    return Reply(b"", 304, reply.headers) if has_it else reply


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close() waits for them
    request_queue_size = 128

    def __init__(self, site: FeedServer, host: str, tls: ssl.SSLContext | None):
        self.site = site
        self.closing = threading.Event()
        self.mistakes: list[BaseException] = []
        self._tls = tls
        self._open: set[socket.socket] = set()
        super().__init__((host, 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.site.connections += 1
        if self._tls:  # the handshake is left to the connection's own thread
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        self.closing.set()
        for connection in tuple(self._open):
            with suppress(OSError):  # it ended by itself
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):  # OSError: the client went away
            self.mistakes.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        answer = self.server.site.answer(Request(self.command, self.path, self.headers))
        if isinstance(answer, Reply):
            self._reply(answer)
        else:
            self.close_connection = True
            answer(Wire(self.connection, self.server.closing))

    def _reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status not in (204, 304):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the requests are recorded."""
