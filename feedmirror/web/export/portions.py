"""Texts put together to pieces that are worth sending one by one; each ends where a text does."""

import re
from collections.abc import Generator, Iterable

# Larger ones are no faster, and a client that is gone is noticed between two of them.
_CHARACTERS = 64 * 1024

_SURROGATES = re.compile("[\ud800-\udfff]")


def portions(texts: Iterable[str]) -> Generator[bytes, None, None]:
    """The texts as UTF-8."""
    some: list[str] = []
    length = 0
    for text in texts:
        some.append(text)
        length += len(text)
        if length >= _CHARACTERS:
            yield encoded("".join(some))
            some, length = [], 0
    if some:
        yield encoded("".join(some))


def encoded(text: str) -> bytes:
    """The text as UTF-8; half a surrogate pair, which JSON can name and nothing can encode, is U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text).encode()
