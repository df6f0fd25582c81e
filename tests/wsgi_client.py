"""Calls a WSGI application in this process, as a server would, and checks that it keeps to the protocol."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults


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
