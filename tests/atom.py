"""Atom documents in the shape of Stack Overflow's feed, for the tests of the whole system."""

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr


def atom(questions: Iterable[tuple[int, str]]) -> bytes:
    """A feed that lists these questions, each a number and a title, the newest first."""
    entries = "".join(_entry(number, title) for number, title in questions)
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:re="http://purl.org/atompub/rank/1.0">'
        '<title type="text">Questions</title><id>https://example.com/feeds</id>'
        f"<updated>2026-01-01T00:00:00Z</updated>{entries}</feed>"
    ).encode()


def _entry(number: int, title: str) -> str:
    link = f"https://example.com/questions/{number}"
    return (
        f"<entry><id>{link}</id><re:rank scheme='https://example.com'>0</re:rank>"
        f"<title type='text'>{escape(title)}</title><category scheme='https://example.com/tags' term='python'/>"
        f"<author><name>Ada</name></author><link rel='alternate' href={quoteattr(link)}/>"
        f"<published>2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z</published>"
        f"<summary type='html'>&lt;p&gt;How?&lt;/p&gt;</summary></entry>"
    )
