"""The fields of one element: its children by short name, and what stands in them.

What Atom and the RSS formats read their entries through. Knows how markup sits in XML (escaped, inline, under an
`xml:base`), and not which field means what.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from feedmirror.parse import html, links
from feedmirror.parse.dates import DateReader
from feedmirror.parse.names import Names, split_tag
from feedmirror.parse.xml import Element

_HTML_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_BASE = "{http://www.w3.org/XML/1998/namespace}base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is the same for all elements of one document.

    `url`: what addresses are relative to where no xml:base says otherwise; `has_base`: whether any might.
    """

    url: str
    names: Names
    dates: DateReader
    has_base: bool


class Fields:
    """An element's children by short name; each question takes the first name that has an answer."""

    __slots__ = ("_children", "element", "reading")

    def __init__(self, element: Element, reading: Reading):
        self.element = element
        self.reading = reading
        children: dict[str, list[Element]] = {}
        names = reading.names
        for child in element:
            children.setdefault(names[child.tag], []).append(child)
        self._children = children

    def has_any(self, names: frozenset[str]) -> bool:
        """Whether there is a child of any of these names: the cheapest of questions, most answers being no."""
        return not self._children.keys().isdisjoint(names)

    def each(self, name: str) -> Sequence[Element]:
        """Every child of this name, in the order of the document."""
        return self._children.get(name, ())

    def all(self, *names: str) -> Iterator[Element]:
        """Every child of these names: in the order of the names, then of the document."""
        for name in names:
            yield from self._children.get(name, ())

    def first(self, *names: str) -> Element | None:
        for name in names:
            if name in self._children:
                return self._children[name][0]
        return None

    def text(self, *names: str) -> str:
        """The first text that is not blank, as one line."""
        for name in names:
            for child in self._children.get(name, ()):
                if text := html.one_line(text_in(child)):
                    return text
        return ""

    def date(self, *names: str) -> datetime | None:
        """The first date that can be read."""
        for name in names:
            for child in self._children.get(name, ()):
                date = self.reading.dates.read(child.text)
                if date is not None:
                    return date
        return None

    def within(self, child: Element) -> "Fields":
        return Fields(child, self.reading)

    def link(self, address: str | None, at: Element) -> str | None:
        """The absolute address of what stands in `at`."""
        return links.absolute(address, self.base(at))

    def permanent(self, guid: str) -> str | None:
        """A guid that is an address by itself, as most are; never one to be completed."""
        return links.absolute(guid) if guid[:4].lower() == "http" else None

    def base(self, at: Element) -> str:
        """What relative addresses in `at` are relative to (XML Base, 4)."""
        if not self.reading.has_base:
            return self.reading.url
        return base_of(at, self.reading.url)


def base_of(element: Element, url: str) -> str:
    """The base of an element: each xml:base seen from the one around it, the outermost from the document's URL."""
    written = [value for ancestor in (element, *element.iterancestors()) if (value := ancestor.get(_BASE))]
    for value in reversed(written):
        url = links.absolute(value, url) or url
    return url


def text_in(element: Element) -> str:
    """All text in an element, that of elements within it included."""
    if len(element) == 0:
        return element.text or ""
    return "".join(map(str, element.itertext()))


def markup_in(element: Element) -> str:
    """What stands in an element, as HTML: escaped markup unescaped, or inline markup without its namespaces."""
    if len(element) == 0:
        return element.text or ""
    for descendant in element.iterdescendants():
        local = split_tag(descendant.tag)[1]
        # a broken document has names that are none, and no name of HTML's has anything but letters and digits
        descendant.tag = local if _HTML_NAME.fullmatch(local) else "span"
    inside = [html.escaped(element.text or "")]
    inside += [etree.tostring(child, encoding="unicode", method="html") for child in element]
    return "".join(inside)
