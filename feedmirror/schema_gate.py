"""Celery's side of the schema: a worker or beat on newer data ends as a whole, with exit code 2 and one line.

    celeryd_init, beat_init   asked before anything is begun, over a connection that is closed again
    SchemaTask                a task that finds newer data tells the main process, and leaves its message to others
    worker_ready              from then on the main process looks once a second whether it was told

The main process has no connection of its own to ask with: its pool is forked from it, now and whenever a child died.
"""

import logging
import mmap
import sys
import time
from typing import Any

from billiard.process import current_process
from celery import Task
from celery.app.trace import LOG_REJECTED
from celery.exceptions import Reject
from celery.signals import after_setup_logger, beat_init, celeryd_init, worker_ready
from celery.worker import state

from feedmirror.command_line import tell
from feedmirror.config import Settings
from feedmirror.data_check import refuse_newer
from feedmirror.errors import ConfigError, NewerSchema, Upgrading, exit_code

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
# A message that was given back comes again at once.
_PAUSE_S = 1.0
_UPGRADING_SAID_EVERY_S = 60.0

# A byte that the main process shares with all that it forks: whether one of them found newer data.
_told = mmap.mmap(-1, 1)
_MAIN = "MainProcess"


class SchemaTask(Task):  # type: ignore[misc] # celery has no types
    """A task that is not done while the data is none that this program may use."""

    _said_at = float("-inf")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.run(*args, **kwargs)
        except NewerSchema as error:
            if self.request.called_directly:
                raise
            _told[0] = 1
            time.sleep(_PAUSE_S)
            raise Reject(str(error), requeue=True) from None
        except Upgrading as error:  # all that is due is found again when that is done
            self._say(error)

    def _say(self, error: Upgrading) -> None:
        now = time.monotonic()
        if now - SchemaTask._said_at >= _UPGRADING_SAID_EVERY_S:
            SchemaTask._said_at = now
            log.warning("nothing is polled: %s", error)


@celeryd_init.connect
@beat_init.connect
def _refuse_newer(**_: object) -> None:
    try:
        refuse_newer(Settings.from_environ())
    except ConfigError as error:
        sys.exit(tell(error))
    except NewerSchema as error:
        if current_process().name != _MAIN:  # the beat within a worker, which ends with it
            _told[0] = 1
            return
        sys.exit(tell(error))


@worker_ready.connect
def _watch(sender: Any, **_: object) -> None:
    sender.controller.timer.call_repeatedly(_LOOK_EVERY_S, _end_if_newer)


def _end_if_newer() -> None:
    if not _told[0] or state.should_stop is not None:
        return
    try:
        _told[0] = 0
        refuse_newer(Settings.from_environ())
    except NewerSchema as error:
        log.critical("this worker ends: %s", error)
        state.should_stop = exit_code(error)


@after_setup_logger.connect
def _leave_out_what_was_given_back(**_: object) -> None:
    """The main process says it once; Celery would print a traceback for each message."""
    logging.getLogger("celery.app.trace").addFilter(lambda record: record.msg != LOG_REJECTED.strip())
