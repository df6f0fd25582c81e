"""Polling by hand: one pass, now, without a broker and whether due or not.

For cron, for trying a feed, and for the commands. Claims like everybody else, so a source that a worker is polling at
this moment is left to it.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from feedmirror import checks, data_lock, mongod
from feedmirror.config import Settings
from feedmirror.data_dir import has_database
from feedmirror.db import Connection
from feedmirror.errors import ConfigError
from feedmirror.heartbeat import beating
from feedmirror.models import Finished, Outcome, Postponed, Source
from feedmirror.poll import Poller
from feedmirror.sources_file import read_sources, source_id
from feedmirror.sources_watch import SourcesWatch
from feedmirror.storage import Storage
from feedmirror.storage.processes import Role
from feedmirror.trial import try_out

# Whoever waits at a terminal would rather wait out a restart of MongoDB than begin again.
_TIMEOUT_S = 25
# Longer than a limit of so many a minute takes to make room: whoever waits should hear what is in the way instead.
_WAIT_MAX_S = 60


@contextmanager
def open_storage(settings: Settings, *, creates: bool = True) -> Iterator[Storage]:
    """The storage for the time of the block: of the MongoDB that is named or runs already, else of the bundled one.

    A bundled one that does not run is started for the time of the block; one that was never started is made only if
    this `creates`, else it is a ConfigError: a command that reads would show an empty mirror instead of the one meant.
    """
    if not creates:
        _check_that_there_is_one(settings)
    with nullcontext() if settings.mongodb_uri else mongod.running(settings):
        connection = Connection(settings.database_uri, timeout_s=_TIMEOUT_S)
        with closing(connection):
            yield Storage(connection.database()).prepare(patience_s=None)


def _check_that_there_is_one(settings: Settings) -> None:
    directory = settings.data_dir
    if not (settings.mongodb_uri or has_database(directory) or data_lock.holder(directory) is not None):
        raise ConfigError(
            [
                f"no MongoDB is running, and {directory}/ has no database: set FEEDMIRROR_DATA to the directory that"
                " has it, or MONGODB_URI, or start everything with `make run`"
            ]
        )


def poll_now(storage: Storage, settings: Settings, sources: Sequence[Source]) -> list[Finished]:
    """Look at these sources; how each one fared.

    Waits where a publisher's limits ask for a moment, and goes on with what takes several visits. Sources that would
    have to wait for longer are given as failed, with what is in their way; nothing is kept of that.
    """
    with beating(storage, Role.BY_HAND) as holder:
        return _polled(Poller(storage, settings, holder=holder), sources)


def _polled(poller: Poller, sources: Sequence[Source]) -> list[Finished]:
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
    """The sources that are polled, after the sources file has been read; its mistakes are logged.

    Raises ConfigError if it cannot be read, or is another one than that of the worker on this machine: a shell that
    lacks a variable must not retire what the worker polls.
    """
    used, named = storage.sources.file_path(), settings.sources_path.resolve()
    if used and Path(used) != named and Path(used).exists():
        raise ConfigError([f"the sources of this database are those of {used}, not of {named}: set FEEDMIRROR_SOURCES"])
    SourcesWatch(by_hand=True).refresh(storage, settings.sources_path)
    Poller(storage, settings).describe_groups()
    return [watched.source for watched in storage.sources.all() if watched.active]


@dataclass(frozen=True, slots=True)
class Looked:
    """How sources fared: those whose items are stored, and those that were only tried.

    `busy`: the names of those that were left to the worker that is polling them at this moment.
    """

    stored: Sequence[Finished] = ()
    tried: Sequence[Finished] = ()
    busy: Sequence[str] = ()


def look_at_all(settings: Settings) -> Looked:
    """Look at every source of the sources file."""
    with open_storage(settings) as storage:
        return _looked(storage, settings, sources_of_file(storage, settings))


def look_at(settings: Settings, urls: Sequence[str], *, store: bool) -> Looked:
    """Look at these addresses. What the sources file does not name is only tried, unless it is to be stored.

    What is stored is a source that rests. The addresses are the operator's own, so they may lead to private ones.
    Needs a database only if something is stored.
    """
    urls = list(dict.fromkeys(urls))
    if mistakes := [f"{url}: {mistake}" for url in urls if (mistake := checks.url(url))]:
        raise ConfigError(mistakes)
    if not store and not _addresses_in(settings.sources_path) & {*urls}:
        return Looked(tried=[try_out(_by_hand(url), settings) for url in urls])
    with open_storage(settings) as storage:
        known = _of_file(storage, settings)
        if store:
            known = {**known, **_resting(storage, [url for url in urls if url not in known])}
        looked = _looked(storage, settings, [known[url] for url in urls if url in known])
    return replace(looked, tried=[try_out(_by_hand(url), settings) for url in urls if url not in known])


def _looked(storage: Storage, settings: Settings, sources: Sequence[Source]) -> Looked:
    stored = poll_now(storage, settings, sources)
    ids = {poll.watched.source.id for poll in stored}
    return Looked(stored, busy=[source.name for source in sources if source.id not in ids])


def _addresses_in(path: Path) -> set[str]:
    """Every address in the sources file, those of sources with a mistake included; none if there is no file."""
    if not path.exists():
        return set()
    file = read_sources(path)
    return {source.url for source in file.sources} | {url for broken in file.broken for url in broken.urls}


def _of_file(storage: Storage, settings: Settings) -> dict[str, Source]:
    """By address, the sources that are polled; of several with one address the first."""
    if not settings.sources_path.exists():
        return {}
    return {source.url: source for source in reversed(sources_of_file(storage, settings))}


def _resting(storage: Storage, urls: Sequence[str]) -> dict[str, Source]:
    """By address, sources that rest: those that are known, and new ones."""
    known = {watched.source.url: watched.source for watched in reversed(storage.sources.all())}
    for url in urls:
        if url not in known:
            known[url] = _by_hand(url)
            storage.sources.add(known[url])
    return {url: known[url] for url in urls}


def _by_hand(url: str) -> Source:
    return Source(id=source_id(url), name=url, url=url, private=True)
