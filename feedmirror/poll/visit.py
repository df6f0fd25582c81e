"""One visit to a source's publisher: what a kind of source may do there, within the limits that hold for all.

What is asked for, and what becomes of the answers, is the kind's business.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from feedmirror.config import Settings
from feedmirror.fetch import Limits, fetch, same_origin
from feedmirror.models import Document, Remembered, Slot, Source, WatchedSource
from feedmirror.politeness import GroupLimits, demands
from feedmirror.storage import Storage

log = logging.getLogger(__name__)

# A publisher that calls a move permanent may have made a mistake that lasts an hour.
_LOOKS_UNTIL_MOVED = 3


class Visit:
    """A source while it is looked at, under a lease and with what its group granted."""

    def __init__(self, watched: WatchedSource, storage: Storage, settings: Settings, group_limits: GroupLimits):
        self.watched = watched
        self.storage = storage
        self.settings = settings
        self._group_limits = group_limits
        self._limits = Limits(total_s=settings.fetch_deadline_s, body_bytes=settings.fetch_max_bytes)
        self._last_moment = time.monotonic() + settings.lease_s / 2
        self._slots: Sequence[Slot] = (watched.slot,) if watched.slot else ()

    @property
    def source(self) -> Source:
        return self.watched.source

    @property
    def began_at(self) -> datetime:
        """When it began, by the server's clock."""
        return began_at(self.watched)

    @property
    def is_over(self) -> bool:
        """Whether half of the lease is over: what is still to be asked for has to wait."""
        return time.monotonic() > self._last_moment

    def document(self, remembered: Remembered) -> Document:
        """The source's document, from where it has moved to if it has said so often enough. Raises FetchError."""
        source, looks = self.source, self.watched.looks
        moved_to = looks.moved_to if looks.moved_looks >= _LOOKS_UNTIL_MOVED else None
        private = source.private and (moved_to is None or same_origin(moved_to, source.url))
        url = moved_to or source.url
        began = time.monotonic()
        document = fetch(url, validators=remembered.validators, private=private, limits=self._limits)
        taken_ms = 1000 * (time.monotonic() - began)
        if document.body is None:
            log.debug("%s: 304 in %.0f ms", source.name, taken_ms)
        else:
            log.debug("%s: %d bytes of %s in %.0f ms", source.name, len(document.body), document.content_type, taken_ms)
        # the new address does not redirect any more, and is still where the source has moved to
        return document if document.moved_to or moved_to is None else replace(document, moved_to=moved_to)

    def further(self, url: str) -> Document | None:
        """Another document of the same publisher, as soon as its group has room; None if it has none in time.

        Raises FetchError. An address out of a document leads nowhere private, but to more of a private source itself.
        """
        if not self._wait_for_slot():
            return None
        try:
            private = self.source.private and same_origin(url, self.source.url)
            return fetch(url, private=private, limits=self._limits)
        finally:
            self._release()

    def _wait_for_slot(self) -> bool:
        """Get what one more request of this source takes; False where that would take too long."""
        if self.watched.slot is None:
            return True
        self._release()  # the request before is done
        wanted = demands([self.source], self._group_limits)
        while True:
            admission = self.storage.groups.admit(wanted, lease_s=self.settings.lease_s)[self.watched.slot.group]
            if admission.slots:
                self._slots = admission.slots
                return True
            if time.monotonic() + admission.retry_in_s > self._last_moment:
                return False
            time.sleep(admission.retry_in_s)

    def _release(self) -> None:
        slots, self._slots = self._slots, ()
        self.storage.groups.release(slots)


def began_at(watched: WatchedSource) -> datetime:
    """When a poll began, by the server's clock."""
    return watched.looks.last_at or datetime.now(UTC)
