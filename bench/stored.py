"""Items to ask for: of Stack Overflow's shape, stored as polls store them; or millions of small ones, in one go."""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from bench.documents import URL, WORDS, stack_overflow
from feedmirror.models import Entry
from feedmirror.parse import parse
from feedmirror.storage import Storage
from feedmirror.storage.clock import Tick, stamp_us
from feedmirror.storage.item_document import Document, Writing

SOURCES = 10
_PORTION = 500
_MODELS = 200
# Of what is written directly: a request, and how many of them may wait.
_WRITTEN_TOGETHER = 5_000
_WAITING = 4


def store(
    storage: Storage, count: int, *, first: int = 0, portion: int = _PORTION, say: Callable[[str], None] | None = None
) -> None:
    """Store so many items, numbered from `first`; each portion comes from the next of SOURCES."""
    for start in range(first, first + count, portion):
        numbers = range(start, min(start + portion, first + count))
        source_id = f"s{start // portion % SOURCES}"
        storage.items.store(source_id, {f"item-{n}": entry(n) for n in numbers}, now=datetime.now(UTC))
        if say is not None:
            say(f"storing {count:,} items: {start - first:,}")


def store_directly(database: Database[Any], count: int, *, say: Callable[[str], None] | None = None) -> None:
    """Leave the database as if so many small items had been stored, one each second until now; in a tenth of the time.

    The documents are those that storing makes; it takes no transactions, and indexes are to be made after it. Nobody
    may follow the stream meanwhile.
    """
    items = database.get_collection("items", write_concern=WriteConcern(w=1, j=False))
    now = datetime.now(UTC)
    first_us = stamp_us(now) - 1_000_000 * count
    waiting: list[Future[object]] = []
    with ThreadPoolExecutor(1) as writer:
        for start in range(0, count, _WRITTEN_TOGETHER):
            numbers = range(start, min(start + _WRITTEN_TOGETHER, count))
            documents = [_document(number, first_us + 1_000_000 * number, now) for number in numbers]
            waiting.append(writer.submit(items.insert_many, documents, ordered=False))
            if len(waiting) > _WAITING:
                waiting.pop(0).result()
            if say is not None:
                say(f"writing {count:,} items: {start:,}")
        for written in waiting:
            written.result()
    head_us = first_us + 1_000_000 * (count - 1)
    database["clock"].update_one(
        {"_id": "stream"}, {"$set": {"head": head_us, "published": head_us, "now": now}}, upsert=True
    )


def _document(number: int, stamp: int, now: datetime) -> Document:
    words = [WORDS[(number * step) % len(WORDS)] for step in (1, 3, 7)]
    small = Entry(
        title=f"{' '.join(words)} {number}",
        link=f"https://example.org/{number}",
        summary=f"<p>{' '.join(words)}</p>",
        tags=(f"tag-{number % 1000}",),
    )
    return Writing({}, Tick(stamp, stamp, now)).insert(f"s{number % SOURCES}", f"item-{number}", small)


def entry(number: int) -> Entry:
    """The entry of this number, with a title and a link of its own, and a tag that no other has."""
    model = _models()[number % _MODELS]
    return replace(
        model,
        title=f"{model.title} ({number})",
        link=f"https://example.org/questions/{number}",
        tags=(*model.tags, f"only-{number}"),
        # so that a portion keeps its order
        published=None,
    )


@cache
def _models() -> tuple[Entry, ...]:
    return parse(stack_overflow(_MODELS), url=URL).entries


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 30) -> None:
    """Return once it is so."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"{what} took longer than {timeout_s:g} s"
        time.sleep(0.02)


def cpu_model() -> str:
    """What this machine calculates with."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} x {names[0] if names else 'unknown'}"
