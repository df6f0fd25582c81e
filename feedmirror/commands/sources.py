"""`python -m feedmirror sources`: what is watched and how it fares, as a table."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import PyMongoError

from feedmirror.by_hand import open_storage
from feedmirror.config import Settings
from feedmirror.errors import FeedmirrorError
from feedmirror.models import WatchedSource

_HEADINGS = ("SOURCE", "LAST LOOK", "LAST NEW", "NEXT LOOK", "ITEMS", "LOST", "WHY")


def add_to(commands: Any) -> None:
    parser = commands.add_parser("sources", help="show what is watched and how it fares")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print the table; 1 if MongoDB cannot be asked."""
    try:
        with open_storage(Settings.from_environ()) as storage:
            watched, mistakes = storage.sources.all(), storage.sources.mistakes()
    except (FeedmirrorError, PyMongoError) as error:
        sys.stderr.write(f"feedmirror: {error}\n")
        return 1
    now = datetime.now(UTC)
    _print([_HEADINGS, *(_row(one, now) for one in watched)])
    for mistake in mistakes:
        sys.stderr.write(f"{mistake}\n")
    return 0


def _row(watched: WatchedSource, now: datetime) -> tuple[str, ...]:
    looks = watched.looks
    return (
        watched.source.name,
        _apart(looks.last_at, now),
        _apart(looks.last_new_at, now),
        _apart(looks.next_at, now) if watched.active else "rests",
        f"{looks.items:,}",
        str(looks.windows_lost or ""),
        "; ".join(filter(None, (looks.error, looks.why, *looks.notices))),
    )


def _apart(moment: datetime | None, now: datetime) -> str:
    """How far a moment is from now, in the largest unit that fits: "12 s ago", "in 3 min"."""
    if moment is None:
        return "never"
    seconds = (moment - now).total_seconds()
    size = abs(seconds)
    number, unit = next(
        (size / per, unit)
        for per, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
        if size >= per or per == 1
    )
    return f"in {number:.0f} {unit}" if seconds > 0 else f"{number:.0f} {unit} ago"


def _print(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
