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
from feedmirror.db import Connection
from feedmirror.errors import ConfigError, FeedmirrorError
from feedmirror.memory import share_between_threads
from feedmirror.models import Finished, Item
from feedmirror.parent import end_with_parent
from feedmirror.polling_process import PollingProcess
from feedmirror.storage import Storage
from feedmirror.worker_steps import END_SOON, EndSoon, ScheduleKeeper

# How long a worker waits for MongoDB within one operation: long enough for a restart to pass unnoticed.
_TIMEOUT_S = 25
# A task that hangs in spite of that is killed, and its process replaced.
_LOOK_S = 60
# The longest deadline of a fetch there is, and time to keep what it brought.
_JOB_S = 900

app = Celery("stack_scrap")
app.config_from_object(celeryconfig)
app.steps["worker"].update({EndSoon, ScheduleKeeper})


@app.add_defaults
def _broker() -> dict[str, Any]:
    try:
        return broker_settings(Settings.from_environ())
    except ConfigError as error:
        sys.exit(f"feedmirror: {error}")


log = logging.getLogger(__name__)

_connection = Connection(lambda: Settings.from_environ().database_uri, timeout_s=_TIMEOUT_S)


def _storage() -> Storage:
    return Storage(_connection.database()).prepare()


@cache
def _process() -> PollingProcess:
    """What polls in this process; made after the fork, since threads and connections do not survive one."""
    process = PollingProcess(_storage, Settings.from_environ())
    process.start()
    return process


@app.task(name="feedmirror.poll_due", time_limit=_LOOK_S)
def poll_due() -> None:
    """Look for what is due: sources for this process's crew, and jobs for any process."""
    expires = Settings.from_environ().lease_s
    _process().look(lambda job_id: do_job.apply_async((job_id,), expires=expires))


@app.task(name="feedmirror.do_job", time_limit=_JOB_S)
def do_job(job_id: str) -> None:
    """Do a job, unless it is done or being done."""
    _process().do_job(job_id)


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
def _begin_to_poll(**_: object) -> None:
    """Heed the worker alone: process managers send SIGTERM to its whole group, and a child would die within a poll."""
    share_between_threads()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(END_SOON, lambda *_: _process().end_soon())
    _process()


@worker_process_shutdown.connect
def _give_back_and_disconnect(**_: object) -> None:
    """Abandon the polls that are under way, and free their sources for others."""
    if _process.cache_info().currsize:
        _process().close()
        _process.cache_clear()
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
    """Print what one pass brought; 1 if nothing could be read."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("feedmirror.poll").setLevel(logging.ERROR)  # how each source fared is printed below
    try:
        fared = one_pass(urls)
    except (FeedmirrorError, PyMongoError) as error:
        print(f"feedmirror: {error}", file=sys.stderr)
        return 1
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
