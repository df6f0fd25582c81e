"""What every answer carries, whoever made it: our handlers, CherryPy's own errors, or a bare WSGI callable.

Wrapped around the whole, since an error page that a framework makes by itself is exactly where a header that each
handler has to remember is missing.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# Titles, summaries and links come from strangers. They are escaped or sanitised; this is for the day when that
# fails: no script and no style but our own files, no frame around us, and no form that sends elsewhere.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' https:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

# A picture that is drawn has its colours and lines in style attributes. It loads nothing and runs nothing.
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_POLICY = "Content-Security-Policy"

ALWAYS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    # which of these pages somebody reads is no business of the sites it links to
    ("Referrer-Policy", "no-referrer"),
    ("Server", "Feedmirror"),
)

# The same for JSON, which is nothing to look at: shorter, since it goes out with every poll.
FOR_DATA = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Server", "Feedmirror"),
)

_FOR_PICTURES = tuple((name, PICTURE_POLICY if name == _POLICY else value) for name, value in ALWAYS)
_OURS = frozenset(name.lower() for name, _ in ALWAYS)


class WithHeaders:
    """A WSGI callable that adds them to the answers of another, which may ask for PICTURE_POLICY, and for no other."""

    def __init__(self, application: "WSGIApplication"):
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            others = [pair for pair in headers if pair[0].lower() not in _OURS]
            always = _FOR_PICTURES if (_POLICY, PICTURE_POLICY) in headers else ALWAYS
            return start_response(status, [*others, *always], *exc_info)

        return self._application(environ, start)
