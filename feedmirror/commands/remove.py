"""`python -m feedmirror remove`: forget a source that the sources file does not name any more."""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pymongo.errors import PyMongoError

from feedmirror.by_hand import open_storage, sources_of_file
from feedmirror.command_line import tell
from feedmirror.config import Settings
from feedmirror.errors import ConfigError, FeedmirrorError, StorageError
from feedmirror.models import Postponed, WatchedSource
from feedmirror.sources_file import source_id
from feedmirror.storage import Storage

# Removing a million items takes minutes: as often as this it is told how far it is.
_TOLD_EVERY_S = 2


def add_to(commands: Any) -> None:
    parser = commands.add_parser("remove", help="forget a source that the sources file does not name any more")
    parser.add_argument("name", metavar="NAME", help="a retired source's name or id")
    parser.add_argument("--items", action="store_true", help="remove its items too, or the rows of its table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Forget the source; 1 if it is being polled, 2 if it is unknown or still in the sources file."""
    try:
        settings = Settings.from_environ()
        with open_storage(settings, creates=False) as storage:
            watched = _retired(options.name, storage, settings)
            with _claimed(watched, storage, settings):
                removed = _remove_items(watched, storage) if options.items else 0
                if not storage.sources.forget(watched.source.id):
                    raise StorageError(f"{watched.source.name} has come back into the sources file meanwhile")
    except (FeedmirrorError, PyMongoError) as error:
        return tell(error)
    what = f", and {removed:,} of its items or rows are removed" if options.items else "; its items stay"
    sys.stdout.write(f"{watched.source.name} is forgotten{what}\n")
    return 0


@contextmanager
def _claimed(watched: WatchedSource, storage: Storage, settings: Settings) -> Iterator[None]:
    """Keep others from polling the source during the block; one that is interrupted can be tried again at once."""
    claim = storage.sources.claim_now([watched.source.id], lease_s=settings.lease_s)
    if not claim.source_ids:
        raise StorageError(f"{watched.source.name} is being polled at this moment; try again")
    try:
        yield
    finally:
        mine = replace(watched, lease=claim.lease, by_hand=True)
        storage.sources.postpone([Postponed(watched=mine, by_s=0, why="")])


def _retired(name: str, storage: Storage, settings: Settings) -> WatchedSource:
    """The retired source that is meant. Raises ConfigError if there is none, or another one."""
    sources_of_file(storage, settings)
    known = storage.sources.all()
    by_id = [watched for watched in known if watched.source.id == name]
    found = by_id or [watched for watched in known if source_id(watched.source.name) == source_id(name)]
    retired = [watched for watched in found if not watched.active]
    if len(retired) == 1:
        return retired[0]
    raise ConfigError([_refusal(name, found, retired, known, settings.sources_path.name)])


def _refusal(
    name: str,
    found: list[WatchedSource],
    retired: list[WatchedSource],
    known: list[WatchedSource],
    file: str,
) -> str:
    if retired:
        ids = ", ".join(watched.source.id for watched in retired)
        return f"several retired sources are called {name!r}; name one by its id: {ids}"
    if found and found[0].mistake:
        return f"{name!r} is still polled: {found[0].mistake}"
    if found:
        return f"{name!r} is still in {file}: take it out there first"
    ids = ", ".join(watched.source.id for watched in known if not watched.active)
    return f"no source {name!r}; retired ones are: {ids or 'none'}"


def _remove_items(watched: WatchedSource, storage: Storage) -> int:
    """Remove what a source has brought; gives how much."""
    source = watched.source
    total = storage.retention.count(source.id) + storage.tables.count(source.id)
    removed, told_at = 0, time.monotonic()
    for number in _removals(source.id, storage):
        removed += number
        if time.monotonic() - told_at > _TOLD_EVERY_S:
            told_at = time.monotonic()
            sys.stderr.write(f"{removed:,} of {total:,} removed\n")
    return removed


def _removals(source_id: str, storage: Storage) -> Iterator[int]:
    yield from storage.retention.remove_all(source_id)
    yield from storage.tables.forget(source_id)
