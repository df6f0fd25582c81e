"""Feeds to measure with, made up: of Stack Overflow's shape, and RSS as blogs write it."""

from html import escape

URL = "https://example.org/feed"

WORDS = (
    "the quick brown fox of a parser reads what another one wrote and keeps nothing that it cannot name while every "
    "list in the code grows by one value when the loop runs again so that the result is never what was asked for"
).split()


def stack_overflow(entries: int) -> bytes:
    """A feed as Stack Overflow writes them: Atom, four tags, and 1,100 characters of HTML with code, escaped."""
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" '
        'xmlns:re="http://purl.org/atompub/rank/1.0">\n<title type="text">Questions</title>\n'
    )
    return (head + "".join(map(stack_overflow_entry, range(entries))) + "</feed>").encode()


def stack_overflow_entry(number: int) -> str:
    code = "".join(f"for i in range({number}):\n    if a[i] &lt; b['{WORDS[i]}'] &amp;&amp; c:\n" for i in range(4))
    body = f"<p>{sentence(number, 45)}</p>\n<pre><code>{code}\n</code></pre>\n<ol>\n"
    body += "".join(f"<li>{sentence(number + i, 9)} <code>x{i}</code></li>\n" for i in range(2))
    body += (
        f"</ol>\n<p>It's {sentence(number + 5, 30)} &quot;{number}&quot;:</p>\n\n<p>{sentence(number + 7, 30)}</p>\n"
    )
    tags = "".join(f'<category scheme="{URL}/tags" term="tag-{number + i}" />\n' for i in range(4))
    return (
        f"<entry>\n<id>https://example.org/q/{number}</id>\n"
        f'<re:rank scheme="https://example.org">{number % 7 - 1}</re:rank>\n'
        f'<title type="text">{sentence(number, 11)}?</title>\n{tags}'
        f"<author>\n<name>user {number}</name>\n<uri>https://example.org/users/{number}</uri>\n</author>\n"
        f'<link rel="alternate" href="https://example.org/questions/{number}/{"-".join(WORDS[:9])}" />\n'
        f"<published>2026-01-02T03:04:{number % 60:02}Z</published>\n"
        f"<updated>2026-02-03T04:05:{number % 60:02}Z</updated>\n"
        f'<summary type="html">\n{escape(body)}\n</summary>\n</entry>\n'
    )


def rss(size: int) -> bytes:
    """An RSS feed of about this size, as blogs write them."""
    parts = ['<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>']
    length = 0
    while length < size:
        parts.append(rss_item(len(parts)))
        length += len(parts[-1])
    return ("".join(parts) + "</channel></rss>").encode()


def rss_item(number: int) -> str:
    paragraphs = "".join(f"<p>{sentence(number + i, 60)}</p>\n" for i in range(4))
    body = f'{paragraphs}<p><a href="/posts/{number}">{sentence(number, 4)}</a><img src="/{number}.png" alt="" /></p>'
    return (
        f"<item><title>{sentence(number, 8)} {number}</title><link>https://example.org/posts/{number}</link>"
        f'<guid isPermaLink="false">post-{number}</guid><dc:creator>author {number % 9}</dc:creator>'
        f"<category>one</category><category>two</category>"
        f"<pubDate>Fri, 02 Jan 2026 03:04:{number % 60:02} +0100</pubDate>"
        f"<description>{escape(body)}</description></item>\n"
    )


def sentence(start: int, words: int) -> str:
    return " ".join(WORDS[(start + i) % len(WORDS)] for i in range(words))
