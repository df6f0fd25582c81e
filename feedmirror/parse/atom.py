"""Atom 1.0 (RFC 4287) and its draft 0.3, which is still published.

Knows Atom's elements; how markup sits in them, and what other modules add, is read by `fields` and `modules`.
"""

import base64
from collections.abc import Iterable

from feedmirror.models import Entry, Page
from feedmirror.parse import html, limits, modules
from feedmirror.parse.fields import Fields, Reading, markup_in, text_in
from feedmirror.parse.limits import author_of, guid_of, summary_of, title_of
from feedmirror.parse.xml import Element

_HTML_TYPES = frozenset({"html", "xhtml", "text/html", "application/xhtml+xml", "text/xhtml", "xml", "text/xml"})
_BINARY_TYPES = frozenset({"application/octet-stream", "base64"})
_MEDIA_TYPES = ("image/", "audio/", "video/")
# RFC 4287, 4.2.7.2: a relation may be written as the address of its registration.
_ALTERNATE = "alternate"
_REGISTRY = "http://www.iana.org/assignments/relation/"


def read(root: Element, reading: Reading) -> Page:
    """The page that an Atom document is: a feed, or a single entry (RFC 4287, 2)."""
    feed = Fields(root, reading)
    alone = reading.names[root.tag] == "entry"
    elements = limits.first_of([root] if alone else feed.each("entry"))
    inherited = "" if alone else authors(feed)
    return Page(
        entries=tuple(_entry(Fields(element, reading), inherited) for element in elements),
        format="atom 0.3" if _is_draft(root) else "atom 1.0",
        title="" if alone else title_of(title(feed.first("title"))),
        next=next_page(feed, "link"),
    )


def _is_draft(root: Element) -> bool:
    return "purl.org/atom/ns" in root.tag or root.get("version") == "0.3"


def _entry(fields: Fields, inherited_author: str) -> Entry:
    guid = fields.text("id")
    links = links_by_relation(fields)
    return Entry(
        title=title_of(title(fields.first("title", "media:title"))),
        link=_alternate(fields, links.get(_ALTERNATE, [])) or fields.permanent(guid),
        guid=guid_of(guid),
        author=author_of(authors(fields) or _source_authors(fields) or inherited_author),
        summary=_summary(fields),
        tags=modules.tags([_tag(category) for category in fields.each("category")], fields),
        published=fields.date("published", "issued", "created", "dcterms:issued", "dc:date"),
        updated=fields.date("updated", "modified", "dcterms:modified"),
        comments_link=first_address(fields, links.get("replies", ())),
        thumbnail=modules.thumbnail(fields),
        score=modules.score(fields),
        comments=modules.comments(fields),
    )


def _tag(category: Element) -> str:
    return html.one_line(category.get("term") or category.get("label") or text_in(category))


def title(element: Element | None) -> str:
    """A title as plain text, whatever type it claims (RFC 4287, 3.1)."""
    if element is None:
        return ""
    is_html, text = _construct(element)
    return html.text_of(text) if is_html else html.one_line(text)


def summary(element: Element, base: str) -> str:
    """A text construct as sanitised HTML."""
    is_html, text = _construct(element)
    text = summary_of(text)
    return html.clean(text, base) if is_html else html.from_text(text)


def _summary(fields: Fields) -> str:
    for element in fields.all("summary", "content", "media:description"):
        if text := summary(element, fields.base(element)):
            return text
    for group in fields.each("media:group"):
        return _summary(fields.within(group))
    return ""


def _construct(element: Element) -> tuple[bool, str]:
    """Whether a text construct is HTML, and what stands in it."""
    kind = (element.get("type") or "").strip().lower()
    if len(element) > 0:
        # markup that was not escaped, whatever the type says
        return True, markup_in(element)
    text = element.text or ""
    if element.get("mode") == "base64" or kind in _BINARY_TYPES:
        # what the bytes are is not said; where they are text, it is HTML as often as not
        return True, _from_base64(text)
    if kind.startswith(_MEDIA_TYPES):
        return False, ""
    return kind in _HTML_TYPES, text


def _from_base64(text: str) -> str:
    """The text that was encoded (RFC 4287, 4.1.3.3); empty where it was none."""
    try:
        decoded = base64.b64decode(text).decode()
    except ValueError:  # not base64, or not text
        return ""
    return decoded if html.without_forbidden(decoded) == decoded else ""


def authors(fields: Fields) -> str:
    """The names of those who wrote it, with commas between."""
    names = modules.joined([_name(person, fields) for person in fields.each("author")])
    return names or modules.creator(fields)


def _source_authors(fields: Fields) -> str:
    # RFC 4287, 4.2.1: the source that the entry was copied from comes before the feed that it stands in
    source = fields.first("source")
    return "" if source is None else authors(fields.within(source))


def _name(person: Element, fields: Fields) -> str:
    """A person's name, or the address where there is none (RFC 4287, 3.2)."""
    address = ""
    for child in person:
        kind = fields.reading.names[child.tag]
        if kind == "name" and (name := html.one_line(text_in(child))):
            return name
        if kind == "email":
            address = html.one_line(text_in(child))
    # the last is not allowed, and common: the name without an element of its own
    return address or html.one_line(person.text or "")


def links_by_relation(fields: Fields, name: str = "link") -> dict[str, list[Element]]:
    """The link elements by how their targets relate to the feed or entry; without a word, as its alternate."""
    found: dict[str, list[Element]] = {}
    for element in fields.each(name):
        relation = element.get("rel", _ALTERNATE)
        if relation != _ALTERNATE:
            relation = relation.strip().lower().removeprefix(_REGISTRY) or _ALTERNATE
        found.setdefault(relation, []).append(element)
    return found


def first_address(fields: Fields, elements: Iterable[Element]) -> str | None:
    """Where the first of these links leads that leads anywhere."""
    for element in elements:
        if link := fields.link(element.get("href") or element.text, element):
            return link
    return None


def _alternate(fields: Fields, elements: list[Element]) -> str | None:
    """Where the entry can be read: the HTML page if there are several."""
    if len(elements) > 1:
        elements = sorted(elements, key=lambda element: "html" not in element.get("type", ""))
    return first_address(fields, elements)


def next_page(fields: Fields, name: str) -> str | None:
    """The page with the entries before these (RFC 5005, 3 and 4)."""
    links = links_by_relation(fields, name)
    return first_address(fields, (*links.get("next", ()), *links.get("prev-archive", ())))
