"""What the entries of a page mean for what is stored: which are new, newly seen here, or edited. Pure.

Some of what a feed prints changes by itself: votes with every look, and in some feeds the time of day in every
summary. Each write is an event for every open page, so these are written within limits.

What retention has removed stays so: an entry of it is nothing, neither new nor an edit, however long a feed lists it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from feedmirror.models import Entry
from feedmirror.storage.item_document import Document, is_stub, plain

# A feed that prints the time into its summaries would write every item at every poll. Real edits of a text that
# is being worked on stay below this; lemon24/reader ends at the same number.
SUMMARY_EDITS_MAX = 24

# Stack Overflow's votes moved at every seventh look; nobody watches a count more closely than this.
COUNTS_EVERY = timedelta(minutes=1)

_TEXT = ("title", "link", "author", "tags", "thumbnail", "comments_link")
_COUNTS = ("score", "comments")


@dataclass(frozen=True, slots=True)
class Changes:
    """Entries to insert, documents to sight at the source, documents to edit; and how many edits have to wait."""

    new: dict[str, Entry] = field(default_factory=dict)
    sighted: list[Document] = field(default_factory=list)
    edited: list[tuple[Document, Entry]] = field(default_factory=list)
    held_back: list[Document] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to write now."""
        return bool(self.new or self.sighted or self.edited)

    @classmethod
    def between(
        cls, entries: Mapping[str, Entry], known: Mapping[str, Document], *, source_id: str, now: datetime
    ) -> "Changes":
        """Compare entries, by id, with the documents known under their ids."""
        changes = cls()
        for item_id, entry in entries.items():
            document = known.get(item_id)
            if document is None:
                changes.new[item_id] = entry
            elif is_stub(document) or source_id in document.get("let_go_by", ()):
                continue
            elif all(sighting["id"] != source_id for sighting in document["sources"]):
                changes.sighted.append(document)
            elif document["sources"][0]["id"] == source_id:  # the first of those that keep it
                changes._compare(document, entry, now)
        return changes

    def _compare(self, document: Document, entry: Entry, now: datetime) -> None:
        if _is_edited(document, entry):
            self.edited.append((document, entry))
        elif _differ(_COUNTS, document, entry):
            counted_at: datetime = document.get("counted_at") or document["arrived_at"]
            if now - counted_at >= COUNTS_EVERY:
                self.edited.append((document, entry))
            else:
                self.held_back.append(document)


def _is_edited(document: Mapping[str, Any], entry: Entry) -> bool:
    """Whether the text differs for a reader; a feed's `updated` alone moves with every vote and answer."""
    if _differ(_TEXT, document, entry):
        return True
    return bool(document["summary"] != entry.summary and document.get("summary_edits", 0) < SUMMARY_EDITS_MAX)


def _differ(names: tuple[str, ...], document: Mapping[str, Any], entry: Entry) -> bool:
    return any(document.get(name) != plain(getattr(entry, name)) for name in names)
