"""The Celery app, and the scraper for one pass by hand.

    celery -A stack_scrap worker -B --loglevel=INFO     poll for ever
    python stack_scrap.py [--store] [URL ...]           one pass over the sources, or over these feeds

Tasks are thin: they take ids, call the library, and may run twice. What is due is read from MongoDB each time.
"""

import argparse
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
from feedmirror.by_hand import Looked, look_at, look_at_all
from feedmirror.command_line import ended, tell
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.errors import ConfigError, FeedmirrorError
from feedmirror.memory import share_between_threads
from feedmirror.models import Finished, Item
from feedmirror.parent import end_with_parent
from feedmirror.polling_process import PollingProcess
from feedmirror.schema_gate import SchemaTask
from feedmirror.storage import Storage
from feedmirror.worker_log import say_outages_once
from feedmirror.worker_steps import END_SOON, EndSoon, ScheduleKeeper

# How long a worker waits for MongoDB within one operation: long enough for a restart to pass unnoticed.
_TIMEOUT_S = 25
# A task that hangs in spite of that is killed, and its process replaced.
_LOOK_S = 60
# The longest deadline of a fetch there is, and time to keep what it brought.
_JOB_S = 900

app = Celery("stack_scrap", task_cls=SchemaTask)
app.config_from_object(celeryconfig)
app.steps["worker"].update({EndSoon, ScheduleKeeper})


@app.add_defaults
def _broker() -> dict[str, Any]:
    try:
        return broker_settings(Settings.from_environ())
    except ConfigError as error:
        sys.exit(tell(error))


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
def _say_only_what_happened(logger: logging.Logger, **_: object) -> None:
    """A look for what is due is no event: Celery would print four lines for it every second."""
    say_outages_once(logger)
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


def questions(*urls: str, store: bool = False) -> list[Item]:
    """Look at every source now, or at the feeds under these URLs; return what is new, oldest first.

    What sources of the sources file bring is stored. Of any other URL all items are returned, and nothing is stored;
    with `store` it is kept as a source that is not polled by itself. Without a broker, whether due or not. Sources that
    fail are logged as warnings, and the others go on.
    """
    return [item for poll in one_pass(urls, store=store) for item in poll.outcome.new]


def one_pass(urls: Sequence[str], *, store: bool = False) -> list[Finished]:
    """Look at every source now, or at the feeds under these URLs, and say how each one fared."""
    looked = _look(urls, store=store)
    for poll in looked.tried:  # the others are logged where they are polled
        if poll.outcome.error:
            log.warning("%s: %s", poll.watched.source.name, poll.outcome.error)
    return [*looked.stored, *looked.tried]


def _look(urls: Sequence[str], *, store: bool) -> Looked:
    settings = Settings.from_environ()
    return look_at(settings, urls, store=store) if urls else look_at_all(settings)


def main(arguments: Sequence[str]) -> int:
    """Print what one pass brought; its exit status."""
    options = _parser().parse_args(arguments)
    return ended(lambda: _print_pass(options.urls, store=options.store))


def _print_pass(urls: Sequence[str], *, store: bool) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("feedmirror.poll").setLevel(logging.ERROR)  # how each source fared is printed below
    try:
        looked = _look(urls, store=store)
    except (FeedmirrorError, PyMongoError) as error:
        return tell(error)
    fared = [*looked.stored, *looked.tried]
    for poll in fared:
        _print(poll)
    for name in looked.busy:
        print(f"{name}: a worker is polling it at this moment", file=sys.stderr)
    if looked.stored or not looked.tried:
        print(f"{_number(looked.stored)} new from {_sources(looked.stored)}", file=sys.stderr)
    if looked.tried:
        named = Settings.from_environ().sources_path.name
        hint = f"not in {named}, so nothing is stored (--store keeps it)"
        print(f"{_number(looked.tried)} listed by {_sources(looked.tried)} {hint}", file=sys.stderr)
    return 0 if any(poll.outcome.ok for poll in fared) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stack_scrap.py",
        description="One pass by hand: look at every source of the sources file now, store and print what is new.",
        epilog="Needs no broker, and asks whether due or not. Exit status: 0 done, 1 nothing could be read, 2 usage.",
    )
    parser.add_argument(
        "urls",
        nargs="*",
        metavar="URL",
        help="look at these feeds only; others than those of the file are printed and not stored",
    )
    parser.add_argument("--store", action="store_true", help="store what other feeds bring as well")
    return parser


def _print(poll: Finished) -> None:
    name = poll.watched.source.name
    if poll.outcome.error:
        print(f"{name}: {poll.outcome.error}", file=sys.stderr)
    for item in poll.outcome.new:
        print(f"{name}: {item.title}\n    {item.link or item.id}")


def _number(fared: Sequence[Finished]) -> int:
    return sum(len(poll.outcome.new) + poll.outcome.arrived for poll in fared)


def _sources(fared: Sequence[Finished]) -> str:
    return f"{len(fared)} {'source' if len(fared) == 1 else 'sources'}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
