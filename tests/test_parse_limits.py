"""What a document has beyond the limits: it is cut, and the page says how often."""

import json
import time

import pytest

from feedmirror.parse import limits, parse

URL = "https://example.org/feed"


def told(document: str) -> list[str]:
    return [cut.words(number) for cut, number in parse(document.encode(), url=URL).cuts.items()]


def rss(*items: str) -> str:
    inside = "".join(f"<item>{item}</item>" for item in items)
    return f"<rss version='2.0'><channel><title>T</title>{inside}</channel></rss>"


def atom(*entries: str) -> str:
    inside = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f"<feed xmlns='http://www.w3.org/2005/Atom'><title>T</title>{inside}</feed>"


def json_feed(*items: object) -> str:
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "T", "items": items})


TITLE, SUMMARY = "x" * 2_001, "x" * 100_001
MANY = [f"tag{number}" for number in range(103)]
DEEP = "&lt;b&gt;" * 300 + "deep"
LONG_LINK = "https://example.org/" + "x" * 8_192


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (rss(f"<title>{TITLE}</title>", "<title>short</title>"), "1 title cut at 2,000 characters"),
        (rss(*[f"<title>{TITLE}</title>"] * 3), "3 titles cut at 2,000 characters"),
        (atom(f"<title>{TITLE}</title>"), "1 title cut at 2,000 characters"),
        (json_feed({"title": TITLE}), "1 title cut at 2,000 characters"),
        (rss(f"<author>{'x' * 501}</author>"), "1 author cut at 500 characters"),
        (rss(f"<description>{SUMMARY}</description>"), "1 summary cut at 100,000 characters"),
        (atom(f"<summary>{SUMMARY}</summary>"), "1 summary cut at 100,000 characters"),
        (
            atom(f"<content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>{SUMMARY}</div></content>"),
            "1 summary cut at 100,000 characters",
        ),
        (atom(f"<content type='xhtml'>{SUMMARY}<br/></content>"), "1 summary cut at 100,000 characters"),
        (json_feed({"content_html": SUMMARY}), "1 summary cut at 100,000 characters"),
        (json_feed({"content_text": SUMMARY}), "1 summary cut at 100,000 characters"),
        (rss(f"<description>{DEEP}</description>"), "1 summary without markup: nested more than 256 deep"),
        (
            rss("".join(f"<category>{tag}</category>" for tag in MANY)),
            "3 tags left out: the first 100 of an entry are kept",
        ),
        (
            atom("".join(f"<category term='{tag}'/>" for tag in MANY)),
            "3 tags left out: the first 100 of an entry are kept",
        ),
        (json_feed({"tags": MANY}, {"tags": MANY}), "6 tags left out: the first 100 of an entry are kept"),
        (rss(f"<category>{'x' * 201}</category>"), "1 tag cut at 200 characters"),
        (rss(f"<link>{LONG_LINK}</link>"), "1 address left out: longer than 8,192 characters"),
        (
            rss("<title>a" + "&lt;b&gt;" * 7_000 + "</title>"),
            "1 title or name cut at 20,000 characters of markup",
        ),
        (json_feed({"title": "a"}, "b", 3), "2 entries left out: not a JSON object"),
    ],
)
def test_what_is_cut_is_counted_in_plain_words(document: str, expected: str) -> None:
    assert told(document) == [expected]


def test_dates_that_are_not_guessed_are_counted() -> None:
    dates = (f"<pubDate>the {number}th of never</pubDate>" for number in range(203))
    assert told(rss(*dates)) == ["3 dates left out: in no known form, of which 200 are guessed"]


def test_entities_that_are_left_out_are_counted() -> None:
    declared = "".join(f'<!ENTITY e{number} "x">' for number in range(502))
    document = f"<!DOCTYPE rss [{declared}]>" + rss("<title>&e0;</title>")
    (words,) = told(document)
    assert words.startswith("2 entities left out: more than 500 are declared")
    document = '<!DOCTYPE rss [<!ENTITY e "x">]>' + rss(f"<title>{'&e; ' * 10_003}</title>")
    assert "3 references left as written: 10,000 to entities are replaced" in told(document)


def test_of_an_ordinary_document_there_is_nothing_to_tell() -> None:
    title, summary = "x" * limits.TITLE, "x" * limits.SUMMARY
    assert told(rss(f"<title>{title}</title><description>{summary}</description>")) == []


def test_what_one_document_cut_is_not_told_of_the_next() -> None:
    assert told(rss(f"<title>{TITLE}</title>"))
    assert told(rss("<title>short</title>")) == []


def test_to_count_takes_no_longer_the_more_is_cut() -> None:
    """A hundred times as many cuts take a hundred times as long, and not ten thousand times."""

    def seconds(number: int) -> float:
        document = rss(*[f"<title>{TITLE}</title>"] * number)
        began = time.process_time()
        assert told(document) == [f"{number:,} titles cut at 2,000 characters"]
        return time.process_time() - began

    seconds(50)
    assert seconds(5_000) < 1_000 * max(seconds(50), 0.001)
