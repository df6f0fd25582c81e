"""Which part of a table is asked for, and in which order: checked and typed, as in `query`."""

from dataclasses import dataclass, replace
from typing import Any

from feedmirror.table import TableOrder
from feedmirror.web.query import LONGEST_NAME, BadParameter, Parameters, encoded, search_of, shown, single

# What orders by the last change is no column's name.
BY_CHANGE = "_changed"
_API_ORDER = TableOrder()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuery:
    """A part of a table. `after`: the id of the row that it goes on behind; None: its beginning."""

    order: TableOrder = _API_ORDER
    search: str = ""
    after: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """What must stand in a row, each somewhere."""
        return tuple(dict.fromkeys(self.search.casefold().split()))

    @property
    def sort(self) -> str | None:
        """The order as the parameter says it, None for that of the API."""
        if self.order.column is None:
            return None
        return ("-" if self.order.descending else "") + (self.order.column or BY_CHANGE)

    def address(self, path: str, **changes: Any) -> str:
        """The address of the same with these changes; of its beginning, if nothing else is said."""
        query = replace(self, **{"after": None, **changes})
        pairs = [("sort", query.sort), ("q", query.search), ("after", query.after)]
        given = [(name, value) for name, value in pairs if value]
        return f"{path}?{encoded(given)}" if given else path


def table_query(given: Parameters) -> TableQuery:
    """What the page of a table is asked for. Raises BadParameter."""
    return TableQuery(
        order=_order(single(given, "sort")), search=search_of(given), after=_after(single(given, "after"))
    )


def _order(text: str | None) -> TableOrder:
    if not text:
        return _API_ORDER
    name = text.removeprefix("-")
    if not name or len(name) > LONGEST_NAME:
        raise BadParameter("sort", f"must be a column's name, or -name for its end, and is {shown(text)}")
    return TableOrder(column="" if name == BY_CHANGE else name, descending=text.startswith("-"))


def _after(text: str | None) -> str | None:
    if text is not None and not (0 < len(text) <= LONGEST_NAME):
        raise BadParameter("after", f"must be the id of a row, and is {shown(text)}")
    return text
