"""The sources file: what an installation mirrors, as its operator writes it.

A list of [[source]] tables in TOML. A mistake is reported with its line and costs only the source that it stands
in. What becomes of the sources is not known here.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha224
from pathlib import Path
from typing import Any

from feedmirror import checks
from feedmirror.checks import Check
from feedmirror.config import duration_s
from feedmirror.errors import ConfigError
from feedmirror.models import Source
from feedmirror.poll.kinds import KINDS

_FEED = "feed"


@dataclass(frozen=True, slots=True)
class SourcesFile:
    """What the sources file says: the sources that can be used, and what is wrong with the rest."""

    sources: tuple[Source, ...] = ()
    mistakes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    """A sources file being read."""

    sources: dict[str, Source] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def read_sources(path: Path) -> SourcesFile:
    """Read the sources file; a mistake costs only the source that it stands in.

    Raises ConfigError if the file is not there or is no text: nothing is known then, so nothing may be dropped.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such sources file; set FEEDMIRROR_SOURCES or create it"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from error
    return parse_sources(text, file=path.name)


def parse_sources(text: str, *, file: str = "sources.toml") -> SourcesFile:
    """Read the text of a sources file; `file` names it in the mistakes."""
    reading = _Reading()
    for first_line, block in _blocks(text):
        for line, mistake in _read_block(block, reading, first_line):
            reading.mistakes.append(f"{file}, line {line}: {mistake}")
    return SourcesFile(tuple(reading.sources.values()), tuple(reading.mistakes))


# One pair of brackets is a slip of its own: it is told below, and must not spoil the source above it.
_HEADER = re.compile(r"^[ \t]*\[\[?[ \t]*source[ \t]*\]", re.MULTILINE)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """The text before the first [[source]], then each such table: its first line's number and its text.

    Tables are parsed one by one, so that a slip in one of them leaves the others in use.
    """
    starts = [0, *(match.start() for match in _HEADER.finditer(text))]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text.count("\n", 0, start) + 1, text[start:end]


def _read_block(block: str, reading: _Reading, first_line: int) -> Iterator[tuple[int, str]]:
    try:
        parsed = tomllib.loads(block)
    except tomllib.TOMLDecodeError as error:
        yield _syntax_mistake(error, first_line)
        return
    tables = parsed.pop("source", [])
    for key in parsed:
        yield first_line + _line_of(key, block), f"{key!r} stands outside of a [[source]] table"
    if not _are_tables(tables):
        yield first_line + _line_of("source", block), "a source is written [[source]], in two pairs of brackets"
        return
    for table in tables:
        mistakes = list(_mistakes_of(table))
        for key, mistake in mistakes:
            yield first_line + _line_of(key, block), mistake
        if not mistakes:
            yield from _add(_source(table), reading, first_line)


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(table, dict) for table in value)


def _syntax_mistake(error: tomllib.TOMLDecodeError, first_line: int) -> tuple[int, str]:
    said = str(error)
    match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", said)
    line = int(match[1]) if match and match[1] else 1
    return first_line + line - 1, f"not TOML: {said[: match.start()] if match else said}"


def _line_of(key: str, block: str) -> int:
    """How many lines below the block's first line the key stands; 0 where it does not stand at all."""
    name = rf'"?{re.escape(key)}"?[ \t]*'
    match = re.search(rf"^[ \t]*(?:{name}[=.]|\[+[ \t]*(?:source\.)?{name}\])", block, re.MULTILINE)
    return block.count("\n", 0, match.start()) if match else 0


def _add(source: Source, reading: _Reading, line: int) -> Iterator[tuple[int, str]]:
    if source.id in reading.sources:
        yield (
            line,
            (
                f"the name {source.name!r} is taken by the source in line {reading.lines[source.id]}"
                f" (both make the id {source.id!r}): give it another"
            ),
        )
        return
    reading.sources[source.id] = source
    reading.lines[source.id] = line


def _check_kind(value: object) -> str | None:
    return None if value in KINDS else f"must be {' or '.join(map(repr, KINDS))}"


# What every source may say; each kind adds keys of its own.
_KEYS: dict[str, Check] = {
    "name": checks.name,
    "kind": _check_kind,
    "url": checks.url,
    "every": checks.every,
    "group": checks.name,
    "in_flight": checks.count,
    "per_minute": checks.count,
    "per_day": checks.count,
    "per_month": checks.count,
    "private": checks.flag,
    "tags": checks.tags,
    "keep": checks.keep,
    "keep_items": checks.keep_items,
}


def _mistakes_of(table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key in ("name", "url"):
        if key not in table:
            yield key, f"the source has no {key!r}"
    kind = KINDS.get(str(table.get("kind", _FEED)), KINDS[_FEED])
    keys = {**_KEYS, **kind.keys}
    mistakes = [(key, mistake) for key, value in table.items() if (mistake := _mistake(key, value, keys))]
    yield from mistakes or kind.mistakes(table)


def _mistake(key: str, value: object, keys: Mapping[str, Check]) -> str | None:
    if key in keys:
        mistake = keys[key](value)
        return f"{key} {mistake}" if mistake else None
    if owners := [name for name, kind in KINDS.items() if key in kind.keys]:
        return f"{key!r} is for sources of kind = {' or '.join(map(repr, owners))}"
    return f"unknown key {key!r}; there are: {', '.join(keys)}"


def _source(table: Mapping[str, Any]) -> Source:
    """A source from a table that has been checked."""
    kind = KINDS[table.get("kind", _FEED)]
    options = {key: value for key, value in table.items() if key in kind.keys}
    values = {key: value for key, value in table.items() if key not in kind.keys}
    every, keep = values.pop("every", None), values.pop("keep", None)
    values["name"] = " ".join(values["name"].split())
    values["tags"] = tuple(tag.strip() for tag in values.get("tags", ()))
    return Source(
        id=source_id(values["name"]),
        every_s=kind.every_s if every is None else duration_s(every),
        keep_s=None if keep is None else duration_s(keep),
        options=options,
        **values,
    )


def source_id(name: str) -> str:
    """The id made from a source's name: readable in a URL, and the same on every machine.

    "Stack Overflow" becomes "stack-overflow". A name with signs that would get lost ("C++") gets six digits of its
    digest as well, so that "C", "C++" and "C#" stay three sources.
    """
    folded = name.casefold()
    readable = re.sub(r"[\W_]+", "-", folded).strip("-")
    if re.fullmatch(r"[^\W_]+(?:[ -][^\W_]+)*", folded):
        return readable
    return f"{readable}-{sha224(name.encode()).hexdigest()[:6]}".lstrip("-")
