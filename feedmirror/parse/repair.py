"""Mends the text of a document that is nearly XML, so that less is left to a forgiving parser's imagination.

A forgiving parser drops what it does not understand: `&nbsp;`, and everything behind an unescaped `&`. Here such
things become what their author meant. Works on text alone; knows neither parsers nor what the elements mean, except
which of them repeat.
"""

import re
from html.entities import html5
from itertools import count

from feedmirror.models import Cut
from feedmirror.parse import limits
from feedmirror.parse.html import without_forbidden

# Long enough for any name or phrase; a longer replacement could blow a document up.
MAX_ENTITY = 100
MAX_ENTITIES = 500
# Enough for every entry's "&author;", and no more than a few hundred kilobytes of growth.
MAX_EXPANSIONS = 10_000
_NOT_DECLARED = Cut(
    "entity",
    "entities",
    f"left out: more than {MAX_ENTITIES} are declared, or one has more than {MAX_ENTITY} characters",
)
_NOT_EXPANDED = Cut("reference", "references", f"left as written: {MAX_EXPANSIONS:,} to entities are replaced")

# Comments are matched so as to be passed over: they may speak of `<rss>`.
_START = re.compile(
    r"<!--.*?(?:-->|\Z)|(?P<start><(?:\?xml\s|(?:[\w.-]+:)?(?:rss|feed|rdf|channel)[\s>/]))", re.IGNORECASE | re.DOTALL
)
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*>")
# A document type stands before the root, behind nothing but declarations and comments.
_PROLOG = r"(?:\s+|<\?.*?\?>|<!--.*?-->)*+(?=<!DOCTYPE)"
_PROLOG_TEXT = re.compile(_PROLOG, re.IGNORECASE | re.DOTALL)
_PROLOG_BYTES = re.compile(rb"(?:\xef\xbb\xbf)?" + _PROLOG.encode(), re.IGNORECASE | re.DOTALL)
_DOCTYPE = re.compile(
    r"""<!DOCTYPE(?:[^<>\[\]"']|"[^"]*"|'[^']*')*+(?:\[(?P<inside>.*?)\]\s*)?>|<!DOCTYPE[^>]*>""",
    re.IGNORECASE | re.DOTALL,
)
_ENTITY = re.compile(r"""<!ENTITY\s+([A-Za-z_][\w.-]*)\s+(?:"([^"<&%]*)"|'([^'<&%]*)')\s*>""")
_SKIPPED = r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)"
# A CDATA section is taken whole, so that nothing within it is touched.
_AMPERSAND = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&(?:\#(?P<decimal>\d{1,7});|\#[xX](?P<hexadecimal>[0-9a-fA-F]{1,6});|(?P<name>\w{1,40});)?",
    re.DOTALL,
)
_XML_NAMES = frozenset({"amp", "lt", "gt", "quot", "apos"})


def has_doctype(body: bytes) -> bool:
    """Whether a document has a document type, which we never hand to a parser."""
    return _PROLOG_BYTES.match(body) is not None


def without_doctype(text: str) -> str:
    """The text without its document type; the entities that it declares in so many words are put in their places."""
    prolog = _PROLOG_TEXT.match(text)
    doctype = _DOCTYPE.match(text, prolog.end()) if prolog else None
    if doctype is None:
        return text
    entities = _declared_entities(doctype["inside"] or "")
    rest = text[: doctype.start()] + text[doctype.end() :]
    return _with_entities(rest, entities) if "&" in rest else rest


def mended(text: str) -> str:
    """The text with what no XML parser would accept made good, as far as the meaning is plain."""
    starts = (match.start() for match in _START.finditer(text) if match["start"])
    start = next(starts, 0)
    if "<html" not in text[:start].lower():  # a page may speak of feeds, in its scripts
        text = text[start:]
    declaration = _DECLARATION.match(text)
    text = text[declaration.end() :] if declaration else text
    return _AMPERSAND.sub(_as_xml, without_forbidden(without_doctype(text)))


def cut_to_whole(text: str, root: str, repeated: str) -> str | None:
    """A text that ends too early, up to its last whole entry; None where it does end with its root's end tag.

    `root` and `repeated` are names as the document writes them, prefix included.
    """
    if _end_tags(text, root):
        return None
    ends = _end_tags(text, repeated)
    return text[: ends[-1]] if ends else text[: _first(text, repeated)]


def count_whole(text: str, repeated: str) -> int:
    """How many elements of this name end in the text."""
    return len(_end_tags(text, repeated))


def _end_tags(text: str, name: str) -> list[int]:
    """Where the end tags of a name end; in CDATA and comments they are mere text."""
    tags = re.finditer(rf"{_SKIPPED}|(?P<tag></{re.escape(name)}\s*>)", text, re.DOTALL)
    return [tag.end() for tag in tags if tag["tag"]]


def _first(text: str, repeated: str) -> int:
    tags = re.finditer(rf"{_SKIPPED}|(?P<tag><{re.escape(repeated)}(?:[\s/>]|\Z))", text, re.DOTALL)
    return next((tag.start() for tag in tags if tag["tag"]), len(text))


def _declared_entities(inside: str) -> dict[str, str]:
    declared: dict[str, str] = {}
    for entity in _ENTITY.finditer(inside):
        value = entity[2] if entity[2] is not None else entity[3]
        if len(value) <= MAX_ENTITY and len(declared) < MAX_ENTITIES:
            declared.setdefault(entity[1], value)
        else:
            limits.note(_NOT_DECLARED)
    return declared


def _with_entities(text: str, entities: dict[str, str]) -> str:
    expansions = count()

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None or name in _XML_NAMES:
            return match[0]
        if name in entities:
            if next(expansions) < MAX_EXPANSIONS:
                return entities[name]
            limits.note(_NOT_EXPANDED)
        return _html_entity(name) or match[0]

    return _AMPERSAND.sub(replaced, text)


def _as_xml(match: re.Match[str]) -> str:
    if match["decimal"]:
        return _character(int(match["decimal"]))
    if match["hexadecimal"]:
        return _character(int(match["hexadecimal"], 16))
    if match["name"]:
        return match[0] if match["name"] in _XML_NAMES else _html_entity(match["name"]) or f"&amp;{match['name']};"
    # a bare ampersand, or a CDATA section
    return "&amp;" if match[0] == "&" else match[0]


def _character(code: int) -> str:
    """A reference to the character, or nothing for one that XML forbids."""
    if code > 0x10FFFF or not without_forbidden(chr(code)):
        return ""
    return f"&#{code};"


def _html_entity(name: str) -> str | None:
    characters = html5.get(f"{name};")
    return None if characters is None else "".join(f"&#{ord(character)};" for character in characters)
