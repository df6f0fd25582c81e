"""Addresses: absolute, http or https, and written in one way.

Knows what a safe address is (RFC 3986) and nothing of feeds.
"""

import re
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from feedmirror.parse import limits

# What needs no work at all: nearly every link of nearly every feed.
_PLAIN = re.compile(r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)+(?:[/?#][!-\[\]-~]*)?")
# Browsers drop tabs and line breaks anywhere in an address, and so do we (WHATWG URL, 4.4).
_DROPPED = re.compile(r"[\t\r\n]+")
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}]")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def absolute(link: str | None, base: str = "") -> str | None:
    """The address that a link leads to, seen from `base`; None where it leads nowhere that we may send a reader.

    Normalised as far as no server can tell the difference (RFC 3986, 6.2.2.1 and 6.2.3): case of scheme and host, the
    default port. The fragment stays: it may be all that tells two entries apart.
    """
    if link is None:
        return None
    if len(link) > limits.LINK:
        limits.note(limits.CUT_LINK)
        return None
    if _PLAIN.fullmatch(link):
        return link
    try:
        return _resolved(_DROPPED.sub("", link.strip()), base)
    except ValueError:  # a bracket in the host, a port that is no number
        return None


def _resolved(link: str, base: str) -> str | None:
    if not link:
        return None
    if link.startswith("//") and not base:
        link = f"https:{link}"
    parts = urlsplit(urljoin(base, link))
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    return _UNSAFE.sub(_percent_encoded, urlunsplit(_normalised(parts)))


def _normalised(parts: SplitResult) -> SplitResult:
    userinfo, at, host = parts.netloc.rpartition("@")
    host = host.lower().removesuffix(_DEFAULT_PORTS[parts.scheme]).removesuffix(":")
    # what urlsplit refuses only when asked for the port
    _ = parts.port
    return parts._replace(netloc=f"{userinfo}{at}{host}")


def _percent_encoded(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"
