"""Rows as comma-separated values (RFC 4180), with headings; UTF-8 with a byte order mark; no text is a formula.

Excel takes a file without the mark for one in the encoding of the country, and shows "Ã©" for "é". LibreOffice and
pandas know the mark and leave it out.
"""

import csv
import io
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from feedmirror.table import Column, Line, Row, Value, loaded
from feedmirror.web.export.headings import headings
from feedmirror.web.export.portions import portions
from feedmirror.web.representation import rfc3339

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"
# a quotation that nothing ends
BROKEN_END = b'"This export is incomplete. '

_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
# What spreadsheets calculate: =1+1, +1, -1, @SUM(1), the same in the wide letters of East Asia, and behind space that
# they leave out (OWASP, CSV injection).
_FORMULA = re.compile(r"[\t\r\n]|[ \xa0]*[=+\-@＝＋－＠]")
# Of these the result is what they say.
_NUMBER = re.compile(r"[+-]\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
# Beyond that many places a number is easier to read as 1E-30.
_MOST_PLACES = 25


def write(columns: Sequence[Column], rows: Iterable[Row]) -> Generator[bytes, None, None]:
    """The rows as bytes, headings first."""
    return portions(_lines(columns, rows))


def _lines(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)  # its line ends are those of RFC 4180
    writer.writerow(map(_harmless, headings(columns)))
    yield _MARK + line.getvalue()
    over = Line(columns)
    for row in rows:
        cells: list[str | int | None] = [None] * len(columns)
        for number, value in over.values(loaded(row.text)):
            cells[number] = _cell(value)
        line.seek(0)
        line.truncate()
        writer.writerow(cells)
        yield line.getvalue()


def _cell(value: Value) -> str | int | None:
    if isinstance(value, str):
        return _harmless(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return _digits(value)
    return rfc3339(value) if isinstance(value, datetime) else value


def _digits(number: Decimal) -> str:
    """Every digit that the API gave, as 0.00000001 rather than 1E-8."""
    exponent = number.as_tuple().exponent
    is_short = isinstance(exponent, int) and -_MOST_PLACES <= exponent <= 0
    return f"{number:f}" if is_short else str(number)


def _harmless(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would calculate: that is how one types a text there."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
