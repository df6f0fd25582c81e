"""What the sources file says of a paginated API: its keys, checked, and as values to work with."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from os import environ
from typing import Any

from feedmirror import checks
from feedmirror.checks import Check
from feedmirror.config import duration_s
from feedmirror.errors import Failure, FetchError
from feedmirror.table.columns import titled
from feedmirror.table.models import Column, ColumnType, Path

# As long as a page takes to read for the publisher's own users, and no more than most keep a result open.
_DELAY_LIMITS_S = (0.0, 3600.0)
_HISTORY_LIMITS_S = (3600.0, 3660 * 86400.0)
# A number that no table reaches before somebody wonders why.
MOST_PAGES = 100_000
_RETRIES = 5
# With pauses that double, up to an hour each, that is days.
_MOST_RETRIES = 100
_VARIABLE = re.compile(r"\$\{(\w+)\}")
# What HTTP itself or our fetching decides.
_NOT_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Paging(StrEnum):
    """How an answer leads to the next one."""

    NONE = "none"
    PAGE = "page"
    NEXT = "next"
    CURSOR = "cursor"
    OFFSET = "offset"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """A paginated API as the sources file describes it.

    `items`: where the list stands in an answer; () is the answer itself. `key`: what tells one row from another; ()
    means the whole row. `columns` (): what the first page shows. `parameter` is the name of the one that paging sets,
    `field` where the answer has the next URL or cursor, `hosts` those that a next URL may lead to besides the source's
    own. `retries`: how often what fails and may pass by itself is tried again before the run is given up. `history_s`:
    for how long the numbers of every column are kept; None: only where a column says so.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    items: Path = ()
    key: tuple[Path, ...] = ()
    columns: tuple[Column, ...] = ()
    delay_s: float = 0
    retries: int = _RETRIES
    max_pages: int | None = None
    paging: Paging = Paging.NONE
    parameter: str = ""
    field: Path = ()
    hosts: tuple[str, ...] = ()
    history_s: float | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "ApiOptions":
        """The options of a table that has been checked."""
        paging = Paging(given.get("paging", "none"))
        cursor = given.get("cursor", {})
        names = {
            Paging.PAGE: given.get("page", "page"),
            Paging.OFFSET: given.get("offset", "offset"),
            Paging.CURSOR: cursor.get("parameter", "cursor") if isinstance(cursor, Mapping) else "cursor",
        }
        fields = {
            Paging.NEXT: given.get("next", "next"),
            Paging.CURSOR: cursor.get("field", "") if isinstance(cursor, Mapping) else cursor,
        }
        keys = given.get("key", [])
        return cls(
            params={name: _text(value) for name, value in given.get("params", {}).items()},
            headers=dict(given.get("headers", {})),
            items=path_of(given.get("items", "")),
            key=tuple(path_of(one) for one in ([keys] if isinstance(keys, str) else keys)),
            columns=tuple(_column(one, given.get("history")) for one in given.get("columns", ())),
            delay_s=duration_s(given["delay"]) if "delay" in given else 0,
            retries=given.get("retries", _RETRIES),
            max_pages=given.get("max_pages"),
            paging=paging,
            parameter=names.get(paging, ""),
            field=path_of(fields.get(paging, "")),
            hosts=tuple(host.lower() for host in given.get("hosts", ())),
            history_s=duration_s(given["history"]) if "history" in given else None,
        )

    @property
    def page_size(self) -> int | None:
        """How many rows a whole page has, where the parameters say it."""
        per_page = self.params.get("per_page", "")
        return int(per_page) if per_page.isdecimal() and int(per_page) > 0 else None

    def request_headers(self) -> dict[str, str]:
        """The headers with what the environment gives them. Raises FetchError where that is not set.

        It is no mistake of the sources file: other processes that read it may have another environment.
        """
        return {name: _VARIABLE.sub(_from_environment, value) for name, value in self.headers.items()}


def path_of(text: str) -> Path:
    """The names in a dotted path."""
    return tuple(text.split(".")) if text else ()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _column(given: str | Mapping[str, str], history: str | None) -> Column:
    described = {"name": given} if isinstance(given, str) else given
    history = described.get("history", history)
    return Column(
        path=path_of(described["name"]),
        title=described.get("title", titled(path_of(described["name"]))),
        type=ColumnType(described["type"]) if "type" in described else None,
        history_s=None if history is None else duration_s(history),
    )


def _from_environment(match: re.Match[str]) -> str:
    value = environ.get(match[1])
    if value is None:
        raise FetchError(Failure.NOT_SET_UP, f"the environment variable {match[1]} is not set")
    if not _is_printable(value):
        what = "has signs in it that no header may have"
        raise FetchError(Failure.NOT_SET_UP, f"the environment variable {match[1]} {what}")
    return value


def _is_printable(text: str) -> bool:
    """Whether a text may be in a header: a line break would begin another one, of a stranger's choice."""
    return all(" " <= sign <= "~" for sign in text)


# -- what is wrong with them


def _path(value: object) -> str | None:
    usable = isinstance(value, str) and len(value) <= 1000 and all(value.split("."))
    return None if usable else 'must be names with dots between them, such as "data.rows"'


def _key(value: object) -> str | None:
    values = value if isinstance(value, list) and value else [value]
    return None if all(_path(one) is None for one in values) else 'must be a name, or a list of names, such as "id"'


def _params(value: object) -> str | None:
    usable = isinstance(value, dict) and all(isinstance(one, str | int | float) for one in value.values())
    return None if usable else "must be a table of texts and numbers, such as { per_page = 50 }"


def _headers(value: object) -> str | None:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        return 'must be a table of texts, such as { Authorization = "Token ${TOKEN}" }'
    for name, text in value.items():
        if not _TOKEN.fullmatch(name) or name.lower() in _NOT_OURS:
            return f"must not set {name!r}"
        if not _is_printable(text):
            return f"must have printable ASCII in {name!r}"
    return None


def _columns(value: object) -> str | None:
    what = 'must be a list of names, or of tables such as { name = "price", title = "Price", type = "money" }'
    if not isinstance(value, list) or not value:
        return what
    for one in value:
        if isinstance(one, dict):
            if set(one) - {"name", "title", "type", "history"} or not isinstance(one.get("title", ""), str):
                return what
            if "history" in one and (mistake := _history(one["history"])):
                return f"have a history, which {mistake}"
            if one.get("type", "text") not in list(ColumnType):
                return f"have types, which are: {', '.join(ColumnType)}"
        if _path(one.get("name") if isinstance(one, dict) else one):
            return what
    return None


def _duration(low: float, high: float, words: str) -> Check:
    def check(value: object) -> str | None:
        try:
            usable = isinstance(value, str) and low <= duration_s(value) <= high
        except ValueError:
            usable = False
        return None if usable else f"must be a time in quotes {words}"

    return check


_history = _duration(*_HISTORY_LIMITS_S, 'from "1h" to "3660d", such as "7d"')


def _max_pages(value: object) -> str | None:
    usable = checks.count(value) is None and int(str(value)) <= MOST_PAGES
    return None if usable else f"must be a whole number from 1 to {MOST_PAGES}"


def _retries(value: object) -> str | None:
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_RETRIES
    return None if usable else f"must be a whole number from 0 to {_MOST_RETRIES}"


def _paging(value: object) -> str | None:
    return None if value in list(Paging) else f"must be one of: {', '.join(Paging)}"


def _cursor(value: object) -> str | None:
    if isinstance(value, dict):
        usable = set(value) <= {"field", "parameter"} and _path(value.get("field")) is None
        usable = usable and checks.name(value.get("parameter", "cursor")) is None
    else:
        usable = _path(value) is None
    return None if usable else 'must be where it stands, "meta.next", or { field = "meta.next", parameter = "after" }'


def _hosts(value: object) -> str | None:
    usable = isinstance(value, list) and all(
        isinstance(one, str) and re.fullmatch(r"[\w.:\[\]-]+", one) for one in value
    )
    return None if usable else 'must be a list of hosts, such as ["api2.example.com"]'


KEYS: dict[str, Check] = {
    "params": _params,
    "headers": _headers,
    "items": _path,
    "key": _key,
    "columns": _columns,
    "delay": _duration(*_DELAY_LIMITS_S, 'from "0s" to "1h", such as "1s"'),
    "retries": _retries,
    "max_pages": _max_pages,
    "paging": _paging,
    "page": checks.name,
    "next": _path,
    "cursor": _cursor,
    "offset": checks.name,
    "hosts": _hosts,
    "history": _history,
}

# Which kind of paging a key belongs to.
_OF_PAGING = {
    "page": Paging.PAGE,
    "next": Paging.NEXT,
    "hosts": Paging.NEXT,
    "cursor": Paging.CURSOR,
    "offset": Paging.OFFSET,
}


def mistakes(table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What does not go together, by the key to look at."""
    for key, paging in _OF_PAGING.items():
        if key in table and table.get("paging") != paging:
            yield key, f'{key!r} goes with paging = "{paging}"'
    if table.get("paging") == Paging.CURSOR and "cursor" not in table:
        yield "paging", 'paging = "cursor" needs to know where the cursor stands: cursor = "meta.next"'
    if "keep_items" in table:
        yield (
            "keep_items",
            "'keep_items' is for feeds: a table has the rows that its API lists; 'keep' is for those gone",
        )
