"""A table as a file: GET /tables/<source>.csv, .jsonl and .xlsx.

Rows are read while the file is on its way, so memory does not depend on how many there are. What fails before the first
bytes is answered; what fails later breaks the file off, so that nobody takes a part for the whole.
"""

import re
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from feedmirror.errors import FeedmirrorError, StorageError
from feedmirror.table import Column, Line, Row, loaded
from feedmirror.web import unavailable
from feedmirror.web.answer import Answer, Chunks, Incomplete, json_error, json_unavailable
from feedmirror.web.export import FORMATS, Format

if TYPE_CHECKING:
    from feedmirror.storage import Storage

# Of a process at once. An export is a minute's work for a million rows, which everybody else in the process feels, and
# holds a thread for as long as its reader takes; what is left of both must do for the pages.
AT_ONCE = 2
_BUSY_RETRY_S = 20

_places = threading.BoundedSemaphore(AT_ONCE)


class Busy(FeedmirrorError):
    """As many exports are under way as may be."""


def answer(source_id: str, kind: str, open_storage: "Callable[[], Storage]", *, head: bool = False) -> Answer:
    """The table of a source as a file of this kind ("xlsx").

    With `head` it is not made, and only how it would be answered is said.
    """
    if (format_ := FORMATS.get(kind)) is None:
        return json_error(404, f"A table is to be had as {', '.join(FORMATS)}.")
    try:
        storage = open_storage()
        sheets = storage.sheets
        standing = sheets.standing(source_id)
        if not standing.is_known:
            return json_error(404, "There is no table of this name.")
        headers = _headers(format_, f"{source_id}-{datetime.now(UTC):%Y-%m-%d}.{kind}")
        if head:
            return Answer(200, headers, chunks=_nothing())
        head_us = storage.clock.head_us()
        columns = sheets.columns(sheets.standing(source_id))
        rows = sheets.every(source_id)
        if format_.has_columns:
            rows = _within(columns, rows, head_us)
        return Answer(200, headers, chunks=_begun(format_, columns, rows))
    except Busy as error:
        return json_error(503, str(error), {"Retry-After": str(_BUSY_RETRY_S)})
    except unavailable.FAILURES as error:
        return json_unavailable(unavailable.reason(error))


def _headers(format_: Format, name: str) -> dict[str, str]:
    """With the file's name as RFC 6266 wants it: in ASCII, and as it is."""
    plain = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    exact = urllib.parse.quote(name, safe="")
    return {
        "Content-Type": format_.content_type,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}",
        "Cache-Control": "no-store",
    }


def _within(columns: Sequence[Column], rows: Iterable[Row], head_us: int) -> Iterator[Row]:
    """The rows, whose columns are known of all that changed up to the head.

    Raises StorageError where a later one says something for which there is no column in this file.
    """
    line = Line(columns)
    for row in rows:
        if row.changed_us > head_us and not line.says_all_of(loaded(row.text)):
            raise StorageError("a column came while its rows were read; begin again")
        yield row


def _begun(format_: Format, columns: Sequence[Column], rows: Iterable[Row]) -> Chunks:
    """The file, of which the first bytes are there. Raises Busy, and what storage raises."""
    chunks = _export(format_, columns, rows)
    next(chunks)
    return chunks


def _export(format_: Format, columns: Sequence[Column], rows: Iterable[Row]) -> Chunks:
    """The file, behind an empty chunk that comes when its first bytes are there. To be closed, even at its end."""
    if not _places.acquire(blocking=False):
        raise Busy(f"{AT_ONCE} exports are under way; try again in a few seconds.")
    try:
        with closing(format_.write(columns, rows)) as chunks:
            first = next(chunks, b"")
            yield b""
            yield first
            try:
                yield from chunks
            except Exception as error:
                yield format_.broken_end
                if isinstance(error, unavailable.FAILURES):
                    raise Incomplete(unavailable.reason(error)) from None
                raise
    finally:
        _places.release()


def _nothing() -> Chunks:
    yield from ()
