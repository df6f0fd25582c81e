"""What the processes of a worker log while the broker or MongoDB is away: one line, and one when it is back.

Celery prints each try with its traceback: beat every second, tens of megabytes an hour. The filter here turns the first
of such records into one line and drops the others, in each process for itself: the worker, beat, each pool process.
Every other record passes. That something is back is known from the next message sent, connection made or task done.
"""

import logging
from collections.abc import Iterator
from functools import cache

from celery import current_app
from celery.signals import after_task_publish, task_success
from kombu.exceptions import OperationalError
from pymongo.errors import ConnectionFailure, PyMongoError

from feedmirror.outages import Outage, say

log = logging.getLogger(__name__)

# The loggers that mean the broker when they report a connection.
_OF_BROKER = (
    *(
        "celery.worker.consumer",
        "celery.worker.loops",
        "celery.worker.pidbox",
        "celery.worker.request",
        "celery.bootsteps",
    ),
    *("celery.beat", "kombu"),
)
_CONNECTED = logging.getLogger("celery.worker.consumer.connection")
# What Celery adds each time that it finds the broker again.
_CHATTER = ("celery.worker.consumer.mingle", "celery.worker.consumer.consumer")
# With each connection that is lost: eight lines about the next major version.
_NEXT_VERSION = "CPendingDeprecationWarning"
# As MongoDB says that it ends: ShutdownInProgress, PrimarySteppedDown, InterruptedAtShutdown.
_SHUTTING_DOWN = frozenset({91, 189, 11600})

_broker = Outage("the broker")
_database = Outage("MongoDB")


def say_outages_once(root: logging.Logger) -> None:
    """Have all that is written through this logger's handlers go through the filter."""
    for handler in root.handlers:
        handler.addFilter(_once)
    for name in _CHATTER:
        logging.getLogger(name).setLevel(logging.WARNING)
    _CONNECTED.setLevel(logging.INFO)  # whatever the command line says: it may be the end of an outage
    after_task_publish.connect(_broker_is_there)
    task_success.connect(_database_is_there)


def _broker_is_there(**_: object) -> None:
    say(log, _broker.ends())


def _database_is_there(**_: object) -> None:
    """A task was done, and each one asks MongoDB."""
    say(log, _database.ends())


def _once(record: logging.LogRecord) -> bool:
    """Whether a record is to be written; the first one of an outage becomes its line."""
    if record.name == _CONNECTED.name and record.levelno == logging.INFO:
        return _becomes(record, _broker.ends()) or logging.getLogger().isEnabledFor(logging.INFO)
    if record.name == "py.warnings":
        return _NEXT_VERSION not in record.getMessage()
    for error in _errors_of(record):
        if outage := _outage_of(error, record.name):
            return _becomes(record, outage.begins(error))
    return True


def _becomes(record: logging.LogRecord, line: str | None) -> bool:
    if line is None:
        return False
    record.msg, record.args = "%s", (line,)
    record.exc_info = record.exc_text = None
    record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _outage_of(error: BaseException, logger: str) -> Outage | None:
    """What is away if this logger reports this error; None: it is an error like others."""
    if logger.startswith(_OF_BROKER):
        return _broker if isinstance(error, _broker_errors()) else None
    if isinstance(error, OperationalError):  # a task's own message
        return _broker
    return _database if isinstance(error, PyMongoError) and _is_away(error) else None


def _is_away(error: PyMongoError) -> bool:
    return isinstance(error, ConnectionFailure) or error.timeout or getattr(error, "code", None) in _SHUTTING_DOWN


def _errors_of(record: logging.LogRecord) -> Iterator[BaseException]:
    """The exceptions that a record is about, each with those that it came of."""
    told = record.args if isinstance(record.args, tuple) else ()
    for error in (record.exc_info and record.exc_info[1], *told):
        while isinstance(error, BaseException):
            yield error
            error = error.__cause__ or error.__context__


@cache
def _broker_errors() -> tuple[type[BaseException], ...]:
    """What the library of the broker raises."""
    connection = current_app.connection_for_read()
    return (OperationalError, *connection.connection_errors, *connection.channel_errors)
