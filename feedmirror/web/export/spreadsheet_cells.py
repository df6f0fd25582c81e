"""A value as a cell of a spreadsheet, in SpreadsheetML (ECMA-376, 18.3.1.4), within the limits of Excel.

What a cell cannot hold as what it is goes there as text, so that it can still be read.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from feedmirror.table import Value
from feedmirror.web.representation import rfc3339

# Of a text, counted as UTF-16.
LONGEST_TEXT = 32_767
CUT = " […] cut here: a cell holds 32,767 characters"

# Digits of which Excel shows each.
_DIGITS = 15
_TOO_LONG = 10**_DIGITS
# Between these a double has all its digits; Excel knows no others.
_SMALLEST, _LARGEST = 1e-307, 1e308

# Days are counted from here, which holds from March 1900: Excel has a 29 February before that, which never was.
_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
_FIRST = datetime(1900, 3, 1, tzinfo=UTC)
_DAY = timedelta(days=1)

_SIGNS = frozenset("=+-@")
_TO_ESCAPE = re.compile("[&<>]")
# What no XML may hold, a line end that reading would change, and what reads as such an escape (22.9.2.19).
_ILLEGAL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


@dataclass(frozen=True, slots=True)
class Styles:
    """The numbers under which the file knows them: of a moment, and of a text that is none but looks like a formula."""

    moment: str
    quoted: str


def cell(place: str, value: Value, styles: Styles) -> str:
    """The cell at a place, such as "B7"; nothing for None."""
    if isinstance(value, str):
        return _text(place, value, styles)
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{value:d}</v></c>'
    if isinstance(value, datetime):
        if value < _FIRST:
            return _text(place, rfc3339(value), styles)
        return f'<c r="{place}" s="{styles.moment}"><v>{(value - _EPOCH) / _DAY!r}</v></c>'
    number = _double(value)
    return _text(place, str(value), styles) if number is None else f'<c r="{place}"><v>{number!r}</v></c>'


def _double(value: int | Decimal) -> float | int | None:
    """The number as the file is to say it; None if that would be another one.

    A whole number with more digits than Excel shows is an identifier, mostly, of which each counts. A fraction that a
    double was written as has as many, and comes back the same.
    """
    if isinstance(value, int):
        return value if abs(value) < _TOO_LONG else None
    double = float(value)
    if double and not _SMALLEST <= abs(double) < _LARGEST:
        return None
    if len(value.as_tuple().digits) <= _DIGITS:
        return double
    return double if abs(double) < _TOO_LONG and Decimal(repr(double)) == value else None


def _text(place: str, text: str, styles: Styles) -> str:
    """A text that stays one: in a file Excel calculates nothing but formulas, and with this style nor when edited."""
    style = f' s="{styles.quoted}"' if text[:1] in _SIGNS else ""
    return f'<c r="{place}"{style} t="inlineStr"><is><t xml:space="preserve">{_escaped(_cut(text))}</t></is></c>'


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT // 2:
        return text
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * LONGEST_TEXT:
        return text
    # a pair that is cut in two leaves a half, which is dropped
    return units[: 2 * (LONGEST_TEXT - len(CUT))].decode("utf-16-le", "ignore") + CUT


def _escaped(text: str) -> str:
    if _ILLEGAL.search(text):
        text = _ILLEGAL.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
    if _TO_ESCAPE.search(text):
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text
