"""How the sources fare, in a form that both the page and the JSON show: GET /api/sources.

A part of them at a time, since there may be ten thousand. A source's address is shown without what may be a secret.
"""

import json
import urllib.parse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from feedmirror.models import Place, Source, SourceCounts, WatchedSource
from feedmirror.politeness import GroupLimits, as_asked, group_of
from feedmirror.web import places, times, unavailable
from feedmirror.web.answer import Answer, json_answer, json_error, json_unavailable
from feedmirror.web.counts import counted
from feedmirror.web.query import BadParameter, Parameters, SourcesQuery, encoded, sources_query
from feedmirror.web.representation import rfc3339

if TYPE_CHECKING:
    from feedmirror.storage import Storage


# What a rule is called, where its own name would not say it.
_RULES = {
    "guid+link": "guid and link",
    "digest": "title and time",
    "content": "whole content",
}


def shown_url(source: Source) -> str:
    """A source's address without user and password; a private one's without its query, where keys are kept."""
    return _bare(source.url, private=source.private)


def shown_move(watched: WatchedSource) -> str | None:
    """Where a source says that it has moved to, shown like its address; None if it has not."""
    return watched.looks.moved_to and _bare(watched.looks.moved_to, private=watched.source.private)


def _bare(url: str, *, private: bool) -> str:
    parts = urllib.parse.urlsplit(url)
    query = "" if private else parts.query
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def told_apart_by(identity: str | None) -> str | None:
    """The rule by which a source's entries get their ids, as one says it; None before there is one.

    A rule names those that it replaced, the latest first: "guid after link".
    """
    if identity is None:
        return None
    rule, *former = (_RULES.get(rule, rule) for rule in identity.split(" after "))
    before = f" (before: {', '.join(former)})" if former else ""
    return f"items are told apart by their {rule}{before}"


def kept(source: Source) -> str:
    """How long its items are kept, and how many, as one says it; "" where everything is kept."""
    age = [times.duration(source.keep_s)] if source.keep_s is not None else []
    number = [counted(source.keep_items, "item")] if source.keep_items is not None else []
    return " or ".join(age + number)


def items_an_hour(watched: WatchedSource) -> float | None:
    """The rate at which new ones come; None where nothing can be said."""
    per_day = watched.looks.items_per_day
    return None if per_day is None else per_day / 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A source as it is shown. `limits` None: its group has not been asked for anything yet."""

    watched: WatchedSource
    group: str
    limits: GroupLimits | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A part of the list of sources, and how many there are of each state. `last` None: nothing follows."""

    rows: tuple[Row, ...]
    last: Place | None
    counts: SourceCounts
    mistakes: tuple[str, ...]


def listing(query: SourcesQuery, storage: "Storage") -> Listing:
    """Look up the part that is asked for."""
    page = storage.watchlist.page(query.filter, after=query.after, limit=query.limit)
    groups = [group_of(as_asked(watched)) for watched in page.sources]
    standings = storage.ledger.standings_of(set(groups))
    return Listing(
        rows=tuple(
            Row(watched=watched, group=group, limits=standings[group].ledger.limits if group in standings else None)
            for watched, group in zip(page.sources, groups, strict=True)
        ),
        last=page.last,
        counts=storage.watchlist.counts(),
        mistakes=tuple(storage.sources.mistakes()),
    )


def answer(given: Parameters, open_storage: "Callable[[], Storage]") -> Answer:
    """Answer GET /api/sources."""
    try:
        query = sources_query(given)
        found = listing(query, open_storage())
    except BadParameter as error:
        return json_error(400, str(error), parameter=error.parameter)
    except unavailable.FAILURES as error:
        return json_unavailable(unavailable.reason(error))
    shown = {
        "sources": [_members(row) for row in found.rows],
        "counts": {**asdict(found.counts), "live": found.counts.live, "all": found.counts.all},
        "mistakes": found.mistakes,
    }
    return json_answer(json.dumps(shown, ensure_ascii=False, indent=1), _further(query, found.last))


def _further(query: SourcesQuery, last: Place | None) -> dict[str, str]:
    if last is None:
        return {}
    pairs = [*query.pairs(), ("limit", str(query.limit)), ("after", places.text(last))]
    return {"Link": f'</api/sources?{encoded(pairs)}>; rel="next"'}


def _members(row: Row) -> dict[str, object]:
    watched = row.watched
    source, looks = watched.source, watched.looks
    return {
        "id": source.id,
        "name": source.name,
        "kind": source.kind,
        "url": shown_url(source),
        "tags": source.tags,
        "state": watched.state,
        "overdue_since": rfc3339(watched.overdue_since),
        "mistake": watched.mistake,
        "items": looks.items,
        "every_s": source.every_s,
        "interval_s": looks.interval_s,
        "last_at": rfc3339(looks.last_at),
        "last_ok_at": rfc3339(looks.last_ok_at),
        "last_new_at": rfc3339(looks.last_new_at),
        "next_at": rfc3339(looks.next_at),
        "why": looks.why,
        "items_per_hour": items_an_hour(watched),
        "items_per_day": looks.items_per_day,
        "windows_lost": looks.windows_lost,
        "window_lost_at": rfc3339(looks.window_lost_at),
        "moved_to": shown_move(watched),
        "failures": looks.failures,
        "failure": looks.failure,
        "error": looks.error,
        "error_since": rfc3339(looks.error_since),
        "notices": looks.notices,
        "identity": watched.identity,
        "keep_s": source.keep_s,
        "keep_items": source.keep_items,
        "group": row.group,
        "limits": row.limits and asdict(row.limits),
    }
