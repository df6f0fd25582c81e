"""A row of a table as a document: its text, and by what it is found and ordered. Pure: makes no query."""

from collections.abc import Iterable
from hashlib import sha224
from typing import Any

from feedmirror.table import Column, RowText, Run, order_of, search_text, value_in

_Document = dict[str, Any]


def row_id(source_id: str, key: str) -> str:
    """The id of the row with this key, which is text; keys are unique within a source only."""
    return sha224(f"{source_id}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()


def row_document(run: Run, form: str, row_id: str, row: RowText) -> _Document:
    """A row as the run has it, not numbered yet; `form`: see form_of."""
    place = {"source": run.source_id, "changed": None, "gone": False, "form": form}
    # what is searched and sorted by stands before the text, which may be long
    return {"_id": row_id, **place, **place_in_columns(run, row), "digest": row.digest, "text": row.text}


def place_in_columns(run: Run, row: RowText) -> _Document:
    """What the row is ordered and found by: its values by their columns' numbers, and its words."""
    values = [value_in(row.value, column) for column in run.columns]
    order = {str(number): key for number, value in enumerate(values) if (key := order_of(value)) is not None}
    return {"order": order, "search": search_text(values)}


def form_of(columns: Iterable[Column]) -> str:
    """What decides by what a row is ordered and found."""
    return sha224(repr([(column.path, column.type) for column in columns]).encode()).hexdigest()[:16]
