"""Polling by hand: one pass, now, without a broker and whether due or not.

For cron, for trying a feed, and for the commands. Claims like everybody else, so a source that a worker is polling at
this moment is left to it.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace

from feedmirror import checks, mongod
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.errors import ConfigError
from feedmirror.models import Finished, Outcome, Postponed, Source
from feedmirror.poll import Poller
from feedmirror.sources_file import source_id
from feedmirror.sources_watch import SourcesWatch
from feedmirror.storage import Storage

# Whoever waits at a terminal would rather wait out a restart of MongoDB than begin again.
_TIMEOUT_S = 25
# Longer than a limit of so many a minute takes to make room: whoever waits should hear what is in the way instead.
_WAIT_MAX_S = 60


@contextmanager
def open_storage(settings: Settings) -> Iterator[Storage]:
    """The storage for the time of the block: of the MongoDB that is named or runs already, else of the bundled one."""
    with nullcontext() if settings.mongodb_uri else mongod.running(settings):
        connection = Connection(settings.database_uri, timeout_s=_TIMEOUT_S)
        with closing(connection):
            yield Storage(connection.database()).prepare(patience_s=None)


def poll_now(storage: Storage, settings: Settings, sources: Sequence[Source]) -> list[Finished]:
    """Look at these sources; how each one fared.

    Waits where a publisher's limits ask for a moment, and goes on with what takes several visits. Sources that would
    have to wait for longer are given as failed, with what is in their way; nothing is kept of that.
    """
    poller = Poller(storage, settings)
    fared: dict[str, Finished] = {}
    refused: list[Postponed] = []
    waiting = [source.id for source in sources]
    while waiting and not refused:
        finished, postponed = poller.look_now(waiting)
        for one in finished:
            fared[one.watched.source.id] = _together(fared.get(one.watched.source.id), one)
        longest_s = max((one.by_s for one in postponed), default=0.0)
        if longest_s > _WAIT_MAX_S:
            refused = postponed
        else:
            time.sleep(min((one.by_s for one in postponed), default=0.0))
        waiting = [one.watched.source.id for one in postponed]
    return list({**fared, **{one.watched.source.id: _refused(one) for one in refused}}.values())


def _together(before: Finished | None, finished: Finished) -> Finished:
    """A look that took several visits, as one."""
    if before is None:
        return finished
    arrived = before.outcome.arrived + finished.outcome.arrived
    edited = before.outcome.edited + finished.outcome.edited
    return replace(finished, outcome=replace(finished.outcome, arrived=arrived, edited=edited))


def _refused(postponed: Postponed) -> Finished:
    outcome = Outcome(error=f"not looked at: {postponed.why}")
    return Finished(watched=postponed.watched, outcome=outcome, interval_s=postponed.by_s, why=postponed.why)


def sources_of_file(storage: Storage, settings: Settings) -> list[Source]:
    """The sources that the sources file names, which is read before."""
    sources = SourcesWatch().refresh(storage, settings.sources_path) or ()
    Poller(storage, settings).describe_groups()
    return list(sources)


def sources_at(storage: Storage, urls: Sequence[str]) -> list[Source]:
    """The sources under these addresses, which may be none of the sources file; those are remembered, and rest.

    The addresses are the operator's own, so they may lead to private ones.
    """
    if mistakes := [f"{url}: {mistake}" for url in urls if (mistake := checks.url(url))]:
        raise ConfigError(mistakes)
    # a source of the file comes first in `all`, and so wins over one under the same address that rests
    known = {watched.source.url: watched.source for watched in reversed(storage.sources.all())}
    unknown = [Source(id=source_id(url), name=url, url=url, private=True) for url in urls if url not in known]
    for source in unknown:
        storage.sources.add(source)
    return [*(known[url] for url in urls if url in known), *unknown]
