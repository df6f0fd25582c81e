"""The errors that Feedmirror raises on purpose.

FeedmirrorError
├── ConfigError      settings or the sources file are wrong: show `mistakes`, one a line, and stop
├── FetchError       no document came: a value on the source, its `kind` decides how it backs off
├── ParseError       a document came and is no feed: a value on the source as well
├── StorageError     MongoDB answers, and not as we need it
│   ├── NotAReplicaSet
│   ├── NewerSchema  a newer Feedmirror has written the data: nothing here may read or write it
│   └── Upgrading    the data is older, and is being brought up to date: later
└── MongodError      the bundled MongoDB cannot run here: the text says what is missing

What is not in this tree is a bug, or MongoDB away (`pymongo.errors.PyMongoError`), and is never swallowed.
"""

from collections.abc import Sequence
from enum import StrEnum


class FeedmirrorError(Exception):
    """Any error raised on purpose; its text is one line that a user can act on."""


class ConfigError(FeedmirrorError):
    """Settings that cannot be used; all mistakes at once."""

    def __init__(self, mistakes: Sequence[str]):
        super().__init__("; ".join(mistakes))
        self.mistakes = tuple(mistakes)


class Failure(StrEnum):
    """Why a poll brought nothing: the kinds that a publisher, a network and an operator act on differently."""

    DNS = "dns"
    REFUSED = "refused"  # nothing listens, or the connection was reset
    TLS = "tls"
    TIMEOUT = "timeout"
    FORBIDDEN_ADDRESS = "forbidden address"  # leads into a private network; see `private = true`
    REDIRECT = "redirect"  # too many, or to something that is not http(s)
    CLIENT_ERROR = "client error"  # 4xx
    GONE = "gone"  # 410
    THROTTLED = "throttled"  # 429 and 503
    SERVER_ERROR = "server error"  # 5xx
    TOO_LARGE = "too large"
    BROKEN_BODY = "broken body"  # shorter than announced, or not decompressible
    NOT_A_FEED = "not a feed"
    NOT_SET_UP = "not set up"  # a variable is missing in the environment of the process that polls
    BUG = "bug"  # of ours


class FetchError(FeedmirrorError):
    """No document came.

    `status` is the HTTP status if there was an answer, `retry_after_s` what its Retry-After asks for, `body` the JSON
    that came with a 4xx.
    """

    def __init__(
        self,
        kind: Failure,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        body: bytes = b"",
    ):
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.retry_after_s = retry_after_s
        self.body = body


class ParseError(FeedmirrorError):
    """The document is no feed that we know.

    `offers`: the addresses of feeds that it offers, where it is a page that does.
    """

    def __init__(self, message: str, *, offers: Sequence[str] = ()):
        super().__init__(message)
        self.offers = tuple(offers)


class StorageError(FeedmirrorError):
    """MongoDB answers, and not as we need it."""


class NotAReplicaSet(StorageError):
    """A standalone MongoDB: it has neither the transactions nor the change streams that the cursor needs."""


class NewerSchema(StorageError):
    """The data has a form that this program does not know."""

    def __init__(self, found: int, known: int):
        super().__init__(
            f"the data was written by a newer Feedmirror (schema {found}, this one knows {known}): "
            "update Feedmirror, or name other data with MONGODB_URI or FEEDMIRROR_DATA"
        )


class Upgrading(StorageError):
    """The data is being brought up to date, and cannot be used before that is done."""


class MongodError(FeedmirrorError):
    """The bundled MongoDB cannot run here."""


def exit_code(error: Exception) -> int:
    """The exit code of a program that this ends: 2 where running it again cannot help, 1 where the work failed."""
    return 2 if isinstance(error, NewerSchema | ConfigError) else 1
