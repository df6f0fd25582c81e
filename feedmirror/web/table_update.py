"""What changed in a table: GET /tables/<source>/update?timestamp=T.

As the stream (see `update`), with rows for items: the oldest changes after T, or for T = 0 the newest. Each row is as
its API gave it, and behind that `_id`, `changed` and, where the API lists it no more, `gone`. A row that is no object
stands under `value`. The cursor counts by changes, so a row comes again whenever it says something else.
`Feedmirror-Listing` is another one when a complete run has listed other rows, or in another order.

Asked of the database once for everybody, until something changes in the mirror.
"""

import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING

from feedmirror.models import SourceFilter
from feedmirror.table import Row, TableUpdate
from feedmirror.web import gzipped, stamps, unavailable
from feedmirror.web.answer import Answer, json_error, json_unavailable
from feedmirror.web.polling import Told
from feedmirror.web.query import BadParameter, UpdateQuery, encoded, parameters, update_query
from feedmirror.web.streamed import Remembered, accepts_gzip, array_answer, cursor_headers, unless_known
from feedmirror.web.watch import Watch

if TYPE_CHECKING:
    from feedmirror.storage import Storage
    from feedmirror.web.follower import Follower


class TableUpdates:
    """Answers polls of tables. `follower` and `watch`: see `Updates`."""

    def __init__(
        self,
        open_storage: "Callable[[], Storage]",
        follower: "Follower | None" = None,
        watch: Watch | None = None,
    ):
        self._open_storage = open_storage
        self._follower = follower
        self._watch = watch or Watch(open_storage)
        self._remembered = Remembered(-1, self._watch.told)

    def answer(self, source_id: str, query_string: str, *, accept_encoding: str = "", known: str = "") -> Answer:
        """Answer one poll. `known`: If-None-Match. Never raises for what a client sent, nor for MongoDB being away."""
        gzip = bool(accept_encoding) and accepts_gzip(accept_encoding)
        return unless_known(self._current(source_id, query_string, gzip=gzip), known)

    def _current(self, source_id: str, query_string: str, *, gzip: bool) -> Answer:
        follower = self._follower
        if follower is None:
            return self._made(source_id, query_string, self._watch.told, gzip=gzip)
        if not follower.is_live:
            with follower.instead():
                if follower.lost:
                    return json_unavailable(follower.lost)
                if not follower.is_live:
                    return self._made(source_id, query_string, self._watch.told, gzip=gzip)
        version, told, remembered = follower.window.version, self._watch.told, self._remembered
        if version != remembered.version or told is not remembered.told:
            remembered = self._remembered = Remembered(version, told)
        question = (source_id, query_string, gzip)
        answer = remembered.answers.get(question)
        if answer is None:
            # it holds what was committed up to this version, and maybe more, so it holds until the next
            answer = self._made(source_id, query_string, told, gzip=gzip)
            if answer.status == 200:
                remembered.keep(question, answer)
        return answer

    def _made(self, source_id: str, query_string: str, told: Told, *, gzip: bool) -> Answer:
        try:
            query = update_query(parameters(query_string))
            update = _look_up(source_id, query, self._open_storage())
        except BadParameter as error:
            return json_error(400, str(error), parameter=error.parameter)
        except unavailable.FAILURES as error:
            return json_unavailable(unavailable.reason(error))
        if update is None:
            return json_error(404, "There is no table of this name.")
        members = [row_json(row).encode() for row in update.rows]
        headers = cursor_headers(
            told,
            head_us=update.head_us,
            cursor_us=update.cursor_us,
            gap_us=update.gap_us,
            further=_further(source_id, query, update),
        )
        headers["Feedmirror-Listing"] = update.listing
        return array_answer(members, list(map(gzipped.block, members)) if gzip else None, headers)


def row_json(row: Row) -> str:
    """A row as its API wrote it, with what we know of it at the end, where it stands instead of the API's own."""
    text = row.text.strip()
    if not text.startswith("{"):
        text = f'{{"value": {text}}}'
    known = f'"_id": "{row.id}", "changed": {stamps.seconds(row.changed_us)}' + (', "gone": true' if row.gone else "")
    said = text[:-1].rstrip()
    return f"{said}{'' if said == '{' else ', '}{known}}}"


def table_path(source_id: str) -> str:
    """Where a table stands."""
    return "/tables/" + urllib.parse.quote(source_id, safe="")


def _look_up(source_id: str, query: UpdateQuery, storage: "Storage") -> TableUpdate | None:
    if query.after_us:
        update = storage.sheets.since(source_id, after_us=query.after_us, limit=query.limit, before_us=query.before_us)
    else:
        update = storage.sheets.newest(source_id, limit=query.limit, before_us=query.before_us)
    return update if update.rows or is_table(source_id, storage) else None


def is_table(source_id: str, storage: "Storage") -> bool:
    """Whether the source has a table, or will have one after its first run."""
    if storage.sheets.has(source_id):
        return True
    watched = storage.watchlist.page(SourceFilter(ids=(source_id,)), limit=1).sources
    return any(one.source.kind != "feed" for one in watched)


def _further(source_id: str, query: UpdateQuery, update: TableUpdate) -> str | None:
    if not update.more:
        return None
    if query.after_us:
        place = [("timestamp", stamps.seconds(update.cursor_us))]
        if query.before_us is not None:
            place.append(("before", stamps.seconds(query.before_us)))
    else:
        place = [("timestamp", "0"), ("before", stamps.seconds(update.rows[-1].changed_us))]
    return f"{table_path(source_id)}/update?{encoded([*place, ('limit', str(query.limit))])}"
