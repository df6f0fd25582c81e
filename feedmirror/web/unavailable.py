"""When there is nothing to read from: MongoDB is away, or answers and is of no use.

The driver's own words name hosts and states of the cluster: they go to the log, and the reader gets ours.
"""

import logging
from functools import cache

from pymongo.errors import ConnectionFailure, PyMongoError

from feedmirror.errors import NewerSchema, StorageError, Upgrading

FAILURES = (PyMongoError, StorageError)

_logger = logging.getLogger(__name__)


def is_away(error: Exception) -> bool:
    """Whether nobody answers at all; a server that refuses one thing can be asked another."""
    return isinstance(error, ConnectionFailure)


def reason(error: Exception) -> str:
    """Log the failure, and say it in one line that every reader may see."""
    if isinstance(error, NewerSchema):  # for good: each request would find the same
        _say_once(str(error))
    elif isinstance(error, Upgrading):
        pass  # the process that is at it says how far it is
    elif isinstance(error, StorageError):
        _logger.warning("Storage is of no use: %s", error)
    else:
        _logger.warning("MongoDB is away: %s", type(error).__name__)
    return words(error)


def words(error: Exception) -> str:
    """The failure in one line that every reader may see."""
    return str(error) if isinstance(error, StorageError) else "The database is away; try again in a few seconds."


@cache
def _say_once(text: str) -> None:
    _logger.error("Nothing is served: %s", text)
