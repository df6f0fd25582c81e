"""JSON Feed 1.0 and 1.1 (jsonfeed.org).

Knows its members and that real feeds put anything into them: a value of another type counts as missing.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from feedmirror.errors import ParseError
from feedmirror.models import Cut, Entry, Page
from feedmirror.parse import encoding, html, limits, links, modules
from feedmirror.parse.dates import DateReader
from feedmirror.parse.limits import author_of, guid_of, summary_of, title_of

_VERSION = "https://jsonfeed.org/version/"

_JSON = json.JSONDecoder(strict=False)  # line breaks within strings are common, and harmless
_ITEMS = re.compile(r'"items"\s*:\s*\[')
# Where items may begin in a document that breaks off: each is tried once, and takes as long as the text before it.
_MAX_STARTS = 5
_STRANGE = Cut("entry", "entries", "left out: not a JSON object")
_NEXT = re.compile(r"[\s,]*(?=\S)")

Member = Any  # whatever stands in the JSON; every use of it looks first


def read(body: bytes, content_type: str, url: str, dates: DateReader) -> Page:
    """The page that a JSON Feed is; ParseError where it is no JSON, or another kind of it."""
    decoded = encoding.decode(body, content_type)
    feed, truncated = _object(decoded.text)
    version = _text(feed.get("version")).strip().replace("http://", "https://", 1)
    if not version.startswith(_VERSION) and not isinstance(feed.get("items"), list):
        raise ParseError("JSON, but no JSON Feed: it has neither its version nor items")
    authors = _authors(feed)
    items = feed.get("items")
    listed = limits.first_of(items if isinstance(items, list) else ())
    objects = [item for item in listed if isinstance(item, dict)]
    if strange := len(listed) - len(objects):
        limits.note(_STRANGE, strange)
    return Page(
        entries=tuple(_entry(item, url, authors, dates) for item in objects),
        format=f"json feed {version.removeprefix(_VERSION)[:10]}".strip(),
        title=title_of(html.one_line(_text(feed.get("title")))),
        next=links.absolute(_text(feed.get("next_url")), url),
        encoding=decoded.encoding,
        recovered=truncated or not decoded.clean,
        truncated=truncated,
    )


def _object(text: str) -> tuple[dict[str, Member], bool]:
    """The feed object, and whether its end was missing."""
    try:
        feed, truncated = _JSON.decode(text), False
    except RecursionError:
        raise ParseError("not a JSON Feed: nested too deeply") from None
    except ValueError as error:
        feed, truncated = _beginning(text), True
        if feed is None:
            raise ParseError(f"not a JSON Feed: {error}") from None
    if not isinstance(feed, dict):
        raise ParseError("JSON, but no JSON Feed: it is no object")
    return feed, truncated


def _beginning(text: str) -> dict[str, Member] | None:
    """The feed as far as it goes: what stands before its items, and those items that are whole."""
    for start in islice(_ITEMS.finditer(text), _MAX_STARTS):
        try:
            feed = _JSON.decode(f"{text[: start.end()]}]}}")
        except (ValueError, RecursionError):
            continue  # some other member's items
        return {**feed, "items": list(_whole_objects(text, start.end()))}
    return None


def _whole_objects(text: str, position: int) -> Iterator[Member]:
    while start := _NEXT.match(text, position):
        try:
            member, position = _JSON.raw_decode(text, start.end())
        except (ValueError, RecursionError):
            return
        yield member


def _entry(item: dict[str, Member], url: str, inherited_authors: str, dates: DateReader) -> Entry:
    guid = _text(item.get("id")).strip()
    return Entry(
        title=title_of(html.one_line(_text(item.get("title")))),
        link=_link(item, guid, url),
        guid=guid_of(guid),
        author=author_of(_authors(item) or inherited_authors),
        summary=_summary(item, url),
        tags=modules.distinct(_texts(item.get("tags"))),
        published=dates.read(_text(item.get("date_published"))),
        updated=dates.read(_text(item.get("date_modified"))),
        thumbnail=links.absolute(_text(item.get("image")) or _text(item.get("banner_image")), url),
    )


def _link(item: dict[str, Member], guid: str, url: str) -> str | None:
    return (
        links.absolute(_text(item.get("url")), url)
        or links.absolute(_text(item.get("external_url")), url)
        or links.absolute(guid)
    )


def _summary(item: dict[str, Member], url: str) -> str:
    return (
        html.from_text(summary_of(_text(item.get("summary"))))
        or html.clean(summary_of(_text(item.get("content_html"))), url)
        or html.from_text(summary_of(_text(item.get("content_text"))))
    )


def _authors(owner: dict[str, Member]) -> str:
    """Names of 1.1's `authors`, or of 1.0's `author`."""
    authors = owner.get("authors")
    people = [*authors] if isinstance(authors, list) else []
    people.append(owner.get("author"))
    names = (html.one_line(_text(person.get("name"))) for person in people if isinstance(person, dict))
    return ", ".join(dict.fromkeys(name for name in names if name))


def _texts(member: Member) -> Iterator[str]:
    for text in member if isinstance(member, list) else ():
        if isinstance(text, str):
            yield html.one_line(_text(text))


def _text(member: Member) -> str:
    """A member's text; ids are sometimes numbers. JSON may escape what no text may hold."""
    if isinstance(member, int) and not isinstance(member, bool):
        return str(member)
    return html.without_forbidden(member) if isinstance(member, str) else ""
