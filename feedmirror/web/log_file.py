"""The site's errors and warnings in a file that may be renamed while it is written, as logrotate does (FEEDMIRROR_LOG).

Each process asks before each line whether the file is still there under its name, and else begins a new one; several of
them write into one file, line by line. Where no file is named nothing is done here: they go to standard error.
"""

import logging
from logging.handlers import WatchedFileHandler
from pathlib import Path

from feedmirror.errors import ConfigError

_LINE = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"


def log_to(path: Path) -> None:
    """Have everybody's errors and warnings written there; raises ConfigError if they cannot be."""
    root = logging.getLogger()
    if any(isinstance(handler, WatchedFileHandler) for handler in root.handlers):  # asked for twice
        return
    try:
        handler = WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"FEEDMIRROR_LOG={str(path)!r}: {error.strerror}"]) from None
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(_LINE))
    root.addHandler(handler)


def with_the_others(logger_name: str) -> None:
    """Have a library that writes for itself write where all others do."""
    logger = logging.getLogger(logger_name)
    logger.handlers.clear()
    logger.propagate = True
