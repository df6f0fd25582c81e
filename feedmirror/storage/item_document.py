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
from operator import attrgetter
from typing import Any

from feedmirror.models import Entry, Item, Sighting
from feedmirror.storage.clock import Tick
from feedmirror.words import words_of

Document = dict[str, Any]

ENTRY_FIELDS = tuple(field.name for field in fields(Entry))
_values_of = attrgetter(*ENTRY_FIELDS)
_NOT_PLAIN = ("tags", "published", "updated")
NOT_FOR_INDEXES = {"words": 0, "labels": 0}


class Writing:
    """The documents that one transaction writes, numbered as they are made.

    `documents`: what is known, by id, and then as it becomes: what one source brings is known to the next.
    `sightings`: the arrivals of items at further sources, as documents of their own.
    """

    def __init__(self, known: Mapping[str, Document], tick: Tick):
        self._known = known
        self.documents = dict(known)
        self.sightings: list[Document] = []
        self._stamps = iter(range(tick.first_us, tick.head_us + 1))
        self._now = tick.now

    @property
    def inserted(self) -> list[Document]:
        """The new items."""
        return [document for item_id, document in self.documents.items() if item_id not in self._known]

    @property
    def replaced(self) -> list[Document]:
        """The known items that are otherwise now."""
        known = self._known
        return [
            document for item_id, document in self.documents.items() if document is not known.get(item_id, document)
        ]

    def insert(self, source_id: str, item_id: str, entry: Entry) -> Document:
        """A new item."""
        stamp = next(self._stamps)
        document = {
            "_id": item_id,
            **_shown(entry),
            "fetched": stamp,
            "changed": stamp,
            "arrived_at": self._now,
            "counted_at": self._now,
            "first_source": source_id,
            "sources": [{"id": source_id, "fetched": stamp}],
        }
        self.documents[item_id] = document
        return document

    def sight(self, source_id: str, document: Document) -> None:
        """A known item that this source shows for the first time."""
        stamp = next(self._stamps)
        item_id = document["_id"]
        sighting = {"item": item_id, "source": source_id, "fetched": stamp, "arrived_at": self._now}
        self.sightings.append(sighting)
        seen = [*document["sources"], {"id": source_id, "fetched": stamp}]
        self.documents[item_id] = {**document, **_found_by(document), "sources": seen, "changed": stamp}

    def edit(self, document: Document, entry: Entry) -> None:
        """A known item as the entry has it now."""
        edits = document.get("summary_edits", 0) + (document["summary"] != entry.summary)
        self.documents[document["_id"]] = {
            **document,
            **_shown(entry),
            "changed": next(self._stamps),
            "counted_at": self._now,
            "summary_edits": edits,
        }


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
    shown = dict(zip(ENTRY_FIELDS, _values_of(entry), strict=True))
    for name in _NOT_PLAIN:
        shown[name] = plain(shown[name])
    return {**shown, **_found_by(shown)}


def _found_by(shown: Mapping[str, Any]) -> Document:
    """The fields that exist for the indexes."""
    return {
        "labels": sorted({tag.casefold() for tag in shown["tags"]}),
        "words": sorted(words_of((shown["title"], *shown["tags"]))),
    }
