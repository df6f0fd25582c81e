"""Writes tables as the walk over an API does, without an API."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from feedmirror.models import Source
from feedmirror.poll.api.answer import RawRow
from feedmirror.storage import Storage
from feedmirror.storage.row_document import row_id
from feedmirror.table import Column, RowText, extended


class Table:
    """The table of a source whose rows are told apart by their member `id`."""

    def __init__(self, storage: Storage, source_id: str = "coins", *, columns: Sequence[Column] = ()):
        self.storage = storage
        self.source_id = source_id
        self._columns = tuple(columns)
        self.source = Source(id=source_id, name=source_id.title(), url="https://example.com/" + source_id, kind="api")

    def watch(self, *others: Source) -> None:
        self.storage.sources.synchronise([self.source, *others], [])

    def run(self, rows: Iterable[Any], *, page: int = 50, now: datetime | None = None, end: bool = True) -> None:
        """A complete run that brings these rows, or one that does not come to its end. Texts are rows as they are."""
        now = now or datetime.now(UTC)
        texts = [one if isinstance(one, str) else json.dumps(one) for one in rows]
        raw = [RawRow(json.loads(text), text) for text in texts]
        run = self.storage.tables.begin(self.source_id, now=now)
        for start in range(0, max(1, len(raw)), page):
            some = raw[start : start + page]
            values = [one.value for one in some]
            known = run.columns or self._columns
            columns = extended(known, values, new=not self._columns and run.pages == 0)
            found = self.texts(texts[start : start + page])
            is_last = start + page >= len(raw)
            run = self.storage.tables.store(
                run, found, None if is_last and end else {"page": run.pages + 2}, columns=columns
            )
        if end:
            self.storage.tables.end(run, now=now)

    def texts(self, rows: Iterable[Any]) -> dict[str, RowText]:
        """Rows as storage takes them."""
        texts = [one if isinstance(one, str) else json.dumps(one) for one in rows]
        raw = [RawRow(json.loads(text), text) for text in texts]
        return {self.id_of(one.value): RowText(one.text, one.digest, one.value) for one in raw}

    def id_of(self, row: Any) -> str:
        return row_id(self.source_id, json.dumps([row["id"] if isinstance(row, dict) else row]))
