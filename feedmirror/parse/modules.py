"""What the extension modules say about an entry, the same in Atom and in RSS.

Dublin Core, Media RSS, iTunes, Slash, WFW, Atom Threading and Atom Rank. Knows nothing of the formats around them.
"""

import re
from collections.abc import Iterable, Iterator

from feedmirror.parse import html
from feedmirror.parse.fields import Fields, text_in
from feedmirror.parse.limits import AUTHOR, tags_of
from feedmirror.parse.xml import Element

# Ten digits: beyond any count of votes or comments, and within what MongoDB and JavaScript keep exactly.
_MAX_DIGITS = 10

_TAG_TEXTS = ("dc:subject", "media:category")
_TAG_LISTS = ("media:keywords", "itunes:keywords")
_TAGS = frozenset((*_TAG_TEXTS, *_TAG_LISTS, "atom:category", "itunes:category"))
_CREATORS = ("dc:creator", "dc:author", "itunes:author")
_PICTURES = frozenset({"media:thumbnail", "media:content", "media:group", "enclosure", "itunes:image"})
# `editor@example.org (The Editor)`, as RSS 2.0 wants it, and the other orders that people write
_MAIL_AND_NAME = re.compile(
    r"[^\s@]+@[^\s@]+\s*\((?P<name>[^()]+)\)|(?P<before>[^<>()]+)[<(]\s*(?:mailto:)?[^\s@]+@[^\s@<>()]+\s*[>)]"
)


def tags(own: list[str], fields: Fields) -> tuple[str, ...]:
    """The entry's own tags and those of the modules, each once, in order."""
    return distinct([*own, *_module_tags(fields)] if fields.has_any(_TAGS) else own)


def distinct(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags, each of them one line, as one keeps them: none empty, each once, in order."""
    found = dict.fromkeys(tags)
    found.pop("", None)
    return tags_of(found)


def _module_tags(fields: Fields) -> Iterator[str]:
    for element in fields.all(*_TAG_TEXTS):
        yield html.name_of(text_in(element))
    for element in fields.each("atom:category"):
        yield html.one_line(element.get("term", ""))
    for element in fields.each("itunes:category"):
        yield from _category_names(element)
    for element in fields.all(*_TAG_LISTS):
        yield from listed(text_in(element))


def listed(text: str) -> list[str]:
    """The tags of a list with commas."""
    return [html.text_of(tag) for tag in text.split(",")]


def _category_names(element: Element) -> Iterator[str]:
    """Names of an iTunes category and of the ones within it."""
    for category in element.iter():
        yield html.one_line(category.get("text", ""))


def creator(fields: Fields) -> str:
    """Who made the entry, by the modules; several names with commas between."""
    for kind in _CREATORS:
        people = fields.each(kind)
        if people and (names := joined([person_name(text_in(element)) for element in people])):
            return names
    return ""


def person_name(text: str) -> str:
    """The name in a line that may hold an address too; the address where there is no name."""
    text = html.name_of(text)
    match = _MAIL_AND_NAME.fullmatch(text) if "@" in text and len(text) <= AUTHOR else None
    return text if match is None else (match["name"] or match["before"]).strip(" \"'")


def joined(names: list[str]) -> str:
    """The names that are not empty, each once, with commas between."""
    if len(names) == 1:  # as nearly always
        return names[0]
    found = dict.fromkeys(names)
    found.pop("", None)
    return ", ".join(found)


def score(fields: Fields) -> int | None:
    """The votes for the entry."""
    return whole_number(fields.text("re:rank"))


def comments(fields: Fields) -> int | None:
    """How many comments the entry has."""
    return whole_number(fields.text("slash:comments", "thr:total"))


def thumbnail(fields: Fields) -> str | None:
    """The address of a picture of the entry: a thumbnail if there is one, else a picture among its media."""
    if not fields.has_any(_PICTURES):
        return None
    media = [fields, *(fields.within(group) for group in fields.all("media:group", "media:content"))]
    for level in media:
        for element in level.each("media:thumbnail"):
            if link := level.link(element.get("url") or text_in(element), element):
                return link
    for level in media:
        for element in (*level.each("media:content"), *level.each("enclosure")):
            if _is_picture(element) and (link := level.link(element.get("url"), element)):
                return link
    image = fields.first("itunes:image")
    return None if image is None else fields.link(image.get("href"), image)


def _is_picture(element: Element) -> bool:
    return element.get("medium") == "image" or element.get("type", "").startswith("image/")


def whole_number(text: str) -> int | None:
    if not text:
        return None
    digits = text.removeprefix("-").removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) > _MAX_DIGITS:
        return None
    return int(text)
