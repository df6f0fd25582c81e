"""Who may change something, as long as nobody can log in: somebody at this machine, and no page of somebody else's.

A request comes from loopback, through no proxy, and names us as its host: else a page whose name leads to 127.0.0.1 for
a moment could ask in its reader's name. A browser says which page asks; it must be one of ours.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from feedmirror.web.asked import Asked

# What a proxy adds to say for whom it asks.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


def refusal(asked: Asked, *, own_host: str) -> str | None:
    """Why this request may not change anything; None if it may. `own_host` is what we are told to serve as."""
    if not _is_loopback(asked.remote):
        return "only requests from this machine itself may change something"
    if any(name in asked.headers for name in _FORWARDED):
        return "requests through a proxy may not change anything"
    host = asked.headers.get("host", "")
    name = _host_name(host)
    if name is None or not (name in _LOCAL_NAMES or _is_loopback(name) or name == own_host.lower()):
        return "the request names another host than this one"
    origin = asked.headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return "the request comes from a page of another site"
    if asked.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "the request comes from a page of another site"
    return None


def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _host_name(host: str) -> str | None:
    """The name in a Host header, without its port; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 (raises where it is none)
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname
