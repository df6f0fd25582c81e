"""How long the parts of an entry may be: more than any publisher means, little enough to keep and to show.

A hostile feed can put its whole body into one title; MongoDB's documents end at 16 MB, and a page of a hundred items
should weigh kilobytes. A longer text is cut, except a guid, which is worthless in part. Cuts are counted while a
document is read. The count is found through the context and not handed down to each field: to count costs nothing
where nothing is cut, which is nearly everywhere.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import TypeVar

from feedmirror.models import Cut

# A document of 20 MB has fewer, unless it was made to have more: each costs us far more than its author.
ENTRIES = 50_000
TITLE = 2_000
AUTHOR = 500
GUID = 2_000
SUMMARY = 100_000
# More than a page shows, and enough for a feed that lists keywords; a hostile one must not fill a document.
TAGS = 100
TAG = 200
# Longer than any browser or server takes; a longer one is an attack or an accident.
LINK = 8_192

CUT_ENTRIES = Cut("entry", "entries", f"left out: the first {ENTRIES:,} are read")
CUT_TITLE = Cut("title", "titles", f"cut at {TITLE:,} characters")
CUT_AUTHOR = Cut("author", "authors", f"cut at {AUTHOR} characters")
CUT_SUMMARY = Cut("summary", "summaries", f"cut at {SUMMARY:,} characters")
CUT_TAGS = Cut("tag", "tags", f"left out: the first {TAGS} of an entry are kept")
CUT_TAG = Cut("tag", "tags", f"cut at {TAG} characters")
CUT_LINK = Cut("address", "addresses", f"left out: longer than {LINK:,} characters")

_cuts: ContextVar[Counter[Cut] | None] = ContextVar("cuts", default=None)

T = TypeVar("T")


@contextmanager
def counted() -> Iterator[Counter[Cut]]:
    """What is cut within the block."""
    cuts: Counter[Cut] = Counter()
    token = _cuts.set(cuts)
    try:
        yield cuts
    finally:
        _cuts.reset(token)


def note(cut: Cut, number: int = 1) -> None:
    """Count what was cut; outside of `counted` nothing is."""
    cuts = _cuts.get()
    if cuts is not None:
        cuts[cut] += number


def first_of(elements: Iterable[T]) -> list[T]:
    """As many elements as a document may have."""
    remaining = iter(elements)
    kept = list(islice(remaining, ENTRIES))
    if beyond := sum(1 for _ in remaining):
        note(CUT_ENTRIES, beyond)
    return kept


def title_of(text: str) -> str:
    return text if len(text) <= TITLE else _cut(text, TITLE, CUT_TITLE)


def author_of(text: str) -> str:
    return text if len(text) <= AUTHOR else _cut(text, AUTHOR, CUT_AUTHOR)


def summary_of(markup: str) -> str:
    """The markup of a summary, or its beginning."""
    return markup if len(markup) <= SUMMARY else _cut(markup, SUMMARY, CUT_SUMMARY)


def tags_of(tags: dict[str, None]) -> tuple[str, ...]:
    """The tags, each of them once already."""
    if len(tags) > TAGS:
        note(CUT_TAGS, len(tags) - TAGS)
    kept = tuple(tags)[:TAGS]
    # the common case at half the time: together they are shorter than one may be
    return kept if len("".join(kept)) <= TAG else tuple(map(_tag_of, kept))


def _tag_of(text: str) -> str:
    return text if len(text) <= TAG else _cut(text, TAG, CUT_TAG)


def guid_of(text: str | None) -> str | None:
    """The guid, or None where there is none. A longer one is told apart by its digest."""
    if not text:
        return None
    return text if len(text) <= GUID else f"sha224:{hashlib.sha224(text.encode()).hexdigest()}"


def _cut(text: str, length: int, cut: Cut) -> str:
    note(cut)
    return text[:length]
