"""What an RSS channel says about when to look at it."""

import pytest

from feedmirror.models import Hints
from feedmirror.parse import parse


def hints_in(channel: str) -> Hints:
    body = f"<rss version='2.0'><channel><title>T</title>{channel}</channel></rss>".encode()
    return parse(body, url="https://example.org/").hints


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("", Hints()),
        ("<ttl>60</ttl>", Hints(ttl_s=3600)),
        ("<ttl> 0 </ttl>", Hints(ttl_s=0)),
        ("<ttl>-5</ttl>", Hints()),
        ("<ttl>1.5</ttl>", Hints()),
        ("<ttl>soon</ttl>", Hints()),
        ("<ttl>\u0663\u0660</ttl>", Hints()),
        (f"<ttl>{'9' * 500}</ttl>", Hints()),
        ("<ttl>999999999</ttl>", Hints(ttl_s=366 * 86400)),
        ("<skipHours><hour>0</hour><hour> 23 </hour><hour>24</hour></skipHours>", Hints(skip_hours=frozenset({0, 23}))),
        ("<skipHours><hour>25</hour><hour>-1</hour><hour>x</hour><hour/></skipHours>", Hints()),
        (
            "<skipDays><day>Saturday</day><day> sunday </day><day>Someday</day></skipDays>",
            Hints(skip_days=frozenset({5, 6})),
        ),
        ("<hour>3</hour><day>Monday</day>", Hints()),
    ],
)
def test_hints(channel: str, expected: Hints) -> None:
    assert hints_in(channel) == expected


def test_other_formats_say_nothing() -> None:
    atom = b"<feed xmlns='http://www.w3.org/2005/Atom'><ttl>60</ttl></feed>"
    assert parse(atom, url="https://example.org/").hints == Hints()
