"""How fast feeds are parsed, against bare lxml and against other parsers, in one run on one machine.

    python -m bench.parse

Absolute times say little, so everything is given as a ratio of this run. The peers, feedparser 6 and lemon24/reader,
live in an environment of their own. The feeds: one of Stack Overflow's shape, and one RSS feed of 5 MB; memory is
measured on one of 20 MB.
"""

import io
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.documents import URL, rss, stack_overflow
from bench.peers import BUILD, PYTHON, make, output

# Enough for a stable minimum, and short enough for the slowest. In rounds, because a machine that has other things to
# do is slow for a while, and that must not hit one side alone.
ROUNDS = 3
SECONDS_EACH = 1.0
MAX_RUNS = 400


def main() -> None:
    if sys.argv[1:2] == ["--peers"]:
        print(json.dumps({name: seconds(run) for name, run in peers(Path(sys.argv[2])).items()}))
        return
    if sys.argv[1:2] == ["--memory"]:
        print(json.dumps(peak_growth(Path(sys.argv[2]))))
        return
    make()
    for name, document in {"Stack Overflow": stack_overflow(30), "RSS, 5 MB": rss(5_000_000)}.items():
        compare(name, document)
    memory(rss(20_000_000))


def compare(name: str, document: bytes) -> None:
    """Print how this document fares."""
    path = BUILD / "bench-feed.xml"
    path.write_bytes(document)
    taken: dict[str, float] = {}
    for _ in range(ROUNDS):
        theirs = json.loads(output(PYTHON, "-m", "bench.parse", "--peers", str(path)))
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


if __name__ == "__main__":
    main()
