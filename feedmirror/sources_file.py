"""The sources file: what an installation mirrors, as its operator writes it.

A list of [[source]] tables in TOML. A mistake is reported with its line and costs only the source that it stands
in. Only the text decides, not the environment: every process reads the same out of it. What becomes of the sources, and
which of those that are known they are, is not known here.
"""

import difflib
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
from feedmirror.toml_slips import slip_of

_FEED = "feed"


@dataclass(frozen=True, slots=True)
class Broken:
    """A part of the file with a mistake: a source, or several, of these names (old ones too) or addresses.

    Empty where they cannot be read.
    """

    where: str
    mistake: str
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {self.mistake}"


@dataclass(frozen=True, slots=True)
class SourcesFile:
    """What the sources file says: the sources that can be used, and what is wrong with the rest.

    `former`: by the source's id, the name that it had before.
    """

    sources: tuple[Source, ...] = ()
    mistakes: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    former: Mapping[str, str] = field(default_factory=dict)
    name: str = "sources.toml"


@dataclass(slots=True)
class _Reading:
    """A sources file being read."""

    file: str
    sources: dict[str, Source] = field(default_factory=dict)
    former: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)


def read_sources(path: Path) -> SourcesFile:
    """Read the sources file; a mistake costs only the source that it stands in.

    Raises ConfigError if the file is not there or is no text: nothing is known then, so nothing may be dropped.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such sources file; set FEEDMIRROR_SOURCES or create it"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}: cannot be read: line {line} is no UTF-8 text; save the file as UTF-8"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    return parse_sources(text, file=path.name)


def parse_sources(text: str, *, file: str = "sources.toml") -> SourcesFile:
    """Read the text of a sources file; `file` names it in the mistakes."""
    reading = _Reading(file)
    for first_line, block in _blocks(text.replace("\r\n", "\n")):
        if told := list(_read_block(block, reading, first_line)):
            places = [(f"{file}, line {line}", mistake) for line, mistake in told]
            reading.mistakes += [f"{where}: {mistake}" for where, mistake in places]
            reading.broken.append(Broken(*places[0], names=_texts(block, _NAMES), urls=_texts(block, _URLS)))
    if not reading.sources and not reading.mistakes:
        reading.mistakes.append(f"{file}, line 1: there is no source in it; one begins with [[source]]")
    return SourcesFile(
        tuple(reading.sources.values()), tuple(reading.mistakes), tuple(reading.broken), reading.former, file
    )


# A name in brackets in a line of its own, whatever is mistyped of it; [source.params] belongs to the source above it.
_HEADER = re.compile(
    r"^[ \t]*\[[\[ \t]*(?:[\"']?sources?[\"']?[ \t]*\]|[A-Za-z][\w-]*(?:[ \t]+[\w-]+)*[ \t\]]*(?:#.*)?$)",
    re.MULTILINE | re.IGNORECASE,
)
_GOOD_HEADER = re.compile(r"""[ \t]*\[\[[ \t]*(?:source|"source"|'source')[ \t]*\]\]""")
# How alike a word has to be to be taken for a slip of the finger.
_ALIKE = 0.75


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """The text before the first [[source]], then each such table: its first line's number and its text.

    Tables are parsed one by one, so that a slip in one of them leaves the others in use.
    """
    headers = (match for match in _HEADER.finditer(text) if _word(match[0]) not in _KIND_KEYS)
    starts = [0, *(match.start() for match in headers)]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text.count("\n", 0, start) + 1, text[start:end]


def _word(header: str) -> str:
    return re.sub(r"#.*|[\[\]\"']", "", header).strip()


def _read_block(block: str, reading: _Reading, first_line: int) -> Iterator[tuple[int, str]]:
    """Add the sources of a block, and give its mistakes: each with its line."""
    if mistake := _header_mistake(block):
        yield first_line, mistake
        return
    try:
        parsed = tomllib.loads(block)
    except tomllib.TOMLDecodeError as error:
        yield slip_of(block, error, first_line=first_line)
        return
    except RecursionError:
        yield first_line, "there are too many brackets within each other"
        return
    tables = parsed.pop("source", [])
    if not _are_tables(tables):
        yield first_line + _line_of("source", block), _IN_TWO_PAIRS
        return
    for key in parsed:
        yield first_line + _line_of(key, block), _outside(key)
    if parsed.keys() & _KIND_KEYS and tables:  # without them the last one is not what was meant
        tables.pop()
    for table in tables:
        mistakes = list(_mistakes_of(table))
        for key, mistake in mistakes:
            yield first_line + _line_of(key, block), mistake
        if not mistakes:
            yield from _add(table, reading, first_line)


_IN_TWO_PAIRS = "a source is written [[source]], in two pairs of brackets"


def _header_mistake(block: str) -> str | None:
    header = block.partition("\n")[0]
    good = _GOOD_HEADER.match(header)
    if not header.lstrip().startswith("[") or (good and re.fullmatch(r"[ \t]*(#.*)?", header[good.end() :])):
        return None
    if good:
        rest = header[good.end() :].strip()
        return _IN_TWO_PAIRS if rest.startswith("]") else "what follows [[source]] belongs in the next line"
    word = _word(header.partition("]")[0])
    if word in ("", "source"):
        return _IN_TWO_PAIRS
    if difflib.SequenceMatcher(None, word.casefold(), "source").ratio() >= _ALIKE:
        return f"a source is written [[source]], and not {header.partition('#')[0].strip()}"
    return _outside(word)


def _outside(key: str) -> str:
    hint = f"; for the source above it, write [source.{key}]" if key in _KIND_KEYS else ""
    return f"{key!r} stands outside of a [[source]] table{hint}"


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(table, dict) for table in value)


def _line_of(key: str, block: str) -> int:
    """How many lines below the block's first line the key stands; 0 where it does not stand at all."""
    name = rf'"?{re.escape(key)}"?[ \t]*'
    match = re.search(rf"^[ \t]*(?:{name}[=.]|\[+[ \t]*(?:source\.)?{name}\])", block, re.MULTILINE)
    return block.count("\n", 0, match.start()) if match else 0


# -- what can be read of a part that cannot be used

_NAMES, _URLS = ("name", "formerly"), ("url",)
# Neither a name nor an address is longer.
_LONGEST_TEXT = 4000
_QUOTES = "\"'“”„‘’«»"


def _texts(block: str, keys: tuple[str, ...]) -> tuple[str, ...]:
    """The values of these keys, as far as they can be told: their lines need not be TOML."""
    own = re.split(r"^[ \t]*\[+[ \t]*source\.", block, maxsplit=1, flags=re.MULTILINE)[0]
    line = rf"^[ \t]*[\"']?(?:{'|'.join(keys)})[\"']?[ \t]*(?:[=:][ \t]*|(?=[{_QUOTES}]))(.*)$"
    found = (_text(match[1]) for match in re.finditer(line, own, re.MULTILINE | re.IGNORECASE))
    return tuple(dict.fromkeys(text for text in found if 0 < len(text) <= _LONGEST_TEXT))


def _text(written: str) -> str:
    """A text, whether its quotes are there, and straight, or not."""
    try:
        value = tomllib.loads(f"x = {written}")["x"]
        return " ".join(value.split()) if isinstance(value, str) else ""
    except (tomllib.TOMLDecodeError, RecursionError):
        quoted = re.match(rf"[{_QUOTES}]+([^{_QUOTES}]*)[{_QUOTES}]", written)
        text = quoted[1] if quoted else re.split(r"[ \t]#", written)[0]
        return " ".join(text.strip(f" \t=,;{_QUOTES}").split())


# -- a table that is TOML


def _add(table: Mapping[str, Any], reading: _Reading, line: int) -> Iterator[tuple[int, str]]:
    source = _source(table)
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
    if "formerly" in table:
        reading.former[source.id] = table["formerly"]


def _check_kind(value: object) -> str | None:
    return None if value in KINDS else f"must be {' or '.join(map(repr, KINDS))}"


# What every source may say; each kind adds keys of its own.
_KEYS: dict[str, Check] = {
    "name": checks.name,
    "formerly": checks.name,
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
_KIND_KEYS = frozenset(key for kind in KINDS.values() for key in kind.keys)


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
    values = {key: value for key, value in table.items() if key not in kind.keys and key != "formerly"}
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
    """The id made from the name of a source that is seen for the first time: readable in a URL.

    "Stack Overflow" becomes "stack-overflow". A name with signs that would get lost ("C++") gets six digits of its
    digest as well, so that "C", "C++" and "C#" stay three sources.
    """
    folded = name.casefold()
    readable = re.sub(r"[\W_]+", "-", folded).strip("-")
    if re.fullmatch(r"[^\W_]+(?:[ -][^\W_]+)*", folded):
        return readable
    return f"{readable}-{sha224(name.encode()).hexdigest()[:6]}".lstrip("-")
