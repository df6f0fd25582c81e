"""Items to ask for: of Stack Overflow's shape, stored as polls store them."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from bench.documents import URL, stack_overflow
from feedmirror.models import Entry
from feedmirror.parse import parse
from feedmirror.storage import Storage

SOURCES = 10
_PORTION = 500
_MODELS = 200


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
