"""JSON arrays whose members are compressed beforehand, put together without compressing anything.

Each member is a run of deflate blocks that ends on a byte and looks back at nothing (RFC 1951, 3.2.4: a full flush),
so any of them one after the other, between a head and an end, are one gzip member (RFC 1952).
"""

import struct
import zlib
from collections.abc import Sequence

# Smaller answers fit into the same packet as their headers.
WORTH_IT = 1_000

_LEVEL = 6
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
OPEN, BETWEEN, CLOSE = b"[", b",\n", b"]"


def block(data: bytes, *, last: bool = False) -> bytes:
    """The data as deflate blocks that may stand anywhere; or only at the end."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)


_OPEN, _BETWEEN, _CLOSE = block(OPEN), block(BETWEEN), block(CLOSE, last=True)


def array(members: Sequence[bytes]) -> bytes:
    """A JSON array of these texts, as `compressed_array` would be after decompression."""
    return OPEN + BETWEEN.join(members) + CLOSE


def compressed_array(members: Sequence[bytes], blocks: Sequence[bytes]) -> bytes:
    """The same, gzipped; `blocks` are the members' own."""
    plain = array(members)
    end = struct.pack("<LL", zlib.crc32(plain), len(plain) & 0xFFFFFFFF)
    return _HEAD + _OPEN + _BETWEEN.join(blocks) + _CLOSE + end
