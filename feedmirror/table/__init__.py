"""What a table is: rows as an API gave them, and what they say in each column. Pure.

models     rows, runs, columns: plain values
columns    which columns there are, where nobody has said it
values     what a row says in a column: a number, a moment, an address, a text
"""

from feedmirror.table.columns import extended, extends, titled
from feedmirror.table.models import (
    Column,
    ColumnType,
    Row,
    RowText,
    Run,
    Standing,
    TableOrder,
    TablePage,
    TableUpdate,
)
from feedmirror.table.values import Value, loaded, member, moment_of, number_of, order_of, search_text, value_in

__all__ = [
    "Column",
    "ColumnType",
    "Row",
    "RowText",
    "Run",
    "Standing",
    "TableOrder",
    "TablePage",
    "TableUpdate",
    "Value",
    "extended",
    "extends",
    "loaded",
    "member",
    "moment_of",
    "number_of",
    "order_of",
    "search_text",
    "titled",
    "value_in",
]
