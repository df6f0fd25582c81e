"""A table as it is kept: one document with its columns, and the run over it that is under way, or was the last."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from feedmirror.table import Column, ColumnType, Run

_Document = dict[str, Any]

WALKING, ENDED, GIVEN_UP = "walking", "ended", "given up"


def progress(run: Run) -> _Document:
    """How far a run is, as its table's document says it."""
    counts = {"pages": run.pages, "rows": run.rows, "new": run.new, "changed": run.changed, "tries": run.tries}
    return {"position": kept_position(run.position), **counts}


def kept_position(position: Mapping[str, Any] | None) -> _Document | None:
    """A position as it is kept."""
    return None if position is None else dict(position)


def column_document(column: Column) -> _Document:
    """A column as it is kept."""
    return {**asdict(column), "path": list(column.path)}


def columns_of(document: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns of a table, from the document of its runs."""
    return tuple(map(column_of, document.get("columns", ())))


def column_of(document: Mapping[str, Any]) -> Column:
    """A column, from its document."""
    return Column(
        path=tuple(document["path"]),
        title=document["title"],
        type=ColumnType(document["type"]) if document["type"] else None,
        history_s=document["history_s"],
    )


def run_of(document: Mapping[str, Any]) -> Run:
    """The run that is under way, from the document of a table's runs."""
    counts = {name: document[name] for name in ("pages", "rows", "new", "changed", "tries")}
    return Run(
        source_id=document["_id"],
        number=document["number"],
        began_at=document["began_at"],
        position=document["position"],
        columns=columns_of(document),
        shape=document.get("shape", 0),
        is_first="listed" not in document,
        further=document.get("further", 0),
        is_beyond=document.get("is_beyond", False),
        **counts,
    )
