"""The run over the pages of an API.

A visit walks as many pages as fit into it, and stores each as it comes, together with where it is. What does not fit
goes on with the next visit, and so does what has to wait: nobody's thread waits with it. A run that is killed goes on
at its page as well.
"""

import json
import logging
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from hashlib import sha224

from feedmirror.errors import Failure, FetchError, ParseError
from feedmirror.models import Outcome, Source
from feedmirror.poll.api import paging, patience
from feedmirror.poll.api.answer import Answer, NotJson, RawRow, decoded
from feedmirror.poll.api.options import MOST_PAGES, ApiOptions
from feedmirror.poll.visit import Visit
from feedmirror.storage.row_document import row_id
from feedmirror.storage.tables import Superseded
from feedmirror.table import MOST_COLUMNS, Column, RowText, extended, member

log = logging.getLogger(__name__)

# A failure that passes by itself is tried again, each time after a pause twice as long.
_FIRST_PAUSE_S = 1.0
# Most publishers count by the minute.
_FIRST_PAUSE_IF_THROTTLED_S = 60.0
_LONGEST_PAUSE_S = 3600.0
_PASSING = frozenset(
    {Failure.DNS, Failure.REFUSED, Failure.TIMEOUT, Failure.SERVER_ERROR, Failure.BROKEN_BODY, Failure.THROTTLED}
)
# What is over sooner is waited for: coming back takes a look at the database, and up to a second.
_WORTH_WAITING_S = 1.0
_ACCEPT = {"Accept": "application/json, */*;q=0.8"}
# Changed, all rows would be others.
_KEY = json.JSONEncoder(sort_keys=True, default=str)
_TOO_WIDE = (
    f"more than {MOST_COLUMNS:,} columns, or names that none can have: what they say is in the last column of .csv and "
    ".xlsx, and in .jsonl"
)
# The rule by which rows get their ids.
_BY_KEY = "key"


def look(visit: Visit) -> Outcome:
    """Begin or go on with the run over the source's pages. Raises FetchError and ParseError where it ends for good."""
    return _Walk(visit).go_on()


class _Walk:
    """A run during one visit."""

    def __init__(self, visit: Visit):
        self._visit = visit
        self._source = visit.source
        self._options = ApiOptions.of(visit.source.options)
        self._tables = visit.storage.tables
        self._run = self._before = self._tables.begin(visit.source.id, now=visit.began_at, terms=_terms(visit.source))
        self._notices: list[str] = []

    def go_on(self) -> Outcome:
        try:
            return self._go_on()
        except Superseded as error:  # this visit's lease is over, and what becomes of it counts no more
            log.info("%s", error)
            return self._later(0, str(error))

    def _go_on(self) -> Outcome:
        while self._run.position is not None:
            if wait_s := self._wait_s():
                return self._later(wait_s, "its group's limits leave no room")
            if self._visit.is_over:
                return self._later(0, "others have their turn")
            try:
                wait_s = self._read_page(self._run.position)
            except (FetchError, ParseError) as error:
                return self._stumbled(error)
            if self._run.position is None:
                break
            if wait_s > _WORTH_WAITING_S:
                return self._later(wait_s, "the pause between two pages")
            time.sleep(wait_s)
        return self._ended()

    def _wait_s(self) -> float:
        """How long the next request has to wait; short ones are over when this returns."""
        while (wait_s := self._visit.wait_s()) and wait_s <= _WORTH_WAITING_S and not self._visit.is_over:
            time.sleep(wait_s)
        return wait_s

    def _read_page(self, position: paging.Position) -> float:
        """Store the page at this position; gives how long the next one has to wait."""
        options, source = self._options, self._source
        url = paging.address(source.url, options, position)
        document = self._visit.ask(url, {**_ACCEPT, **options.request_headers()})
        page = decoded(document)
        if refusal := patience.refused(page.value):
            raise refusal
        answer = Answer.of(page, options.items, next_link=document.next_url)
        following = paging.following(document.url, options, position, answer)
        rows = self._identified(answer)
        following = self._checked(following, position, rows)
        self._run = self._tables.store(self._run, rows, following, columns=self._columns(rows.values()))
        log.debug("%s: page %d: %d rows", source.name, self._run.pages, len(rows))
        return max(options.delay_s, patience.asked_to_wait(answer.value) or 0)

    def _columns(self, rows: Iterable[RowText]) -> tuple[Column, ...]:
        """The columns of the table: those that the operator names, or else what the run's first page shows."""
        run, options = self._run, self._options
        values = [row.value for row in rows]
        if options.columns:
            types = {column.path: column.type for column in run.columns}
            named = (replace(column, type=column.type or types.get(column.path)) for column in options.columns)
            return extended(tuple(named), values, new=False)
        columns = extended(run.columns, values, new=run.pages == 0)
        return tuple(replace(column, history_s=options.history_s) for column in columns)

    def _checked(
        self, following: paging.Position | None, position: paging.Position, rows: Mapping[str, RowText]
    ) -> paging.Position | None:
        """Where to go on, unless that leads in a circle or too far. Raises ParseError."""
        pages = self._run.pages + 1
        if following is None or pages >= (self._options.max_pages or MOST_PAGES + 1):
            return None
        if pages >= MOST_PAGES:
            raise ParseError(f"it has more than {MOST_PAGES:,} pages; set max_pages to how many are wanted")
        if following == position or self._tables.was_at(self._run, following):
            raise ParseError(f"page {pages} leads to one that was read before")
        if rows and self._tables.shows_again(self._run, rows):
            raise ParseError(f"page {pages} shows what an earlier one did; does the API know {self._what_leads_on}?")
        return following

    @property
    def _what_leads_on(self) -> str:
        return f"the parameter {self._options.parameter!r}" if self._options.parameter else "where it leads to"

    def _identified(self, answer: Answer) -> dict[str, RowText]:
        """The rows by their ids; of two with the same key the later one."""
        rows: dict[str, RowText] = {}
        without = twice = 0
        for row in answer.rows:
            key = self._key(row)
            if key is None:
                without += 1
                continue
            name = row_id(self._source.id, key)
            twice += name in rows
            rows[name] = RowText(row.text, row.digest, row.value)
        if without:
            self._note(f"rows without {self._key_words}: not kept")
        if twice:
            self._note(f"several rows with the same {self._key_words}: the last one counts")
        return rows

    def _key(self, row: RawRow) -> str | None:
        """What tells the row from others, as text; None if it is not there. Without a `key` it is all of the row."""
        values = [member(row.value, path) for path in self._options.key] or [row.value]
        return None if None in values else _KEY.encode(values)

    @property
    def _key_words(self) -> str:
        return " and ".join(repr(".".join(path)) for path in self._options.key) or "content"

    def _note(self, notice: str) -> None:
        if notice not in self._notices:
            self._notices.append(notice)

    # -- how a visit ends

    def _stumbled(self, error: FetchError | ParseError) -> Outcome:
        """After a page that could not be had: try it again soon, or end the run and raise what is in the way."""
        if isinstance(error, FetchError):
            error = patience.understood(error)
            self._visit.heed(error)
        # a page of HTML where there was JSON before is what a gateway says of a server that is away for a moment
        is_throttled = isinstance(error, FetchError) and error.kind is Failure.THROTTLED
        passes = error.kind in _PASSING if isinstance(error, FetchError) else isinstance(error, NotJson)
        if not passes:
            self._tables.give_up(self._run, str(error))
            raise error
        if self._run.tries >= self._options.retries:
            self._tables.rest(self._run)  # the source backs off; its next look goes on at this page
            raise error
        first_s = _FIRST_PAUSE_IF_THROTTLED_S if is_throttled else _FIRST_PAUSE_S
        pause_s = min(first_s * 2**self._run.tries, _LONGEST_PAUSE_S) * random.uniform(1, 1.5)  # noqa: S311 (jitter)
        asked_s = (error.retry_after_s if isinstance(error, FetchError) else None) or 0
        self._run = self._tables.tried(self._run)
        return self._later(asked_s or pause_s, str(error))

    def _later(self, wait_s: float, why: str) -> Outcome:
        return replace(
            self._brought(),
            goes_on_in_s=wait_s,
            goes_on_why=f"goes on at page {self._run.pages + 1}: {why}",
        )

    def _ended(self) -> Outcome:
        keep_s = self._source.keep_s
        told = {} if keep_s is None else {"gone_told": timedelta(seconds=keep_s)}
        gone = self._tables.end(self._run, now=self._visit.now(), **told)
        log.debug("%s: %d rows on %d pages, %d are gone", self._source.name, self._run.rows, self._run.pages, gone)
        passed = self._visit.began_at - self._run.began_at
        brought = self._brought()
        return replace(brought, edited=brought.edited + gone, began_before_s=passed.total_seconds())

    def _brought(self) -> Outcome:
        """What this visit brought."""
        if self._run.is_beyond:
            self._note(_TOO_WIDE)
        return Outcome(
            arrived=self._run.new - self._before.new,
            edited=self._run.changed - self._before.changed,
            identity=_BY_KEY,
            notices=tuple(self._notices),
        )


def _terms(source: Source) -> str:
    """What a run asks for, and by what it knows rows, in short: with another key its first pages have other rows."""
    asked = {
        name: source.options.get(name)
        for name in ("params", "paging", "page", "offset", "cursor", "next", "items", "key")
    }
    return sha224(json.dumps([source.url, asked], sort_keys=True).encode()).hexdigest()
