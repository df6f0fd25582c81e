"""The feeds that an HTML page offers: what somebody means who gives a page's address where a feed's is wanted.

First what the page declares (`<link rel=alternate>`, in the order of the page, which is the order of its author's
liking), then what it links to under a name that feeds usually have. Guesses no address that the page does not hold.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from lxml import etree

from feedmirror.parse import encoding, html, limits, links

# More than a reader can choose from; a page of links to feeds is a directory, not a site.
MAX_FEEDS = 20
# The largest front pages have a few thousand links.
MAX_LINKS = 10_000

_TYPES = frozenset(
    {
        "application/rss+xml",
        "application/atom+xml",
        "application/feed+json",
        "application/rdf+xml",
        "application/x.atom+xml",
        "application/x-atom+xml",
        "text/rss+xml",
        "text/rss",
        "text/atom+xml",
    }
)
# Of these, only what also looks like a feed: sites declare other alternates with them, such as their API.
_VAGUE_TYPES = frozenset({"application/xml", "text/xml", "application/json", ""})
_USUAL_NAME = re.compile(
    r"/(?:feeds?|rss2?|atom|index\.rdf|feeds?/(?:all|posts|rss|atom|default)(?:\.xml)?)/?$"
    r"|[/.](?:rss|atom|rdf)$|/(?:index|feed|rss|rss2|atom)\.(?:xml|json)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A feed that a page offers: its absolute address, and what the page calls it ("" for nothing)."""

    url: str
    title: str = ""


def offers(body: bytes, *, url: str, content_type: str = "") -> tuple[Offer, ...]:
    """The feeds that a page offers, the likeliest first, each once; none for what is no page."""
    root = _page(body, content_type)
    if root is None:
        return ()
    base = _base(root, url)
    found: dict[str, Offer] = {}
    for offer in (*_declared(root, base), *_linked(root, base)):
        found.setdefault(offer.url, offer)
        if len(found) == MAX_FEEDS:
            break
    return tuple(found.values())


def _page(body: bytes, content_type: str) -> etree._Element | None:
    text = encoding.decode(body, content_type).text
    try:
        return etree.fromstring(text.encode("utf-8", "replace"), etree.HTMLParser(encoding="utf-8"))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


def _base(root: etree._Element, url: str) -> str:
    for element in root.iter("base"):
        return links.absolute(element.get("href"), url) or url
    return url


def _declared(root: etree._Element, base: str) -> Iterator[Offer]:
    for element in islice(root.iter("link"), MAX_LINKS):
        link = links.absolute(element.get("href"), base)
        if link and _is_feed(element, link):
            yield Offer(link, limits.title_of(html.one_line(element.get("title", ""))))


def _is_feed(element: etree._Element, link: str) -> bool:
    relations = element.get("rel", "").lower().split()
    kind = element.get("type", "").lower().split(";")[0].strip()
    if "alternate" in relations:
        return kind in _TYPES or (kind in _VAGUE_TYPES and _has_usual_name(link))
    return "feed" in relations


def _linked(root: etree._Element, base: str) -> Iterator[Offer]:
    for element in islice(root.iter("a"), MAX_LINKS):
        link = links.absolute(element.get("href"), base)
        if link and _has_usual_name(link):
            yield Offer(link, limits.title_of(html.one_line(element.text or "")))


def _has_usual_name(link: str) -> bool:
    return _USUAL_NAME.search(re.split(r"[?#]", link, maxsplit=1)[0]) is not None
