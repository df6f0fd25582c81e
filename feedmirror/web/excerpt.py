"""The plain beginning of a summary, for the two lines under a title.

static/words.js does the same with the browser's own parser. What comes in is sanitised, hence well formed; what
goes out is text, to be escaped like any other.
"""

import html
import re

# Two lines of the widest page hold less; what is beyond need not be sent twice.
LONGEST = 400

# Where one of these ends, words must not run together; around <b> or <code> no space may come in.
_BREAK = re.compile(
    r"<br>|</(?:p|div|li|ul|ol|h[1-6]|pre|blockquote|tr|td|th|table|dt|dd|figure|figcaption)>", re.IGNORECASE
)
_TAG = re.compile(r"""<(?:"[^"]*"|'[^']*'|[^'">])*>""")


def excerpt(summary: str) -> str:
    """The text of this HTML on one line, cut after some hundred characters."""
    text = " ".join(html.unescape(_TAG.sub("", _BREAK.sub(" ", summary))).split())
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + "…"
