"""Feeds: a document that lists entries, which become items of the stream.

look    document -> parse -> identify -> store
        (304, or the same bytes as last time: done after the document;
        seen for the first time, or a window lost: its older pages as well, where it has any)
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha224

from feedmirror import __version__
from feedmirror.errors import FetchError, ParseError
from feedmirror.identity import Identified, identify, settle
from feedmirror.models import Document, Entry, Outcome, Page, Remembered, Source
from feedmirror.parse import parse
from feedmirror.poll.kind import Kind
from feedmirror.poll.visit import Visit
from feedmirror.storage.arrivals import Stored

log = logging.getLogger(__name__)

# One document at a time: nh3 lets other threads go on at every single summary, and 32 that take turns at that need half
# as much time again as one that reads its document to the end.
_reading = threading.Lock()


def look(visit: Visit) -> Outcome:
    """Read the feed, and store what it lists."""
    remembered, source = _still_valid(visit.watched.remembered), visit.source
    document = visit.document(remembered)
    now_remembered = _remember(document, remembered)
    unchanged = Outcome(remembered=now_remembered, max_age_s=document.max_age_s, moved_to=document.moved_to)
    if now_remembered.body_digest == remembered.body_digest:
        log.debug("%s: not changed since the last look", source.name)
        return unchanged
    page = _parsed(document)
    told = _Told(page)
    log.debug("%s: %s in %s, %d entries", source.name, page.format, page.encoding, len(page.entries))
    is_first = visit.watched.looks.last_ok_at is None
    entries = (*page.entries, *_older(page, visit, told)) if is_first else page.entries
    stored, identified = _store(entries, visit, visit.watched.identity)
    listed = len(identified.items)
    shared = listed - len(stored.new) - stored.sighted
    if not is_first and listed and not shared:
        # items may have fallen out since the last look; the pages that follow may still have them
        further, identified = _store(_older(page, visit, told), visit, identified.rule)
        stored += further
    return replace(
        unchanged,
        new=stored.new,
        sighted=stored.sighted,
        edited=stored.edited,
        identity=identified.rule,
        notices=told.notices(),
        listed=listed,
        shared=shared,
        hints=page.hints,
        # what is missing at a document's end, or was too soon to be stored, takes another look at the whole
        remembered=None if page.truncated or stored.held_back else now_remembered,
    )


KIND = Kind(look)


def _store(entries: Iterable[Entry], visit: Visit, rule: str | None) -> tuple[Stored, Identified]:
    """Store entries of the source, each under the id that it has there; `rule` is what gave ids until now."""
    source = visit.source
    identified = _identify(entries, visit, rule)
    items = _tagged(identified.items, source)
    stored = visit.storage.items.store(source.id, items, now=visit.began_at)
    log.debug(
        "%s: %d items by %s: %d new, %d new here, %d edited, %d edits held back",
        *(source.name, len(items), identified.rule),
        *(len(stored.new), stored.sighted, stored.edited, stored.held_back),
    )
    return stored, identified


def _identify(entries: Iterable[Entry], visit: Visit, rule: str | None) -> Identified:
    """The entries as items; those stored under a rule that the source had before keep their ids."""
    identified = identify(entries, source_id=visit.source.id, rule=rule)
    if not identified.former_ids:
        return identified
    return settle(identified, visit.storage.items.get(identified.former_ids))


class _Told:
    """What is to be told of the documents of one look: of the first, and of the older pages behind it."""

    def __init__(self, page: Page):
        self._page = page
        self._cuts = Counter(page.cuts)
        self._older = ""

    def add(self, older: Page) -> None:
        """An older page was read as well."""
        self._cuts.update(older.cuts)

    def not_all(self, source: Source, why: str) -> None:
        """There are older pages that were not read."""
        self._older = f"not all of its older pages were read: {why}"
        log.warning("%s: %s", source.name, self._older)

    def notices(self) -> tuple[str, ...]:
        """What was not well, or beyond a limit, with what could be read all the same."""
        state = ""
        if self._page.truncated:
            state = "truncated: its end is missing"
        elif self._page.recovered:
            state = "recovered: it is not well-formed"
        cuts = (cut.words(number) for cut, number in self._cuts.items())
        return tuple(filter(None, (state, *cuts, self._older)))


def _older(page: Page, visit: Visit, told: _Told) -> Iterator[Entry]:
    """The entries of the pages that follow the first.

    As many as there are, up to a number of pages and as long as the visit lasts; a page that cannot be had ends it.
    """
    source = visit.source
    seen = {source.url}
    most = visit.settings.first_pages
    for read in range(1, most + 1):
        if page.next is None or page.next in seen:
            return
        if read == most or visit.is_over:
            told.not_all(source, "there was no time for more" if read < most else f"FEEDMIRROR_FIRST_PAGES is {most}")
            return
        seen.add(page.next)
        try:
            document = visit.further(page.next)
            if document is None:
                told.not_all(source, "its group's limits leave no room")
                return
            page = _parsed(document)
        except (FetchError, ParseError) as error:
            told.not_all(source, str(error))
            return
        told.add(page)
        yield from page.entries


def _parsed(document: Document) -> Page:
    with _reading:
        return parse(document.body or b"", url=document.url, content_type=document.content_type)


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
