"""A case: one file of a corpus, how it was served, and what its authors claim about it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Claim:
    """That one field has one value.

    `index`: of the entry, None for the feed. `field`: a key of the parse command's JSON, or "count". `exact` False:
    the value is only part of what the field should hold.
    """

    index: int | None
    field: str
    value: Any
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """`name` is the path below the project's folder. A case without claims must merely not crash."""

    project: str
    name: str
    body: bytes
    claims: tuple[Claim, ...] = ()
    url: str = ""
    content_type: str = ""


_TEXTS = re.compile(rb"<(?:\w+:)?(content|encoded|summary|description|abstract|body|fullitem)\b")


def has_shorter_text(body: bytes) -> bool:
    """Whether entries have several texts, of which the mirror keeps the first and shortest."""
    entries = re.search(rb"<(?:\w+:)?(?:item|entry)\b.*", body, re.DOTALL)
    return entries is not None and len(set(_TEXTS.findall(entries[0]))) > 1


def files(folder: Path) -> Iterator[Path]:
    """Every file of a project's folder that is data, in a fixed order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in ("LICENSE", "license", "SOURCES.md"):
            yield path
