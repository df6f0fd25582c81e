"""Keeps the stored sources in step with the sources file, which is read when it changes.

What a source is polled for, and when, is not known here.
"""

import logging
from pathlib import Path

from feedmirror.errors import ConfigError
from feedmirror.models import Source
from feedmirror.sources_file import read_sources
from feedmirror.storage import Storage

log = logging.getLogger(__name__)


class SourcesWatch:
    """Remembers which state of the file was read last."""

    def __init__(self) -> None:
        self._looked = False
        self._read: tuple[int, int, int] | None = None

    def refresh(self, storage: Storage, path: Path) -> tuple[Source, ...] | None:
        """Read the file if it is not what it was; raises ConfigError, once, if it is not there or cannot be read.

        Gives the sources that it names, None if it was not read. A file that vanishes later leaves everything as it
        is: an editor may be about to put it back.
        """
        state = _state(path)
        if self._looked and state in (None, self._read):
            return None
        try:
            file = read_sources(path)
        except ConfigError:
            self._looked, self._read = True, state
            raise
        # several processes watch the same file; the first one to see a change says so
        if storage.sources.synchronise(file.sources, file.mistakes):
            log.info("%s: %d sources", path.name, len(file.sources))
            for mistake in file.mistakes:
                log.warning("%s", mistake)
        self._looked, self._read = True, state
        return file.sources


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
