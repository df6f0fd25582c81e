"""The words of a text, for searching: one rule for what is stored, what is asked and what a page shows.

A word is what stands between spaces, without the punctuation around it, so that `C++`, `C#`, `.NET` and `node.js`
can be asked for as people write them; and each run of letters and digits within it. All of it case folded.
"""

import re
from collections.abc import Iterable

_AROUND = "\"'`“”‘’«»()[]{}<>,;:!?…|*_~"
_RUN = re.compile(r"[^\W_]+")


def words_of(texts: Iterable[str]) -> set[str]:
    """Every word under which these texts are found."""
    found: set[str] = set()
    for chunk in " ".join(texts).casefold().split():
        if chunk.isalnum():  # as most are, and then it is both
            found.add(chunk)
        else:
            found.update(_trimmed(chunk))
            found.update(_RUN.findall(chunk))
    return found


def asked_words(query: str) -> tuple[str, ...]:
    """The words of a query, each once, in order; an item is found where all of them stand."""
    return tuple(dict.fromkeys(_trimmed(query.casefold())))


def _trimmed(folded: str) -> Iterable[str]:
    for chunk in folded.split():
        word = chunk.strip(_AROUND)
        # the full stop that ends a sentence goes, the one that begins ".net" stays
        word = word.rstrip(".") or word
        if word:
            yield word
