"""`python -m feedmirror parse`: what the mirror sees in a feed, and under which ids it would keep it.

Reads files and, through the same guarded fetch as a poll, addresses. Stores nothing.
"""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from feedmirror.errors import FeedmirrorError
from feedmirror.identity import Identified, identify
from feedmirror.models import Document, Entry, Page
from feedmirror.parse import parse

_Subcommands = Any  # argparse has no public name for what add_subparsers gives


def add_to(commands: _Subcommands) -> None:
    parser = commands.add_parser("parse", help="show what the mirror sees in a feed")
    parser.add_argument("feeds", nargs="+", metavar="FILE_OR_URL")
    parser.add_argument("--url", default="", metavar="BASE", help="what relative links in a file are relative to")
    parser.add_argument("--content-type", default="", metavar="TYPE", help="the Content-Type a file was served with")
    parser.add_argument("--json", action="store_true", help="one JSON object a line for each feed")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show each feed; 1 if any of them is none, or cannot be had."""
    show = _show_json if options.json else _show_text
    failures = sum(not _shown(feed, options, show) for feed in options.feeds)
    return 1 if failures else 0


_Show = Callable[[str, Page, Identified], None]


def _shown(feed: str, options: argparse.Namespace, show: _Show) -> bool:
    try:
        page, identified = seen(_document(feed, options), source_id=feed)
    except (FeedmirrorError, OSError) as error:
        _show_error(feed, error, as_json=options.json)
        return False
    show(feed, page, identified)
    return True


def seen(document: Document, *, source_id: str) -> tuple[Page, Identified]:
    """What the mirror sees in a document of a source that it has never read before."""
    page = parse(document.body or b"", url=document.url, content_type=document.content_type)
    return page, identify(page.entries, source_id=source_id)


def _document(feed: str, options: argparse.Namespace) -> Document:
    if not feed.startswith(("http://", "https://")):
        return Document(url=options.url, body=Path(feed).read_bytes(), content_type=options.content_type)
    from feedmirror.fetch import fetch  # a file needs no network

    # whoever types an address may also reach it: private ones are theirs
    return fetch(feed, private=True)


def _show_error(feed: str, error: Exception, *, as_json: bool) -> None:
    line = " ".join(str(error).split())
    if as_json:
        _print_line({"file": feed, "error": line})
    else:
        sys.stderr.write(f"{feed}: {line}\n")


def _show_json(feed: str, page: Page, identified: Identified) -> None:
    _print_line({"file": feed, **as_json(page, identified)})


def as_json(page: Page, identified: Identified) -> dict[str, Any]:
    """A page and its items as the object that `--json` prints."""
    return {
        "format": page.format,
        "encoding": page.encoding,
        "recovered": page.recovered,
        "truncated": page.truncated,
        "notices": [cut.words(number) for cut, number in page.cuts.items()],
        "title": page.title,
        "next": page.next,
        "identity": identified.rule,
        "items": [_item_as_json(item_id, entry) for item_id, entry in identified.items.items()],
    }


def _item_as_json(item_id: str, entry: Entry) -> dict[str, Any]:
    return {
        "_id": item_id,
        "link": entry.link,
        "title": entry.title,
        "author": entry.author,
        "published": _time(entry.published),
        "updated": _time(entry.updated),
        "tags": list(entry.tags),
        "summary": entry.summary,
        "guid": entry.guid,
        "thumbnail": entry.thumbnail,
        "comments_link": entry.comments_link,
        "score": entry.score,
        "comments": entry.comments,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _print_line(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def _show_text(feed: str, page: Page, identified: Identified) -> None:
    notes = [page.format, page.encoding or "", f"identity {identified.rule}", f"{len(identified.items)} items"]
    notes += ["recovered"] if page.recovered else []
    notes += ["truncated"] if page.truncated else []
    notes += [cut.words(number) for cut, number in page.cuts.items()]
    lines = [f"{feed}: {page.title or '(no title)'}", f"  {', '.join(filter(None, notes))}"]
    lines += [f"  next: {page.next}"] if page.next else []
    for entry in identified.items.values():
        lines += [f"  {_time(entry.published) or 'no date':20}  {entry.title or '(no title)'}"]
        lines += [f"  {'':20}  {entry.link}"] if entry.link else []
    sys.stdout.write("\n".join(lines) + "\n")
