"""How the sources fare, in a form that both the page and the JSON show: GET /api/sources.

A source's address is shown without what may be a secret in it.
"""

import json
import urllib.parse
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from feedmirror.models import Source, WatchedSource
from feedmirror.web import unavailable
from feedmirror.web.answer import Answer, json_answer, json_unavailable
from feedmirror.web.query import Parameters
from feedmirror.web.representation import rfc3339

if TYPE_CHECKING:
    from feedmirror.storage import Storage


# What a rule is called, where its own name would not say it.
_RULES = {
    "guid+link": "guid and link",
    "digest": "title and time",
    "content": "whole content",
}


class State(StrEnum):
    """How a source fares, in one word."""

    WAITING = "waiting"  # not looked at yet
    LIVE = "live"
    FAILING = "failing"
    RETIRED = "retired"  # no longer in the sources file; its items stay


def state(watched: WatchedSource) -> State:
    """The state that a source is in."""
    if not watched.active:
        return State.RETIRED
    if watched.looks.error is not None:
        return State.FAILING
    return State.LIVE if watched.looks.last_ok_at else State.WAITING


def failing(watched: Sequence[WatchedSource]) -> list[WatchedSource]:
    """The sources that bring nothing at the moment."""
    return [one for one in watched if state(one) is State.FAILING]


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


def answer(_: Parameters, open_storage: "Callable[[], Storage]") -> Answer:
    """Answer GET /api/sources."""
    try:
        storage = open_storage()
        watched, mistakes = storage.sources.all(), storage.sources.mistakes()
    except unavailable.FAILURES as error:
        return json_unavailable(unavailable.reason(error))
    shown = {"sources": [_members(one) for one in watched], "mistakes": mistakes}
    return json_answer(json.dumps(shown, ensure_ascii=False, indent=1))


def _members(watched: WatchedSource) -> dict[str, object]:
    source, looks = watched.source, watched.looks
    return {
        "id": source.id,
        "name": source.name,
        "kind": source.kind,
        "url": shown_url(source),
        "tags": source.tags,
        "state": state(watched),
        "items": looks.items,
        "every_s": source.every_s,
        "interval_s": looks.interval_s,
        "last_at": rfc3339(looks.last_at),
        "last_ok_at": rfc3339(looks.last_ok_at),
        "last_new_at": rfc3339(looks.last_new_at),
        "next_at": rfc3339(looks.next_at),
        "why": looks.why,
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
    }
