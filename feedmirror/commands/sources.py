"""`python -m feedmirror sources`: what is watched and how it fares, as a table."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import PyMongoError

from feedmirror.by_hand import open_storage
from feedmirror.command_line import tell
from feedmirror.config import Settings
from feedmirror.errors import FeedmirrorError
from feedmirror.models import WatchedSource
from feedmirror.politeness import as_asked, group_of
from feedmirror.web import times
from feedmirror.web.counts import rate
from feedmirror.web.sources import items_an_hour, kept

_HEADINGS = (
    *("SOURCE", "STATE", "LAST LOOK", "LAST NEW", "NEXT LOOK", "EVERY"),
    *("ITEMS", "AN HOUR", "LOST", "KEEPS", "GROUP", "WHY"),
)


def add_to(commands: Any) -> None:
    parser = commands.add_parser("sources", help="show what is watched and how it fares")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print the table; 1 if MongoDB cannot be asked, 2 if the settings do not say which."""
    try:
        with open_storage(Settings.from_environ(), creates=False) as storage:
            now = datetime.now(UTC)
            rows = [_row(one, now) for one in storage.watchlist.every()]
            mistakes = storage.sources.mistakes()
    except (FeedmirrorError, PyMongoError) as error:
        return tell(error)
    _print([_HEADINGS, *rows])
    for mistake in mistakes:
        sys.stderr.write(f"{mistake}\n")
    return 0


def _row(watched: WatchedSource, now: datetime) -> tuple[str, ...]:
    source, looks = watched.source, watched.looks
    an_hour = items_an_hour(watched)
    return (
        source.name,
        watched.state,
        _apart(looks.last_at, now),
        _apart(looks.last_new_at, now),
        _next(looks.next_at, now) if watched.active else "rests",
        times.duration(watched.interval_s),
        f"{looks.items:,}",
        "" if an_hour is None else rate(an_hour),
        str(looks.windows_lost or ""),
        kept(source) or "all",
        group_of(as_asked(watched)),
        "; ".join(filter(None, (_error(watched, now), looks.why, *looks.notices, _mistake(watched)))),
    )


def _error(watched: WatchedSource, now: datetime) -> str:
    looks = watched.looks
    if looks.error is None or looks.error_since is None:
        return looks.error or ""
    return f"{looks.error}, since {_apart(looks.error_since, now)}"


def _mistake(watched: WatchedSource) -> str:
    return f"keeps its last good version: {watched.mistake}" if watched.mistake else ""


def _next(moment: datetime | None, now: datetime) -> str:
    """When it is due; a new one has been due since ever."""
    return "now" if moment is None or moment <= now else _apart(moment, now)


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
