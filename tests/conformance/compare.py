"""Whether a claim holds for what the parse command printed.

Markup is compared by its text: projects sanitise to different sets of tags, and only the text is common to all.
"""

import html
import re
from datetime import datetime
from typing import Any

from .case import Claim

_TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
_HIDDEN = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)


def holds(claim: Claim, shown: dict[str, Any]) -> bool:
    items = shown["items"]
    if claim.field == "count":
        return len(items) == claim.value
    if claim.index is None:
        return _same_title(claim.value, shown["title"])
    if claim.index >= len(items):
        return False
    return _item_holds(claim, items[claim.index])


def _item_holds(claim: Claim, item: dict[str, Any]) -> bool:
    match claim.field:
        case "published or updated":
            return claim.value in (_moment(item["published"]), _moment(item["updated"]))
        case "published" | "updated":
            return _moment(item[claim.field]) == claim.value
        case "link":
            return (item["link"] or "") == claim.value
        case "tags":
            return _text(claim.value) in item["tags"]
        case "tags[0]":
            return item["tags"][:1] == [_text(claim.value)]
        case "tag count":
            return len(item["tags"]) == claim.value
        case "author":
            return _author_holds(claim, item["author"])
        case "title":
            return _same_title(claim.value, item["title"])
        case _:
            return _same_text(claim.value, item[claim.field])


def _author_holds(claim: Claim, author: str) -> bool:
    value = _text(claim.value)
    if not claim.exact and value in author:
        return True
    # "Name (address)" is how feedparser writes a person, of whom the mirror keeps the name
    return author in (value, value.split(" (")[0])


def _same_title(expected: Any, actual: str) -> bool:
    """A title is plain text, whatever the other project makes of it."""
    return _same_text(expected, html.escape(actual))


def _same_text(expected: Any, actual: str) -> bool:
    """The same words: `expected` may be markup or, where it only looks so, plain text."""
    if not isinstance(expected, str):
        return not expected and not actual
    return _line(actual) == _line(expected) or _words(actual) in (_words(expected), _words(html.escape(expected)))


def _text(markup: str) -> str:
    return _line(html.unescape(_TAG.sub("", markup)))


def _words(markup: str) -> str:
    text = html.unescape(_TAG.sub("", _HIDDEN.sub("", markup)))
    return re.sub(r"\s+", "", text)


def _line(text: str) -> str:
    return " ".join(text.split())


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
