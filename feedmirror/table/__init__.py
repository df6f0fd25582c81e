"""What a table is: rows as an API gave them, and what they say in each column. Pure.

models     rows, runs, columns: plain values
columns    which columns are shown, where the sources file names none
further    which columns there are besides: those that are only exported
line       a row as a line over all columns
values     what a row says in a column: a number, a moment, an address, a text
"""

from feedmirror.table.columns import extended, extends, titled
from feedmirror.table.further import FURTHER, MOST_COLUMNS, Covered, all_columns, further_columns, further_values
from feedmirror.table.line import Line
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
    "FURTHER",
    "MOST_COLUMNS",
    "Column",
    "ColumnType",
    "Covered",
    "Line",
    "Row",
    "RowText",
    "Run",
    "Standing",
    "TableOrder",
    "TablePage",
    "TableUpdate",
    "Value",
    "all_columns",
    "extended",
    "extends",
    "further_columns",
    "further_values",
    "loaded",
    "member",
    "moment_of",
    "number_of",
    "order_of",
    "search_text",
    "titled",
    "value_in",
]
