"""Items, times and summaries as text."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from feedmirror.models import Sighting
from feedmirror.web import times
from feedmirror.web.counts import counted
from feedmirror.web.excerpt import LONGEST, excerpt
from feedmirror.web.links import followable, loadable
from feedmirror.web.representation import item_json, items_json, rfc3339
from feedmirror.web.sources import told_apart_by
from tests.fake_storage import an_item

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_an_item_leads_with_the_five_members_that_clients_know() -> None:
    item = json.loads(item_json(an_item(1)))
    assert list(item) == [
        *("_id", "author", "link", "title", "fetched"),
        *("summary", "tags", "published", "updated", "changed", "arrived_at", "sources"),
        *("score", "comments", "comments_link", "thumbnail"),
    ]


def test_counts_and_addresses_are_there_or_null() -> None:
    given = {"score": -2, "comments": 0, "comments_link": "http://a.example/#c", "thumbnail": "https://a.example/1.png"}
    item = json.loads(item_json(an_item(1, **given)))
    assert {name: item[name] for name in given} == given
    bare = json.loads(item_json(an_item(1)))
    assert [bare[name] for name in given] == [None] * 4


def test_stamps_are_numbers_with_six_decimals() -> None:
    text = item_json(an_item(1, fetched_us=1_763_710_000_120_000, changed_us=1_763_710_001_000_000))
    assert '"fetched": 1763710000.120000,' in text
    assert '"changed": 1763710001.000000,' in text
    assert json.loads(text)["fetched"] == 1763710000.12


def test_text_is_kept_whatever_it_holds() -> None:
    title = '</script>"\\\u2028\x00 \N{ROCKET} \n é'
    item = json.loads(item_json(an_item(1, title=title, author="", link=None, tags=("c++", "ünï"))))
    assert (item["title"], item["author"], item["link"], item["tags"]) == (title, "", None, ["c++", "ünï"])


def test_times_are_rfc_3339_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    item = json.loads(
        item_json(
            an_item(
                1,
                published=datetime(2026, 1, 2, 3, 4, 5, tzinfo=east),
                arrived_at=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
            )
        )
    )
    assert item["published"] == "2026-01-02T01:04:05.000Z"
    assert item["arrived_at"] == "2026-01-02T03:04:05.678Z"
    assert item["updated"] is None
    assert rfc3339(None) is None


def test_times_sort_as_their_texts_do() -> None:
    whole = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    moments = [whole + timedelta(milliseconds=step) for step in (-1, 0, 23, 1000)]
    texts = [rfc3339(moment) for moment in moments]
    assert texts == sorted(texts)


def test_sources_are_their_ids_in_order() -> None:
    sightings = (Sighting(source_id="b", fetched_us=1), Sighting(source_id="a", fetched_us=2))
    assert json.loads(item_json(an_item(1, sources=sightings)))["sources"] == ["b", "a"]


def test_an_array() -> None:
    assert json.loads(items_json([])) == []
    assert [item["title"] for item in json.loads(items_json([an_item(2), an_item(1)]))] == ["Question 2", "Question 1"]


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1), "1 h ago"),
        (timedelta(hours=47), "1 d ago"),
        (timedelta(days=29, hours=23), "29 d ago"),
        (timedelta(days=30), "2026-10-22"),
    ],
)
def test_ago(passed: timedelta, text: str) -> None:
    assert times.ago(NOW - passed, NOW) == text


def test_until() -> None:
    assert times.until(NOW + timedelta(seconds=20, milliseconds=300), NOW) == "in 20 s"
    assert times.until(NOW + timedelta(minutes=5), NOW) == "in 5 min"
    assert times.until(NOW - timedelta(minutes=5), NOW) == "now"
    assert times.until(None, NOW) == "not planned"


def test_duration() -> None:
    assert [times.duration(s) for s in (None, 0.5, 30, 300, 7200, 86400)] == [
        *("adapts", "0.5 s", "30 s", "5 min", "2 h", "1 d")
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 votes"), (1, "1 vote"), (-1, "-1 votes"), (2, "2 votes"), (1234567, "1,234,567 votes")],
)
def test_counted(number: int, text: str) -> None:
    assert counted(number, "vote") == text


@pytest.mark.parametrize(
    ("url", "follow", "load"),
    [
        ("https://example.com/", True, True),
        ("HTTPS://example.com/", True, True),
        ("http://example.com/", True, False),
        ("javascript:alert(1)", False, False),
        ("data:image/png;base64,AAAA", False, False),
        ("//example.com/1.png", False, False),
        ("/update", False, False),
        (" https://example.com/", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_what_a_page_may_lead_to_and_what_it_may_load(url: str | None, follow: bool, load: bool) -> None:
    assert followable(url) == (url if follow else None)
    assert loadable(url) == (url if load else None)


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        (None, None),
        ("link", "items are told apart by their link"),
        ("guid after link", "items are told apart by their guid (before: link)"),
        (
            "digest after guid+link after guid",
            "items are told apart by their title and time (before: guid and link, guid)",
        ),
        ("of tomorrow", "items are told apart by their of tomorrow"),
    ],
)
def test_the_rule_of_identity_in_words(identity: str | None, text: str | None) -> None:
    assert told_apart_by(identity) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("<p>one</p><p>two</p>", "one two"),
        ("one<br>two", "one two"),
        ("a <b>bold</b>, and <code>x&lt;y</code>.", "a bold, and x<y."),
        ("<pre>a\n  b\n</pre>", "a b"),
        ('<a href="https://example.com/" title="a > b">link</a> text', "link text"),
        ("<ul><li>one</li><li>two</li></ul>", "one two"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "<script>alert(1)</script>"),
    ],
)
def test_an_excerpt_is_the_text_on_one_line(html: str, text: str) -> None:
    assert excerpt(html) == text


def test_a_long_excerpt_is_cut() -> None:
    assert excerpt("<p>" + "word " * 1000) == ("word " * 1000)[:LONGEST].rstrip() + "…"
