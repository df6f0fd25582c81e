"""The recipe of a poll, and the only module that knows its order.

    poll_claimed        several sources at once, so that a slow server holds up nobody
    └── poll_one
        ├── begin       the claim becomes a lease, unless it is over or was used
        ├── _look       fetch -> parse -> identify -> store
        │               (304, or the same bytes as last time: done after fetch;
        │               seen for the first time: its older pages as well, where it has any)
        └── finish      how it went, and when to look again

A source's failure is an Outcome, kept on the source. A bug becomes one as well, and is logged with its traceback;
MongoDB away is not the source's doing and goes up.
"""

import logging
import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha224

from pymongo.errors import PyMongoError

from feedmirror import __version__
from feedmirror.config import Settings
from feedmirror.errors import FetchError, ParseError
from feedmirror.fetch import Limits, fetch, same_origin
from feedmirror.identity import Identified, identify, settle
from feedmirror.models import Document, Entry, Outcome, Page, Remembered, Source, WatchedSource
from feedmirror.parse import parse
from feedmirror.schedule import next_interval_s
from feedmirror.storage import Storage
from feedmirror.storage.sources import Claim

log = logging.getLogger(__name__)


class Poller:
    """Polls sources of one installation."""

    def __init__(self, storage: Storage, settings: Settings):
        self._storage = storage
        self._settings = settings
        self._limits = Limits(total_s=settings.fetch_deadline_s, body_bytes=settings.fetch_max_bytes)

    def claim_due(self) -> Iterator[Claim]:
        """Claim what is due, a batch at a time, until nothing is."""
        limit = self._settings.batch_size
        while True:
            claim = self._storage.sources.claim_due(limit=limit, lease_s=self._settings.lease_s)
            if claim.source_ids:
                yield claim
            if len(claim.source_ids) < limit:
                return

    def poll_claimed(self, claim: Claim) -> Iterator[tuple[str, Outcome]]:
        """Poll the sources of a claim, several at once; gives each one's id and outcome, in the order of the claim.

        Raises PyMongoError, after all are done, if MongoDB was away for some of them.
        """
        with ThreadPoolExecutor(self._settings.batch_threads, thread_name_prefix="poll") as threads:
            futures = [(name, threads.submit(self.poll_one, name, claim.lease)) for name in claim.source_ids]
            for source_id, future in futures:
                if outcome := future.result():
                    yield source_id, outcome

    def poll_one(self, source_id: str, lease: str) -> Outcome | None:
        """Poll one claimed source; None if somebody else has it by now."""
        watched = self._storage.sources.begin(source_id, lease, lease_s=self._settings.lease_s)
        if watched is None:
            return None
        outcome = self._look(watched)
        interval_s = next_interval_s(watched, outcome, chance=random.random())  # noqa: S311 (jitter)
        self._storage.sources.finish(watched, outcome, interval_s=interval_s)
        _report(watched, outcome, interval_s)
        return outcome

    def _look(self, watched: WatchedSource) -> Outcome:
        try:
            return self._read(watched)
        except FetchError as error:
            return Outcome(error=str(error), retry_after_s=error.retry_after_s)
        except ParseError as error:
            return Outcome(error=str(error))
        except PyMongoError:
            raise
        except Exception as error:
            log.exception("%s: a bug in Feedmirror", watched.source.name)
            return Outcome(error=f"a bug in Feedmirror, see the worker's log: {type(error).__name__}")

    def _read(self, watched: WatchedSource) -> Outcome:
        source, remembered = watched.source, _still_valid(watched.remembered)
        document = fetch(source.url, validators=remembered.validators, private=source.private, limits=self._limits)
        now_remembered = _remember(document, remembered)
        if now_remembered.body_digest == remembered.body_digest:
            return Outcome(remembered=now_remembered)
        page = _parsed(document)
        entries = page.entries if watched.looks.last_ok_at else (*page.entries, *self._older(page, source))
        identified = self._identify(entries, watched)
        now = watched.looks.last_at or datetime.now(UTC)
        stored = self._storage.items.store(source.id, _tagged(identified.items, source), now=now)
        return Outcome(
            new=stored.new,
            sighted=stored.sighted,
            edited=stored.edited,
            identity=identified.rule,
            notices=_notices(page),
            # what is missing at a document's end, or was too soon to be stored, takes another look at the whole
            remembered=None if page.truncated or stored.held_back else now_remembered,
        )

    def _older(self, page: Page, source: Source) -> Iterator[Entry]:
        """The entries of the pages that follow the first, for a source that is seen for the first time.

        As many as there are, up to a number of pages and half of the lease; a page that cannot be had ends it.
        """
        last_moment = time.monotonic() + self._settings.lease_s / 2
        seen = {source.url}
        for _ in range(self._settings.first_pages - 1):
            if page.next is None or page.next in seen or time.monotonic() > last_moment:
                return
            seen.add(page.next)
            # an address out of a feed leads nowhere private, but to further pages of a private feed itself
            private = source.private and same_origin(page.next, source.url)
            try:
                page = _parsed(fetch(page.next, private=private, limits=self._limits))
            except (FetchError, ParseError) as error:
                log.warning("%s: of its older pages, one could not be read: %s", source.name, error)
                return
            yield from page.entries

    def _identify(self, entries: Iterable[Entry], watched: WatchedSource) -> Identified:
        """The entries as items; those stored under a rule that the source had before keep their ids."""
        identified = identify(entries, source_id=watched.source.id, rule=watched.identity)
        if not identified.former_ids:
            return identified
        return settle(identified, self._storage.items.get(identified.former_ids))


def _parsed(document: Document) -> Page:
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


def _report(watched: WatchedSource, outcome: Outcome, interval_s: float) -> None:
    """One line when something happened: news, and each change between well and failing, not each repetition."""
    name, failed_before = watched.source.name, watched.looks.failures > 0
    if outcome.error and not failed_before:
        log.warning("%s: %s; next try in %.0f s", name, outcome.error, interval_s)
    if outcome.ok and failed_before:
        log.info("%s: well again after %d failures", name, watched.looks.failures)
    if outcome.new or outcome.sighted or outcome.edited:
        log.info("%s: %d new, %d edited", name, len(outcome.new) + outcome.sighted, outcome.edited)
