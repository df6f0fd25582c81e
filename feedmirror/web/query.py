"""What a request asks for: its query string, checked and typed.

Pure. A parameter that we know must be right, or the request is refused by name and reason: a mistyped cursor that
was silently read as "none" would send a client everything again. One that we do not know is ignored, since caches,
proxies and jQuery add their own.
"""

import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from feedmirror.errors import FeedmirrorError
from feedmirror.models import Place, Selection, SeriesPlace, SourceFilter, State
from feedmirror.web import places, stamps
from feedmirror.words import asked_words

_Place = TypeVar("_Place")

Parameters = Mapping[str, Sequence[str]]
"""Each parameter's name and its values, in the order in which they came."""

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 500  # about half a megabyte of JSON with ordinary summaries

# Each word of a search and each tag is one more condition that the database has to meet, so their number is what
# a request may cost; ten are more than anybody types. A title seldom has 200 characters.
LONGEST_SEARCH = 200
MOST_WORDS = 10
MOST_TAGS = 10
LONGEST_NAME = 200  # of a source or a tag
MOST_IDS = 100  # as many as fit into an address that every proxy takes

_SHOWN_CHARACTERS = 40  # of a refused value, in the message that refuses it


class BadParameter(FeedmirrorError):
    """A parameter cannot be used; `parameter` is its name."""

    def __init__(self, parameter: str, reason: str):
        super().__init__(f"{parameter} {reason}")
        self.parameter = parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What narrows the stream: as the reader wrote it (`search`), and as storage takes it (`selection`)."""

    source_id: str | None = None
    tags: tuple[str, ...] = ()
    search: str = ""

    @property
    def selection(self) -> Selection:
        return Selection(source_id=self.source_id, tags=self.tags, words=asked_words(self.search))

    def pairs(self) -> list[tuple[str, str]]:
        """The parameters that ask for the same again."""
        source = [("source", self.source_id)] if self.source_id is not None else []
        search = [("q", self.search)] if self.search else []
        return [*source, *(("tag", tag) for tag in self.tags), *search]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateQuery:
    """A question to the stream. `after_us` 0: from the newest backwards, as if no cursor had been given.

    `changes`: the cursor counts by each item's last change, so that edits are given too; else by its arrival.
    """

    filters: Filters
    changes: bool
    after_us: int
    before_us: int | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Which part of the stream a page shows; `before_us` None: its live end."""

    filters: Filters
    before_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesQuery:
    """Which part of the list of sources is asked for; `after` None: its beginning."""

    state: State | None = None
    window_lost: bool = False
    search: str = ""
    ids: tuple[str, ...] | None = None
    after: Place | None = None
    limit: int = DEFAULT_LIMIT

    @property
    def filter(self) -> SourceFilter:
        words = tuple(dict.fromkeys(self.search.split()))
        return SourceFilter(state=self.state, window_lost=self.window_lost, words=words, ids=self.ids)

    def pairs(self) -> list[tuple[str, str]]:
        """The parameters that filter the same again."""
        state = [("state", self.state.value)] if self.state is not None else []
        lost = [("lost", "1")] if self.window_lost else []
        search = [("q", self.search)] if self.search else []
        return [*state, *lost, *search, *(("id", one) for one in self.ids or ())]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesQuery:
    """Which series is asked for; `id` None: the list of them, from behind the place that is `after`."""

    id: str | None = None
    after: SeriesPlace | None = None
    limit: int = DEFAULT_LIMIT


def parameters(query_string: str) -> dict[str, list[str]]:
    """Split a query string as WSGI hands it over (bytes that pose as latin-1).

    What is not UTF-8 is kept as surrogates, to be refused under its parameter's name if that is one of ours.
    """
    text = query_string.encode("latin-1").decode(errors="surrogateescape")
    return urllib.parse.parse_qs(text, keep_blank_values=True, errors="surrogateescape")


def update_query(given: Parameters) -> UpdateQuery:
    """What /update is asked for. Raises BadParameter."""
    return UpdateQuery(
        filters=_filters(given),
        changes=switch(given, "changes"),
        after_us=_stamp(given, "timestamp") or 0,
        before_us=_stamp(given, "before"),
        limit=_limit(given),
    )


def page_query(given: Parameters) -> PageQuery:
    """What the page is asked for. Raises BadParameter."""
    return PageQuery(filters=_filters(given), before_us=_stamp(given, "before"))


def sources_query(given: Parameters) -> SourcesQuery:
    """Which sources are asked for. Raises BadParameter."""
    return SourcesQuery(
        state=_state(given),
        window_lost=switch(given, "lost"),
        search=search_of(given),
        ids=_ids(given),
        after=_place(given, places.place),
        limit=_limit(given),
    )


def series_query(given: Parameters) -> SeriesQuery:
    """Which series is asked for. Raises BadParameter."""
    wanted = single(given, "id")
    return SeriesQuery(
        id=None if wanted is None else _name("id", wanted),
        after=_place(given, places.series_place),
        limit=_limit(given),
    )


def limit_of(given: Parameters) -> int:
    """How many are asked for at most, where nothing else can be asked. Raises BadParameter."""
    return _limit(given)


def encoded(pairs: Sequence[tuple[str, str]]) -> str:
    """The pairs as a query string; leaves the same characters alone as encodeURIComponent does in the script."""
    return urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote, safe="!'()*")


def _filters(given: Parameters) -> Filters:
    source_id = single(given, "source")
    tags = tuple(dict.fromkeys(_values(given, "tag")))
    if len(tags) > MOST_TAGS:
        raise BadParameter("tag", f"is given more than {MOST_TAGS} times")
    return Filters(
        source_id=None if source_id is None else _name("source", source_id),
        tags=tuple(_name("tag", tag) for tag in tags),
        search=search_of(given),
    )


def search_of(given: Parameters) -> str:
    """What is searched for, "" if nothing. Raises BadParameter."""
    # an empty search is what an untouched search field sends: no search
    search = (single(given, "q") or "").strip()
    if len(search) > LONGEST_SEARCH:
        raise BadParameter("q", f"is longer than {LONGEST_SEARCH} characters: {shown(search)}")
    if len(asked_words(search)) > MOST_WORDS:
        raise BadParameter("q", f"has more than {MOST_WORDS} words: {shown(search)}")
    return search


def _name(parameter: str, value: str) -> str:
    if not value:
        raise BadParameter(parameter, "is empty")
    if len(value) > LONGEST_NAME:
        raise BadParameter(parameter, f"is longer than {LONGEST_NAME} characters: {shown(value)}")
    return value


def _state(given: Parameters) -> State | None:
    text = single(given, "state")
    if text is None:
        return None
    if text not in set(State):
        raise BadParameter("state", f"must be one of {', '.join(State)}, and is {shown(text)}")
    return State(text)


def _ids(given: Parameters) -> tuple[str, ...] | None:
    ids = tuple(dict.fromkeys(_values(given, "id")))
    if len(ids) > MOST_IDS:
        raise BadParameter("id", f"is given more than {MOST_IDS} times")
    return tuple(_name("id", one) for one in ids) or None


def _place(given: Parameters, read: Callable[[str], _Place | None]) -> _Place | None:
    text = single(given, "after")
    if text is None:
        return None
    place = read(text)
    if place is None:
        raise BadParameter("after", f"must be what a former answer led on with, and is {shown(text)}")
    return place


def _stamp(given: Parameters, name: str) -> int | None:
    text = single(given, name)
    if text is None:
        return None
    stamp_us = stamps.microseconds(text)
    if stamp_us is None:
        raise BadParameter(name, f"must be seconds since the epoch, such as 1763710000.120000, and is {shown(text)}")
    return stamp_us


def switch(given: Parameters, name: str) -> bool:
    """A parameter that is 0 or 1, 0 where it is not given. Raises BadParameter."""
    text = single(given, name)
    if text is not None and text not in ("0", "1"):
        raise BadParameter(name, f"must be 0 or 1, and is {shown(text)}")
    return text == "1"


def _limit(given: Parameters) -> int:
    text = single(given, "limit")
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= LARGEST_LIMIT:
        raise BadParameter("limit", f"must be a number from 1 to {LARGEST_LIMIT}, and is {shown(text)}")
    return int(text)


def single(given: Parameters, name: str) -> str | None:
    """The value of a parameter that may be given once, None where it is not given. Raises BadParameter."""
    values = _values(given, name)
    if len(values) > 1:
        raise BadParameter(name, "is given more than once")
    return values[0] if values else None


def several(given: Parameters, name: str, *, most: int) -> tuple[str, ...]:
    """The values of a parameter that may be given often, each once. Raises BadParameter."""
    values = _values(given, name)
    if len(values) > most:
        raise BadParameter(name, f"is given more than {most} times")
    return tuple(dict.fromkeys(values))


def _values(given: Parameters, name: str) -> Sequence[str]:
    """The values of a parameter. `name[]=1` is PHP's way to write a list: somebody meant this parameter."""
    if any(other.startswith(f"{name}[") for other in given):
        raise BadParameter(name, "cannot be a list")
    values = given.get(name, ())
    if not all(_is_unicode(value) for value in values):
        raise BadParameter(name, "is not UTF-8")
    return values


def _is_unicode(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def shown(value: str) -> str:
    """A refused value, as the message that refuses it names it."""
    return repr(value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…")
