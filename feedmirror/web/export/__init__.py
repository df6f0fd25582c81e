"""Tables as files: columns and rows in, bytes out, some at a time. A format is a module.

    json_lines   each row as its API gave it
    separated    .csv, for whatever reads tables
    workbook     .xlsx: types kept, begun at once and never held as a whole
    ├── spreadsheet_cells   a value as a cell
    └── frame               what is in the file besides rows
    headings     what stands above the columns
    portions     rows put together to pieces that are worth sending

Where rows come from is not known here, nor where the bytes go. Whoever needs no more of them closes the iterator.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass

from feedmirror.table import Column, Row
from feedmirror.web.export import json_lines, separated, workbook

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file.

    `broken_end`: what to put at the end of one that ends too early, so that nothing reads it as a whole. Not every
    server lets a client know that an answer was broken off. `has_columns`: what has no column is not in the file.
    """

    content_type: str
    write: Callable[[Sequence[Column], Iterable[Row]], Generator[bytes, None, None]]
    broken_end: bytes
    has_columns: bool = True


FORMATS = {
    "csv": Format(separated.CONTENT_TYPE, separated.write, separated.BROKEN_END),
    "jsonl": Format(json_lines.CONTENT_TYPE, json_lines.write, json_lines.BROKEN_END, has_columns=False),
    "xlsx": Format(workbook.CONTENT_TYPE, workbook.write, workbook.BROKEN_END),
}
