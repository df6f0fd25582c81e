"""That nothing is polled is said by every door of the site, by answers that were remembered too."""

import json
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feedmirror.models import Entry, Source
from feedmirror.process_identity import ProcessIdentity
from feedmirror.storage import Storage
from feedmirror.storage.processes import Role
from feedmirror.web.direct import polls_at_hand
from feedmirror.web.follower import Follower
from feedmirror.web.update import Updates
from feedmirror.web.watch import Watch
from feedmirror.web.window import Window
from tests.fake_storage import FakeStorage, a_source, an_item
from tests.fronts import BEHIND, Front
from tests.serving import client_of
from tests.table_writer import Table
from tests.waiting import wait_until
from tests.wsgi_client import Client, Reply

pytestmark = pytest.mark.long

HEADER = "feedmirror-polling"
ALARM = "Nothing has been polled for 2 min: no worker is running"
STALLED = f'stalled;words="{ALARM}"'
ALARM_FROM_THE_START = "Nothing has been polled yet: no worker is running"
STALLED_FROM_THE_START = f'stalled;words="{ALARM_FROM_THE_START}"'


@pytest.fixture
def fake() -> FakeStorage:
    fake = FakeStorage()
    fake.items.add(an_item(1))
    fake.sources.watched = [a_source()]
    return fake


@pytest.fixture
def watch(fake: FakeStorage) -> Watch:
    """Looks when it is told to, and has no patience."""
    return Watch(lambda: fake, patience_s=0)  # type: ignore[arg-type, return-value]


@pytest.fixture
def client(fake: FakeStorage, watch: Watch) -> Client:
    return client_of(lambda: fake, watch=watch)


def banner(reply: Reply) -> str | None:
    """What the page shows of it."""
    match = re.search(r'<p class="alarm" id="stalled"( hidden)?>(.*?)</p>', reply.text)
    assert match, reply.text
    return None if match[1] else match[2]


# -- each door


def test_polls_say_that_nothing_is_polled(client: Client, fake: FakeStorage, watch: Watch) -> None:
    assert client.get("/update").headers[HEADER] == "unknown"
    watch.look()
    assert client.get("/update").headers[HEADER] == "live"
    fake.processes.stall()
    watch.look()
    assert client.get("/update").headers[HEADER] == STALLED
    fake.processes.go_on()
    watch.look()
    assert client.get("/update").headers[HEADER] == "live"


@pytest.mark.parametrize("path", ["/", "/?q=nothing", "/sources"])
def test_pages_say_that_nothing_is_polled(client: Client, fake: FakeStorage, watch: Watch, path: str) -> None:
    watch.look()
    assert banner(client.get(path)) is None
    fake.processes.stall()
    watch.look()
    assert banner(client.get(path)) == ALARM


def test_pages_of_tables_and_series_say_it_and_a_table_s_polls(storage: Storage, fake: FakeStorage) -> None:
    Table(storage).run([{"id": 1}])
    series, _ = storage.series.request("0" * 56, ("WIKI", "FB"), fresh_s=60)
    fake.processes.stall()
    watch = Watch(lambda: fake, patience_s=0)  # type: ignore[arg-type, return-value]
    watch.look()
    client = client_of(lambda: storage, watch=watch)
    for path in ("/tables", "/tables/coins", "/series", f"/series/{series.id}"):
        assert banner(client.get(path)) == ALARM, path
    reply = client.get("/tables/coins/update")
    assert reply.headers[HEADER] == STALLED
    assert client.get("/tables/coins/update", if_none_match=reply.headers["etag"]).headers[HEADER] == STALLED


def test_the_window_is_not_all_that_is_well(client: Client, fake: FakeStorage, watch: Watch) -> None:
    nothing = {"alarm": None, "last_at": None, "workers": None, "overdue": None}
    assert client.get("/api/window").json()["polling"] == {"state": "unknown", **nothing}
    fake.processes.stall(workers=0)
    watch.look()
    polling = client.get("/api/window").json()["polling"]
    assert polling.pop("last_at").endswith("Z")
    assert polling == {"state": "stalled", "alarm": ALARM, "workers": 0, "overdue": 0}


def test_while_the_database_is_away_nothing_is_said_of_polling(client: Client, fake: FakeStorage, watch: Watch) -> None:
    fake.processes.stall()
    watch.look()
    fake.go_away()
    watch.look()
    assert client.get("/api/window").json()["polling"]["state"] == "unknown"
    assert banner(client.get("/")) is None


# -- answers that were remembered


@pytest.fixture
def followed(storage: Storage) -> Iterator[Follower]:
    follower = Follower(lambda: storage, Window(max_items=10, max_bytes=1_000_000), items=10)
    follower.start()
    wait_until(lambda: follower.is_live, "the window")
    yield follower
    follower.stop()


def test_an_answer_that_was_remembered_says_it(followed: Follower, fake: FakeStorage, watch: Watch) -> None:
    updates = Updates(lambda: fake, followed, watch)  # type: ignore[arg-type, return-value]
    at_hand, question = polls_at_hand(updates), "timestamp=1800000000.000000"
    watch.look()
    first = updates.answer(question)
    assert b"Feedmirror-Polling: live\r\n" in (at_hand(f"/update?{question}", {}) or b"")
    fake.processes.stall()
    watch.look()
    assert at_hand(f"/update?{question}", {}) is None  # it is no longer so
    again = updates.answer(question, known=first.headers["ETag"])
    assert (again.status, again.headers["Feedmirror-Polling"]) == (200, STALLED)
    assert STALLED.encode() in (at_hand(f"/update?{question}", {}) or b"")


def test_a_304_says_it(followed: Follower, fake: FakeStorage, watch: Watch) -> None:
    updates = Updates(lambda: fake, followed, watch)  # type: ignore[arg-type, return-value]
    fake.processes.stall()
    watch.look()
    first = updates.answer("timestamp=1800000000.000000")
    again = updates.answer("timestamp=1800000000.000000", known=first.headers["ETag"])
    assert (again.status, again.headers["Feedmirror-Polling"]) == (304, STALLED)
    at_hand = updates.at_hand("timestamp=1800000000.000000", known=first.headers["ETag"])
    assert at_hand is not None
    assert (at_hand.status, at_hand.headers["Feedmirror-Polling"]) == (304, STALLED)


# -- the log


def test_the_log_says_when_a_stall_begins_and_when_it_ends(
    fake: FakeStorage, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        watch.look()
        for seconds in (120, 180, 240):
            fake.processes.stall(for_s=seconds)
            watch.look()
        fake.go_away()
        watch.look()
        fake.come_back()
        watch.look()
        fake.processes.go_on()
        watch.look()
        watch.look()
    assert [record.getMessage() for record in caplog.records] == [ALARM, "Due sources are polled again"]


# -- with a thread, and the real storage


def test_sources_that_wait_and_no_worker_are_an_alarm(storage: Storage) -> None:
    storage.sources.synchronise([Source(id="so", name="Stack Overflow", url="https://so.example.com/feeds")], [])
    watch = Watch(lambda: storage, patience_s=0)
    watch.start()
    try:
        wait_until(lambda: watch.told.alarm, "an alarm")
        assert watch.told.alarm == "Nothing has been polled yet: no worker is running"
        storage.processes.register("one", Role.WORKER, host="here", identity=ProcessIdentity(1))
        wait_until(lambda: "a worker is running" in (watch.told.alarm or ""), "the worker to be seen")
        storage.sources.begin(storage.sources.claim_due(limit=1, lease_s=30, holder="one"), lease_s=30, holder="one")
        wait_until(lambda: watch.told.header == "live", "the alarm to be over")
    finally:
        watch.stop()


# -- through the real servers


def asked(address: str, path: str, **headers: str) -> tuple[int, str, str]:
    """The status, what it says of polling, and the ETag."""
    request = urllib.request.Request(address + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.headers["Feedmirror-Polling"], reply.headers["ETag"]
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers["Feedmirror-Polling"], refused.headers["ETag"]


@pytest.mark.parametrize("kind", BEHIND)
def test_no_worker_is_told_by_each_server(kind: str, storage: Storage, database_uri: str, tmp_path: Path) -> None:
    storage.items.store("so", {"0" * 56: Entry(title="One")}, now=datetime.now(UTC))
    path = f"/update?timestamp={storage.clock.head_us() / 1_000_000:.6f}&changes=1"
    with Front(kind, database_uri, tmp_path).wait_until_usable() as front:
        wait_until(lambda: asked(front.address, path)[1] == "live", "it to be live")
        storage.sources.synchronise([Source(id="so", name="Stack Overflow", url="https://so.example.com/feeds")], [])
        wait_until(lambda: asked(front.address, path)[1].startswith("stalled;"), "the alarm")
        # both processes behind nginx, and each of those of granian, have their own
        wait_until(
            lambda: {asked(front.address, path)[1] for _ in range(20)} == {STALLED_FROM_THE_START}, "all of them"
        )
        _, _, etag = asked(front.address, path)
        assert asked(front.address, path, **{"If-None-Match": etag})[:2] == (304, STALLED_FROM_THE_START)
        for site in front.sites:
            with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/readyz", timeout=10) as reply:
                checks = json.load(reply)["checks"]
            assert checks["worker"]["reason"] == ALARM_FROM_THE_START
            assert {name for name, check in checks.items() if not check["ok"]} - {"disk"} == {"worker"}
        storage.processes.register("one", Role.WORKER, host="here", identity=ProcessIdentity(1))
        storage.sources.begin(storage.sources.claim_due(limit=1, lease_s=30), lease_s=30, holder="one")
        wait_until(lambda: {asked(front.address, path)[1] for _ in range(20)} == {"live"}, "all of them to be live")
