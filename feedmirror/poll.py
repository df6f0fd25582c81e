"""The recipe of a poll, and the only module that knows its order.

    Poller.begin        the claim becomes a lease, unless it was used, and the source's group has a slot for it
    Poller.poll         one source, in one of the threads of a crew:
    ├── _look           fetch -> parse -> identify -> store
    │                   (304, or the same bytes as last time: done after fetch;
    │                   seen for the first time, or a window lost: its older pages as well, where it has any)
    └── next_look       when to look again, and why

A source's failure is an Outcome, kept on the source. A bug becomes one as well, and is logged with its traceback;
MongoDB away is not the source's doing and goes up.
"""

import logging
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha224
from http import HTTPStatus
from itertools import count

from pymongo.errors import PyMongoError

from feedmirror import __version__
from feedmirror.config import Settings
from feedmirror.crew import Crew
from feedmirror.errors import Failure, FetchError, ParseError
from feedmirror.fetch import Limits, fetch, same_origin
from feedmirror.identity import Identified, identify, settle
from feedmirror.models import (
    Document,
    Entry,
    Finished,
    Outcome,
    Page,
    Postponed,
    Remembered,
    Slot,
    Source,
    WatchedSource,
)
from feedmirror.parse import parse
from feedmirror.politeness import Admission, GroupLimits, common_limits, demands, group_of, limits_of
from feedmirror.schedule import NextLook, next_look
from feedmirror.storage import Storage
from feedmirror.storage.arrivals import Stored
from feedmirror.storage.sources import Claim

log = logging.getLogger(__name__)

# One document at a time: nh3 lets other threads go on at every single summary, and 32 that take turns at that need half
# as much time again as one that reads its document to the end.
_reading = threading.Lock()

# One claim takes four requests to the database, however many sources it takes.
_CLAIM = 500
# A publisher that calls a move permanent may have made a mistake that lasts an hour.
_LOOKS_UNTIL_MOVED = 3
# How a publisher says that it has had enough; 403 only means that where a 429 came before.
_REFUSALS = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class Poller:
    """Polls sources of one installation."""

    def __init__(self, storage: Storage, settings: Settings):
        self._storage = storage
        self._settings = settings
        self._limits = Limits(total_s=settings.fetch_deadline_s, body_bytes=settings.fetch_max_bytes)
        self._group_limits = GroupLimits(in_flight=settings.group_in_flight, per_minute=settings.group_per_minute)

    def claim_due(self) -> Iterator[Claim]:
        """Claim what is due, and give it in batches, until nothing is."""
        claimed = self._storage.sources.claim_due(limit=_CLAIM, lease_s=self._settings.lease_s)
        while claimed.source_ids:
            for start in range(0, len(claimed.source_ids), self._settings.batch_size):
                ids = claimed.source_ids[start : start + self._settings.batch_size]
                yield Claim(claimed.lease, ids)
            if len(claimed.source_ids) < _CLAIM:
                return
            claimed = self._storage.sources.claim_due(limit=_CLAIM, lease_s=self._settings.lease_s)

    def begin(self, claim: Claim) -> tuple[list[WatchedSource], list[Postponed]]:
        """The sources of a claim that are ours to poll now, and those that their groups' limits make wait."""
        begun = self._storage.sources.begin(claim, lease_s=self._settings.lease_s)
        limited = [watched for watched in begun if self._is_limited(watched.source)]
        wanted = demands([watched.source for watched in limited], self._group_limits)
        admissions = self._storage.groups.admit(wanted, lease_s=self._settings.lease_s)
        admitted, postponed = _shared_out(limited, admissions)
        self._storage.sources.postpone(postponed)
        return [*(watched for watched in begun if not self._is_limited(watched.source)), *admitted], postponed

    def _is_limited(self, source: Source) -> bool:
        """A private source that names neither a group nor a limit is its operator's own business."""
        return source.group is not None or limits_of([source], self._group_limits) != GroupLimits()

    def describe_groups(self, sources: Iterable[Source]) -> None:
        """Let every worker know the limits that no source of a group could tell alone."""
        self._storage.groups.describe(common_limits(sources, self._group_limits))

    def poll(self, watched: WatchedSource) -> Finished:
        """Look at one source, and decide when to look again. Raises PyMongoError if MongoDB was away."""
        outcome = self._look(watched)
        look = next_look(watched, outcome, now=_began_at(watched), chance=random.random())  # noqa: S311 (jitter)
        _report(watched, outcome, look)
        return Finished(
            watched=watched,
            outcome=outcome,
            interval_s=look.interval_s,
            why=look.why,
            items_per_day=look.items_per_day,
            window_lost=look.window_lost,
        )

    def crew(self, *, longest_s: float | None = None) -> Crew:
        """The threads that poll in this process; a poll longer than `longest_s` ends it (None: none does)."""
        return Crew(
            self.poll,
            self._finish,
            self._give_back,
            threads=self._settings.threads,
            keep_trying_s=self._settings.lease_s,
            longest_s=longest_s,
        )

    def _finish(self, finished: Sequence[Finished]) -> None:
        self._storage.sources.finish(finished)
        self._storage.groups.release(poll.watched.slot for poll in finished if poll.watched.slot)

    def _give_back(self, given: Sequence[WatchedSource]) -> None:
        self._storage.sources.postpone(Postponed(watched=watched, by_s=0, why="MongoDB was away") for watched in given)
        self._storage.groups.release(watched.slot for watched in given if watched.slot)

    def _look(self, watched: WatchedSource) -> Outcome:
        try:
            return self._read(watched)
        except FetchError as error:
            self._heed(error, watched)
            return Outcome(error=str(error), failure=_kind(error, watched), retry_after_s=error.retry_after_s)
        except ParseError as error:
            return Outcome(error=str(error), failure=Failure.NOT_A_FEED)
        except PyMongoError:
            raise
        except Exception as error:
            log.exception("%s: a bug in Feedmirror", watched.source.name)
            line = f"a bug in Feedmirror, see the worker's log: {type(error).__name__}"
            return Outcome(error=line, failure=Failure.BUG)

    def _heed(self, error: FetchError, watched: WatchedSource) -> None:
        """Let the source's group know that a publisher has had enough: it may be asked for the whole of it."""
        if error.status in _REFUSALS and watched.slot is not None:
            group, source_id = watched.slot.group, watched.source.id
            self._storage.groups.throttled(group, source_id, retry_after_s=error.retry_after_s, status=error.status)

    def _read(self, watched: WatchedSource) -> Outcome:
        remembered, source = _still_valid(watched.remembered), watched.source
        document = self._fetch(watched, remembered)
        now_remembered = _remember(document, remembered)
        unchanged = Outcome(remembered=now_remembered, max_age_s=document.max_age_s, moved_to=document.moved_to)
        if now_remembered.body_digest == remembered.body_digest:
            log.debug("%s: not changed since the last look", source.name)
            return unchanged
        page = _parsed(document)
        log.debug("%s: %s in %s, %d entries", source.name, page.format, page.encoding, len(page.entries))
        is_first = watched.looks.last_ok_at is None
        entries = (*page.entries, *self._older(page, watched)) if is_first else page.entries
        stored, identified = self._store(entries, watched)
        listed = len(identified.items)
        shared = listed - len(stored.new) - stored.sighted
        if not is_first and listed and not shared:
            # items may have fallen out since the last look; the pages that follow may still have them
            again = replace(watched, identity=identified.rule)
            further, identified = self._store(self._older(page, watched), again)
            stored += further
        return replace(
            unchanged,
            new=stored.new,
            sighted=stored.sighted,
            edited=stored.edited,
            identity=identified.rule,
            notices=_notices(page),
            listed=listed,
            shared=shared,
            hints=page.hints,
            # what is missing at a document's end, or was too soon to be stored, takes another look at the whole
            remembered=None if page.truncated or stored.held_back else now_remembered,
        )

    def _fetch(self, watched: WatchedSource, remembered: Remembered) -> Document:
        """The source's document, from where it has moved to if it has said so often enough."""
        source, looks = watched.source, watched.looks
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
        return replace(document, moved_to=document.moved_to or moved_to)

    def _store(self, entries: Iterable[Entry], watched: WatchedSource) -> tuple[Stored, Identified]:
        """Store entries of a source, each under the id that it has there."""
        identified = self._identify(entries, watched)
        items = _tagged(identified.items, watched.source)
        stored = self._storage.items.store(watched.source.id, items, now=_began_at(watched))
        log.debug(
            "%s: %d items by %s: %d new, %d new here, %d edited, %d edits held back",
            *(watched.source.name, len(items), identified.rule),
            *(len(stored.new), stored.sighted, stored.edited, stored.held_back),
        )
        return stored, identified

    def _older(self, page: Page, watched: WatchedSource) -> Iterator[Entry]:
        """The entries of the pages that follow the first.

        As many as there are, up to a number of pages and half of the lease; a page that cannot be had ends it.
        """
        source = watched.source
        last_moment = time.monotonic() + self._settings.lease_s / 2
        if page.next and watched.slot:
            self._storage.groups.release([watched.slot])  # its request is done, and each page takes one of its own
        seen = {source.url}
        for _ in range(self._settings.first_pages - 1):
            if page.next is None or page.next in seen or time.monotonic() > last_moment:
                return
            seen.add(page.next)
            slots = self._slots_for_page(watched, last_moment)
            if slots is None:
                log.warning("%s: not all of its older pages were read: its group's limits leave no room", source.name)
                return
            # an address out of a feed leads nowhere private, but to further pages of a private feed itself
            private = source.private and same_origin(page.next, source.url)
            try:
                page = _parsed(fetch(page.next, private=private, limits=self._limits))
            except (FetchError, ParseError) as error:
                log.warning("%s: of its older pages, one could not be read: %s", source.name, error)
                return
            finally:
                self._storage.groups.release(slots)
            yield from page.entries

    def _slots_for_page(self, watched: WatchedSource, last_moment: float) -> Sequence[Slot] | None:
        """Wait for what one more request of this source takes; None where it would have to wait for too long."""
        if watched.slot is None:
            return ()
        wanted = demands([watched.source], self._group_limits)
        while True:
            admission = self._storage.groups.admit(wanted, lease_s=self._settings.lease_s)[watched.slot.group]
            if admission.slots:
                return admission.slots
            if time.monotonic() + admission.retry_in_s > last_moment:
                return None
            time.sleep(admission.retry_in_s)

    def _identify(self, entries: Iterable[Entry], watched: WatchedSource) -> Identified:
        """The entries as items; those stored under a rule that the source had before keep their ids."""
        identified = identify(entries, source_id=watched.source.id, rule=watched.identity)
        if not identified.former_ids:
            return identified
        return settle(identified, self._storage.items.get(identified.former_ids))


def _shared_out(
    limited: Iterable[WatchedSource], admissions: Mapping[str, Admission]
) -> tuple[list[WatchedSource], list[Postponed]]:
    """Give each group's slots to its sources, those that have waited longest first; the others come back in turn."""
    slots = {group: iter(admission.slots) for group, admission in admissions.items()}
    turns = {group: count() for group in admissions}
    admitted: list[WatchedSource] = []
    postponed: list[Postponed] = []
    for watched in limited:
        group = group_of(watched.source)
        if slot := next(slots[group], None):
            admitted.append(replace(watched, slot=slot))
        else:
            admission = admissions[group]
            by_s = admission.retry_in_s + next(turns[group]) * admission.apart_s
            postponed.append(Postponed(watched=watched, by_s=by_s, why=admission.why))
    return admitted, postponed


def _kind(error: FetchError, watched: WatchedSource) -> Failure:
    """The kind of a failure. Some publishers say 429 once, and 403 to those who come back."""
    was_throttled = watched.looks.failure is Failure.THROTTLED
    return Failure.THROTTLED if error.status == HTTPStatus.FORBIDDEN and was_throttled else error.kind


def _began_at(watched: WatchedSource) -> datetime:
    """When this poll began, by the server's clock."""
    return watched.looks.last_at or datetime.now(UTC)


def _parsed(document: Document) -> Page:
    with _reading:
        return parse(document.body or b"", url=document.url, content_type=document.content_type)


def _notices(page: Page) -> tuple[str, ...]:
    """What was not well with a document that could be read all the same."""
    if page.truncated:
        return ("truncated: its end is missing",)
    return ("recovered: it is not well-formed",) if page.recovered else ()


def _still_valid(remembered: Remembered) -> Remembered:
    """What an older version remembered is dropped: this one may read more out of the same bytes."""
    return remembered if remembered.version == __version__ else Remembered()


def _remember(document: Document, before: Remembered) -> Remembered:
    digest = before.body_digest if document.body is None else sha224(document.body).hexdigest()
    return Remembered(validators=document.validators, body_digest=digest, version=__version__)


def _tagged(entries: dict[str, Entry], source: Source) -> dict[str, Entry]:
    """The entries with the tags that the operator gives to everything of this source."""
    if not source.tags:
        return entries
    return {
        item_id: replace(entry, tags=tuple(dict.fromkeys((*entry.tags, *source.tags))))
        for item_id, entry in entries.items()
    }


def _report(watched: WatchedSource, outcome: Outcome, look: NextLook) -> None:
    """One line when something happened: news, and each change between well and failing, not each repetition."""
    name, failed_before = watched.source.name, watched.looks.failures > 0
    log.debug("%s: next look after %.0f s: %s", name, look.interval_s, look.why)
    if outcome.error and not failed_before:
        log.warning("%s: %s; next try in %.0f s", name, outcome.error, look.interval_s)
    if outcome.ok and failed_before:
        log.info("%s: well again after %d failures", name, watched.looks.failures)
    if look.window_lost:
        log.warning("%s: no entry is shared with the last look, so some may have been missed", name)
    if outcome.new or outcome.sighted or outcome.edited:
        log.info("%s: %d new, %d edited", name, len(outcome.new) + outcome.sighted, outcome.edited)
