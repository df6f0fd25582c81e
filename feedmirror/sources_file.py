"""The sources file: what an installation mirrors, as its operator writes it.

A list of [[source]] tables in TOML. A mistake is reported with its line and costs only the source that it stands
in. What becomes of the sources is not known here.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha224
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from feedmirror.config import duration_s
from feedmirror.errors import ConfigError
from feedmirror.models import Source


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


# Intervals below a second would be a load on any publisher, above a month a forgotten source.
_EVERY_LIMITS_S = (1, 30 * 86400)
# Nothing is removed within its first hour: whoever looks hourly must not miss anything.
_KEEP_LIMITS_S = (3600, 36500 * 86400)
_KEEP_ITEMS_MAX = 10_000_000
_NAME_MAX = 200
_URL_MAX = 4000
_COUNT_MAX = 1_000_000_000


def _check_text(value: object, most: int) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return "must be a text"
    if len(value) > most:
        return f"must not be longer than {most} characters"
    return None


def _check_name(value: object) -> str | None:
    return _check_text(value, _NAME_MAX)


def _check_kind(value: object) -> str | None:
    if value == "api":
        return "sources of kind 'api' are not there yet: this version mirrors feeds"
    return None if value == "feed" else "must be 'feed'"


def check_url(value: object) -> str | None:
    """What is wrong with the address of a source, None if it can be used."""
    if mistake := _check_text(value, _URL_MAX):
        return mistake
    try:
        parts = urlsplit(str(value))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    return None if usable else "must be an http or https address"


def _check_every(value: object) -> str | None:
    low, high = _EVERY_LIMITS_S
    if not isinstance(value, str):
        return 'must be a time in quotes, such as "30s"'
    try:
        seconds = duration_s(value)
    except ValueError as error:
        return str(error)
    return None if low <= seconds <= high else 'must be from "1s" to "30d"'


def _check_keep(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return f'must be a time in quotes, such as "90d"; a number of items is written keep_items = {value}'
    low, high = _KEEP_LIMITS_S
    try:
        usable = isinstance(value, str) and low <= duration_s(value) <= high
    except ValueError:
        usable = False
    return None if usable else 'must be a time in quotes from "1h" to "36500d", such as "90d"'


def _check_count(value: object) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        return "must be a whole number from 1"
    # far beyond use, and within what the database can hold
    return None if value <= _COUNT_MAX else f"must not be above {_COUNT_MAX}"


def _check_keep_items(value: object) -> str | None:
    usable = _check_count(value) is None and int(str(value)) <= _KEEP_ITEMS_MAX
    return None if usable else f"must be a whole number from 1 to {_KEEP_ITEMS_MAX}"


def _check_flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _check_tags(value: object) -> str | None:
    usable = isinstance(value, list) and all(isinstance(tag, str) and tag.strip() for tag in value)
    return None if usable else 'must be a list of texts, such as ["python"]'


_KEYS: dict[str, Callable[[object], str | None]] = {
    "name": _check_name,
    "kind": _check_kind,
    "url": check_url,
    "every": _check_every,
    "group": _check_name,
    "in_flight": _check_count,
    "per_minute": _check_count,
    "per_day": _check_count,
    "per_month": _check_count,
    "private": _check_flag,
    "tags": _check_tags,
    "keep": _check_keep,
    "keep_items": _check_keep_items,
}

_KEYS_OF_LATER_KINDS = frozenset(
    "params headers items key columns delay max_pages paging page next cursor offset history script".split()
)


def _mistakes_of(table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key in ("name", "url"):
        if key not in table:
            yield key, f"the source has no {key!r}"
    for key, value in table.items():
        if key in _KEYS_OF_LATER_KINDS:
            yield key, f"{key!r} is not understood by this version: take it out, or update Feedmirror"
        elif key not in _KEYS:
            yield key, f"unknown key {key!r}; there are: {', '.join(_KEYS)}"
        elif mistake := _KEYS[key](value):
            yield key, f"{key} {mistake}"


def _source(table: Mapping[str, Any]) -> Source:
    """A source from a table that has been checked."""
    values = dict(table)
    every, keep = values.pop("every", None), values.pop("keep", None)
    values["name"] = " ".join(values["name"].split())
    values["tags"] = tuple(tag.strip() for tag in values.get("tags", ()))
    return Source(
        id=source_id(values["name"]),
        every_s=None if every is None else duration_s(every),
        keep_s=None if keep is None else duration_s(keep),
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
