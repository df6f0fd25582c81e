"""A body off the wire: decompressed step by step, counted after that, and complete, or not at all.

urllib3 could decompress as well, but takes a gzip stream that breaks off for a whole one: a feed that lost its
second half would pass as one from which half of the entries went.
"""

import zlib
from collections.abc import Iterator

from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from feedmirror.errors import Failure, FetchError

ACCEPT_ENCODING = "gzip, deflate"

_STEP_BYTES = 64 * 1024
_MIB = 1024 * 1024
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
_RAW_DEFLATE = -zlib.MAX_WBITS
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_MAGIC = b"\x1f"


def read_body(response: HTTPResponse, limit: int) -> bytes:
    """Read the whole body, of at most `limit` bytes. Raises FetchError."""
    if (response.length_remaining or 0) > limit:
        raise _too_large(limit)
    body = bytearray()
    for piece in _decoded(response):
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> FetchError:
    return FetchError(Failure.TOO_LARGE, f"the document is larger than {limit / _MIB:g} MiB, and was not read further")


def _decoded(response: HTTPResponse) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in _COMPRESSED:
        return _inflated(_received(response))
    if encoding in ("", "identity"):
        return _received(response)
    raise FetchError(Failure.BROKEN_BODY, "the document came in a compression that was not asked for")


def _received(response: HTTPResponse) -> Iterator[bytes]:
    try:
        yield from response.stream(_STEP_BYTES, decode_content=False)
    except HTTPError as error:
        raise FetchError(Failure.BROKEN_BODY, "the document broke off before its announced end") from error


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress in steps that never hold more than _STEP_BYTES, and insist on the stream's own end."""
    inflater = None
    try:
        for chunk in chunks:
            inflater = inflater or _new_inflater(chunk)
            while chunk:
                if inflater.eof:
                    if not chunk.startswith(_GZIP_MAGIC):
                        break  # padding after the end, which gzip itself ignores too
                    inflater = _new_inflater(chunk)  # RFC 1952, 2.2: members may follow each other
                yield from _steps(inflater, chunk)
                chunk = inflater.unused_data
    except zlib.error as error:
        raise FetchError(Failure.BROKEN_BODY, "the document cannot be decompressed") from error
    if inflater is not None and not inflater.eof:
        raise FetchError(Failure.BROKEN_BODY, "the compressed document broke off before its end")


def _steps(inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while True:
        piece = inflater.decompress(data, _STEP_BYTES)
        yield piece
        data = inflater.unconsumed_tail
        # a piece that fills the step may have more behind it, even where all input was taken
        if inflater.eof or (not data and len(piece) < _STEP_BYTES):
            return


def _new_inflater(start: bytes) -> "zlib._Decompress":
    """Some servers send deflate without the zlib header that RFC 9110, 8.4.1.2 asks for."""
    has_header = start.startswith(_GZIP_MAGIC) or start[0] & 0x0F == zlib.DEFLATED
    return zlib.decompressobj(_ZLIB_OR_GZIP if has_header else _RAW_DEFLATE)
