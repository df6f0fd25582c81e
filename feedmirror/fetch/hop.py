"""The way of one fetch through redirects: where each request goes, and what it may take along.

Pure: it connects to nothing. One parser (urllib3's, which requests uses too) reads every URL, so that the host
whose origin is compared here is the host that is connected to.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import unquote, urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from feedmirror.errors import Failure, FetchError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PERMANENT = frozenset({301, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One request of a fetch. `address` has neither user information nor a fragment.

    `own_credentials` and `own_private` are what the operator gave for the first origin. They hold `at_home`,
    which is lost for good with the first step to another origin: that step was chosen by somebody else, and so
    is every one after it. `steps` are the statuses that led here.
    """

    address: Url
    own_credentials: tuple[bytes, bytes] | None
    own_private: bool
    at_home: bool = True
    steps: tuple[int, ...] = ()

    @classmethod
    def first(cls, url: str, *, private: bool) -> "Hop":
        """The operator's own URL. Raises FetchError if it is none that can be fetched."""
        parsed = _parsed(url, Failure.FORBIDDEN_ADDRESS)
        return cls(address=_bare(parsed), own_credentials=_credentials(parsed), own_private=private)

    def onward(self, status: int, location: str | None) -> "Hop":
        """Follow a redirect. Credentials in `location` are somebody else's choice, and are dropped."""
        if not location:
            raise FetchError(Failure.REDIRECT, f"{self.host} redirects, and does not say where to", status=status)
        address = _bare(_parsed(_joined(self.url, location), Failure.REDIRECT))
        stays = _origin(address) == _origin(self.address)
        return replace(self, address=address, at_home=self.at_home and stays, steps=(*self.steps, status))

    @property
    def url(self) -> str:
        return self.address.url

    @property
    def host(self) -> str:
        """For messages."""
        return self.address.host or ""

    @property
    def credentials(self) -> tuple[bytes, bytes] | None:
        """User and password, where they may be sent."""
        return self.own_credentials if self.at_home else None

    @property
    def may_be_private(self) -> bool:
        return self.own_private and self.at_home

    @property
    def moved_to(self) -> str | None:
        """Where the document lives from now on, if every step said so.

        None for a URL with credentials: the new address would be without them.
        """
        moved = bool(self.steps) and _PERMANENT.issuperset(self.steps)
        return self.url if moved and not self.own_credentials else None


def same_origin(url: str, other: str) -> bool:
    """Whether both lead to the same scheme, host and port. Raises FetchError for what is no http(s) address."""
    return _origin(_parsed(url, Failure.REDIRECT)) == _origin(_parsed(other, Failure.REDIRECT))


def _parsed(url: str, otherwise: Failure) -> Url:
    try:
        parsed = parse_url(url.strip())
    except LocationParseError:
        raise FetchError(otherwise, "this is no address that can be fetched; check its spelling") from None
    if parsed.scheme not in _DEFAULT_PORTS or not parsed.host:
        raise FetchError(otherwise, "only addresses that begin with http:// or https:// are fetched")
    return parsed


def _joined(base: str, location: str) -> str:
    """Resolve `location`. http.client reads headers as Latin-1, and browsers agree on UTF-8 here."""
    with suppress(UnicodeError):
        location = location.encode("latin-1").decode("utf-8")
    try:
        return urljoin(base, location)
    except ValueError:  # such as an unfinished [IPv6 address
        return location


def _bare(url: Url) -> Url:
    return url._replace(auth=None, fragment=None)


def _credentials(url: Url) -> tuple[bytes, bytes] | None:
    if not url.auth:
        return None
    user, _, password = url.auth.partition(":")
    return unquote(user).encode(), unquote(password).encode()


def _origin(url: Url) -> tuple[str | None, str | None, int | None]:
    """RFC 6454: what agrees in scheme, host and port is the same server."""
    return url.scheme, url.host, url.port or _DEFAULT_PORTS[url.scheme or "http"]
