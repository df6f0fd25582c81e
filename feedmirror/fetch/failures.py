"""Why no document came, as a FetchError: its kind, and one line that an operator can act on.

The text names the host at most: no URL, which may hold a password or a token, and nothing that the server
said, which would let a stranger's feed write into our logs and pages.
"""

import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import requests

from feedmirror.errors import Failure, FetchError
from feedmirror.fetch.headers import retry_after_s

_Error = TypeVar("_Error", bound=BaseException)

_STATUSES = {
    304: (Failure.BROKEN_BODY, "{host} says that nothing changed (304), but was not asked that"),
    401: (Failure.CLIENT_ERROR, "{host} asks for a user and password (401); put them into the URL"),
    403: (Failure.CLIENT_ERROR, "{host} does not let us read this (403)"),
    404: (Failure.CLIENT_ERROR, "{host} has no such document (404); check the URL"),
    410: (Failure.GONE, "{host} says that this document is gone for good (410); remove the source"),
    429: (Failure.THROTTLED, "{host} was asked too often (429)"),
    503: (Failure.THROTTLED, "{host} is not available for the moment (503)"),
}


def failed_status(status: int, headers: Mapping[str, str], host: str, body: bytes = b"") -> FetchError:
    """Explain an answer that holds no document; `body` is what it says of that."""
    kind, text = _STATUSES.get(status) or _by_class(status)
    wait_s = retry_after_s(headers, datetime.now(UTC)) if kind is Failure.THROTTLED else None
    if wait_s is not None:
        text += f", and asks to come back in {wait_s:.0f} s"
    return FetchError(kind, text.format(host=host), status=status, retry_after_s=wait_s, body=body)


def _by_class(status: int) -> tuple[Failure, str]:
    if 300 <= status < 400:
        return Failure.REDIRECT, f"{{host}} answered with a status that leads nowhere ({status})"
    if 400 <= status < 500:
        return Failure.CLIENT_ERROR, f"{{host}} refuses the request ({status})"
    return Failure.SERVER_ERROR, f"{{host}} has an error of its own ({status})"


def unanswered(error: Exception, host: str) -> FetchError:
    """Explain an exception that came instead of an answer; the innermost cause says what happened."""
    if isinstance(error, requests.exceptions.InvalidURL):
        return FetchError(Failure.FORBIDDEN_ADDRESS, f"{host} is no name that a host can have")
    causes = tuple(_causes(error))
    if certificate := _first(causes, ssl.SSLCertVerificationError):
        return FetchError(Failure.TLS, f"{host} has no valid certificate: {certificate.verify_message}")
    if _first(causes, ssl.SSLError):
        return FetchError(Failure.TLS, f"{host} and we do not agree on TLS")
    if _first(causes, TimeoutError):
        return FetchError(Failure.TIMEOUT, f"{host} did not finish its TLS handshake in time")
    if _first(causes, ConnectionError):
        return FetchError(Failure.REFUSED, f"{host} closed the connection without an answer")
    return FetchError(Failure.BROKEN_BODY, f"{host} answers in something that is not HTTP")


def _first(causes: tuple[BaseException, ...], kind: type[_Error]) -> _Error | None:
    return next((cause for cause in causes if isinstance(cause, kind)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: urllib3 and requests put causes into `args` and `reason` too."""
    waiting = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        wrapped = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
        waiting.extend(each for each in wrapped if isinstance(each, BaseException))
