"""What polls of every kind have in common: an array that goes out with a cursor, compressed, tagged and remembered.

Knows neither where the members come from nor what they are.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

from feedmirror.web import gzipped, polling, stamps
from feedmirror.web.answer import JSON, Answer

# A cache in front may answer for all open pages for a second; a browser asks whether its copy is still the same.
_CACHE = "public, max-age=0, s-maxage=1, stale-while-revalidate=1"
# Up-to-date pages all ask the same; the others are few, or came back at the same moment and ask the same as each other.
_REMEMBERED_BYTES = 20_000_000

_GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?:1(?:\.0*)?|0\.[0-9]*[1-9][0-9]*)\s*)?(?:,|$)", re.IGNORECASE)

_KEPT_BY_304 = frozenset(
    {
        *("ETag", "Cache-Control", "Vary", "Link"),
        *("Feedmirror-Head", "Feedmirror-Cursor", "Feedmirror-Gap", "Feedmirror-Listing", polling.HEADER),
    }
)


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client that says this in Accept-Encoding takes gzip."""
    return _GZIP.search(accept_encoding) is not None


class Remembered:
    """Answers that hold for one version of the window and of what is told of polling, as many as there is room for.

    So the ETag of an answer is another one when that changes: no 304, and no cache, hides it.
    """

    def __init__(self, version: int, told: polling.Told):
        self.version = version
        self.told = told
        self.answers: dict[Hashable, Answer] = {}
        self._bytes = 0

    def keep(self, question: Hashable, answer: Answer) -> None:
        size = len(answer.body) + len(str(question)) + 2_000  # headers, and Python's own
        if self._bytes + size > _REMEMBERED_BYTES:  # what is asked again is made again
            self.answers, self._bytes = {}, 0
        self._bytes += size
        self.answers[question] = answer


def unless_known(answer: Answer, known: str) -> Answer:
    """The answer, or 304 where `known` (If-None-Match) names it, or any there may be: * (RFC 9110, 13.1.2)."""
    etag = answer.headers.get("ETag")
    if etag is not None and known and (etag in known or known.strip() == "*"):
        return Answer(304, {name: value for name, value in answer.headers.items() if name in _KEPT_BY_304})
    return answer


def cursor_headers(
    told: polling.Told, *, head_us: int, cursor_us: int, gap_us: int | None, further: str | None
) -> dict[str, str]:
    """How far the answer is complete, whether due sources are polled, and the address where it goes on."""
    headers = {
        "Feedmirror-Head": stamps.seconds(head_us),
        "Feedmirror-Cursor": stamps.seconds(cursor_us),
        polling.HEADER: told.header,
    }
    if gap_us is not None:
        headers["Feedmirror-Gap"] = stamps.seconds(gap_us)
    if further is not None:
        headers["Link"] = f'<{further}>; rel="next"'
    return headers


def array_answer(members: Sequence[bytes], blocks: Sequence[bytes] | None, headers: Mapping[str, str]) -> Answer:
    """The members as an array; gzipped if their compressed `blocks` are given and it is worth it."""
    body = gzipped.array(members)
    headers = {"Content-Type": JSON, "Cache-Control": _CACHE, "Vary": "Accept-Encoding", **headers}
    digest = blake2b(body, digest_size=12)
    digest.update("".join(headers.values()).encode())
    suffix = ""
    if blocks is not None and len(body) > gzipped.WORTH_IT:
        body = gzipped.compressed_array(members, blocks)
        headers["Content-Encoding"] = "gzip"
        suffix = "-gzip"  # a strong one is of the bytes that go over the wire (RFC 9110, 8.8.3.3)
    headers["ETag"] = f'"{digest.hexdigest()}{suffix}"'
    return Answer(200, headers, body)
