"""One visit to a source's publisher: what a kind of source may do there, within the limits that hold for all.

What is asked for, and what becomes of the answers, is the kind's business.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from feedmirror.config import Settings
from feedmirror.errors import FetchError
from feedmirror.fetch import Limits, fetch, same_origin
from feedmirror.models import Document, Remembered, Slot, Source, WatchedSource
from feedmirror.politeness import GroupLimits, as_asked, demands, group_of, is_limited, led_to
from feedmirror.storage import Storage

log = logging.getLogger(__name__)

# How a publisher says that it has had enough; 403 only means that where a 429 came before.
_REFUSALS = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
# Who is told to wait and not for how long does not ask again at once.
_SHORTEST_WAIT_S = 0.05


class Visit:
    """A source while it is looked at, under a lease and with what its group granted."""

    def __init__(
        self, watched: WatchedSource, storage: Storage, settings: Settings, group_limits: GroupLimits, *, holder: str
    ):
        self.watched = watched
        self.storage = storage
        self.settings = settings
        self._group_limits = group_limits
        self._holder = holder
        self._limits = Limits(total_s=settings.fetch_deadline_s, body_bytes=settings.fetch_max_bytes)
        # what was granted is for the first request
        self._slots: Sequence[Slot] = (watched.slot,) if watched.slot else ()
        self._began = time.monotonic()
        self._has_asked = False

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
        return self.taken_s > self._longest_s

    @property
    def taken_s(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    @property
    def _longest_s(self) -> float:
        return self.settings.lease_s / 2

    def document(self, remembered: Remembered) -> Document:
        """The source's document, from where it has moved to if it has said so often enough. Raises FetchError."""
        source, url = self.source, as_asked(self.watched).url
        has_moved = url != source.url
        private = source.private and (not has_moved or same_origin(url, source.url))
        began = time.monotonic()
        self._has_asked = True
        document = fetch(
            url, validators=remembered.validators, private=private, limits=self._limits, onward=self._count
        )
        taken_ms = 1000 * (time.monotonic() - began)
        if document.body is None:
            log.debug("%s: 304 in %.0f ms", source.name, taken_ms)
        else:
            log.debug("%s: %d bytes of %s in %.0f ms", source.name, len(document.body), document.content_type, taken_ms)
        # the new address does not redirect any more, and is still where the source has moved to
        return replace(document, moved_to=url) if has_moved and not document.moved_to else document

    def further(self, url: str) -> Document | None:
        """Another document of the same publisher, as soon as its group has room; None if it has none in time.

        Raises FetchError. An address out of a document leads nowhere private, but to more of a private source itself.
        """
        while wait_s := self.wait_s():
            if self.taken_s + wait_s > self._longest_s:
                return None
            time.sleep(wait_s)
        return self.ask(url)

    def wait_s(self) -> float:
        """How long one more request has to wait, by the limits of the source's group; 0: it may be made now."""
        if not self._has_asked or self.watched.slot is None:
            return 0
        self._release()  # the request before is done
        wanted = demands([as_asked(self.watched)], self._group_limits)
        admissions = self.storage.groups.admit(wanted, lease_s=self.settings.lease_s, holder=self._holder)
        admission = admissions[self.watched.slot.group]
        self._slots = admission.slots
        return 0 if admission.slots else max(admission.retry_in_s, _SHORTEST_WAIT_S)

    def ask(self, url: str, headers: Mapping[str, str] | None = None) -> Document:
        """One request of those that may be made now, with headers for the source's own host. Raises FetchError."""
        self._has_asked = True
        own = same_origin(url, self.source.url)
        try:
            return fetch(
                url,
                headers=headers or {} if own else {},
                private=self.source.private and own,
                limits=self._limits,
                onward=self._count,
            )
        finally:
            self._release()

    def heed(self, error: FetchError) -> None:
        """Let the source's group know that a publisher has had enough: it may be asked for the whole of it."""
        slot = self.watched.slot
        if error.status in _REFUSALS and slot is not None:
            self.storage.groups.throttled(
                slot.group, self.source.id, retry_after_s=error.retry_after_s, status=error.status
            )

    def now(self) -> datetime:
        """The time by the server's clock, as far as it is known here."""
        return self.began_at + timedelta(seconds=self.taken_s)

    def _count(self, url: str) -> None:
        """Count the next step of a redirect, where it leads to.

        It is not refused: the request before it would have been in vain. In a group that grants one every ten seconds
        the next look would take that for its own first request again, and never come to its end.
        """
        asked = led_to(self.source, url)
        if is_limited(asked, self._group_limits):
            self.storage.groups.count(group_of(asked))

    def _release(self) -> None:
        slots, self._slots = self._slots, ()
        self.storage.groups.release(slots)


def began_at(watched: WatchedSource) -> datetime:
    """When a poll began, by the server's clock."""
    return watched.looks.last_at or datetime.now(UTC)
