"""Trying an address: what a poll would bring, without a database, and with nothing stored.

What the address is to the mirror is not known here.
"""

from dataclasses import asdict
from datetime import UTC, datetime

from feedmirror.config import Settings
from feedmirror.errors import FetchError, ParseError
from feedmirror.fetch import Limits, fetch
from feedmirror.identity import identify
from feedmirror.models import Entry, Finished, Item, Outcome, Source, WatchedSource
from feedmirror.parse import parse


def try_out(source: Source, settings: Settings) -> Finished:
    """Read the feed of a source that is not kept: `new` of its outcome is all that it lists, oldest first.

    Its items have no stamps, since they are no part of the stream.
    """
    return Finished(
        watched=WatchedSource(source=source, active=False), outcome=_outcome(source, settings), interval_s=0
    )


def _outcome(source: Source, settings: Settings) -> Outcome:
    limits = Limits(total_s=settings.fetch_deadline_s, body_bytes=settings.fetch_max_bytes)
    try:
        document = fetch(source.url, private=source.private, limits=limits)
        page = parse(document.body or b"", url=document.url, content_type=document.content_type)
    except (FetchError, ParseError) as error:
        return Outcome(error=str(error))
    identified, now = identify(page.entries, source_id=source.id), datetime.now(UTC)
    items = [_item(item_id, entry, now) for item_id, entry in identified.items.items()]
    return Outcome(new=tuple(reversed(items)), identity=identified.rule, listed=len(items))


def _item(item_id: str, entry: Entry, now: datetime) -> Item:
    return Item(**asdict(entry), id=item_id, fetched_us=0, changed_us=0, arrived_at=now, sources=())
