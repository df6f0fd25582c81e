"""Documents that are nearly feeds: what is in them is kept, and the page says what was wrong."""

import time

import pytest

from feedmirror.errors import ParseError
from feedmirror.models import Page
from feedmirror.parse import parse
from feedmirror.parse.limits import ENTRIES

ITEMS = (
    "<item><title>One</title><link>https://example.org/1</link></item>"
    "<item><title>Two</title><link>https://example.org/2</link></item>"
)


def rss(items: str = ITEMS) -> str:
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>T</title>{items}</channel></rss>'


def page_of(document: str) -> Page:
    return parse(document.encode(), url="https://example.org/feed")


def titles(page: Page) -> list[str]:
    return [entry.title for entry in page.entries]


@pytest.mark.parametrize(
    ("document", "second"),
    [
        (rss(ITEMS.replace("Two", "T&nbsp;w&eacute;")), "T wé"),
        (rss(ITEMS.replace("Two", "AT&T & co &foo;")), "AT&T & co &foo;"),
        (rss(ITEMS.replace("Two", "Tw\x08\x1fo&#0;&#x1F;&#xD800;")), "Two"),
        (rss(ITEMS.replace("/2<", "/2?a=1&b=2&copy=3<")), "Two"),
        ("\n\n " + rss(), "Two"),
        ("\ufeff\n" + rss(), "Two"),
        ("<br />\n<b>Warning</b>: a < b & c in <b>x.php</b>" + rss(), "Two"),
        ("<!-- made by <rss> --> " + rss(), "Two"),
        (rss() + "<script>count(1 < 2)</script>", "Two"),
        (rss(ITEMS.replace("Two</title>", "Two</titel>")), "Two"),
        (rss(ITEMS.replace("<title>Two</title>", "<dc:title>Two</dc:title>")), "Two"),
        (rss(ITEMS.replace("Two", "<![CDATA[Two &amp; &]]> & so")), "Two & & & so"),
    ],
)
def test_a_broken_document_keeps_its_entries(document: str, second: str):
    page = page_of(document)
    assert titles(page) == ["One", second]
    assert page.recovered
    assert not page.truncated


def test_undeclared_prefixes_mean_what_they_say():
    page = page_of(rss("<item><dc:creator>Ann</dc:creator><content:encoded>&lt;p>x&lt;/p></content:encoded></item>"))
    assert (page.entries[0].author, page.entries[0].summary, page.recovered) == ("Ann", "<p>x</p>", True)


@pytest.mark.parametrize(
    "root", ["<feed>", '<feed xmlns="http://example.org/nobody-knows">', '<feed xmlns="http://purl.org/atom/ns">']
)
def test_a_wrong_or_missing_namespace_does_not_matter(root: str):
    page = page_of(f"{root}<entry><title>x</title><link href='/1'/></entry></feed>")
    assert (page.entries[0].title, page.entries[0].link, page.recovered) == ("x", "https://example.org/1", False)


def test_rss_within_atoms_namespace_is_rss():
    document = (
        '<rss xmlns="http://www.w3.org/2005/Atom"><channel><item><title>x</title><link rel="self" href="/self"/>'
        "<link>/1</link><author><name>Ann</name></author></item></channel></rss>"
    )
    entry = page_of(document).entries[0]
    assert (entry.title, entry.link, entry.author) == ("x", "https://example.org/1", "Ann")


def test_upper_case_names_are_read():
    page = page_of("<RSS><CHANNEL><ITEM><TITLE>x</TITLE><LINK>/1</LINK></ITEM></CHANNEL></RSS>")
    assert (page.entries[0].title, page.entries[0].link) == ("x", "https://example.org/1")


def test_half_an_entry_is_dropped_even_where_its_text_speaks_of_end_tags():
    half = "<item><title>Three</title><description><![CDATA[write </item> and </rss> at the end, and"
    page = page_of(rss(ITEMS + half).removesuffix("</channel></rss>"))
    assert titles(page) == ["One", "Two"]
    assert (page.recovered, page.truncated) == (True, True)


def test_entries_lost_to_the_parsers_limits_are_admitted():
    deep = "<item>" + "<a>" * 3_000 + "</a>" * 3_000 + "</item>"
    assert page_of(rss(deep + ITEMS)).truncated


def test_a_document_has_so_many_entries_and_no_more():
    page = page_of(rss("<item/>" * (ENTRIES + 1)))
    assert len(page.entries) == ENTRIES
    assert [cut.words(number) for cut, number in page.cuts.items()] == ["1 entry left out: the first 50,000 are read"]
    assert not page.truncated  # to read it again would bring no more


def test_a_document_type_declares_names_and_nothing_else():
    document = (
        '<?xml version="1.0"?><!-- c --><!DOCTYPE rss [<!ENTITY me "Ann"><!ENTITY file SYSTEM "file:///etc/passwd">'
        '<!ENTITY two "&me;&me;">]>' + rss(ITEMS.replace("Two", "&me; &two; &eacute;")).split("?>")[1]
    )
    page = page_of(document)
    assert titles(page) == ["One", "Ann &two; é"]


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE rss SYSTEM "http://127.0.0.1:9/rss.dtd">',
        '<!DOCTYPE rss [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]>',
        '<!DOCTYPE rss PUBLIC "<" "http://127.0.0.1:9/<">',
        "<!DOCTYPE rss [",
    ],
)
def test_nothing_is_ever_loaded_or_refused_for_a_document_type(doctype: str):
    assert titles(page_of(doctype + rss().split("?>")[1]))[:1] in (["One"], [])


def test_a_billion_laughs_are_not_funny():
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 30))
    document = f'<!DOCTYPE rss [<!ENTITY l0 "ha">{entities}]>' + rss(ITEMS.replace("Two", "&l29;")).split("?>")[1]
    assert titles(page_of(document)) == ["One", "&l29;"]


def test_a_page_is_told_from_a_feed_and_says_what_it_offers():
    page = (
        "<!DOCTYPE html><html><head><link rel=alternate type=application/rss+xml href=/feed.xml></head>"
        "<body><script>var x = '<rss version=2.0>'</script></body></html>"
    )
    with pytest.raises(
        ParseError, match=r"^an HTML page, not a feed; it offers https://example\.org/feed\.xml$"
    ) as caught:
        page_of(page)
    assert caught.value.offers == ("https://example.org/feed.xml",)


@pytest.mark.parametrize("cut", [20, 60, 80, 82, 100])
def test_a_json_feed_that_breaks_off_keeps_its_whole_items(cut: int):
    document = '{"title": "T", "items": [{"id": "1", "title": "One"}, {"id": "2", "title": "Two"}]}'
    if cut < document.index("[") + 1:
        with pytest.raises(ParseError, match=r"^not a JSON Feed: "):
            page_of(document[:cut])
        return
    page = page_of(document[:cut])
    assert (page.title, titles(page)) == ("T", ["One", "Two"][: 1 if cut < document.rindex("]") else 2])
    assert page.truncated is (cut < len(document))


SIZE = 400_000
# Ten times what the slowest of them takes on a machine of 2020; what is quadratic takes minutes.
SECONDS = 6.0


@pytest.mark.parametrize(
    ("opening", "repeated"),
    [
        ("", "<!DOCTYPE["),
        ("", "<!--"),
        ("", "<?a?>"),
        ("<!DOCTYPE x [", "]"),
        ("<!DOCTYPE x ", '"'),
        ("<rss>", "&"),
        ("<rss>", "&nbsp;"),
        ("<rss>", "<![CDATA["),
        (f'<!DOCTYPE x [<!ENTITY a "{"x" * 100}">]><rss>', "&a;"),
        ("<rss><channel>", "<item/>"),
        ("<rss><channel>", "<item>"),
        ("<rss><channel>", f"<item><author>{'@' * 400}</author></item>"),
        ("<rss><channel>", f"<item><title>{'&lt;b &quot;' * 1_000}</title></item>"),
        ("<rss><channel>", f"<item><description>{'&lt;b>&lt;i>&lt;/b>' * 1_000}</description></item>"),
        ("<rss><channel>", "<item><pubDate>99 foo 1 2 3 4 5 6 7 8 9 10 11 12</pubDate></item>"),
        ("<feed><entry>", '<link href="x:"/>'),
        ('{"items": [', "{},"),
        ('{"items": [', "["),
        ("", '{"items": ['),
        ("<html>", '<a href="/feed">'),
    ],
)
def test_a_hostile_document_costs_no_more_than_its_size(opening: str, repeated: str):
    document = (opening + repeated * (SIZE // len(repeated))).encode()
    before = time.process_time()
    try:
        page = parse(document, url="https://example.org/")
    except ParseError:
        page = None
    assert time.process_time() - before < SECONDS
    assert page is None or len(page.entries) <= ENTRIES
