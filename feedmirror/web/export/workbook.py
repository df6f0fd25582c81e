"""Rows as a workbook of Excel (.xlsx): numbers, moments and truths as such, headings that stay in sight.

    frame, without rows ──> head of a sheet ──> rows, compressed as they come ──> tail ──> next sheet ... ──> the rest

The file is a zip archive that is never sought in, so its beginning is on its way before the last row is read.
"""

import zipfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain, islice

from xlsxwriter.utility import xl_col_to_name

from feedmirror.table import Column, Line, Row, loaded
from feedmirror.web.export.frame import Frame, sheet_part
from feedmirror.web.export.portions import portions
from feedmirror.web.export.spreadsheet_cells import Styles, cell

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# without its table of contents, which comes last, it is no archive
BROKEN_END = b""

# Of a sheet, besides its headings: Excel has 2^20.
SHEET_ROWS = 1_048_575
# A part of 2 GiB would need zip64, for which Excel offers to repair the file.
SHEET_BYTES = 2_000_000_000
# A third less time than with zlib's own choice, for a file that is a third larger.
_LEVEL = 1
# Smaller ones take the server more than they are worth.
_PIECE = 64 * 1024


def write(
    columns: Sequence[Column], rows: Iterable[Row], *, sheet_rows: int = SHEET_ROWS, sheet_bytes: int = SHEET_BYTES
) -> Generator[bytes, None, None]:
    """The rows as bytes, on as many sheets as they need."""
    frame = Frame(columns)
    outgoing = _Outgoing()
    left = iter(rows)
    first = next(left, None)
    sheets = 0
    with zipfile.ZipFile(outgoing, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        while first is not None or not sheets:
            sheets += 1
            some = islice(chain([] if first is None else [first], left), sheet_rows)
            with archive.open(sheet_part(sheets), "w") as sheet:
                for portion in _sheet(frame, sheets, some, sheet_bytes):
                    sheet.write(portion)
                    yield from outgoing.whole_pieces()
            first = next(left, None)
        for name, part in frame.other_parts(sheets):
            archive.writestr(name, part)
    yield outgoing.rest()


def _sheet(frame: Frame, number: int, rows: Iterable[Row], most_bytes: int) -> Iterator[bytes]:
    """A sheet with as many of the rows as fit."""
    head, tail = frame.around_rows(number)
    yield head
    size = len(head) + len(tail)
    for portion in portions(_rows(frame.columns, rows, frame.styles)):
        yield portion
        size += len(portion)
        if size >= most_bytes:
            break
    yield tail


def _rows(columns: Sequence[Column], rows: Iterable[Row], styles: Styles) -> Iterator[str]:
    letters = [xl_col_to_name(place) for place in range(len(columns))]
    over = Line(columns)
    for number, row in enumerate(rows, 2):
        values = over.values(loaded(row.text))
        cells = [cell(f"{letters[place]}{number}", value, styles) for place, value in values]
        yield f'<row r="{number}">{"".join(cells)}</row>'


class _Outgoing:
    """What the archive is written to; forgets what it has handed on. It cannot be sought in, and zipfile heeds that."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing to do, as with `close`; zipfile calls both."""

    def close(self) -> None:
        """See `flush`."""

    def whole_pieces(self) -> Iterator[bytes]:
        """What has been written, once that is worth sending."""
        if len(self._waiting) >= _PIECE:
            yield self.rest()

    def rest(self) -> bytes:
        """What has been written and not been handed on."""
        waiting, self._waiting = bytes(self._waiting), bytearray()
        return waiting
