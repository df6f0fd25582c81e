"""What goes back to a client, whatever server carries it: a status, headers and a body, at once or piece by piece.

Knows nothing of CherryPy or WSGI, so that the same answer can be hosted by either.
"""

import json
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus

from feedmirror.errors import FeedmirrorError

JSON = "application/json; charset=utf-8"
HTML = "text/html;charset=utf-8"

Chunks = Generator[bytes, None, None]

# MongoDB elects a new primary, or is started again, in a few seconds.
RETRY_AFTER_S = 3


class Incomplete(FeedmirrorError):
    """An answer ends before its end: whoever sends it cuts the connection, so that its reader knows."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; what every answer carries is added by `headers`.

    `chunks`: the body, where it is made while it is sent; such an answer is for one client. Whoever sends it closes
    them, at the end and when the client has gone; what they raise has to break the answer off.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: Chunks | None = None

    @cached_property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The headers one by one, with the body's length; made once, as an answer may be given to thousands."""
        has_length = self.status != HTTPStatus.NOT_MODIFIED and self.chunks is None
        return (*self.headers.items(), *([("Content-Length", str(len(self.body)))] if has_length else []))

    @cached_property
    def lines(self) -> str:
        """The same as HTTP/1.1 writes them; made once."""
        return lines_of(self.fields)


def lines_of(fields: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in fields])


def json_answer(text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """A success; a client or a cache may keep it, and asks before it uses it again."""
    return Answer(200, {"Content-Type": JSON, "Cache-Control": "no-cache", **(headers or {})}, text.encode())


def json_error(status: int, message: str, headers: Mapping[str, str] | None = None, **more: object) -> Answer:
    """A refusal or failure that a program can read; never stored by a cache."""
    # half a surrogate pair, which a client may name something by, is written as JSON itself writes it
    body = json.dumps({"error": message, **more}, ensure_ascii=False).encode(errors="backslashreplace")
    return Answer(status, {"Content-Type": JSON, "Cache-Control": "no-store", **(headers or {})}, body)


def json_unavailable(message: str) -> Answer:
    """MongoDB is away, or of no use."""
    return json_error(503, message, {"Retry-After": str(RETRY_AFTER_S)})


def html_answer(text: str, status: int = 200) -> Answer:
    """A page. An error is not stored, and 503 says when to come back."""
    cache = "no-cache" if status < 400 else "no-store"
    retry = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return Answer(status, {"Content-Type": HTML, "Cache-Control": cache, **retry}, text.encode())
