"""Rows as JSON Lines: each as its API gave it, on one line. All of it, with and without a column."""

import re
from collections.abc import Generator, Iterable, Sequence

from feedmirror.table import Column, Row
from feedmirror.web.export.portions import portions

CONTENT_TYPE = "application/x-ndjson"
# no JSON, on a line of its own
BROKEN_END = b'{"This export is incomplete. '

# Within a string JSON writes a line break as \n, so these are space between two tokens, of which nothing depends.
_BREAKS = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")


def write(columns: Sequence[Column], rows: Iterable[Row]) -> Generator[bytes, None, None]:
    """The rows as bytes, a line each, whatever the columns are; "\\n" alone ends one, U+2028 in a string does not."""
    return portions(_line(row.text) for row in rows)


def _line(text: str) -> str:
    return (_BREAKS.sub("", text) if "\n" in text or "\r" in text else text) + "\n"
