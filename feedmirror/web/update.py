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

Answered from the window of this process where that is live and reaches back far enough, else from the database. Hosted
by whatever can hand over a query and take an Answer; knows no framework.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from feedmirror.models import Update
from feedmirror.web import gzipped, stamps, unavailable
from feedmirror.web.answer import JSON, Answer, json_error, json_unavailable
from feedmirror.web.query import BadParameter, UpdateQuery, encoded, parameters, update_query
from feedmirror.web.representation import item_json
from feedmirror.web.window import Part

if TYPE_CHECKING:
    from feedmirror.storage import Storage
    from feedmirror.web.follower import Follower

# A cache in front may answer for all open pages for a second; a browser asks whether its copy is still the same.
_CACHE = "public, max-age=0, s-maxage=1, stale-while-revalidate=1"
# Up-to-date pages all ask the same; the others are few, or came back at the same moment and ask the same as each other.
_REMEMBERED_BYTES = 20_000_000

_GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?:1(?:\.0*)?|0\.[0-9]*[1-9][0-9]*)\s*)?(?:,|$)", re.IGNORECASE)


class Updates:
    """Answers polls. `follower` None: all of them from the database."""

    def __init__(self, open_storage: "Callable[[], Storage]", follower: "Follower | None" = None):
        self._open_storage = open_storage
        self._follower = follower
        self._remembered = _Remembered(-1)

    def answer(self, query_string: str, *, accept_encoding: str = "", known: str = "") -> Answer:
        """Answer one poll. `known`: If-None-Match. Never raises for what a client sent, nor for MongoDB being away."""
        gzip = bool(accept_encoding) and _accepts_gzip(accept_encoding)
        answer = self._current(query_string, gzip=gzip)
        etag = answer.headers.get("ETag")
        if etag is not None and known and etag in known:
            return Answer(304, {name: value for name, value in answer.headers.items() if name in _KEPT_BY_304})
        return answer

    def _current(self, query_string: str, *, gzip: bool) -> Answer:
        follower = self._follower
        if follower is None or not follower.is_live:
            if follower is not None and follower.lost:
                return json_unavailable(follower.lost)
            return self._made(query_string, gzip=gzip)[0]
        version, remembered = follower.window.version, self._remembered
        if version != remembered.version:
            remembered = self._remembered = _Remembered(version)
        answer = remembered.answers.get((query_string, gzip))
        if answer is None:
            # of a later version, if the window went on meanwhile, which does no harm
            answer, is_lasting = self._made(query_string, gzip=gzip, follower=follower)
            if is_lasting:
                remembered.keep(query_string, answer, gzip=gzip)
        return answer

    def _made(self, query_string: str, *, gzip: bool, follower: "Follower | None" = None) -> tuple[Answer, bool]:
        """The answer, and whether it holds as long as the window does not change."""
        try:
            query = update_query(parameters(query_string))
            part = _from_window(query, follower) if follower else None
            if part is not None:
                members, blocks = [one.json for one in part.items], [one.deflated for one in part.items]
                return _answer(query, part, members, blocks if gzip else None), True
            update = _look_up(query, self._open_storage())
        except BadParameter as error:
            return json_error(400, str(error), parameter=error.parameter), False
        except unavailable.FAILURES as error:
            return json_unavailable(unavailable.reason(error)), False
        members = [item_json(item).encode() for item in update.items]
        return _answer(query, update, members, list(map(gzipped.block, members)) if gzip else None), False


@lru_cache(maxsize=256)
def _accepts_gzip(accept_encoding: str) -> bool:
    return _GZIP.search(accept_encoding) is not None


class _Remembered:
    """Answers that hold for one version of the window, as many as there is room for."""

    def __init__(self, version: int):
        self.version = version
        self.answers: dict[tuple[str, bool], Answer] = {}
        self._bytes = 0

    def keep(self, query_string: str, answer: Answer, *, gzip: bool) -> None:
        size = len(answer.body) + len(query_string) + 2_000  # headers, and Python's own
        if self._bytes + size > _REMEMBERED_BYTES:  # what is asked again is made again
            self.answers, self._bytes = {}, 0
        self._bytes += size
        self.answers[query_string, gzip] = answer


_KEPT_BY_304 = frozenset(
    {"ETag", "Cache-Control", "Vary", "Link", "Feedmirror-Head", "Feedmirror-Cursor", "Feedmirror-Gap"}
)


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


def _answer(query: UpdateQuery, update: Update | Part, members: list[bytes], blocks: list[bytes] | None) -> Answer:
    """The members as an array; gzipped if their compressed `blocks` are given and it is worth it."""
    body = gzipped.array(members)
    headers = {
        "Content-Type": JSON,
        "Cache-Control": _CACHE,
        "Vary": "Accept-Encoding",
        **_headers(query, update),
    }
    digest = blake2b(body, digest_size=12)
    digest.update("".join(headers.values()).encode())
    suffix = ""
    if blocks is not None and len(body) > gzipped.WORTH_IT:
        body = gzipped.compressed_array(members, blocks)
        headers["Content-Encoding"] = "gzip"
        suffix = "-gzip"  # a strong one is of the bytes that go over the wire (RFC 9110, 8.8.3.3)
    headers["ETag"] = f'"{digest.hexdigest()}{suffix}"'
    return Answer(200, headers, body)


def _headers(query: UpdateQuery, update: Update | Part) -> dict[str, str]:
    headers = {
        "Feedmirror-Head": stamps.seconds(update.head_us),
        "Feedmirror-Cursor": stamps.seconds(update.cursor_us),
    }
    if update.gap_us is not None:
        headers["Feedmirror-Gap"] = stamps.seconds(update.gap_us)
    further = _further(query, update) if update.more else None
    if further is not None:
        headers["Link"] = f'</update?{encoded(further)}>; rel="next"'
    return headers


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
