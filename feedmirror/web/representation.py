"""An item as JSON text.

The text is put together by hand at one place only: stamps are numbers with exactly six decimals, and json.dumps
would write 1763710000.12 for 1763710000.120000.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import overload

from feedmirror.models import Item
from feedmirror.web import stamps


def items_json(items: Iterable[Item]) -> str:
    """A JSON array, an item a line, in the given order."""
    return "[" + ",\n".join(item_json(item) for item in items) + "]"


def item_json(item: Item) -> str:
    """One item; the first five members in the order that clients know."""
    members = {
        "_id": _text(item.id),
        "author": _text(item.author),
        "link": _text(item.link),
        "title": _text(item.title),
        "fetched": stamps.seconds(item.fetched_us),
        "summary": _text(item.summary),
        "tags": _text(item.tags),
        "published": _text(rfc3339(item.published)),
        "updated": _text(rfc3339(item.updated)),
        "changed": stamps.seconds(item.changed_us),
        "arrived_at": _text(rfc3339(item.arrived_at)),
        "sources": _text([sighting.source_id for sighting in item.sources]),
        "score": _text(item.score),
        "comments": _text(item.comments),
        "comments_link": _text(item.comments_link),
        "thumbnail": _text(item.thumbnail),
    }
    return "{" + ", ".join(f'"{name}": {value}' for name, value in members.items()) + "}"


@overload
def rfc3339(moment: datetime) -> str: ...
@overload
def rfc3339(moment: datetime | None) -> str | None: ...
def rfc3339(moment: datetime | None) -> str | None:
    """The moment in UTC, always to the millisecond: moments sort as their texts do (jq, sort, a spreadsheet)."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
