"""What stands above the columns of a table."""

from collections import Counter
from collections.abc import Sequence

from feedmirror.table import Column


def headings(columns: Sequence[Column]) -> list[str]:
    """Each column's title; its name where several have the same."""
    times = Counter(column.title for column in columns)
    return [column.title if times[column.title] == 1 else column.name for column in columns]
