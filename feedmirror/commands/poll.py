"""`python -m feedmirror poll`: look at sources now, and say each step."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.errors import PyMongoError

from feedmirror.by_hand import open_storage, poll_now, sources_of_file
from feedmirror.command_line import tell
from feedmirror.config import Settings
from feedmirror.errors import ConfigError, FeedmirrorError
from feedmirror.models import Source
from feedmirror.sources_file import source_id
from feedmirror.storage import Storage


def add_to(commands: Any) -> None:
    parser = commands.add_parser("poll", help="look at sources now, and say each step")
    parser.add_argument("names", nargs="+", metavar="NAME", help="a source's name or id")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Poll each source; 1 if one of them failed, or is being polled by a worker, 2 if one is unknown."""
    try:
        settings = Settings.from_environ()
        with open_storage(settings, creates=False) as storage, _every_step_told():
            sources = _named(options.names, storage, settings)
            polls = poll_now(storage, settings, sources)
    except (FeedmirrorError, PyMongoError) as error:
        return tell(error)
    for poll in polls:
        if poll.outcome.error:
            sys.stderr.write(f"{poll.watched.source.name}: {poll.outcome.error}\n")
    for busy in {source.name for source in sources} - {poll.watched.source.name for poll in polls}:
        sys.stderr.write(f"{busy}: a worker is polling it at this moment\n")
    return 0 if len(polls) == len(sources) and all(poll.outcome.ok for poll in polls) else 1


@contextmanager
def _every_step_told() -> Iterator[None]:
    """What a poll does goes to the terminal for the time of the block."""
    log, told = logging.getLogger("feedmirror.poll"), logging.StreamHandler(sys.stdout)
    level, propagates = log.level, log.propagate
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(told)
    try:
        yield
    finally:
        log.removeHandler(told)
        log.setLevel(level)
        log.propagate = propagates


def _named(names: list[str], storage: Storage, settings: Settings) -> list[Source]:
    sources = sources_of_file(storage, settings)
    # a name may be the id of another source, which had it before: the name of today counts
    known = {source.id: source for source in sources} | {source_id(source.name): source for source in sources}
    asked = {name: known.get(source_id(name)) or known.get(name) for name in names}
    if unknown := [name for name, source in asked.items() if source is None]:
        there = ", ".join(source.id for source in sources) or "none"
        raise ConfigError([f"no source {name!r}; there are: {there}" for name in unknown])
    return list({source.id: source for source in asked.values() if source}.values())
