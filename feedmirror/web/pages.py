"""The pages for people: GET /, /sources, /tables and /series, and what an error looks like.

A page is complete before any script runs: filters, search and older items are links and a form. The script only
keeps it current; it makes its rows from the same macro, by way of a <template> in the page.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from feedmirror.models import Item, Sighting, SourceCounts, Update
from feedmirror.web import (
    counts,
    groups,
    links,
    representation,
    series_page,
    sources,
    sources_page,
    stamps,
    table_page,
    times,
    unavailable,
)
from feedmirror.web.answer import Answer, html_answer
from feedmirror.web.assets import Assets
from feedmirror.web.excerpt import excerpt
from feedmirror.web.query import BadParameter, Filters, PageQuery, Parameters, encoded, page_query, sources_query
from feedmirror.web.table_query import table_query
from feedmirror.web.table_update import table_path
from feedmirror.web.watch import Watch

if TYPE_CHECKING:
    from feedmirror.storage import Storage

ITEMS_ON_A_PAGE = 100

# What is drawn while MongoDB is away: nothing, from the very beginning, so that the script's first success brings
# the newest items.
_NOTHING_YET = Update(items=(), head_us=0, cursor_us=0, more=False)

# The row that the script clones: every part is there, to be filled or taken out.
_BLANK = Item(
    id="",
    title=" ",
    link="https://",
    author=" ",
    summary=" ",
    tags=("",),
    thumbnail="https://",
    comments_link="https://",
    score=0,
    comments=0,
    fetched_us=0,
    changed_us=0,
    arrived_at=datetime.fromtimestamp(0, UTC),
    sources=(Sighting(source_id="", fetched_us=0),),
)

_KINDS = {"source": "source", "tag": "tag", "q": "search"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A filter that is on, and the page without it."""

    label: str
    kind: str
    without: str


class Pages:
    """Draws the pages from their templates."""

    def __init__(
        self, templates_dir: Path, assets: Assets, *, poll_every_s: float, watch: Watch, disk: Callable[[], str | None]
    ):
        self._watch = watch
        self._disk = disk
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(templates_dir),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["asset"] = assets.url
        self._templates.globals["interval_ms"] = round(poll_every_s * 1000)
        self._templates.globals["blank"] = _BLANK
        self._templates.filters.update(
            ago=times.ago,
            counted=counts.counted,
            duration=times.duration,
            encoded=encoded,
            excerpt=excerpt,
            followable=links.followable,
            items_an_hour=sources.items_an_hour,
            kept=sources.kept,
            lasting=times.lasting,
            loadable=links.loadable,
            rate=counts.rate,
            rfc3339=representation.rfc3339,
            seconds=stamps.seconds,
            standing=groups.standing_in_a_word,
            table_path=table_path,
            told_apart_by=sources.told_apart_by,
            until=times.until,
        )

    def index(self, given: Parameters, open_storage: "Callable[[], Storage]") -> Answer:
        """The stream, newest first: its live end, or a part of its past."""
        try:
            query = page_query(given)
            storage = open_storage()
            update = storage.items.newest(query.filters.selection, limit=ITEMS_ON_A_PAGE, before_us=query.before_us)
            names = storage.watchlist.names(_source_ids(query.filters, update))
            watched = storage.watchlist.counts()
            mistakes = storage.sources.mistakes()
        except BadParameter as error:
            return self.error(400, str(error))
        except unavailable.FAILURES as error:
            return self._index(query, _NOTHING_YET, {}, SourceCounts(), [], unavailable.reason(error))
        return self._index(query, update, names, watched, mistakes, None)

    def sources(self, given: Parameters, open_storage: "Callable[[], Storage]") -> Answer:
        """How the sources fare, a part of them at a time, and how the politeness groups stand."""
        try:
            context = sources_page.context(sources_query(given), open_storage())
        except BadParameter as error:
            return self.error(400, str(error))
        except unavailable.FAILURES as error:
            return self.error(503, unavailable.reason(error))
        return html_answer(self._draw("sources.html", disk=self._disk(), **context))

    def tables(self, open_storage: "Callable[[], Storage]") -> Answer:
        """The list of the tables."""
        try:
            context = table_page.listing(open_storage())
        except unavailable.FAILURES as error:
            return self.error(503, unavailable.reason(error))
        return html_answer(self._draw("tables.html", **context))

    def table(self, source_id: str, given: Parameters, open_storage: "Callable[[], Storage]") -> Answer:
        """Some rows of a table."""
        try:
            context = table_page.context(source_id, table_query(given), open_storage(), datetime.now(UTC))
        except BadParameter as error:
            return self.error(400, str(error))
        except unavailable.FAILURES as error:
            return self.error(503, unavailable.reason(error))
        if context is None:
            return self.error(404, "There is no table of this name.")
        return html_answer(self._draw("table.html", **context))

    def series_list(self, given: Parameters, refused: str | None, open_storage: "Callable[[], Storage]") -> Answer:
        """The list of the series, and a form to ask for one, unless that is `refused` to this reader."""
        try:
            context = series_page.listing(given, open_storage())
        except BadParameter as error:
            return self.error(400, str(error))
        except unavailable.FAILURES as error:
            return self.error(503, unavailable.reason(error))
        return html_answer(self._draw("series_list.html", refused=refused, **context))

    def series(
        self, series_id: str, given: Parameters, refused: str | None, open_storage: "Callable[[], Storage]"
    ) -> Answer:
        """One series: how it stands, its chart and its first rows."""
        try:
            context = series_page.context(series_id, given, open_storage(), datetime.now(UTC))
        except BadParameter as error:
            return self.error(400, str(error))
        except unavailable.FAILURES as error:
            return self.error(503, unavailable.reason(error))
        if context is None:
            return self.error(404, "There is no series of this id.")
        return html_answer(self._draw("series.html", refused=refused, **context))

    def error(self, status: int, message: str) -> Answer:
        """What went wrong, in the page's own frame."""
        phrase = HTTPStatus(status).phrase
        return html_answer(self._draw("error.html", phrase=phrase, message=message), status)

    def _index(
        self,
        query: PageQuery,
        update: Update,
        names: Mapping[str, str],
        watched: SourceCounts,
        mistakes: Sequence[str],
        trouble: str | None,
    ) -> Answer:
        text = self._draw(
            "index.html",
            items=update.items,
            # what the page is complete up to; as text, since the script hands it back untouched
            cursor=stamps.seconds(update.cursor_us),
            live=query.before_us is None,
            filters=query.filters,
            filters_query=encoded(query.filters.pairs()),
            chips=_chips(query.filters, names),
            names=names,
            older=_older(query.filters, update),
            watched=watched,
            mistakes=mistakes,
            trouble=trouble,
        )
        return html_answer(text, 200 if trouble is None else 503)

    def _draw(self, template: str, **context: object) -> str:
        always = {"now": datetime.now(UTC), "stalled": self._watch.told.alarm}
        return self._templates.get_template(template).render(**always, **context)


def _older(filters: Filters, update: Update) -> str | None:
    if not (update.more and update.items):
        return None
    return "/?" + encoded([("before", stamps.seconds(update.items[-1].fetched_us)), *filters.pairs()])


def _source_ids(filters: Filters, update: Update) -> set[str]:
    """The sources that the page names."""
    asked = {filters.source_id} if filters.source_id is not None else set()
    return asked | {sighting.source_id for item in update.items for sighting in item.sources}


def _chips(filters: Filters, names: Mapping[str, str]) -> list[Chip]:
    pairs = filters.pairs()
    return [
        Chip(
            label=names.get(value, value) if kind == "source" else value,
            kind=_KINDS[kind],
            without="/?" + encoded([pair for pair in pairs if pair != (kind, value)]),
        )
        for kind, value in pairs
    ]
