"""The demo: invented questions in the real feed's shape, served as the real site does; and the command."""

import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import pytest
from lxml import etree

from feedmirror.demo.feed import ENTRIES, Asked, InventedFeed, atom
from feedmirror.demo.market import InventedMarket
from feedmirror.demo.questions import Question, questions
from feedmirror.demo.server import DemoServer
from feedmirror.errors import FetchError
from feedmirror.fetch import fetch

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMES = {
    "atom": "http://www.w3.org/2005/Atom",
    "re": "http://purl.org/atompub/rank/1.0",
    "cc": "http://backend.userland.com/creativeCommonsRssModule",
}
AWKWARD = Question(
    title="Is \"a < b\" & c + d 'valid'?",
    tags=("c++", "c#"),
    author="Dusty & Co",
    author_number=7,
    summary="<p>Yes &amp; no.</p>\n<pre><code>a &lt; b\n</code></pre>",
)


def invented(*, seed: int = 1, every_s: float = 4.0) -> InventedFeed:
    return InventedFeed(random=Random(seed), every_s=every_s, now=NOW)


def entries_after(feed: InventedFeed, seconds: float) -> tuple[Asked, ...]:
    return feed.entries(NOW + timedelta(seconds=seconds))[1]


# --- the questions -----------------------------------------------------------------------------------------


def test_questions_are_varied_and_complete() -> None:
    asked = list(islice(questions(Random(1)), 1000))
    assert len({question.title for question in asked}) > 500
    assert len({question.author for question in asked}) > 500
    assert len({question.tags[0] for question in asked}) > 15
    for question in asked:
        assert question.title[0] == question.title[0].upper()
        assert len(question.title) <= 120
        assert 1 <= len(question.tags) <= 5
        assert len(set(question.tags)) == len(question.tags)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", question.slug)
        assert not re.search(
            r"\{(thing|kind|place|count|size|delay|field|widget|when|file|old|new)\}", question.summary
        )
        etree.fromstring(f"<div>{question.summary}</div>")


def test_neighbours_are_about_different_things() -> None:
    asked = list(islice(questions(Random(2)), 20))
    assert len({question.summary.split("</p>")[0] for question in asked}) == 20


def test_the_same_seed_gives_the_same_feed() -> None:
    assert entries_after(invented(seed=3), 100) == entries_after(invented(seed=3), 100)
    assert entries_after(invented(seed=3), 100) != entries_after(invented(seed=4), 100)


# --- the feed ----------------------------------------------------------------------------------------------


def test_the_start_has_half_an_hour_behind_it() -> None:
    entries = entries_after(invented(), 0)
    assert len(entries) == ENTRIES == 30
    assert NOW - timedelta(minutes=30) <= entries[-1].at < NOW - timedelta(minutes=28)
    assert NOW - timedelta(minutes=2) < entries[0].at <= NOW


def test_a_new_question_comes_every_few_seconds_and_the_oldest_leaves() -> None:
    feed = invented(every_s=4)
    before, after = entries_after(feed, 0), entries_after(feed, 40)
    new = [asked for asked in after if asked.number not in {old.number for old in before}]
    assert 6 <= len(new) <= 17
    assert [asked.number for asked in after[: len(new)]] == [asked.number for asked in new]
    assert len(after) == ENTRIES
    assert all(newer.at > older.at and newer.number > older.number for newer, older in pairwise(after))


def test_numbers_differ_however_fast_they_come() -> None:
    entries = entries_after(invented(every_s=0.05), 2)
    assert len({asked.number for asked in entries}) == ENTRIES


def test_after_a_long_sleep_the_feed_is_full_of_recent_questions() -> None:
    entries = entries_after(invented(every_s=4), 86_400)
    assert all(asked.at > NOW + timedelta(days=1, seconds=-200) for asked in entries[:20])


def test_the_entity_tag_changes_with_the_entries_and_only_then() -> None:
    feed = invented(every_s=4)
    first, same, later = (feed.entries(NOW + timedelta(seconds=seconds))[0] for seconds in (0, 0.1, 60))
    assert first == same != later
    assert invented().entries(NOW)[0] == first
    other = InventedFeed(random=Random(1), every_s=4, now=NOW + timedelta(seconds=1))
    assert other.entries(NOW)[0] != first


def test_votes_change_without_an_update() -> None:
    feed = invented(every_s=1)
    before = {asked.number: asked for asked in entries_after(feed, 0)}
    voted = [
        (before[asked.number], asked)
        for asked in entries_after(feed, 15)
        if asked.number in before and asked.votes != before[asked.number].votes
    ]
    assert voted
    assert all(old.at == new.at for old, new in voted)


# --- the shape ---------------------------------------------------------------------------------------------


def test_the_feed_has_the_real_ones_shape() -> None:
    asked = Asked(number=76_000_001, question=AWKWARD, at=NOW, votes=-2)
    later = NOW + timedelta(seconds=9)
    feed = etree.fromstring(atom([asked], site="http://127.0.0.1:1", now=later))
    assert {name: feed.nsmap[name] for name in (None, "re", "creativeCommons")} == {
        None: NAMES["atom"],
        "re": NAMES["re"],
        "creativeCommons": NAMES["cc"],
    }
    assert feed.findtext("atom:updated", namespaces=NAMES) == "2026-03-01T12:00:09Z"
    assert feed.findtext("cc:license", namespaces=NAMES)
    entry = feed.find("atom:entry", NAMES)
    assert entry is not None
    text = {name: entry.findtext(name, namespaces=NAMES) for name in ("atom:title", "re:rank", "atom:published")}
    assert text == {"atom:title": AWKWARD.title, "re:rank": "-2", "atom:published": "2026-03-01T12:00:00Z"}
    assert entry.findtext("atom:id", namespaces=NAMES) == "http://127.0.0.1:1/q/76000001"
    assert [tag.get("term") for tag in entry.iterfind("atom:category", NAMES)] == ["c++", "c#"]
    assert entry.findtext("atom:author/atom:name", namespaces=NAMES) == "Dusty & Co"
    link = entry.find("atom:link", NAMES)
    assert link is not None
    assert link.get("href") == "http://127.0.0.1:1/questions/76000001/is-a-b-c-d-valid"
    summary = entry.find("atom:summary", NAMES)
    assert summary is not None
    assert summary.get("type") == "html"
    assert (summary.text or "").strip() == AWKWARD.summary


@pytest.mark.corpora
def test_each_element_stands_where_the_real_feed_has_it(corpora: Path) -> None:
    real = etree.parse(next((corpora / "stackoverflow").glob("*.xml"))).getroot()
    ours = etree.fromstring(atom(entries_after(invented(), 0), site="http://127.0.0.1:1", now=NOW))
    assert shape(ours) == shape(real)
    assert shape(ours[-1]) == shape(real[-1])


def shape(parent: etree._Element) -> list[tuple[object, ...]]:
    """The children, in order, each sort once, with the names of their attributes."""
    return list(dict.fromkeys((child.tag, *sorted(map(str, child.keys()))) for child in parent))


# --- the server --------------------------------------------------------------------------------------------


def demo_server(feed: InventedFeed, clock: list[datetime]) -> DemoServer:
    market = InventedMarket(random=Random(1), now=NOW)
    return DemoServer(("127.0.0.1", 0), feed=feed, market=market, now=lambda: clock[-1])


@contextmanager
def serving(feed: InventedFeed, clock: list[datetime]) -> Iterator[DemoServer]:
    with demo_server(feed, clock) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_server_answers_304_until_there_is_something_new() -> None:
    clock = [NOW]
    with serving(invented(), clock) as server:
        first = fetch(server.feed_url, private=True)
        assert first.body is not None
        assert first.content_type.startswith("application/atom+xml")
        assert fetch(server.feed_url, private=True, validators=first.validators).body is None
        clock.append(NOW + timedelta(minutes=1))
        again = fetch(server.feed_url, private=True, validators=first.validators)
    assert again.body is not None
    assert again.body.count(b"<entry>") == ENTRIES


def test_each_question_of_the_feed_has_a_page() -> None:
    feed = invented()
    newest = entries_after(feed, 0)[0]
    with serving(feed, [NOW]) as server:
        page = fetch(server.site + newest.path, private=True)
        with pytest.raises(FetchError, match="404"):
            fetch(server.site + "/questions/1/none", private=True)
        with pytest.raises(FetchError, match="404"):
            fetch(server.site + "/coins", private=True)
    assert page.body is not None
    assert newest.question.summary in page.body.decode()


# --- the command -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_command_writes_its_sources_serves_and_ends_cleanly(tmp_path: Path, ending: signal.Signals) -> None:
    sources = tmp_path / "new folder" / "sources.toml"
    command = [sys.executable, "-m", "feedmirror.demo", "--every", "0.5", "--seed", "1", "--sources", str(sources)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        url = demo.stdout.readline().split()[-1]
        document = fetch(url, private=True)
        source, table = tomllib.loads(sources.read_text())["source"]
        said = demo.stdout.readline().split()[-1]
        coins = fetch(said + "?vs_currency=usd", private=True)
        demo.send_signal(ending)
        _, complaints = demo.communicate(timeout=10)
    assert document.body is not None
    assert document.body.count(b"<entry>") == ENTRIES
    assert (source["url"], source["every"], source["private"]) == (url, "1s", True)
    assert (table["url"], table["kind"], table["private"]) == (said, "api", True)
    assert coins.body is not None
    assert coins.body.startswith(b'[{"id": ')
    assert (demo.returncode, complaints) == (0, "")


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with demo_server(invented(), [NOW]) as server:
        port = str(server.server_address[1])
        command = [sys.executable, "-m", "feedmirror.demo", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 2
    assert done.stderr == f"feedmirror: the demo cannot listen on 127.0.0.1:{port}: Address already in use\n"
