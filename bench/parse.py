"""How fast feeds are parsed, against bare lxml and against other parsers, in one run on one machine.

    python -m bench.parse

Absolute times say little, so everything is given as a ratio of this run. The peers, feedparser 6 and lemon24/reader,
live in an environment of their own under build/, made at the first run. The feeds are made up here: one of Stack
Overflow's shape, and one RSS feed of 5 MB; memory is measured on one of 20 MB.
"""

import io
import json
import resource
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
PEERS = BUILD / "peers"
PEERS_PYTHON = PEERS / "bin" / "python"
# reader brings its own feedparser, and forgets to ask for sgmllib
PEERS_WANTED = ("feedparser==6.*", "reader", "sgmllib3k")
URL = "https://example.org/feed"

# Enough for a stable minimum, and short enough for the slowest. In rounds, because a machine that has other things to
# do is slow for a while, and that must not hit one side alone.
ROUNDS = 3
SECONDS_EACH = 1.0
MAX_RUNS = 400

WORDS = (
    "the quick brown fox of a parser reads what another one wrote and keeps nothing that it cannot name while every "
    "list in the code grows by one value when the loop runs again so that the result is never what was asked for"
).split()


def main() -> None:
    if sys.argv[1:2] == ["--peers"]:
        print(json.dumps({name: seconds(run) for name, run in peers(Path(sys.argv[2])).items()}))
        return
    if sys.argv[1:2] == ["--memory"]:
        print(json.dumps(peak_growth(Path(sys.argv[2]))))
        return
    make_peers()
    for name, document in {"Stack Overflow": stack_overflow(30), "RSS, 5 MB": rss(5_000_000)}.items():
        compare(name, document)
    memory(rss(20_000_000))


def compare(name: str, document: bytes) -> None:
    """Print how this document fares."""
    path = BUILD / "bench-feed.xml"
    path.write_bytes(document)
    taken: dict[str, float] = {}
    for _ in range(ROUNDS):
        theirs = json.loads(output(PEERS_PYTHON, __file__, "--peers", str(path)))
        for label, best in {**our_seconds(document), **theirs}.items():
            taken[label] = min(best, taken.get(label, best))
    entries = entries_in(document)
    print(f"{name}: {len(document):,} bytes, {entries:,} entries")
    for label, best in taken.items():
        print(f"  {label:24}{entries / best:12,.0f} entries/s{taken['bare lxml'] / best:8.3f} of bare lxml")
    for peer in theirs:
        print(f"  {taken[peer] / taken['feedmirror']:.1f} times as fast as {peer}")


def entries_in(document: bytes) -> int:
    from feedmirror.parse import parse

    return len(parse(document, url=URL).entries)


def our_seconds(document: bytes) -> dict[str, float]:
    from lxml import etree

    from feedmirror.parse import html, parse

    taken = {
        "bare lxml": seconds(lambda: etree.fromstring(document, etree.XMLParser(resolve_entities=False))),
        "feedmirror": seconds(lambda: parse(document, url=URL)),
    }
    clean, html.clean = html.clean, lambda markup, base="": markup
    taken["feedmirror, unsanitised"] = seconds(lambda: parse(document, url=URL))
    html.clean = clean
    return taken


def peers(path: Path) -> dict[str, Callable[[], object]]:
    """What the peers do with the same bytes; runs in their environment."""
    import feedparser
    from reader._parser.feedparser import FeedparserParser

    document = path.read_bytes()
    return {
        "feedparser": lambda: feedparser.parse(io.BytesIO(document)),
        "reader": lambda: FeedparserParser()(URL, io.BytesIO(document)),
    }


def make_peers() -> None:
    if (PEERS / "complete").exists():
        return
    venv.create(PEERS, with_pip=True, clear=True)
    pip = [PEERS_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PEERS_WANTED], check=True)
    (PEERS / "complete").touch()


def memory(document: bytes) -> None:
    """Print what parsing takes at most, beyond the document itself."""
    path = BUILD / "bench-feed.xml"
    path.write_bytes(document)
    growth = json.loads(output(sys.executable, "-m", "bench.parse", "--memory", str(path)))
    print(f"RSS, {len(document):,} bytes: memory grows by {growth / len(document):.1f} times the size while parsing")


def peak_growth(path: Path) -> int:
    """Bytes by which this process grows while it parses; in a process of its own, for the peak is never forgotten."""
    from feedmirror.parse import parse

    parse(rss(1_000), url=URL)
    document = path.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    page = parse(document, url=URL)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * 1024 if page.entries else 0


def seconds(run: Callable[[], object]) -> float:
    """The best time of some runs: what else the machine does only ever adds to it."""
    best = float("inf")
    started = time.perf_counter()
    for _ in range(MAX_RUNS):
        before = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - before)
        if time.perf_counter() - started > SECONDS_EACH:
            break
    return best


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


def output(*command: str | Path) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, cwd=ROOT).stdout


if __name__ == "__main__":
    main()
