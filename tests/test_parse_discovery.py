"""The feeds that a page offers."""

from feedmirror.parse.discovery import MAX_FEEDS, Offer, offers

URL = "https://example.org/blog/"


def offered(page: str) -> list[str]:
    return [offer.url for offer in offers(page.encode(), url=URL)]


def test_declared_feeds_come_in_the_order_of_the_page():
    page = """<html><head>
      <link rel="alternate" type="application/atom+xml" title=" All
        posts " href="/atom">
      <link rel="ALTERNATE home" type="application/rss+xml; charset=utf-8" href="rss">
      <link rel="alternate" type="application/feed+json" href="//cdn.example.net/feed">
      <link rel="alternate" hreflang="de" href="/de/">
      <link rel="stylesheet" type="text/css" href="/feed">
    </head></html>"""
    assert offers(page.encode(), url=URL) == (
        Offer("https://example.org/atom", "All posts"),
        Offer("https://example.org/blog/rss"),
        Offer("https://cdn.example.net/feed"),
    )


def test_a_vague_type_needs_the_name_of_a_feed():
    page = """<link rel="alternate" type="application/json" href="/wp-json/posts/1">
      <link rel="alternate" type="application/json" href="/feed.json">
      <link rel="alternate" type="text/xml" href="/index.xml">"""
    assert offered(page) == ["https://example.org/feed.json", "https://example.org/index.xml"]


def test_links_with_usual_names_come_after_what_is_declared():
    page = """<body><a href="/feed/">Follow</a> <a href="/about">About</a> <a href="/rss.xml?x=1">RSS</a>
      <a href="https://example.org/feed/">again</a> <a href="/feedback">no</a> <a href="javascript:feed">no</a>
      <link rel="alternate" type="application/rss+xml" href="/declared"></body>"""
    assert offered(page) == [
        "https://example.org/declared",
        "https://example.org/feed/",
        "https://example.org/rss.xml?x=1",
    ]


def test_addresses_are_seen_from_the_pages_base():
    assert offered('<base href="https://other.example/"><link rel=feed href=x>') == ["https://other.example/x"]


def test_a_page_in_windows_1252_is_read():
    page = '<link rel=feed href="/f" title="Été">'.encode("cp1252")
    assert offers(page, url=URL) == (Offer("https://example.org/f", "Été"),)


def test_what_is_no_page_offers_nothing():
    assert offered("") == []
    assert offered("plain words") == []
    assert offers(b"\xff\x00\xfe", url=URL) == ()


def test_a_directory_of_feeds_is_cut():
    page = "".join(f'<a href="/{number}.rss">x</a>' for number in range(MAX_FEEDS + 5))
    assert len(offered(page)) == MAX_FEEDS
