"""Polls past the framework: CherryPy's dispatcher takes longer than the answer.

Stands in the WSGI pipeline in front of everything else, so whatever server carries the application carries this.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from feedmirror.web.answer import Answer, json_error, lines_of
from feedmirror.web.headers import FOR_DATA
from feedmirror.web.table_update import TableUpdates
from feedmirror.web.update import Updates

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

_PATHS = frozenset({"/update", "/update/"})
_TABLE = re.compile(r"/tables/([^/]+)/update/?")
_LINES_FOR_DATA = lines_of(FOR_DATA)
_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class PollsFirst:
    """A WSGI callable that answers polls itself, and hands everything else to another."""

    def __init__(self, application: "WSGIApplication", updates: Updates, table_updates: TableUpdates):
        self._application = application
        self._updates = updates
        self._table_updates = table_updates

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        polled = self._polled_at(environ.get("PATH_INFO", ""))
        if polled is None:
            return self._application(environ, start_response)
        method = environ["REQUEST_METHOD"]
        answer = _asked(polled, environ) if method in ("GET", "HEAD") else _not_allowed()
        start_response(_STATUS[answer.status], _fields(answer))
        return [] if method == "HEAD" else [answer.body]

    def _polled_at(self, path: str) -> "Callable[..., Answer] | None":
        """What answers polls at this address, None if nothing does."""
        if path in _PATHS:
            return self._updates.answer
        table = _TABLE.fullmatch(path) if path.startswith("/tables/") else None
        if table is None:
            return None
        # as WSGI hands it over: bytes that pose as latin-1
        return partial(self._table_updates.answer, table[1].encode("latin-1").decode(errors="replace"))


def polls_at_hand(updates: Updates) -> Callable[[str, Mapping[str, str]], bytes | None]:
    """What answers a GET of a target with these headers, by names in lower case, as HTTP/1.1 has it on the wire.

    Gives None for everything but a poll whose answer is at hand; neither waits nor raises.
    """

    def at_hand(target: str, headers: Mapping[str, str]) -> bytes | None:
        path, _, query_string = target.partition("?")
        if path not in _PATHS:
            return None
        answer = updates.at_hand(
            query_string,
            accept_encoding=headers.get("accept-encoding", ""),
            known=headers.get("if-none-match", ""),
        )
        return None if answer is None else _on_the_wire(answer)

    return at_hand


def _on_the_wire(answer: Answer) -> bytes:
    head = f"HTTP/1.1 {_STATUS[answer.status]}\r\n{answer.lines}{_LINES_FOR_DATA}Date: {_date()}\r\n\r\n"
    return head.encode("latin-1") + answer.body


def _fields(answer: Answer) -> list[tuple[str, str]]:
    return [*answer.fields, *FOR_DATA, ("Date", _date())]


def _asked(polled: "Callable[..., Answer]", environ: "WSGIEnvironment") -> Answer:
    try:
        return polled(
            environ.get("QUERY_STRING", ""),
            accept_encoding=environ.get("HTTP_ACCEPT_ENCODING", ""),
            known=environ.get("HTTP_IF_NONE_MATCH", ""),
        )
    except Exception:
        log.exception("a bug in Feedmirror")
        return json_error(500, HTTPStatus.INTERNAL_SERVER_ERROR.description)


def _date() -> str:
    """The time as HTTP writes it; written once a second, where servers write it for each answer."""
    return _date_at(int(time.time()))


@lru_cache(maxsize=1)
def _date_at(second: int) -> str:
    return formatdate(second, usegmt=True)


def _not_allowed() -> Answer:
    return json_error(405, "Only GET and HEAD are of use here.", {"Allow": "GET, HEAD"})
