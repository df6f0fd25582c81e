"""Which addresses a reader may be sent to, and how they are written."""

import pytest

from feedmirror.parse.limits import LINK
from feedmirror.parse.links import absolute

BASE = "https://example.org/a/b?c"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://example.org/x", "https://example.org/x"),
        ("  https://example.org/x\n", "https://example.org/x"),
        ("https://exam\nple.org/x", "https://example.org/x"),
        ("x", "https://example.org/a/x"),
        ("/x?y#z", "https://example.org/x?y#z"),
        ("?d", "https://example.org/a/b?d"),
        ("#e", "https://example.org/a/b?c#e"),
        ("//other.example/x", "https://other.example/x"),
        # one address, one way of writing it
        ("HTTPS://Example.ORG/X", "https://example.org/X"),
        ("https://example.org:443/x", "https://example.org/x"),
        ("http://example.org:80", "http://example.org"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("https://User@Example.org/", "https://User@example.org/"),
        ("https://example.org/a b<c>", "https://example.org/a%20b%3Cc%3E"),
        ("https://example.org/ü?ö", "https://example.org/ü?ö"),
        ("https://münchen.example/", "https://münchen.example/"),
        ("https://example.org/#top", "https://example.org/#top"),
        ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/"),
    ],
)
def test_an_address_is_made_absolute_and_written_in_one_way(link: str, expected: str):
    assert absolute(link, BASE) == expected
    assert absolute(expected) == expected


@pytest.mark.parametrize(
    "link",
    [
        None,
        "",
        " ",
        "javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "mailto:a@example.org",
        "file:///etc/passwd",
        "ftp://example.org/",
        "http://",
        "http://[",
        "http://example.org:port/",
        "urn:uuid:1",
        "https://example.org/" + "x" * LINK,
    ],
)
def test_other_addresses_lead_nowhere(link: str | None):
    assert absolute(link, BASE) is None


def test_a_relative_address_without_a_base_leads_nowhere():
    assert absolute("x") is None
    assert absolute("//example.org/x") == "https://example.org/x"
