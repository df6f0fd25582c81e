"""The site's errors and warnings: on standard error, or in a file that may be renamed while it is written (logrotate).

Each process asks before each line whether the file is still there under its name, and else begins a new one; several of
them write into one file, line by line.
"""

import logging
from logging.handlers import WatchedFileHandler
from pathlib import Path

from feedmirror.errors import ConfigError

_LINE = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"


def log_to(path: Path | None) -> None:
    """Have everybody's errors and warnings written there, None: on standard error; raises ConfigError if it cannot be.

    Whoever has set up logging otherwise is left alone. Python's own last resort would pass CherryPy over, which says
    that it is taken care of, and with it the traceback of whatever ends in a 500.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    try:
        handler = WatchedFileHandler(path, encoding="utf-8") if path else logging.StreamHandler()
    except OSError as error:
        raise ConfigError([f"FEEDMIRROR_LOG={str(path)!r}: {error.strerror}"]) from None
    handler.setLevel(logging.WARNING)
    if path:
        handler.setFormatter(logging.Formatter(_LINE))
    root.addHandler(handler)


def with_the_others(logger_name: str) -> None:
    """Have a library that writes for itself write where all others do."""
    logger = logging.getLogger(logger_name)
    logger.handlers.clear()
    logger.propagate = True
