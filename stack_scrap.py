"""The Celery app, and the scraper for one pass by hand.

    celery -A stack_scrap worker -B --loglevel=INFO     poll for ever
    python stack_scrap.py [URL ...]                     one pass over the sources, or over these feeds

Tasks are thin: they take ids, call the library, and may run twice. What is due is read from MongoDB each time.
"""

import logging
import signal
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from celery import Celery
from celery.signals import after_setup_logger, beat_embedded_init, worker_process_init, worker_process_shutdown
from pymongo.errors import PyMongoError

import celeryconfig
from feedmirror.broker import broker_settings
from feedmirror.by_hand import open_storage, poll_now, sources_at, sources_of_file
from feedmirror.config import Settings
from feedmirror.crew import Crew
from feedmirror.db import Connection
from feedmirror.errors import ConfigError, FeedmirrorError, exit_code
from feedmirror.memory import share_between_threads
from feedmirror.models import Finished, Item
from feedmirror.parent import end_with_parent
from feedmirror.poll import Poller
from feedmirror.schema_gate import SchemaTask
from feedmirror.sources_watch import SourcesWatch
from feedmirror.storage import Storage
from feedmirror.storage.sources import Claim
from feedmirror.work import Worker

# How long a worker waits for MongoDB within one operation: long enough for a restart to pass unnoticed.
_TIMEOUT_S = 25
# A task that hangs in spite of that is killed, and its process replaced. A batch may have to wait until half of the
# threads come free from servers that hang.
_LOOK_S = 60
_BATCH_S = 120
# The longest deadline of a fetch there is, and time to keep what it brought.
_JOB_S = 900
# So many that nobody else has to wait for the messages.
_JOBS_AT_ONCE = 100

app = Celery("stack_scrap", task_cls=SchemaTask)
app.config_from_object(celeryconfig)


@app.add_defaults
def _broker() -> dict[str, Any]:
    try:
        return broker_settings(Settings.from_environ())
    except ConfigError as error:
        sys.exit(f"feedmirror: {error}")


log = logging.getLogger(__name__)

_connection = Connection(lambda: Settings.from_environ().database_uri, timeout_s=_TIMEOUT_S)
_sources_watch = SourcesWatch()


def _storage() -> Storage:
    return Storage(_connection.database()).prepare()


def _poller() -> Poller:
    return Poller(_storage(), Settings.from_environ())


@app.task(name="feedmirror.poll_due", time_limit=_LOOK_S)
def poll_due() -> None:
    """Hand out every source that is due, in batches, and jobs; then remove some of what is no longer kept."""
    settings, storage = Settings.from_environ(), _storage()
    poller = Poller(storage, settings)
    try:
        sources = _sources_watch.refresh(storage, settings.sources_path)
        if sources is not None:
            poller.describe_groups()
    except ConfigError as error:  # said once; what the file named before goes on
        log.warning("%s", error)
    for claim in poller.claim_due():
        poll_batch.apply_async((claim.lease, list(claim.source_ids)), expires=settings.lease_s)
    for job_id in storage.jobs.hand_out(limit=_JOBS_AT_ONCE):  # of which no message has come
        do_job.apply_async((job_id,), expires=settings.lease_s)
    storage.retention.step()  # a small one, after what cannot wait


@app.task(name="feedmirror.poll_batch", time_limit=_BATCH_S)
def poll_batch(lease: str, source_ids: list[str]) -> None:
    """Begin the sources that were claimed under this lease, and hand them to this process's crew.

    Waits for free threads, not for the polls to end: a server that hangs must not keep the process from others.
    """
    crew = _crew()
    admitted, _ = _poller().begin(Claim(lease, tuple(source_ids)))
    for watched in admitted:
        crew.take(watched)


@app.task(name="feedmirror.do_job", time_limit=_JOB_S)
def do_job(job_id: str) -> None:
    """Do what somebody asked for, unless it is done, or somebody is at it."""
    Worker(_storage(), Settings.from_environ()).do(job_id)


@cache
def _crew() -> Crew:
    """The crew of this process, begun with its first batch: threads do not survive a fork."""
    return _poller().crew(longest_s=Settings.from_environ().lease_s)


@after_setup_logger.connect
def _say_only_what_happened(**_: object) -> None:
    """A look for what is due is no event: Celery would print four lines for it every second."""
    for name in ("celery.app.trace", "celery.beat", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)


@beat_embedded_init.connect
def _end_with_the_worker(**_: object) -> None:
    """A beat whose worker was killed would go on for ever, and hold the output that a process manager waits for."""
    end_with_parent()


@worker_process_init.connect
def _share_memory(**_: object) -> None:
    share_between_threads()


@worker_process_init.connect
def _end_when_the_worker_says_so(**_: object) -> None:
    """Process managers send SIGTERM to the whole group; a pool child that obeyed would die within its poll."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@worker_process_shutdown.connect
def _finish_and_disconnect(**_: object) -> None:
    """Let the polls that are under way end, and keep how they went."""
    if _crew.cache_info().currsize:
        _crew().close()
        _crew.cache_clear()
    _connection.close()


# -- one pass by hand


def questions(*urls: str) -> list[Item]:
    """Look at every source now, or at the feeds under these URLs; store, and return what is new, oldest first.

    Without a broker, whether due or not. Sources that fail are logged as warnings, and the others go on.
    """
    return [item for poll in one_pass(urls) for item in poll.outcome.new]


def one_pass(urls: Sequence[str]) -> list[Finished]:
    """Look at every source now, or at the feeds under these URLs, and say how each one fared."""
    settings = Settings.from_environ()
    with open_storage(settings) as storage:
        sources = sources_at(storage, urls) if urls else sources_of_file(storage, settings)
        return poll_now(storage, settings, sources)


def main(urls: Sequence[str]) -> int:
    """Print what one pass brought; 1 if nothing could be read, 2 if the data is of a newer version."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("feedmirror.poll").setLevel(logging.ERROR)  # how each source fared is printed below
    try:
        fared = one_pass(urls)
    except (FeedmirrorError, PyMongoError) as error:
        print(f"feedmirror: {error}", file=sys.stderr)
        return exit_code(error)
    for poll in fared:
        name = poll.watched.source.name
        if poll.outcome.error:
            print(f"{name}: {poll.outcome.error}", file=sys.stderr)
        for item in poll.outcome.new:
            print(f"{name}: {item.title}\n    {item.link or item.id}")
    new = sum(len(poll.outcome.new) + poll.outcome.arrived for poll in fared)
    print(f"{new} new from {len(fared)} {'source' if len(fared) == 1 else 'sources'}", file=sys.stderr)
    return 0 if any(poll.outcome.ok for poll in fared) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
