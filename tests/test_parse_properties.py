"""What must hold for any document at all."""

import json
from datetime import UTC, datetime
from html import escape
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from feedmirror.errors import ParseError
from feedmirror.identity import identify
from feedmirror.models import Entry, Page
from feedmirror.parse import parse

URL = "https://example.org/feed"
# No small document may take longer, not even the first whose date has to be guessed, which imports dateparser.
BOUNDED = settings(deadline=3_000, suppress_health_check=[HealthCheck.too_slow])

# Characters that a document can hold and that mean themselves: no controls, which Windows' authors mean otherwise.
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufffe\uffff")
LINES = st.text(CHARACTERS, max_size=40).map(lambda text: " ".join(text.split()))
NAMES = LINES.filter(lambda name: "@" not in name)
ENTRIES = st.builds(
    Entry,
    title=LINES,
    link=st.integers(0, 10**6).map("https://example.org/{}".format),
    guid=LINES.map(lambda text: text or None),
    author=NAMES,
    summary=LINES.map(lambda text: escape(text, quote=False)),
    tags=st.lists(LINES.filter(bool), max_size=4, unique=True).map(tuple),
    published=st.datetimes(datetime(1970, 1, 2), datetime(2026, 1, 1)).map(  # noqa: DTZ001
        lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
    ),
    updated=st.none(),
)
FEEDS = st.lists(ENTRIES, max_size=5)


def as_rss(entries: list[Entry]) -> bytes:
    """RSS: titles, names and tags are HTML, so they are escaped once more."""

    def twice(text: str) -> str:
        return escape(escape(text))

    items = "".join(
        f"<item><title>{twice(entry.title)}</title><link>{entry.link}</link>"
        f'<guid isPermaLink="false">{escape(entry.guid or "")}</guid><dc:creator>{twice(entry.author)}</dc:creator>'
        f"{''.join(f'<category>{twice(tag)}</category>' for tag in entry.tags)}"
        f"<description>{escape(entry.summary)}</description>"
        f"<pubDate>{entry.published:%a, %d %b %Y %H:%M:%S GMT}</pubDate></item>"
        for entry in entries
    )
    return f'<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>{items}</channel></rss>'.encode()


def as_atom(entries: list[Entry]) -> bytes:
    items = "".join(
        f'<entry><title>{escape(entry.title)}</title><link href="{entry.link}"/><id>{escape(entry.guid or "")}</id>'
        f"<author><name>{escape(entry.author)}</name></author>"
        f"{''.join(f'<category term={quoteattr(tag)}/>' for tag in entry.tags)}"
        f'<summary type="html">{escape(entry.summary)}</summary>'
        f"<published>{entry.published.isoformat() if entry.published else ''}</published></entry>"
        for entry in entries
    )
    return f'<feed xmlns="http://www.w3.org/2005/Atom">{items}</feed>'.encode()


def as_json_feed(entries: list[Entry]) -> bytes:
    items = [
        {
            "id": entry.guid,
            "url": entry.link,
            "title": entry.title,
            "authors": [{"name": entry.author}],
            "content_html": entry.summary,
            "tags": list(entry.tags),
            "date_published": entry.published.isoformat() if entry.published else None,
        }
        for entry in entries
    ]
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items}).encode()


RENDERERS = (as_rss, as_atom, as_json_feed)


@BOUNDED
@given(FEEDS, st.sampled_from(RENDERERS))
def test_what_is_rendered_is_parsed_with_every_field(entries, render):
    page = parse(render(entries), url=URL)
    assert list(page.entries) == entries
    assert not page.recovered


@BOUNDED
@given(FEEDS, st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_change_their_ids(entries, random):
    shuffled = random.sample(entries, len(entries))
    before, after = (identify(order, source_id="s") for order in (entries, shuffled))
    assert (before.rule, set(before.items)) == (after.rule, set(after.items))


@BOUNDED
@given(
    st.lists(
        st.builds(
            Entry, link=st.sampled_from([None, "https://e.org/"]), guid=st.sampled_from([None, "g"]), summary=LINES
        ),
        max_size=6,
    )
)
def test_different_entries_never_become_one(entries):
    assert len(identify(entries, source_id="s").items) == len(set(entries))


def page_of(body: bytes) -> Page | None:
    try:
        return parse(body, url=URL)
    except ParseError:
        return None


def check(page: Page | None) -> None:
    """What storage and page rely on, whatever the document was."""
    for entry in page.entries if page else ():
        assert entry.link is None or entry.link.startswith(("http://", "https://"))
        for text in (entry.title, entry.author, entry.summary, entry.guid or "", *entry.tags):
            text.encode()
            assert "\0" not in text
        assert "\n" not in entry.title
        for moment in (entry.published, entry.updated):
            assert moment is None or moment.tzinfo is UTC


@settings(BOUNDED, max_examples=300)
@given(st.binary(max_size=300))
@example(b"\xff\xfe<\x00")
@example(b"\x00" * 8)
@example(b"{\x00}")
@example(b'{"items":[{"title":"\\ud800","id":1e999}]}')
@example(b"<rss><channel><item><link>http://[</link></item></channel></rss>")
@example(b"<rss><channel><item><pubDate>Fri, 02 Jan 2026 03:04:05 +9999</pubDate></item></channel></rss>")
@example(b'<?xml version="1.0" encoding="punycode"?><rss/>')
@example(b"<feed><entry xml:base='http://['><link href='x'/></entry></feed>")
def test_any_bytes_are_a_page_or_a_parse_error(body):
    check(page_of(body))


@st.composite
def damaged(draw) -> bytes:
    """A feed with some bytes replaced, by others or by nothing."""
    body = bytearray(draw(st.sampled_from(RENDERERS))(draw(st.lists(ENTRIES, min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        body[start : start + draw(st.integers(0, 8))] = draw(st.binary(max_size=4))
    return bytes(body)


@settings(BOUNDED, max_examples=300)
@given(damaged())
def test_a_damaged_feed_is_a_page_or_a_parse_error(body):
    check(page_of(body))


FULL = [
    Entry(title=f"T {n}", link=f"https://example.org/{n}", guid=f"g{n}", author="é", summary="&lt;/item&gt; ☃")
    for n in range(3)
]


@pytest.mark.parametrize("render", RENDERERS)
def test_a_feed_cut_anywhere_keeps_its_whole_entries_and_no_half_one(render):
    dated = [Entry(**{**fields_of(entry), "published": datetime(2026, 1, 1, tzinfo=UTC)}) for entry in FULL]
    body = render(dated)
    counts = []
    for length in range(len(body)):
        page = page_of(body[:length])
        entries = list(page.entries) if page else []
        assert entries == dated[: len(entries)]
        assert not entries or page.truncated or len(entries) == len(dated)
        counts.append(len(entries))
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3}


def fields_of(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
