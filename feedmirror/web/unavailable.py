"""When there is nothing to read from: MongoDB is away, or answers and is of no use.

The driver's own words name hosts and states of the cluster: they go to the log, and the reader gets ours.
"""

import logging

from pymongo.errors import ConnectionFailure, PyMongoError

from feedmirror.errors import StorageError, Upgrading
from feedmirror.outages import Outage, say

FAILURES = (PyMongoError, StorageError)

_logger = logging.getLogger(__name__)

_database = Outage("MongoDB")
_data = Outage("the stored data")


def is_away(error: Exception) -> bool:
    """Whether nobody answers at all; a server that refuses one thing can be asked another."""
    return isinstance(error, ConnectionFailure)


def reason(error: Exception) -> str:
    """Log the failure, once while it lasts, and say it in one line that every reader may see."""
    if isinstance(error, Upgrading):  # the process that is at it says how far it is
        return words(error)
    if isinstance(error, StorageError):
        say(_logger, _data.begins(error))
    else:
        say(_logger, _database.begins(type(error).__name__))
    return words(error)


def is_back() -> None:
    """Something was read: log the end of a failure, if there was one."""
    say(_logger, _database.ends())
    say(_logger, _data.ends())


def words(error: Exception) -> str:
    """The failure in one line that every reader may see."""
    return str(error) if isinstance(error, StorageError) else "The database is away; try again in a few seconds."
