"""What the page of a table shows: some of its rows, how it stands, and what leads to the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from feedmirror.models import SourceFilter, WatchedSource
from feedmirror.table import Column, ColumnType, Row, Standing, TableOrder
from feedmirror.web import sources, stamps
from feedmirror.web.cells import Cell, cells_of
from feedmirror.web.table_query import TableQuery
from feedmirror.web.table_update import table_path

if TYPE_CHECKING:
    from feedmirror.storage import Storage

ROWS_ON_A_PAGE = 100
TABLES_ON_A_PAGE = 100

_FROM_THE_END = (ColumnType.NUMBER, ColumnType.MONEY, ColumnType.PERCENT, ColumnType.TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of a column: `href` orders by it, `sorted` says how it is ordered now, as ARIA does; None: it is not.

    `numeric`: what stands below it are numbers. `drawn`: with a picture of what they were.
    """

    title: str
    href: str
    numeric: bool
    drawn: bool
    sorted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """A row as it is shown."""

    row: Row
    changed_at: datetime
    cells: Sequence[Cell]


def context(source_id: str, query: TableQuery, storage: "Storage", now: datetime) -> dict[str, object] | None:
    """What the template needs; None if there is no such table."""
    watched = _watched(source_id, storage)
    # before the rows: what changes while they are read is asked for once more
    cursor = stamps.seconds(storage.clock.head_us())
    standing = storage.sheets.standing(source_id)
    if not standing.is_known and (watched is None or watched.source.kind == "feed"):
        return None
    path = table_path(source_id)
    query = _usable(query, standing)
    page = storage.sheets.page(standing, order=query.order, words=query.words, after=query.after, limit=ROWS_ON_A_PAGE)
    rows = [_shown(row, standing.columns, now) for row in page.rows]
    return {
        "path": path,
        "name": watched.source.name if watched else source_id,
        "watched": watched,
        "url": sources.shown_url(watched.source) if watched else None,
        "standing": standing,
        "query": query,
        "cursor": cursor,
        "heads": [
            _head(column, [shown.cells[number] for shown in rows], query, path)
            for number, column in enumerate(standing.columns)
        ],
        "rows": rows,
        "by_change": query.address(path, order=TableOrder(column="", descending=True)),
        "ordered_by": _ordered_by(query, standing.columns),
        "unordered": query.address(path, order=TableOrder()),
        "unsearched": query.address(path, search=""),
        "first": query.address(path) if query.after is not None else None,
        "further": query.address(path, after=page.last) if page.last is not None else None,
    }


def listing(storage: "Storage") -> dict[str, object]:
    """What the list of the tables needs."""
    standings = storage.sheets.standings(limit=TABLES_ON_A_PAGE)
    ids = tuple(standing.source_id for standing in standings)
    page = storage.watchlist.page(SourceFilter(ids=ids), limit=len(ids)) if ids else None
    watched = {one.source.id: one for one in page.sources} if page else {}
    rows = [(standing, watched.get(standing.source_id), table_path(standing.source_id)) for standing in standings]
    return {"tables": rows}


def _watched(source_id: str, storage: "Storage") -> WatchedSource | None:
    return next(iter(storage.watchlist.page(SourceFilter(ids=(source_id,)), limit=1).sources), None)


def _usable(query: TableQuery, standing: Standing) -> TableQuery:
    """A column that is no more orders nothing."""
    names = {None, "", *(column.name for column in standing.columns)}
    return query if query.order.column in names else replace(query, order=TableOrder())


def _head(column: Column, cells: Sequence[Cell], query: TableQuery, path: str) -> Head:
    is_sorted = query.order.column == column.name
    descending = not query.order.descending if is_sorted else _is_read_from_the_end(column)
    directions = {True: "descending", False: "ascending"}
    there = [cell for cell in cells if cell != Cell()]
    return Head(
        title=column.title,
        href=query.address(path, order=TableOrder(column=column.name, descending=descending)),
        numeric=bool(there) and all(cell.number is not None for cell in there),
        drawn=any(cell.past is not None for cell in there),
        sorted=directions[query.order.descending] if is_sorted else None,
    )


def _is_read_from_the_end(column: Column) -> bool:
    """Whether one wants to see the largest or the latest first; but of ranks the first."""
    is_rank = column.path[-1].lower().endswith(("rank", "position", "place"))
    return column.type in _FROM_THE_END and not is_rank


def _ordered_by(query: TableQuery, columns: Sequence[Column]) -> str | None:
    """The order in words, None for that of the API."""
    if query.order.column is None:
        return None
    if query.order.column == "":
        return "last change"
    return next(column.title for column in columns if column.name == query.order.column)


def _shown(row: Row, columns: Sequence[Column], now: datetime) -> ShownRow:
    return ShownRow(row=row, changed_at=stamps.moment(row.changed_us), cells=cells_of(row, columns, now))
