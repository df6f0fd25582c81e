"""Keeps the stored sources in step with the sources file, which is read when it changes.

What a source is polled for, and when, is not known here.
"""

import logging
import time
from pathlib import Path

from feedmirror.errors import ConfigError
from feedmirror.models import Source
from feedmirror.recognition import recognised
from feedmirror.sources_file import read_sources
from feedmirror.storage import Storage

log = logging.getLogger(__name__)

# An editor that puts a new file in the old one's place takes a moment; after this the file is missing.
GONE_AFTER_S = 10


class SourcesWatch:
    """Remembers which state of the file was read last.

    `by_hand`: a command has it. Mistakes are logged whether or not another process has seen them, and a file that
    cannot be read concerns the shell of the command: the mistakes that pages show are those of the worker.
    """

    def __init__(self, *, by_hand: bool = False) -> None:
        self._looked = False
        self._read: tuple[int, int, int] | None = None
        self._seen_at = time.monotonic()
        self._by_hand = by_hand

    def refresh(self, storage: Storage, path: Path) -> tuple[Source, ...] | None:
        """Read the file if it is not what it was; raises ConfigError, once, if it is not there or cannot be read.

        Gives the sources that it names, None if it was not read. While it cannot be read everything goes on as it is,
        and so while it is away for a moment: an editor may be about to put it back.
        """
        state = _state(path)
        if state is not None:
            self._seen_at = time.monotonic()
        if self._looked and (state == self._read or (state is None and not self._is_gone)):
            return None
        try:
            file = read_sources(path)
        except ConfigError as error:
            if not self._by_hand:
                # readers see them, and need not know where on this machine the file stands
                storage.sources.note_mistakes(mistake.replace(str(path), path.name) for mistake in error.mistakes)
            self._looked, self._read = True, state
            raise
        found = recognised(file, storage.sources.all())
        # several processes watch the same file; the first one to see a change says so
        has_changed = storage.sources.synchronise(found.sources, found.mistakes, kept=found.kept)
        storage.sources.note_file_path(str(path.resolve()))
        self._looked, self._read = True, state
        if has_changed:
            log.info("%s: %d sources", path.name, len(found.sources))
        if has_changed or self._by_hand:
            for mistake in found.mistakes:
                log.warning("%s", mistake)
        return found.sources

    @property
    def _is_gone(self) -> bool:
        return time.monotonic() - self._seen_at > GONE_AFTER_S


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
