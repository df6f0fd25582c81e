"""What is in an .xlsx file besides its rows: everything that Excel is particular about, as XlsxWriter makes it.

XlsxWriter writes a whole file, and only when it has all of it. So it writes one without rows, which is taken apart
here: rows go between what stands before and behind them in a sheet, and the other parts behind the last sheet.
"""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from feedmirror.table import Column, ColumnType
from feedmirror.web.export.headings import headings
from feedmirror.web.export.spreadsheet_cells import Styles

# In characters; whoever wants it wider draws it wider.
_WIDTHS = {ColumnType.NUMBER: 14, ColumnType.MONEY: 14, ColumnType.PERCENT: 14, ColumnType.TIME: 19}
_WIDTH, _WIDEST = 24, 60

_STYLED = re.compile(rb'<c r="[A-Z]+2" s="(\d+)"/>')
# Optional, and wrong as soon as there are rows: openpyxl would read no further.
_DIMENSION = re.compile(rb"<dimension [^>]*/>")


def sheet_part(number: int) -> str:
    """The name within the file of the sheet of this number, from 1 on."""
    return f"xl/worksheets/sheet{number}.xml"


@dataclass(frozen=True)
class Frame:
    """A file with headings and without rows."""

    columns: Sequence[Column]

    def around_rows(self, number: int) -> tuple[bytes, bytes]:
        """What stands before and behind the rows of a sheet, the first of which is row 2."""
        # the first sheet is the one that is shown; all others are alike
        part = _DIMENSION.sub(b"", self._two[sheet_part(min(number, 2))])
        head, _, rest = part.partition(b'<row r="2"')
        return head, rest[rest.index(b"</sheetData>") :]

    @cached_property
    def styles(self) -> Styles:
        """Read from the file: nobody but XlsxWriter says which number a style has."""
        moment, quoted = _STYLED.findall(self._two[sheet_part(1)])
        return Styles(moment.decode(), quoted.decode())

    def other_parts(self, sheets: int) -> Iterator[tuple[str, bytes]]:
        """Everything but the sheets, of which there are so many."""
        parts = self._parts(sheets)
        written = {sheet_part(number) for number in range(1, sheets + 1)}
        return ((name, part) for name, part in parts.items() if name not in written)

    @cached_property
    def _two(self) -> dict[str, bytes]:
        return self._parts(2)

    def _parts(self, sheets: int) -> dict[str, bytes]:
        """The parts of a file in whose second row there is nothing but each style once."""
        file = io.BytesIO()
        with Workbook(file, {"in_memory": True}) as book:
            bold = book.add_format({"bold": True})
            moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
            quoted = book.add_format({"quote_prefix": True})
            for number in range(1, sheets + 1):
                sheet: Worksheet = book.add_worksheet("Rows" if number == 1 else f"Rows {number}")
                sheet.freeze_panes(1, 0)
                for place, (column, heading) in enumerate(zip(self.columns, headings(self.columns), strict=True)):
                    sheet.set_column(place, place, _width(column, heading))
                    sheet.write_string(0, place, heading, bold)
                sheet.write_blank(1, 0, None, moment)
                sheet.write_blank(1, 1, None, quoted)
        with zipfile.ZipFile(file) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def _width(column: Column, heading: str) -> int:
    width = _WIDTH if column.type is None else _WIDTHS.get(column.type, _WIDTH)
    return min(max(width, len(heading) + 2), _WIDEST)
