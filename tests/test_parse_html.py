"""HTML made safe, and HTML as text."""

import time

import pytest

from feedmirror.parse import html

BASE = "https://example.org/blog/"
REL = f'rel="{html.REL}"'


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("", ""),
        ("  plain words ", "plain words"),
        ("1 < 2 & 3 > 2", "1 &lt; 2 &amp; 3 &gt; 2"),
        # what is kept
        ("<pre><code>a &lt; b\n  c</code></pre>", "<pre><code>a &lt; b\n  c</code></pre>"),
        ("<ul><li>one<li>two</ul>", "<ul><li>one</li><li>two</li></ul>"),
        ('<table><tr><td colspan="2">x</table>', '<table><tbody><tr><td colspan="2">x</td></tr></tbody></table>'),
        ('<a href="x?a=1&amp;b">y</a>', f'<a href="{BASE}x?a=1&amp;b" {REL}>y</a>'),
        ('<a href="//cdn.example.net/x">y</a>', f'<a href="https://cdn.example.net/x" {REL}>y</a>'),
        ('<img src="/a.png" alt="A" onerror="x()">', '<img src="https://example.org/a.png" alt="A" loading="lazy">'),
        ("unclosed <b>bold", "unclosed <b>bold</b>"),
        # what goes
        ("a<script>evil()</script>b", "ab"),
        ("<style>p{}</style>a", "a"),
        ('<p style="x" class="y" id="z" onclick="e()">a</p>', "<p>a</p>"),
        ('<a href="javascript:evil()">y</a>', f"<a {REL}>y</a>"),
        ('<a href=" jAvAsCrIpT:evil()">y</a>', f"<a {REL}>y</a>"),
        ('<a href="data:text/html,x">y</a>', f"<a {REL}>y</a>"),
        ("<form><input value=x>a</form>", "a"),
        ("</div></div>a", "a"),
        ("a<!-- b -->c", "ac"),
        # pictures that only count
        ('a<img src="/p.gif" width="1" height="1">', "a"),
        ('a<img src="/p.gif" width=1>', "a"),
        ("a<img src=/p.gif height='0'>", "a"),
        ("a<img>", "a"),
        ('a<img alt="b src=c">', "a"),
        ('a<img alt="b" src="https://www.google-analytics.com/c" title="d">', "a"),
        ('a<img src="https://pixel.wp.com/b.gif?host=x">', "a"),
        ('a<img src="http://feeds.feedburner.com/~r/x/~4/y">', "a"),
        (
            '<img src="/a.png" width="10" height="100">',
            '<img src="https://example.org/a.png" width="10" height="100" loading="lazy">',
        ),
        # what a frame would show to those who see no frames
        ('<iframe src="/x"><p>instead</p></iframe>', "<p>instead</p>"),
        ('<Iframe src="/x"><p>instead</p></IFRAME>', "<p>instead</p>"),
        # Windows' quotation marks, named as the control characters that they are not
        ("<p>it&#146;s</p>", "<p>it’s</p>"),
        ("it\x92s é", "it’s é"),
    ],
)
def test_only_what_is_safe_and_useful_is_kept(markup: str, expected: str):
    assert html.clean(markup, BASE) == expected


def test_an_attribute_cannot_close_its_tag_when_a_picture_is_dropped():
    cleaned = html.clean('<img alt="a><script>evil()</script>" src="/x" width="1">b', BASE)
    assert cleaned == "b"


def test_without_a_base_relative_addresses_are_dropped():
    assert html.clean('<a href="x">y</a><img src="z.png">') == f"<a {REL}>y</a>"


def test_an_impossible_base_does_not_stop_the_cleaning():
    assert html.clean('<a href="x">y</a>', "http://exa\ue832mple/") == f"<a {REL}>y</a>"


@pytest.mark.parametrize("opening", ["<b>", "<b></p>", "<div><b>", "<table><b>", "<a>"])
def test_deep_nesting_costs_no_more_than_a_moment(opening: str):
    before = time.process_time()
    cleaned = html.clean(opening * (html.MAX_LENGTH // len(opening)) + "deep")
    assert time.process_time() - before < 1
    assert len(cleaned) < 2 * html.MAX_LENGTH


def test_a_long_text_is_cut():
    assert len(html.clean("<p>" + "x" * (2 * html.MAX_LENGTH))) == html.MAX_LENGTH + len("</p>")


def test_plain_text_is_shown_as_it_is():
    assert html.from_text(" a <b> & c\n") == "a &lt;b&gt; &amp; c"


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("plain", "plain"),
        (" a\n\t b ", "a b"),
        ("<b>a</b> <i class='x'>b</i>", "a b"),
        ("Q&amp;A", "Q&A"),
        ("&lt;b&gt;", "<b>"),
        ("it&rsquo;s &#8220;so&#8221;", "it’s “so”"),
        ("Vec<String> and a < b > c", "Vec<String> and a < b > c"),
        ("a<script>evil()</script>b", "ab"),
        ("a<!-- b -->c<!-- d", "ac"),
        ('<img alt="a > b" src="x">c', "c"),
        ('<a href=http://e.org/">x</a>', "x"),
        ("<p>one</p><br/>two<b>three</b>", "one twothree"),
        ("How does <script> work?", "How does work?"),
        ("AT&T", "AT&T"),
    ],
)
def test_the_text_of_markup_is_what_one_would_read(markup: str, expected: str):
    assert html.text_of(markup) == expected
