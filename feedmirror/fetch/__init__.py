"""One polite, bounded, guarded, conditional GET: a URL in, a Document out, or a FetchError that says why not.

It does not know what a feed is, when to look again, or that a database exists. Whatever a network or a
publisher can do wrong comes out as a FetchError; any other exception is a bug.

    fetch
    ├── _follow             redirects in our own hands (hop.py): requests would read their bodies whole
    │   └── Connections.get     pooled, and on checked addresses only (connections.py, address.py)
    └── _document           what the answer means (headers.py), and its bounded body (body.py)

All of it runs within one Budget (limits.py), which every single read from the socket asks for its time.
"""

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime

import requests
import urllib3

from feedmirror.errors import Failure, FetchError
from feedmirror.fetch.body import ACCEPT_ENCODING, read_body
from feedmirror.fetch.connections import USER_AGENT, Connections, connections_of_this_process
from feedmirror.fetch.failures import failed_status, unanswered
from feedmirror.fetch.headers import max_age_s, next_url, validators_of
from feedmirror.fetch.hop import Hop, same_origin
from feedmirror.fetch.limits import Budget, Limits, within
from feedmirror.models import Document, Validators

__all__ = ["USER_AGENT", "Connections", "Limits", "fetch", "same_origin"]

# Atom and RSS first; then whatever there is, because many servers label their feeds as something else.
ACCEPT = "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, */*;q=0.8"

# What an answer that is no document may say of why it is none.
_ERROR_BODY_BYTES = 64 * 1024

_NO_HEADERS: Mapping[str, str] = {}
_NO_VALIDATORS = Validators()
_DEFAULT_LIMITS = Limits()
_NO_CONTENT = 204
_NOT_MODIFIED = 304
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def fetch(
    url: str,
    *,
    validators: Validators = _NO_VALIDATORS,
    headers: Mapping[str, str] = _NO_HEADERS,
    private: bool = False,
    limits: Limits = _DEFAULT_LIMITS,
    connections: Connections | None = None,
    onward: Callable[[str], None] = lambda _: None,
) -> Document:
    """Get the document at `url`, or learn that it has not changed since `validators` were handed out.

    `headers` are the operator's own, for this scheme, host and port: a redirect to another goes without them.
    `private`: the URL is the operator's own and may lead to private addresses. Where it redirects to may not,
    unless that is the same scheme, host and port. `connections`: a pool other than that of this process. `onward` is
    told where each redirect leads, before that is asked; what it raises ends the fetch.
    Raises FetchError, and nothing else; one of a 4xx has the beginning of its body.
    """
    first = Hop.first(url, private=private)
    ours = {"Accept": ACCEPT, "Accept-Encoding": ACCEPT_ENCODING, **_conditions(validators)}
    with within(Budget(limits)):
        hop, response = _follow(first, ours, headers, limits, connections or connections_of_this_process(), onward)
        with closing(response):
            return _document(hop, response, validators, limits)


def _conditions(validators: Validators) -> dict[str, str]:
    conditions = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
    return {name: value for name, value in conditions.items() if value is not None}


def _follow(
    hop: Hop,
    ours: Mapping[str, str],
    at_home: Mapping[str, str],
    limits: Limits,
    connections: Connections,
    onward: Callable[[str], None],
) -> tuple[Hop, requests.Response]:
    """Get the first answer that leads no further. The validators go along on each hop: the last one's are ours."""
    for step in range(limits.redirects + 1):
        if step:
            onward(hop.url)
        response = _answer(hop, {**ours, **at_home} if hop.at_home else ours, connections)
        if response.status_code not in _REDIRECTS:
            return hop, response
        response.close()  # its body is of no use, and may be a bomb
        hop = hop.onward(response.status_code, response.headers.get("Location"))
    raise FetchError(
        Failure.REDIRECT,
        f"redirected more than {limits.redirects} times, {hop.host} being the last",
        status=response.status_code,
    )


def _answer(hop: Hop, headers: Mapping[str, str], connections: Connections) -> requests.Response:
    try:
        return connections.get(hop.url, headers, credentials=hop.credentials, may_be_private=hop.may_be_private)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise unanswered(error, hop.host) from error


def _document(hop: Hop, response: requests.Response, asked: Validators, limits: Limits) -> Document:
    if response.status_code == _NOT_MODIFIED and asked != _NO_VALIDATORS:
        body = None
        _keep_connection(response)
    elif response.status_code == _NO_CONTENT:
        body = b""
        _keep_connection(response)
    elif response.status_code in range(200, 300):
        body = read_body(response.raw, limits.body_bytes)
    else:
        body = _error_body(response) if 400 <= response.status_code < 500 else b""
        raise failed_status(response.status_code, response.headers, hop.host, body)
    return Document(
        url=hop.url,
        body=body,
        content_type=response.headers.get("Content-Type", ""),
        validators=validators_of(response.headers, kept=asked if body is None else _NO_VALIDATORS),
        moved_to=hop.moved_to,
        max_age_s=max_age_s(response.headers, datetime.now(UTC)),
        next_url=next_url(response.headers),
    )


def _error_body(response: requests.Response) -> bytes:
    """What the publisher says of an error; nothing where that is too long or too slow to be worth it."""
    if "json" not in response.headers.get("Content-Type", ""):
        return b""
    with suppress(FetchError):
        return read_body(response.raw, _ERROR_BODY_BYTES)
    return b""


def _keep_connection(response: requests.Response) -> None:
    """Give the connection of an answer that has no body back to the pool."""
    if not response.raw.chunked:  # a server that announces chunks here would be waited for in vain
        response.raw.drain_conn()
