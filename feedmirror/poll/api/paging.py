"""From one answer of a paginated API to the next. Pure: positions in, addresses out.

A position is what has to be known to ask for a page: {"page": 3}, {"offset": 100}, {"cursor": "abc"} or {"url": "..."};
{} is the beginning. It is plain data, so that whoever walks can keep it and go on tomorrow.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from feedmirror.errors import ParseError
from feedmirror.poll.api.answer import Answer
from feedmirror.poll.api.options import ApiOptions, Paging

Position = Mapping[str, Any]

# How the Stack Exchange API says that a page is the last one; to ask for the next may be an error there.
_HAS_MORE = ("has_more",)


def address(url: str, options: ApiOptions, position: Position) -> str:
    """Where to ask for the page at this position."""
    if "url" in position:
        return str(position["url"])
    params = dict(options.params)
    match options.paging:
        case Paging.PAGE:
            params[options.parameter] = str(position.get("page", 1))
        case Paging.OFFSET:
            params[options.parameter] = str(position.get("offset", 0))
        case Paging.CURSOR if "cursor" in position:
            params[options.parameter] = position["cursor"]
    if not params:
        return url
    parts = urlsplit(url)
    # what the operator says in `params` stands instead of what the URL says
    given = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in params]
    return parts._replace(query=urlencode([*given, *params.items()])).geturl()


def following(url: str, options: ApiOptions, position: Position, answer: Answer) -> Position | None:
    """The position after this answer; None if it was the last. Raises ParseError if it leads where it must not.

    `url` is where the answer came from.
    """
    rows = len(answer.rows)
    match options.paging:
        case Paging.PAGE | Paging.OFFSET if not rows or rows < (options.page_size or 0):
            return None
        case Paging.PAGE | Paging.OFFSET if answer.member(_HAS_MORE) is False:
            return None
        case Paging.PAGE:
            return {"page": position.get("page", 1) + 1}
        case Paging.OFFSET:
            return {"offset": position.get("offset", 0) + rows}
        case Paging.CURSOR:
            cursor = answer.member(options.field)
            usable = isinstance(cursor, str | int) and not isinstance(cursor, bool) and cursor != ""
            return {"cursor": str(cursor)} if usable else None
        case Paging.NEXT:
            found = answer.member(options.field)
            link = found if isinstance(found, str) and found else answer.next_link
            return {"url": _allowed(urljoin(url, link), url, options)} if link else None
        case _:
            return None


def _allowed(link: str, url: str, options: ApiOptions) -> str:
    theirs, ours = urlsplit(link), urlsplit(url)
    if theirs.scheme not in ("http", "https"):
        raise ParseError("the next page is at no http or https address")
    if theirs.netloc.lower() != ours.netloc.lower() and (theirs.hostname or "") not in options.hosts:
        host = theirs.hostname
        raise ParseError(f'the next page is on another host, {host}; if that is meant, write hosts = ["{host}"]')
    if (ours.scheme, theirs.scheme) == ("https", "http"):
        raise ParseError("the next page is at an address without TLS")
    return link
