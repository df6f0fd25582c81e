"""The window against the database that it stands for: the same answers to every question that it takes."""

import json
import random
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import ServerSelectionTimeoutError

from feedmirror.db import Connection
from feedmirror.models import Entry, Item, Selection, Source
from feedmirror.storage import Storage
from feedmirror.web import gzipped, stamps
from feedmirror.web.app import make_app
from feedmirror.web.follower import Follower
from feedmirror.web.update import Updates
from feedmirror.web.window import Window
from feedmirror.words import asked_words
from tests.replica_set import ReplicaSet
from tests.serving import ROOT
from tests.waiting import wait_until
from tests.wsgi_client import Client

CHANGE_STREAM_HISTORY_LOST = 286
PLENTY = {"max_items": 1000, "max_bytes": 10_000_000}
SOURCES = ("one", "two", "three")
TAGS = ("python", "C++", "news")
SELECTIONS = [
    Selection(),
    *(Selection(source_id=source_id) for source_id in SOURCES),
    Selection(tags=("python",)),
    Selection(tags=("PYTHON", "news")),
    Selection(words=asked_words("title")),
    Selection(words=asked_words("c++ item-3")),
    Selection(source_id="two", tags=("news",)),
    Selection(source_id="nowhere"),
]


@contextmanager
def following(storage: Storage, **bounds: int) -> Iterator[Follower]:
    window = Window(**PLENTY | bounds)
    follower = Follower(lambda: storage, window, items=bounds.get("max_items", 1000))
    try:
        wait_until(lambda: follower.is_live, "a live window")
        yield follower
    finally:
        follower.stop()


def caught_up(follower: Follower, storage: Storage) -> None:
    wait_until(lambda: follower.window.head_us == storage.clock.head_us(), "the window to catch up")


def entry(number: int, chance: random.Random) -> Entry:
    tags = tuple(tag for tag in TAGS if chance.random() < 0.4)
    return Entry(title=f"Title of item-{number}", link=f"https://example.com/{number}", tags=tags, summary="<p>é</p>")


def store(storage: Storage, source_id: str, page: dict[str, Entry]) -> None:
    storage.items.store(source_id, page, now=datetime.now(UTC))


def happen(storage: Storage, chance: random.Random, times: int) -> None:
    """Let sources show new items, each other's items, and edits."""
    for _ in range(times):
        numbers = chance.sample(range(40), chance.randint(1, 6))
        store(storage, chance.choice(SOURCES), {f"item-{number}": entry(number, chance) for number in numbers})


def stamps_of(storage: Storage, most: int) -> list[int]:
    everything = storage.items.changes(Selection(), after_us=1, limit=500).items
    stamps = {stamp for item in everything for stamp in (item.changed_us, *(seen.fetched_us for seen in item.sources))}
    around = sorted({*stamps, *(stamp - 1 for stamp in stamps)})
    return sorted({1, *random.Random(1).sample(around, min(len(around), most)), *around[-4:], around[-1] + 10})


def assert_same(window: Window, storage: Storage, *, stamps: int = 24) -> int:
    """Every question that the window answers has the database's answer; how many there were.

    From so many stamps on, and from the first and last ones.
    """
    answered = 0
    for selection, after_us, limit, changes in product(SELECTIONS, stamps_of(storage, stamps), (3, 100), (False, True)):
        part = window.since(selection, after_us=after_us, limit=limit, changes=changes)
        if part is None:
            assert after_us < window.floor_us
            continue
        ask = storage.items.changes if changes else storage.items.since
        update = ask(selection, after_us=after_us, limit=limit)
        question = (selection, after_us, limit, changes)
        assert [ready.item for ready in part.items] == list(update.items), question
        assert (part.head_us, part.cursor_us, part.more) == (update.head_us, update.cursor_us, update.more), question
        assert part.gap_us == update.gap_us, question
        answered += 1
    return answered


@pytest.mark.parametrize("seed", range(3))
def test_it_says_what_the_database_says(storage: Storage, seed: int) -> None:
    chance = random.Random(seed)
    happen(storage, chance, 5)
    with following(storage) as follower:
        assert_same(follower.window, storage)
        happen(storage, chance, 15)
        caught_up(follower, storage)
        assert assert_same(follower.window, storage) > 200
        assert follower.window.floor_us == 0


def test_what_is_below_its_floor_is_the_databases_to_answer(storage: Storage) -> None:
    chance = random.Random(7)
    with following(storage, max_items=10) as follower:
        happen(storage, chance, 30)
        caught_up(follower, storage)
        assert len(follower.window) <= 10
        assert follower.window.floor_us > 0
        assert follower.window.since(Selection(), after_us=1, limit=10) is None
        assert assert_same(follower.window, storage) > 50
    with following(storage, max_items=10) as again:  # one that begins with all of that stored
        assert again.window.floor_us > 0
        assert assert_same(again.window, storage) > 50


def test_it_is_bounded_in_bytes(storage: Storage) -> None:
    with following(storage, max_bytes=50_000) as follower:
        for number in range(60):
            store(storage, "one", {f"{number}": Entry(title=f"T {number}", summary="x" * 1000)})
        caught_up(follower, storage)
        assert 0 < follower.window.bytes <= 50_000
        assert 5 < len(follower.window) < 60


def test_an_item_that_is_edited_again_and_again_takes_no_more_room(storage: Storage) -> None:
    with following(storage) as follower:
        store(storage, "one", {"a": Entry(title="0")})
        caught_up(follower, storage)
        before = follower.window.bytes
        for number in range(1, 9):
            store(storage, "one", {"a": Entry(title=str(number))})
        caught_up(follower, storage)
        assert follower.window.bytes < before + 50  # not by the item eight times over
        part = follower.window.since(Selection(), after_us=1, limit=10, changes=True)
        assert part is not None
        assert [ready.item.title for ready in part.items] == ["8"]


def test_what_retention_removes_is_gone_from_it_and_told_of(storage: Storage, database: Database[Any]) -> None:
    chance = random.Random(3)
    keeping = [Source(id=name, name=name, url="https://example.com/feed", keep_items=2) for name in SOURCES]
    storage.sources.synchronise(keeping, [])
    happen(storage, chance, 12)
    long_ago = datetime.now(UTC) - timedelta(days=2)
    for collection in ("items", "sightings"):
        database[collection].update_many({}, {"$set": {"arrived_at": long_ago}})
    with following(storage) as follower:
        assert storage.retention.step().removed
        kept = list(storage.items.newest(Selection(), limit=100).items)

        def in_window() -> list[Item]:
            part = follower.window.since(Selection(), after_us=1, limit=100)
            return [ready.item for ready in part.items] if part else []

        wait_until(lambda: in_window() == kept, "the window without what was removed")
        assert_same(follower.window, storage)


def none() -> Any:
    raise AssertionError("the window does not answer")


def test_a_stream_that_breaks_is_followed_again_without_a_gap(storage: Storage, database: Database[Any]) -> None:
    chance = random.Random(5)
    with following(storage) as follower:
        for _ in range(5):
            happen(storage, chance, 2)
            database.client.admin.command("killAllSessions", [])
            happen(storage, chance, 2)
            wait_until(lambda: follower.is_live and follower.window.head_us == storage.clock.head_us(), "it to go on")
            assert_same(follower.window, storage, stamps=4)


def test_a_stream_whose_place_the_server_has_forgotten_is_followed_again_without_a_gap(tmp_path: Path) -> None:
    """As after a site was stopped for longer than the server's log of changes reaches back."""
    forgotten = {"failCommands": ["getMore"], "errorCode": CHANGE_STREAM_HISTORY_LOST}
    with (
        closing(ReplicaSet(tmp_path, options=("--setParameter", "enableTestCommands=1"))) as mongodb,
        closing(Connection(mongodb.uri, timeout_s=20)) as connection,
    ):
        storage = Storage(connection.database()).prepare()
        admin = connection.database().client.admin
        chance = random.Random(6)
        happen(storage, chance, 5)
        with following(storage) as follower:
            admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": forgotten})
            happen(storage, chance, 5)
            caught_up(follower, storage)
            assert admin.command({"configureFailPoint": "failCommand", "mode": "off"})["count"] == 1
            assert_same(follower.window, storage)


def test_one_that_falls_behind_says_so_and_begins_anew_with_the_newest(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As while thousands of sources are looked at for the first time: more comes than one thread takes in."""
    oldest_s = 1.0
    monkeypatch.setattr("feedmirror.web.follower._OLDEST_S", oldest_s)
    with following(storage) as follower:
        store(storage, "one", {"first": Entry(title="The first")})
        caught_up(follower, storage)
        window = follower.window
        publish, goes_on = window.publish, threading.Event()
        published: list[int] = []

        def late(items: Any, head_us: int) -> None:
            goes_on.wait()
            publish(items, head_us)
            published.append(head_us)

        window.publish = late  # type: ignore[method-assign]
        for turn in range(2):
            goes_on.clear()
            published.clear()
            for number in range(20):
                store(storage, "one", {f"{turn} {number}": Entry(title=f"T {number}")})
            began = time.monotonic()
            wait_until(lambda began=began: time.monotonic() - began > oldest_s, "all of it to be old")
            goes_on.set()
            caught_up(follower, storage)
            wait_until(lambda: follower.is_live, "a live window")
            assert len(published) < 20
            assert_same(window, storage)
    said = [record.getMessage() for record in caplog.records if record.name == "feedmirror.web.follower"]
    assert said == ["the window has lost the stream: more comes than can be followed"], "once in a while is enough"


def test_a_transaction_is_seen_as_a_whole(storage: Storage) -> None:
    """A head that was published before all of its items are there would lose those for whoever went on from it."""
    with following(storage) as follower:
        heads: dict[int, int] = {}
        publish = follower.window.publish

        def watched(items: Any, head_us: int) -> None:
            publish(items, head_us)
            part = follower.window.since(Selection(), after_us=1, limit=500)
            heads[head_us] = len(part.items) if part else -1

        follower.window.publish = watched  # type: ignore[method-assign]
        store(storage, "one", {f"{number}": Entry(title=f"T {number}") for number in range(200)})
        caught_up(follower, storage)
        assert list(heads.values()) == [200]


def test_filled_by_a_server_that_is_behind_it_knows_no_more_than_that(storage: Storage) -> None:
    """As after a fail-over: who goes on from what this one does not know yet waits for it, and skips nothing."""
    store(storage, "one", {"a": Entry(title="A")})
    before = storage.tail.recent(10)
    store(storage, "one", {"b": Entry(title="B")})
    after = storage.tail.recent(10)
    window = Window(**PLENTY)
    for recent in (after, before):
        window.reset(recent.items, head_us=recent.head_us, floor_us=recent.floor_us)
    new = window.since(Selection(), after_us=1, limit=10) or none()
    assert [ready.item.title for ready in new.items] == ["A"]
    assert new.cursor_us == before.head_us
    ahead = window.since(Selection(), after_us=after.head_us, limit=10) or none()
    assert (ahead.items, ahead.cursor_us) == ((), after.head_us)


# -- the answers that are made of it


def ask(updates: Updates, query: str, **how: str) -> tuple[int, dict[str, str], bytes]:
    answer = updates.answer(query, **how)
    return answer.status, dict(answer.headers), answer.body


@pytest.mark.parametrize("query", ["timestamp=1", "timestamp=1&changes=1&limit=3", "timestamp=1&source=two", "limit=5"])
def test_an_answer_is_the_same_with_and_without_a_window(storage: Storage, query: str) -> None:
    happen(storage, random.Random(1), 10)
    with following(storage) as follower:
        from_window, from_database = Updates(lambda: storage, follower), Updates(lambda: storage)
        for how in ({}, {"accept_encoding": "gzip, br"}):
            assert ask(from_window, query, **how) == ask(from_database, query, **how)


def test_gzipped_members_are_one_array() -> None:
    members = [json.dumps({"title": f"é {number}" * 50}).encode() for number in range(5)]
    compressed = gzipped.compressed_array(members, [gzipped.block(member) for member in members])
    assert zlib.decompress(compressed, zlib.MAX_WBITS | 16) == gzipped.array(members)
    assert len(json.loads(gzipped.array(members))) == 5


def test_an_empty_answer_is_an_empty_array() -> None:
    assert zlib.decompress(gzipped.compressed_array([], []), zlib.MAX_WBITS | 16) == b"[]"


@pytest.mark.parametrize(
    ("accepted", "gzip"),
    [
        ("gzip", True),
        ("br, gzip", True),
        ("gzip;q=0.5, identity", True),
        ("x-gzip", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("br, gzip;q=0.0", False),
        ("gzipped", False),
    ],
)
def test_it_is_compressed_for_those_who_ask(storage: Storage, accepted: str, gzip: bool) -> None:
    store(storage, "one", {f"{number}": Entry(title=f"Title {number}") for number in range(50)})
    _, headers, body = ask(Updates(lambda: storage), "", accept_encoding=accepted)
    assert (headers.get("Content-Encoding") == "gzip") == gzip
    assert headers["Vary"] == "Accept-Encoding"
    plain = zlib.decompress(body, zlib.MAX_WBITS | 16) if gzip else body
    assert len(json.loads(plain)) == 50


def test_an_answer_that_is_known_is_not_sent_again(storage: Storage) -> None:
    store(storage, "one", {"a": Entry(title="A")})
    with following(storage) as follower:
        updates = Updates(lambda: storage, follower)
        _, headers, _ = ask(updates, "timestamp=1")
        for known in (headers["ETag"], f'"other", W/{headers["ETag"]}', "*", " * "):
            status, again, body = ask(updates, "timestamp=1", known=known)
            assert (status, body) == (304, b"")
            for name in ("ETag", "Cache-Control", "Vary", "Feedmirror-Head", "Feedmirror-Cursor"):
                assert again[name] == headers[name]
        store(storage, "one", {"b": Entry(title="B")})
        caught_up(follower, storage)
        status, newer, _ = ask(updates, "timestamp=1", known=headers["ETag"])
        assert status == 200
        assert newer["ETag"] != headers["ETag"]


def test_the_plain_and_the_compressed_answer_have_tags_of_their_own(storage: Storage) -> None:
    store(storage, "one", {f"{number}": Entry(title=f"Title {number}") for number in range(50)})
    updates = Updates(lambda: storage)
    assert ask(updates, "")[1]["ETag"] != ask(updates, "", accept_encoding="gzip")[1]["ETag"]


def test_polls_that_bring_nothing_ask_no_database(storage: Storage) -> None:
    store(storage, "one", {"a": Entry(title="A")})
    with following(storage) as follower:
        opened: list[bool] = []

        def open_storage() -> Storage:
            opened.append(True)
            return storage

        updates = Updates(open_storage, follower)
        cursor = ask(updates, "timestamp=1")[1]["Feedmirror-Cursor"]
        for query in (f"timestamp={cursor}", f"timestamp={cursor}&changes=1", f"timestamp={cursor}&tag=x&q=y"):
            status, headers, body = ask(updates, query)
            assert (status, body, headers["Feedmirror-Cursor"]) == (200, b"[]", cursor)
        assert opened == []


def test_questions_that_all_differ_take_no_memory_each(storage: Storage) -> None:
    store(storage, "one", {f"{number}": Entry(title="T", summary="x" * 2_000) for number in range(500)})
    with following(storage) as follower:
        updates = Updates(lambda: none(), follower)
        tracemalloc.start()
        try:
            for number in range(60):
                _, _, body = ask(updates, f"timestamp=1&limit=500&_={number}")
                assert len(body) > 1_000_000
            assert tracemalloc.get_traced_memory()[0] < 30_000_000
        finally:
            tracemalloc.stop()


def test_mongodb_away_is_told_at_once_once_it_is_known() -> None:
    def away() -> Storage:
        raise ServerSelectionTimeoutError("nobody there")

    follower = Follower(away, Window(**PLENTY), items=10)
    try:
        wait_until(lambda: not follower.is_live and follower.lost, "it to be known")
        status, headers, body = ask(Updates(lambda: none(), follower), "timestamp=1")
        assert status == 503
        assert headers["Cache-Control"] == "no-store"
        assert "Retry-After" in headers
        assert json.loads(body)["error"] == follower.lost
    finally:
        follower.stop()


class HeldUp:
    """A window whose filling waits until it may go on, and polls meanwhile that all ask something else."""

    def __init__(self, storage: Storage, monkeypatch: pytest.MonkeyPatch):
        self._storage = storage
        self._two = threading.Barrier(2)
        self.asked = 0
        self.were_two = False
        self.goes_on = threading.Event()
        self.follower = Follower(lambda: storage, Window(**PLENTY), items=10)
        reset = self.follower.window.reset

        def late(*arguments: Any, **named: Any) -> None:
            self.goes_on.wait(30)
            reset(*arguments, **named)

        monkeypatch.setattr(self.follower.window, "reset", late)
        self._updates = Updates(self._asked, self.follower)
        self.follower.start()

    def _asked(self) -> Storage:
        """The database is asked for an answer; the first to do so waits for somebody who does it at the same time."""
        self.asked += 1
        with suppress(threading.BrokenBarrierError):
            self._two.wait(timeout=1)
            self.were_two = True
        return self._storage

    def poll(self, number: int) -> int:
        return ask(self._updates, f"timestamp=1&_={number}")[0]


@pytest.fixture
def held_up(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldUp]:
    store(storage, "one", {"a": Entry(title="A")})
    held_up = HeldUp(storage, monkeypatch)
    yield held_up
    held_up.goes_on.set()
    held_up.follower.stop()


def test_who_comes_while_it_is_being_filled_waits_for_it_and_does_not_hold_it_up(
    held_up: HeldUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when all pages come back after a restart."""
    monkeypatch.setattr("feedmirror.web.follower._PATIENCE_S", 60)
    with ThreadPoolExecutor(8) as pages:
        answers = [pages.submit(held_up.poll, number) for number in range(8)]
        assert not wait(answers, timeout=0.3).done
        held_up.goes_on.set()
        assert [answer.result() for answer in answers] == [200] * 8
    assert held_up.asked == 0


def test_while_it_takes_long_to_be_filled_the_database_is_asked_by_one_at_a_time(
    held_up: HeldUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedmirror.web.follower._PATIENCE_S", 0)
    with ThreadPoolExecutor(8) as pages:
        assert list(pages.map(held_up.poll, range(16))) == [200] * 16
    assert (held_up.asked, held_up.were_two) == (16, False)


def test_it_says_how_far_it_is_behind(storage: Storage) -> None:
    store(storage, "one", {"a": Entry(title="A"), "b": Entry(title="B")})
    with following(storage) as follower:
        client = Client(
            make_app(lambda: none(), static_dir=ROOT / "static", templates_dir=ROOT / "templates", follower=follower)
        )
        standing = client.get("/api/window").json()
        assert (standing["state"], standing["items"], standing["lost"]) == ("live", 2, None)
        assert 0 <= standing["behind"] < 3
        assert standing["head"] == stamps.seconds(storage.clock.head_us())
        assert standing["floor"] == "0.000000"
        assert standing["bytes"] > 0


def test_a_window_that_has_lost_its_database_says_so() -> None:
    def away() -> Storage:
        raise ServerSelectionTimeoutError("nobody listens")

    follower = Follower(away, Window(**PLENTY), items=10)
    client = Client(make_app(away, static_dir=ROOT / "static", templates_dir=ROOT / "templates", follower=follower))
    try:
        wait_until(lambda: client.get("/api/window").json()["state"] == "lost", "it to be lost")
        standing = client.get("/api/window").json()
        assert standing["behind"] is None
        assert "away" in standing["lost"]
        assert client.get("/update?timestamp=1").status == 503
    finally:
        follower.stop()


def test_ready_items_keep_their_json_when_a_source_lets_them_go(storage: Storage) -> None:
    happen(storage, random.Random(2), 6)
    with following(storage) as follower:
        part = follower.window.since(Selection(), after_us=1, limit=100)
        assert part is not None
        shared = next(ready.item for ready in part.items if len(ready.item.sources) > 1)
        follower.window.let_go(replace(shared, sources=shared.sources[1:]))
        gone = follower.window.since(Selection(source_id=shared.sources[0].source_id), after_us=1, limit=100)
        assert gone is not None
        assert shared.id not in {ready.item.id for ready in gone.items}
