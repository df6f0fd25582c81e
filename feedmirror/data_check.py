"""Whether the data that the settings name may be used by this program: asked once, before anything is begun."""

from contextlib import closing, suppress

from pymongo.errors import PyMongoError

from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.storage.schema import Schema

# A start must not wait for a MongoDB that is away: then each process asks when it first reaches it.
_TIMEOUT_S = 1


def refuse_newer(settings: Settings) -> None:
    """Raises NewerSchema for data of a newer version, and ConfigError where no data is named.

    Leaves no connection behind: processes that are forked afterwards make their own.
    """
    with closing(Connection(settings.database_uri, timeout_s=_TIMEOUT_S)) as connection, suppress(PyMongoError):
        Schema(connection.database()).pending()
