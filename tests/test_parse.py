"""Whole documents in, pages out."""

from datetime import UTC, datetime

import pytest

from feedmirror.errors import ParseError
from feedmirror.models import Entry
from feedmirror.parse import parse

ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:re="http://purl.org/atompub/rank/1.0">
  <title type="text">Questions</title>
  <link rel="next" href="?page=2"/>
  <entry>
    <id>https://example.org/q/1</id>
    <re:rank scheme="https://example.org">-3</re:rank>
    <title type="html">Why &amp;lt;b&amp;gt; &lt;i&gt;so&lt;/i&gt;?</title>
    <category term="python"/><category term="xml" label="XML"/>
    <author><name>Ada</name></author>
    <link rel="alternate" href="/questions/1"/>
    <published>2026-01-02T03:04:05Z</published>
    <updated>2026-01-02T05:04:05.5+01:00</updated>
    <summary type="html">&lt;p onclick="x()"&gt;Look: &lt;a href="/a"&gt;here&lt;/a&gt;&lt;/p&gt;</summary>
  </entry>
</feed>"""

RSS = """<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
  <title>News &amp;amp; more</title><link>https://example.org/</link>
  <item>
    <title>One</title><link>HTTPS://Example.ORG:443/1#top</link><guid isPermaLink="false">g1</guid>
    <description>&lt;script&gt;evil()&lt;/script&gt;Fine</description>
    <dc:creator>Bob</dc:creator><category>a</category><category>a</category><category>b</category>
    <pubDate>Fri, 02 Jan 2026 03:04:05 EST</pubDate>
  </item>
</channel></rss>"""


def test_atom():
    page = parse(ATOM.encode(), url="https://example.org/feed")
    assert (page.format, page.title, page.encoding, page.recovered) == ("atom 1.0", "Questions", "utf-8", False)
    assert page.next == "https://example.org/feed?page=2"
    assert page.entries == (
        Entry(
            title="Why <b> so?",
            link="https://example.org/questions/1",
            guid="https://example.org/q/1",
            author="Ada",
            summary='<p>Look: <a href="https://example.org/a" rel="noopener nofollow ugc">here</a></p>',
            tags=("python", "xml"),
            published=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            updated=datetime(2026, 1, 2, 4, 4, 5, 500_000, tzinfo=UTC),
            score=-3,
        ),
    )


def test_rss():
    page = parse(RSS.encode(), url="https://example.org/feed")
    assert (page.format, page.title) == ("rss 2.0", "News & more")
    assert page.entries == (
        Entry(
            title="One",
            link="https://example.org/1#top",
            guid="g1",
            author="Bob",
            summary="Fine",
            tags=("a", "b"),
            published=datetime(2026, 1, 2, 8, 4, 5, tzinfo=UTC),
        ),
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the document is empty"),
        (b" \n", "the document is empty"),
        (b"Not found", "the document is neither XML nor JSON"),
        (b"<!DOCTYPE html><html><body>Hi</body></html>", "an HTML page, not a feed"),
        (b"<!doctype html><meta charset=utf-8><title>Hi</title>", "an HTML page, not a feed"),
        (b"<opml/>", "XML, but no feed: its root is <opml>"),
        (b"[1]", "JSON, but no JSON Feed: it is no object"),
        (b'{"a": 1}', "JSON, but no JSON Feed: it has neither its version nor items"),
    ],
)
def test_what_is_no_feed_is_called_what_it_is(body: bytes, reason: str):
    with pytest.raises(ParseError) as caught:
        parse(body, url="https://example.org/")
    assert str(caught.value) == reason
