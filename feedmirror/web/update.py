"""The stream: GET /update?timestamp=T.

    T > 0         the oldest items after T; Link leads forwards, to T = the last stamp given
    T = 0, none   the newest items; Link leads back through everything older
    changes=1     the same, where T and the order are those of each item's last change: edits come as well

A client that goes on from Feedmirror-Cursor gets every item once, whether it follows Link or not.

Feedmirror-Gap on an answer: of what came after T, some up to this stamp has been removed meanwhile, because it is no
longer kept. What is left is given, here and from the cursor on, so a client that only wants what is new goes on as
ever. One that must have everything (a copy, an archive) notes that it lacks items between T and the gap, which this
mirror cannot give any more; one that shows what the mirror holds starts anew with T = 0. With `source=B` it tells of
B's items alone; of other filters it knows nothing, so what was removed may be nothing that the client asks for.

Feedmirror-Polling on every 200 and 304: whether due sources are polled, see `polling`.

Answered from the window of this process where that is live and reaches back far enough, else from the database. Hosted
by whatever can hand over a query and take an Answer; knows no framework.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from feedmirror.models import Update
from feedmirror.web import gzipped, stamps, unavailable
from feedmirror.web.answer import Answer, json_error, json_unavailable
from feedmirror.web.polling import Told
from feedmirror.web.query import BadParameter, UpdateQuery, encoded, parameters, update_query
from feedmirror.web.representation import item_json
from feedmirror.web.streamed import Remembered, accepts_gzip, array_answer, cursor_headers, unless_known
from feedmirror.web.watch import Watch
from feedmirror.web.window import Part

if TYPE_CHECKING:
    from feedmirror.storage import Storage
    from feedmirror.web.follower import Follower


class Updates:
    """Answers polls. `follower` None: all of them from the database. `watch` None: nothing is known of polling."""

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

    def answer(self, query_string: str, *, accept_encoding: str = "", known: str = "") -> Answer:
        """Answer one poll. `known`: If-None-Match. Never raises for what a client sent, nor for MongoDB being away."""
        gzip = bool(accept_encoding) and accepts_gzip(accept_encoding)
        return unless_known(self._current(query_string, gzip=gzip), known)

    def at_hand(self, query_string: str, *, accept_encoding: str = "", known: str = "") -> Answer | None:
        """The answer if the same was asked before and it still holds, else None; neither waits nor raises."""
        follower, remembered = self._follower, self._remembered
        if follower is None or not follower.is_live or follower.window.version != remembered.version:
            return None
        if self._watch.told is not remembered.told:
            return None
        gzip = bool(accept_encoding) and accepts_gzip(accept_encoding)
        answer = remembered.answers.get((query_string, gzip))
        return None if answer is None else unless_known(answer, known)

    def _current(self, query_string: str, *, gzip: bool) -> Answer:
        follower = self._follower
        if follower is None:
            return self._made(query_string, self._watch.told, gzip=gzip)[0]
        if not follower.is_live:
            with follower.instead():
                if follower.lost:
                    return json_unavailable(follower.lost)
                if not follower.is_live:
                    return self._made(query_string, self._watch.told, gzip=gzip)[0]
        version, told, remembered = follower.window.version, self._watch.told, self._remembered
        if version != remembered.version or told is not remembered.told:
            remembered = self._remembered = Remembered(version, told)
        answer = remembered.answers.get((query_string, gzip))
        if answer is None:
            # of a later version, if the window went on meanwhile, which does no harm
            answer, is_lasting = self._made(query_string, told, gzip=gzip, follower=follower)
            if is_lasting:
                remembered.keep((query_string, gzip), answer)
        return answer

    def _made(
        self, query_string: str, told: Told, *, gzip: bool, follower: "Follower | None" = None
    ) -> tuple[Answer, bool]:
        """The answer, and whether it holds as long as the window does not change."""
        try:
            query = update_query(parameters(query_string))
            part = _from_window(query, follower) if follower else None
            if part is not None:
                members, blocks = [one.json for one in part.items], [one.deflated for one in part.items]
                return _answer(query, told, part, members, blocks if gzip else None), True
            update = _look_up(query, self._open_storage())
        except BadParameter as error:
            return json_error(400, str(error), parameter=error.parameter), False
        except unavailable.FAILURES as error:
            return json_unavailable(unavailable.reason(error)), False
        members = [item_json(item).encode() for item in update.items]
        return _answer(query, told, update, members, list(map(gzipped.block, members)) if gzip else None), False


def _from_window(query: UpdateQuery, follower: "Follower") -> Part | None:
    if not query.after_us:
        return None
    return follower.window.since(
        query.filters.selection,
        after_us=query.after_us,
        limit=query.limit,
        before_us=query.before_us,
        changes=query.changes,
    )


def _look_up(query: UpdateQuery, storage: "Storage") -> Update:
    selection = query.filters.selection
    if query.after_us:
        ask = storage.items.changes if query.changes else storage.items.since
        return ask(selection, after_us=query.after_us, limit=query.limit, before_us=query.before_us)
    return storage.items.newest(selection, limit=query.limit, before_us=query.before_us)


def _answer(
    query: UpdateQuery, told: Told, update: Update | Part, members: list[bytes], blocks: list[bytes] | None
) -> Answer:
    further = _further(query, update) if update.more else None
    headers = cursor_headers(
        told,
        head_us=update.head_us,
        cursor_us=update.cursor_us,
        gap_us=update.gap_us,
        further=None if further is None else f"/update?{encoded(further)}",
    )
    return array_answer(members, blocks, headers)


def _further(query: UpdateQuery, update: Update | Part) -> list[tuple[str, str]] | None:
    """The parameters of the next page: the same question, from where this answer ends."""
    if query.after_us:
        place = [("timestamp", stamps.seconds(update.cursor_us))]
        if query.before_us is not None:
            place.append(("before", stamps.seconds(query.before_us)))
    elif isinstance(update, Update) and update.items:
        place = [("timestamp", "0"), ("before", stamps.seconds(update.items[-1].fetched_us))]
    else:
        return None
    if query.changes:
        place.append(("changes", "1"))
    return [*place, ("limit", str(query.limit)), *query.filters.pairs()]
