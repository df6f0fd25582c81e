"""An item as a document: what the collections `items` and `sightings` hold, and how it becomes a model again.

A document is the item as `models.Item` has it, and for the indexes: `first_source`, the folded `labels` (its tags)
and its `words`. `summary_edits` and `counted_at` say how often, and when last, what changes by itself was written.
`let_go_by` names the sources that showed it and no longer keep it; they are not in `sources` any more, and an item
whose first one is among them has no `first_source`. Of an item that nobody keeps, a stub is left: `_id`, `removed_at`.
Pure: knows no collection and makes no query.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from feedmirror.models import Entry, Item, Sighting
from feedmirror.storage.clock import Tick
from feedmirror.words import words_of

Document = dict[str, Any]

ENTRY_FIELDS = tuple(field.name for field in fields(Entry))
NOT_FOR_INDEXES = {"words": 0, "labels": 0}


class Writing:
    """The documents that one transaction writes for a source, numbered as they are made."""

    def __init__(self, source_id: str, tick: Tick):
        self._source_id = source_id
        self._stamps = iter(range(tick.first_us, tick.head_us + 1))
        self._now = tick.now

    def insert(self, item_id: str, entry: Entry) -> Document:
        """A new item."""
        stamp = next(self._stamps)
        return {
            "_id": item_id,
            **_shown(entry),
            "fetched": stamp,
            "changed": stamp,
            "arrived_at": self._now,
            "counted_at": self._now,
            "first_source": self._source_id,
            "sources": [{"id": self._source_id, "fetched": stamp}],
        }

    def sight(self, document: Document) -> Document:
        """A known item that this source shows for the first time."""
        stamp = next(self._stamps)
        seen = [*document["sources"], {"id": self._source_id, "fetched": stamp}]
        return {**document, **_found_by(document), "sources": seen, "changed": stamp}

    def edit(self, document: Document, entry: Entry) -> Document:
        """A known item as the entry has it now."""
        edits = document.get("summary_edits", 0) + (document["summary"] != entry.summary)
        return {
            **document,
            **_shown(entry),
            "changed": next(self._stamps),
            "counted_at": self._now,
            "summary_edits": edits,
        }

    def sighting(self, document: Mapping[str, Any]) -> Document:
        """The latest arrival of an item at a further source, as a document of its own."""
        last = document["sources"][-1]
        return {"item": document["_id"], "source": last["id"], "fetched": last["fetched"], "arrived_at": self._now}


def is_stub(document: Mapping[str, Any]) -> bool:
    """Whether this is what retention has left of an item."""
    return "removed_at" in document


def entry_of(document: Mapping[str, Any]) -> Entry:
    """What a stored item says, without its place in the stream; a stub says nothing."""
    return Entry(**_entry_fields(document))


def item_of(document: Mapping[str, Any]) -> Item:
    """The item that a document of `items` holds."""
    return Item(
        **_entry_fields(document),
        id=document["_id"],
        fetched_us=document["fetched"],
        changed_us=document["changed"],
        arrived_at=document["arrived_at"],
        sources=tuple(Sighting(source_id=seen["id"], fetched_us=seen["fetched"]) for seen in document["sources"]),
    )


def plain(value: object) -> object:
    """A value as BSON gives it back: a list for a tuple, whole milliseconds for a moment."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value


def _entry_fields(document: Mapping[str, Any]) -> Document:
    # what a document of an older version lacks has its default
    found = {name: document[name] for name in ENTRY_FIELDS if name in document}
    return {**found, "tags": tuple(found.get("tags", ()))}


def _shown(entry: Entry) -> Document:
    shown = {name: plain(getattr(entry, name)) for name in ENTRY_FIELDS}
    return {**shown, **_found_by(shown)}


def _found_by(shown: Mapping[str, Any]) -> Document:
    """The fields that exist for the indexes."""
    return {
        "labels": sorted({tag.casefold() for tag in shown["tags"]}),
        "words": sorted(words_of((shown["title"], *shown["tags"]))),
    }
