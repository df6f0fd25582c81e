"""The answer of a paginated API: JSON in, rows out, each as the API wrote it.

The text of a row is kept, and not only its values: a number beyond 64 bits, or one with more digits than a float has,
leaves as it came.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from feedmirror.errors import ParseError
from feedmirror.models import Document
from feedmirror.table.models import Path
from feedmirror.table.values import exact, member

# Deep enough for whatever anybody means; and shallow enough for all that works on a row and calls itself for each.
_MOST_NESTED = 100
# So many signs are fifteen digits and a point: a float has these, whatever they are.
_WHOLE_IN_A_FLOAT = 16
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row: its value, and the text that it came as."""

    value: Any
    text: str

    @property
    def digest(self) -> bytes:
        """The same for the same values, in whatever order and with whatever space they are written."""
        return blake2b(_CANONICAL.encode(self.value).encode(), digest_size=16).digest()


class NotJson(ParseError):
    """An answer that is no JSON at all: what a gateway says of a server that is away, mostly."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A whole answer: its value, and the text that it came as."""

    value: Any
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One page. `value` is the whole of it, `rows` the list within; `next_link` is what the Link header leads to."""

    value: Any
    rows: tuple[RawRow, ...]
    next_link: str | None = None

    @classmethod
    def of(cls, page: Decoded, items: Path, *, next_link: str | None = None) -> "Answer":
        """The answer whose list stands at `items`. Raises ParseError if there is none."""
        if not isinstance(member(page.value, items), list):
            where = f"at {'.'.join(items)!r}" if items else "as a whole"
            raise ParseError(f"the answer is no list {where}{_lists_in(page.value)}; see `items`")
        return cls(page.value, tuple(_rows(page.text, items)), next_link)

    def member(self, path: Path) -> Any:
        """What stands at this path; None where there is nothing."""
        return member(self.value, path)


def decoded(document: Document) -> Decoded:
    """Read an answer. Raises NotJson."""
    body = document.body or b""
    try:
        text = body.decode(json.detect_encoding(body))
        return Decoded(_DECODER.decode(text), text)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"the answer is no JSON{_what_else(body, document)}: {_in_short(error)}") from None


def _reject(constant: str) -> Any:
    """Python would read NaN and Infinity, which no other reader of JSON does."""
    raise ValueError(f"{constant} is no JSON")


def _number(text: str) -> float | Decimal:
    """A float where that has all of the digits, which most have; it is made in a third of the time."""
    return float(text) if len(text) <= _WHOLE_IN_A_FLOAT and "e" not in text and "E" not in text else exact(text)


def _digits(number: Decimal) -> list[Any]:
    """The same for the same number, whichever zeros it is written with."""
    sign, digits, _ = number.as_tuple()
    return ["", sign, "".join(map(str, digits)).strip("0"), number.adjusted()]


# Made once: `json.dumps` makes one for each row.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_digits)
_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_reject)


def _rows(text: str, items: Path) -> Iterator[RawRow]:
    """The members of the list at this path, which is there, each with its text."""
    place = _past_space(text, 0)
    for name in items:
        place = _member_at(text, place, name)
    place = _past_space(text, place + 1)
    while text[place] != "]":
        value, end = _DECODER.raw_decode(text, place)
        brackets = text.count("[", place, end) + text.count("{", place, end)
        if brackets > _MOST_NESTED and _is_deeper(value, _MOST_NESTED):
            raise ParseError(f"a row is nested too deeply: more than {_MOST_NESTED} lists and objects in each other")
        yield RawRow(value, text[place:end])
        place = _past_space(text, end)
        if text[place] == ",":
            place = _past_space(text, place + 1)


def _is_deeper(value: Any, than: int) -> bool:
    """Whether so many lists and objects stand in each other, and another one in these."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (than == 0 and isinstance(value, dict | list)) or any(_is_deeper(one, than - 1) for one in inner)


def _member_at(text: str, place: int, wanted: str) -> int:
    """Where the value of this member of the object at `place` begins; of several that have the name, the last."""
    found = -1
    place = _past_space(text, place + 1)
    while text[place] != "}":
        name, end = scanstring(text, place + 1)
        place = _past_space(text, _past_space(text, end) + 1)  # the colon
        if name == wanted:
            found = place
        _, end = _DECODER.raw_decode(text, place)
        place = _past_space(text, end)
        if text[place] == ",":
            place = _past_space(text, place + 1)
    return found


def _past_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match is not None  # it may be empty
    return match.end()


def _what_else(body: bytes, document: Document) -> str:
    if body.lstrip()[:1] == b"<":
        return ", but a web page"
    return "" if "json" in document.content_type else f", but {document.content_type or 'nothing that has a name'}"


def _in_short(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]


def _lists_in(value: Any) -> str:
    """Where there are lists, for somebody who looks for the right path."""
    if not isinstance(value, Mapping):
        return ""
    paths = [name for name, one in value.items() if isinstance(one, list)]
    for name, one in value.items():
        if isinstance(one, Mapping):
            paths += [f"{name}.{inner}" for inner, two in one.items() if isinstance(two, list)]
    return f"; there are lists at {', '.join(map(repr, paths[:5]))}" if paths else ""
