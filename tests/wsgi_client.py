"""Calls a WSGI application in this process, as a server would, and checks that it keeps to the protocol."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults

_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Reply:
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json; charset=utf-8"
        return json.loads(self.body)


class Client:
    """A browser, as far as these tests need one."""

    def __init__(self, application: WSGIApplication):
        self._application = application

    def get(self, url: str, **headers: str) -> Reply:
        return self.request("GET", url, **headers)

    def request(self, method: str, url: str, **headers: str) -> Reply:
        parts = urlsplit(url)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "SERVER_PROTOCOL": "HTTP/1.1",
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }
        setup_testing_defaults(environ)
        return self._call(environ)

    def send(
        self, method: str, url: str, body: bytes = b"", *, remote: str = "127.0.0.1", headers: Mapping[str, str] = _NONE
    ) -> Reply:
        """A request with a body, from an address; headers by the names that they have."""
        parts = urlsplit(url)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),
            "QUERY_STRING": parts.query,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": remote,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
        }
        for name, value in headers.items():
            name = name.upper().replace("-", "_")
            environ[name if name.startswith("CONTENT_") else f"HTTP_{name}"] = value
        setup_testing_defaults(environ)
        return self._call(environ)

    def _call(self, environ: dict[str, Any]) -> Reply:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
            started.append((status, headers))
            return lambda _: None

        chunks = self._application(environ, start_response)
        body = b"".join(chunks)
        getattr(chunks, "close", lambda: None)()
        status, headers = started[-1]
        lowered = {name.lower(): value for name, value in headers}
        assert len(lowered) == len(headers), f"a header came twice: {headers}"
        return Reply(int(status.split()[0]), lowered, body)
