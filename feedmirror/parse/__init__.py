"""Bytes in, a Page of entries out: RSS 0.90 to 2.0, RSS 1.0, Atom 0.3 and 1.0, JSON Feed 1.0 and 1.1.

    parse(body) ── `{` first ──> json_feed ───────────────────┐
       └─ xml.read(body) ──> tree ── root's name ──> atom, rss ┴─> Page

The format is decided by what the document holds, never by its Content-Type. Knows nothing of HTTP, of storage, or of
what an entry's id will be.

    encoding   which characters the bytes are          names    short names for tags, whatever the namespace
    repair     text that is nearly XML                 fields   the children of one element
    xml        bytes to tree, strictly or forgivingly  modules  Dublin Core, Media RSS, iTunes and the like
    html       sanitising, and HTML as text            dates    points in time
    links      absolute http(s) addresses              limits   how long the parts of an entry may be
    hints      when a channel wants to be looked at
    discovery  the feeds that an HTML page offers
"""

import re
from dataclasses import replace
from datetime import UTC, datetime

from feedmirror.errors import ParseError
from feedmirror.models import Page
from feedmirror.parse import atom, discovery, json_feed, limits, rss, xml
from feedmirror.parse.dates import DateReader
from feedmirror.parse.fields import Reading
from feedmirror.parse.names import ATOM, RSS, Names, split_tag

_FAMILIES = {"feed": ATOM, "entry": ATOM, "rss": RSS, "rdf": RSS, "channel": RSS}
_READERS = {ATOM: atom.read, RSS: rss.read}
# HTML may leave out the html element itself.
_PAGE_ROOTS = frozenset({"html", "head", "body", "meta", "title", "link", "script", "style", "div", "p"})

_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[\[{]")


def parse(body: bytes, *, url: str, content_type: str = "") -> Page:
    """The entries of a document, in its order.

    `url`: where it came from, for relative links; "" where that is nowhere. Raises ParseError, and nothing else, for
    what is no feed; the text says what it is instead.
    """
    if not body.strip():
        raise ParseError("the document is empty")
    with limits.counted() as cuts:
        page = _read(body, url, content_type)
    return replace(page, cuts=dict(cuts)) if cuts else page


def _read(body: bytes, url: str, content_type: str) -> Page:
    dates = DateReader(datetime.now(UTC))
    if _JSON.match(body):
        return json_feed.read(body, content_type, url, dates)
    tree = xml.read(body, content_type, url)
    if _local_name(tree.root) in _PAGE_ROOTS:
        raise _is_a_page(body, url, content_type)
    return _from_xml(tree, url, dates)


def _from_xml(tree: xml.Tree, url: str, dates: DateReader) -> Page:
    local = _local_name(tree.root)
    family = _FAMILIES.get(local)
    if family is None:
        raise ParseError(f"XML, but no feed: its root is <{local[:40]}>")
    own_tags = [tree.root.tag, *(child.tag for child in tree.root.iterchildren("{*}channel"))]
    reading = Reading(url=url, names=Names(family, *own_tags), dates=dates, has_base=tree.has_base)
    page = _READERS[family](tree.root, reading)
    return replace(page, encoding=tree.encoding, recovered=tree.recovered, truncated=tree.truncated)


def _local_name(element: xml.Element) -> str:
    return split_tag(element.tag)[1].lower()


def _is_a_page(body: bytes, url: str, content_type: str) -> ParseError:
    offers = [offer.url for offer in discovery.offers(body, url=url, content_type=content_type)]
    hint = f"; it offers {' and '.join(offers[:3])}" if offers else ""
    return ParseError(f"an HTML page, not a feed{hint}", offers=offers)
