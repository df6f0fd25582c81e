"""How long the parts of an entry may be: more than any publisher means, little enough to keep and to show.

A hostile feed can put its whole body into one title; MongoDB's documents end at 16 MB, and a page of a hundred items
should weigh kilobytes. What is longer is cut, except a guid, which is worthless in part.
"""

import hashlib
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

# A document of 20 MB has fewer, unless it was made to have more: each costs us far more than its author.
ENTRIES = 50_000
TITLE = 2_000
AUTHOR = 500
GUID = 2_000


T = TypeVar("T")


def first_of(elements: Iterable[T]) -> tuple[list[T], bool]:
    """As many elements as a document may have, and whether there were more."""
    remaining = iter(elements)
    kept = list(islice(remaining, ENTRIES))
    return kept, next(remaining, None) is not None


def title_of(text: str) -> str:
    return text if len(text) <= TITLE else text[:TITLE]


def author_of(text: str) -> str:
    return text if len(text) <= AUTHOR else text[:AUTHOR]


def guid_of(text: str | None) -> str | None:
    """The guid, or None where there is none. A longer one is told apart by its digest."""
    if not text:
        return None
    return text if len(text) <= GUID else f"sha224:{hashlib.sha224(text.encode()).hexdigest()}"
