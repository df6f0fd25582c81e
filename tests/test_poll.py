"""The recipe of a poll, with real parts: a server on loopback, the real parser, the real MongoDB."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect, PyMongoError

import feedmirror.poll.feed
from feedmirror.config import Settings
from feedmirror.errors import Failure
from feedmirror.fetch.connections import connections_of_this_process
from feedmirror.models import (
    Finished,
    Hints,
    Item,
    Outcome,
    Postponed,
    Remembered,
    Selection,
    Source,
    Validators,
    WatchedSource,
)
from feedmirror.politeness import Demand, GroupLimits
from feedmirror.poll import Poller
from feedmirror.storage import Storage
from feedmirror.storage.sources import Claim
from tests.feed_server import FeedServer, Reply, Request
from tests.waiting import wait_until

LEASE_S = 60
# threads: one for the server that is slow, and some for the others
SETTINGS = Settings(lease_s=LEASE_S, fetch_deadline_s=20, fetch_max_bytes=100_000, threads=4)


def atom(*entries: str) -> bytes:
    return b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>T</title>%s</feed>' % (
        "".join(entries).encode()
    )


def entry(name: str, *, title: str | None = None, link: str | None = None, tag: str = "feed") -> str:
    return (
        f"<entry><id>urn:{name}</id><title>{title or name}</title><category term='{tag}'/>"
        f"<link href='{link or f'https://example.com/{name}'}'/><published>2026-01-01T00:00:00Z</published></entry>"
    )


def titles(items: tuple[Item, ...]) -> list[str]:
    return [item.title for item in items]


class Mirror:
    """A server, a database, and the poller between them."""

    def __init__(self, storage: Storage, server: FeedServer):
        self.storage = storage
        self.server = server
        self.poller = Poller(storage, SETTINGS)

    def watch(self, *paths: str, **fields: Any) -> None:
        """Watch what the server has at these paths, each under its path as id."""
        self.storage.sources.synchronise(
            [
                Source(
                    **{"id": path, "name": path.upper(), "url": self.server.url(path), "private": True, "every_s": 30}
                    | fields
                )
                for path in paths
            ],
            [],
        )

    def claim(self, *paths: str) -> Claim:
        return self.storage.sources.claim_now(paths, lease_s=LEASE_S)

    def poll(self, path: str = "/feed") -> Outcome:
        (watched,), _ = self.poller.begin(self.claim(path))
        finished = self.poller.poll(watched)
        self.storage.sources.finish([finished])
        return finished.outcome

    def poll_all(self, claim: Claim, poller: Poller | None = None) -> dict[str, Outcome]:
        """Poll as a worker does, by a crew; how each source fared."""
        poller = poller or self.poller
        with closing(poller.crew()) as crew:
            polls = [crew.take(watched) for watched in poller.begin(claim)[0]]
        return {poll.result().watched.source.id: poll.result().outcome for poll in polls}

    def source(self, path: str = "/feed") -> WatchedSource:
        return next(watched for watched in self.storage.sources.all() if watched.source.id == path)

    def stored(self) -> list[str]:
        return titles(self.storage.items.newest(Selection(), limit=100).items)


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server
    connections_of_this_process().close()


@pytest.fixture
def mirror(storage: Storage, server: FeedServer) -> Mirror:
    mirror = Mirror(storage, server)
    mirror.watch("/feed")
    return mirror


# -- what a poll brings


def test_what_a_feed_lists_is_stored_and_told_oldest_first(mirror: Mirror) -> None:
    mirror.server.serve("/feed", atom(entry("b"), entry("a")))
    outcome = mirror.poll()
    assert outcome.ok
    assert titles(outcome.new) == ["a", "b"]
    assert mirror.stored() == ["b", "a"]
    looks = mirror.source().looks
    assert (looks.items, looks.failures, looks.interval_s) == (2, 0, 30)


def test_a_feed_that_grew_brings_only_what_is_new(mirror: Mirror) -> None:
    mirror.server.serve("/feed", atom(entry("a")))
    mirror.poll()
    mirror.server.serve("/feed", atom(entry("c"), entry("a"), entry("b")))
    assert sorted(titles(mirror.poll().new)) == ["b", "c"]
    assert mirror.source().looks.items == 3


def test_a_changed_title_is_an_edit(mirror: Mirror) -> None:
    mirror.server.serve("/feed", atom(entry("a"), entry("b")))
    mirror.poll()
    mirror.server.serve("/feed", atom(entry("a", title="Better"), entry("b")))
    outcome = mirror.poll()
    assert (outcome.new, outcome.edited) == ((), 1)
    assert sorted(mirror.stored()) == ["Better", "b"]


def test_what_another_source_has_shown_already_is_sighted(mirror: Mirror) -> None:
    mirror.watch("/feed", "/other")
    mirror.server.serve("/feed", atom(entry("a")))
    mirror.server.serve("/other", atom(entry("a"), entry("b")))
    mirror.poll("/feed")
    outcome = mirror.poll("/other")
    assert (titles(outcome.new), outcome.sighted) == (["b"], 1)
    assert sorted(mirror.stored()) == ["a", "b"]


def test_the_tags_of_a_source_are_given_to_its_items_besides_their_own(mirror: Mirror) -> None:
    mirror.watch("/feed", tags=("mine", "feed"))
    mirror.server.serve("/feed", atom(entry("a", tag="feed"), entry("b", tag="rust")))
    assert {item.title: item.tags for item in mirror.poll().new} == {
        "a": ("feed", "mine"),
        "b": ("rust", "mine", "feed"),
    }
    mirror.server.serve("/feed", atom(entry("b", tag="rust"), entry("a", tag="feed")))
    assert mirror.poll().edited == 0


# -- nothing new


def test_what_the_server_says_is_unchanged_is_asked_with_its_validators_and_stored_no_more(mirror: Mirror) -> None:
    modified = datetime(2026, 1, 1, tzinfo=UTC)
    mirror.server.serve("/feed", atom(entry("a")), etag='"v1"', last_modified=modified)
    mirror.poll()
    head = mirror.storage.clock.head_us()
    outcome = mirror.poll()
    first, second = mirror.server.requests_for("/feed")
    assert (first.headers["If-None-Match"], first.headers["If-Modified-Since"]) == (None, None)
    assert second.headers["If-None-Match"] == '"v1"'
    assert second.headers["If-Modified-Since"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert (outcome.ok, outcome.new, outcome.edited) == (True, (), 0)
    assert mirror.storage.clock.head_us() == head
    assert mirror.poll().ok
    assert mirror.server.requests_for("/feed")[2].headers["If-None-Match"] == '"v1"'


def test_the_same_bytes_again_are_not_parsed(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.server.serve("/feed", atom(entry("a")))
    mirror.poll()
    monkeypatch.setattr(feedmirror.poll.feed, "parse", _bug)
    assert mirror.poll() == Outcome(remembered=mirror.source().remembered)


def test_a_new_validator_of_the_same_bytes_is_sent_from_then_on(mirror: Mirror) -> None:
    mirror.server.serve("/feed", atom(entry("a")), headers={"ETag": '"one"'})
    mirror.poll()
    mirror.server.serve("/feed", lambda _: Reply(atom(entry("a")), 200, {"ETag": '"two"'}))
    mirror.poll()
    mirror.poll()
    asked = [request.headers["If-None-Match"] for request in mirror.server.requests_for("/feed")]
    assert asked == [None, '"one"', '"two"']


def test_what_another_version_has_read_is_read_again(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.server.serve("/feed", atom(entry("a")), etag=True)
    monkeypatch.setattr(feedmirror.poll.feed, "__version__", "0.0.1")
    mirror.poll()
    assert mirror.source().remembered.version == "0.0.1"
    monkeypatch.setattr(feedmirror.poll.feed, "__version__", "0.0.2")
    asked: list[bytes] = []
    monkeypatch.setattr(feedmirror.poll.feed, "parse", _noting(asked))
    assert mirror.poll().ok
    assert mirror.server.requests_for("/feed")[1].headers["If-None-Match"] is None
    assert asked == [atom(entry("a"))]
    assert mirror.source().remembered.version == "0.0.2"


def test_a_document_whose_end_is_missing_is_asked_for_again(mirror: Mirror) -> None:
    whole = atom(entry("a"), entry("b"))
    cut = whole[: whole.index(b"urn:b")]
    mirror.server.serve("/feed", cut, etag=True)
    assert titles(mirror.poll().new) == ["a"]
    assert mirror.source().remembered == Remembered()
    mirror.server.serve("/feed", whole, etag=True)
    assert titles(mirror.poll().new) == ["b"]
    assert mirror.source().remembered != Remembered()


# -- ids


def test_the_rule_of_ids_is_kept_with_the_source_and_holds_for_the_next_document(mirror: Mirror) -> None:
    # one link for all, so the guid has to tell them apart
    def shared(*names: str) -> bytes:
        return atom(*(entry(name, link="https://example.com/") for name in names))

    mirror.server.serve("/feed", shared("b", "a"))
    mirror.poll()
    assert mirror.source().identity == "guid"
    # alone, this entry's link would do: only the rule that was kept tells that it is known
    mirror.server.serve("/feed", shared("a"))
    outcome = mirror.poll()
    assert (outcome.new, outcome.sighted, outcome.edited) == ((), 0, 0)
    assert mirror.source().identity == "guid"


def test_a_rule_that_had_to_change_brings_no_old_item_back(mirror: Mirror) -> None:
    mirror.server.serve("/feed", atom(entry("a", link="https://example.com/")))
    mirror.poll()
    assert mirror.source().identity == "link"
    both = atom(*(entry(name, link="https://example.com/") for name in ("b", "a")))
    mirror.server.serve("/feed", both)
    assert titles(mirror.poll().new) == ["b"]
    assert mirror.source().identity == "guid after link"
    assert sorted(mirror.stored()) == ["a", "b"]


# -- failures


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(status=500), "500"),
        (Reply(status=404), "404"),
        (Reply(b""), "empty"),
        (Reply(b"<html><body>Down for maintenance</body></html>"), "HTML page"),
        (Reply(b"not a feed at all"), "neither XML nor JSON"),
        (Reply(b"x" * 200_000), "larger than"),
    ],
)
def test_what_is_no_feed_is_a_failure_that_is_kept_on_the_source(mirror: Mirror, reply: Reply, told: str) -> None:
    mirror.server.serve("/feed", lambda _: reply)
    outcome = mirror.poll()
    assert outcome.error is not None
    assert told in outcome.error
    assert "\n" not in outcome.error
    looks = mirror.source().looks
    assert (looks.error, looks.failures, looks.items) == (outcome.error, 1, 0)


def test_a_server_that_is_not_there_is_a_failure(mirror: Mirror) -> None:
    with FeedServer() as gone:
        url = gone.url("/feed")
    mirror.watch("/feed", url=url)
    assert not mirror.poll().ok


def test_an_address_within_the_own_network_is_refused_unless_the_operator_says_private(mirror: Mirror) -> None:
    mirror.watch("/feed", private=False)
    mirror.server.serve("/feed", atom(entry("a")))
    assert not mirror.poll().ok
    assert mirror.server.requests == []


def test_a_failure_leaves_what_is_remembered_and_heals_with_the_next_document(mirror: Mirror) -> None:
    mirror.server.serve("/feed", atom(entry("a")), etag='"good"')
    mirror.poll()
    remembered = mirror.source().remembered
    mirror.server.serve("/feed", b"<html/>", etag='"bad"')
    for failures in (1, 2):
        assert not mirror.poll().ok
        failing = mirror.source()
        assert (failing.looks.failures, failing.remembered, failing.looks.items) == (failures, remembered, 1)
    # the validator of a document that could not be read is never sent, else a 304 would hide it for good
    assert {request.headers["If-None-Match"] for request in mirror.server.requests_for("/feed")} == {None, '"good"'}
    mirror.server.serve("/feed", atom(entry("b"), entry("a")), etag='"bad"')
    assert titles(mirror.poll().new) == ["b"]
    looks = mirror.source().looks
    assert (looks.failures, looks.error, looks.error_since) == (0, None, None)


def test_validators_of_a_document_that_could_not_be_stored_are_not_kept(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.server.serve("/feed", atom(entry("a")), etag=True)
    with monkeypatch.context() as patch:
        patch.setattr(feedmirror.poll.feed, "parse", _bug)
        assert not mirror.poll().ok
    assert mirror.source().remembered.validators == Validators()
    assert titles(mirror.poll().new) == ["a"]


def test_failures_are_looked_at_again_later_and_later(mirror: Mirror) -> None:
    mirror.server.serve("/feed", status=500)
    pauses = []
    for _ in range(4):
        mirror.poll()
        pauses.append(mirror.source().looks.interval_s)
    for doublings, pause in enumerate(pauses):
        assert 30 * 2**doublings <= pause <= 36 * 2**doublings


def test_retry_after_is_kept_to(mirror: Mirror) -> None:
    mirror.server.serve("/feed", status=503, headers={"Retry-After": "1234"})
    outcome = mirror.poll()
    assert outcome.retry_after_s == 1234
    looks = mirror.source().looks
    assert looks.interval_s is not None
    assert 1234 <= looks.interval_s <= 1500
    assert looks.failure is Failure.THROTTLED


def test_a_403_right_after_a_429_is_the_same_again(mirror: Mirror) -> None:
    kinds = []
    for status in (403, 429, 403, 403):
        mirror.server.serve("/feed", status=status)
        kinds.append(mirror.poll().failure)
    assert kinds == [Failure.CLIENT_ERROR, Failure.THROTTLED, Failure.THROTTLED, Failure.THROTTLED]


def test_a_move_is_followed_at_once_and_believed_when_it_has_held_for_several_looks(mirror: Mirror) -> None:
    mirror.server.redirect("/feed", "/new", status=301)
    mirror.server.serve("/new", atom(entry("a")))
    for _ in range(5):
        assert mirror.poll().ok
    assert len(mirror.server.requests_for("/feed")) == 3
    assert len(mirror.server.requests_for("/new")) == 5
    assert mirror.source().looks.moved_to == mirror.server.url("/new")


def test_a_move_that_turns_out_to_lead_nowhere_is_forgotten(mirror: Mirror) -> None:
    mirror.server.redirect("/feed", "/new", status=308)
    mirror.server.serve("/new", atom(entry("a")))
    for _ in range(4):
        mirror.poll()
    mirror.server.serve("/new", status=404)
    mirror.server.serve("/feed", atom(entry("b")))
    assert not mirror.poll().ok
    assert titles(mirror.poll().new) == ["b"]


def test_a_window_that_shares_nothing_with_the_last_one_is_counted_and_the_pages_that_follow_are_read(
    mirror: Mirror, caplog: pytest.LogCaptureFixture
) -> None:
    mirror.server.serve("/feed", atom(entry("b"), entry("a")))
    mirror.poll()
    mirror.server.serve("/feed", paged("/2", entry("f"), entry("e")))
    mirror.server.serve("/2", atom(entry("d"), entry("c"), entry("b")))
    outcome = mirror.poll()
    assert sorted(titles(outcome.new)) == list("cdef")
    looks = mirror.source().looks
    assert (looks.windows_lost, looks.items) == (1, 6)
    assert "some may have been missed" in caplog.text
    mirror.server.serve("/feed", atom(entry("g"), entry("f")))
    mirror.poll()
    assert mirror.source().looks.windows_lost == 1


def test_what_a_feed_says_of_when_to_look_holds_while_it_does_not_change(mirror: Mirror) -> None:
    mirror.watch("/feed", every_s=None)
    feed = b"<rss version='2.0'><channel><ttl>180</ttl><item><link>https://example.com/a</link></item></channel></rss>"
    mirror.server.serve("/feed", feed, etag=True)
    for _ in range(2):
        mirror.poll()
        looks = mirror.source().looks
        assert looks.hints == Hints(ttl_s=3 * 3600)
        assert looks.interval_s is not None
        assert looks.interval_s >= 3 * 3600


def test_why_a_source_is_looked_at_when_it_is_stands_with_the_source(mirror: Mirror) -> None:
    mirror.server.serve("/feed", atom(entry("a")))
    mirror.poll()
    assert mirror.source().looks.why == "every 30 s, as configured"


def test_one_source_that_fails_does_not_concern_the_others(mirror: Mirror) -> None:
    paths = ["/first", "/broken", "/missing", "/last"]
    mirror.watch(*paths)
    mirror.server.serve("/first", atom(entry("a")))
    mirror.server.serve("/broken", b"<html/>")
    mirror.server.serve("/last", atom(entry("b")))
    outcomes = mirror.poll_all(mirror.claim(*paths))
    assert {path: outcome.ok for path, outcome in outcomes.items()} == {
        "/first": True,
        "/broken": False,
        "/missing": False,
        "/last": True,
    }
    assert sorted(mirror.stored()) == ["a", "b"]
    assert {path: mirror.source(path).looks.failures for path in paths} == {
        "/first": 0,
        "/broken": 1,
        "/missing": 1,
        "/last": 0,
    }


def test_a_bug_in_the_parser_is_an_outcome_and_logged_with_its_traceback(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mirror.watch("/feed", "/other")
    mirror.server.serve("/feed", atom(entry("a")))
    mirror.server.serve("/other", atom(entry("b")))
    monkeypatch.setattr(feedmirror.poll.feed, "parse", _bug)
    outcomes = mirror.poll_all(mirror.claim("/feed", "/other"))
    assert {outcome.error for outcome in outcomes.values()} == {
        "a bug in Feedmirror, see the worker's log: ZeroDivisionError"
    }
    assert mirror.source().looks.failures == 1
    bugs = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert sorted(record.message for record in bugs) == ["/FEED: a bug in Feedmirror", "/OTHER: a bug in Feedmirror"]
    assert all(record.exc_info for record in bugs)


# -- MongoDB


def test_mongodb_away_is_not_the_sources_doing_and_goes_up_after_the_others_are_done(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.watch("/feed", "/other")
    mirror.server.serve("/feed", atom(entry("a")))
    mirror.server.serve("/other", atom(entry("b")))
    store = mirror.storage.items.store

    def store_while_away(source_id: str, entries: Any, *, now: datetime) -> Any:
        if source_id == "/feed":
            raise AutoReconnect("MongoDB went away")
        return store(source_id, entries, now=now)

    monkeypatch.setattr(mirror.storage.items, "store", store_while_away)
    with pytest.raises(PyMongoError, match="went away"):
        mirror.poll_all(mirror.claim("/feed", "/other"))
    assert mirror.stored() == ["b"]
    away = mirror.source("/feed")
    assert (away.looks.failures, away.looks.error, away.remembered) == (0, None, Remembered())
    # it is given back, and due at once
    assert mirror.storage.sources.claim_due(limit=9, lease_s=LEASE_S).source_ids == ("/feed",)


# -- what the log says


def test_a_failure_is_one_warning_and_its_repetitions_and_its_end_are_none(
    mirror: Mirror, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="feedmirror.poll")

    def said() -> list[tuple[str, str]]:
        lines = [
            (record.levelname, record.message) for record in caplog.records if record.name.startswith("feedmirror.poll")
        ]
        caplog.clear()
        return lines

    mirror.server.serve("/feed", status=500)
    error = mirror.poll().error
    ((level, line),) = said()
    assert level == "WARNING"
    assert line.startswith(f"/FEED: {error}; next try in ")
    mirror.poll()
    assert said() == []
    mirror.server.serve("/feed", atom(entry("b"), entry("a")))
    mirror.poll()
    assert said() == [("INFO", "/FEED: well again after 2 failures"), ("INFO", "/FEED: 2 new, 0 edited")]
    mirror.poll()
    assert said() == []
    mirror.server.serve("/feed", status=500)
    mirror.poll()
    assert [level for level, _ in said()] == ["WARNING"]


# -- several at once


def test_a_slow_server_does_not_hold_up_the_others(mirror: Mirror) -> None:
    """The slow server answers only once everybody else has been stored: were they to wait for it, nobody would."""
    others = [f"/quick{number}" for number in range(8)]
    mirror.watch("/slow", *others)
    done = threading.Semaphore(0)
    waited: list[bool] = []

    def slow(_: Request) -> bytes:
        waited.extend(done.acquire(timeout=15) for _ in others)
        return atom(entry("slow"))

    mirror.server.serve("/slow", slow)
    for path in others:
        mirror.server.serve(path, atom(entry(path.strip("/"))))
    poller = Poller(_Telling(mirror.storage, done), SETTINGS)  # type: ignore[arg-type]
    outcomes = mirror.poll_all(mirror.claim("/slow", *others), poller)
    assert waited == [True] * len(others)
    assert all(outcome.ok for outcome in outcomes.values())
    assert sorted(mirror.stored()) == [*(path.strip("/") for path in others), "slow"]


class _Telling:
    """The storage, which says when a poll has been finished."""

    def __init__(self, storage: Storage, done: threading.Semaphore):
        self.items = storage.items
        self.groups = storage.groups
        self.sources = self
        self._sources = storage.sources
        self._done = done

    def begin(self, *arguments: Any, **named: Any) -> Any:
        return self._sources.begin(*arguments, **named)

    def postpone(self, *arguments: Any, **named: Any) -> Any:
        return self._sources.postpone(*arguments, **named)

    def finish(self, finished: Sequence[Finished]) -> None:
        self._sources.finish(finished)
        for _ in finished:
            self._done.release()


def test_all_that_is_due_is_polled_by_a_crew_with_fewer_threads(mirror: Mirror) -> None:
    paths = [f"/{number}" for number in range(7)]
    mirror.watch(*paths)
    for path in paths:
        mirror.server.serve(path, atom(entry(path.strip("/"))))
    poller = Poller(mirror.storage, replace(SETTINGS, threads=2))
    with closing(poller.crew()) as crew:
        poller.poll_due(crew, for_s=20)
    assert sorted(mirror.stored()) == [path.strip("/") for path in paths]
    assert len(mirror.server.requests) == 7


def test_sources_that_are_new_leave_threads_to_those_polled_before(mirror: Mirror) -> None:
    """New ones hang, as many as there are threads for them: one that is known is polled all the same."""
    mirror.server.serve("/known", atom(entry("a")))
    mirror.watch("/known", every_s=1)
    mirror.poll("/known")
    new = [f"/new{number}" for number in range(9)]
    mirror.watch("/known", *new, every_s=1)
    go_on = threading.Event()

    def hang(_: Request) -> bytes:
        assert go_on.wait(30)
        return atom(entry("b"))

    for path in new:
        mirror.server.serve(path, hang)
    poller = Poller(mirror.storage, replace(SETTINGS, threads=4))
    with closing(poller.crew()) as crew:
        wait_until(lambda: poller.poll_due(crew, for_s=0.1) or crew.room == 1, "new ones in all threads but one")
        before = len(mirror.server.requests_for("/known"))
        wait_until(
            lambda: poller.poll_due(crew, for_s=0.1) or len(mirror.server.requests_for("/known")) > before + 1,
            "the known one to be polled twice meanwhile",
        )
        go_on.set()
        wait_until(lambda: poller.poll_due(crew, for_s=0.1) or "b" in mirror.stored(), "the new ones")


def test_claims_whose_answer_was_lost_are_given_back(mirror: Mirror, database: Database[dict[str, Any]]) -> None:
    mirror.watch("/feed", "/slow")
    go_on = threading.Event()
    mirror.server.serve("/slow", lambda _: atom(entry("s")) if go_on.wait(30) else b"")
    poller = Poller(mirror.storage, SETTINGS, holder="me.crew")
    with closing(poller.crew()) as crew:
        (watched,), _ = poller.begin(mirror.storage.sources.claim_now(["/slow"], lease_s=LEASE_S, holder="me.crew"))
        crew.take(watched)
        mirror.storage.sources.claim_now(["/feed"], lease_s=LEASE_S, holder="me.crew")  # and the answer is lost
        mirror.storage.sources.add(Source(id="job", name="job", url="https://a.example/"))
        mirror.storage.sources.claim_now(["job"], lease_s=LEASE_S, holder="me.job")
        poller.give_back_strays(crew)
        leases = {one["_id"]: one["lease"] for one in database["sources"].find()}
        assert leases["/feed"] is None
        assert leases["/slow"] == watched.lease
        assert leases["job"].startswith("me.job.")
        go_on.set()


def test_a_claim_that_is_used_twice_polls_once(mirror: Mirror) -> None:
    mirror.watch("/feed", "/other")
    mirror.server.serve("/feed", atom(entry("a")))
    mirror.server.serve("/other", atom(entry("b")))
    claim = mirror.claim("/feed", "/other")
    assert len(mirror.poll_all(claim)) == 2
    assert mirror.poll_all(claim) == {}
    assert len(mirror.server.requests) == 2


def test_a_poll_whose_source_was_taken_over_stores_its_items_and_says_nothing_else(
    mirror: Mirror, database: Database[dict[str, Any]]
) -> None:
    """The items are true whoever saw them; of how the source fares, the one that has the lease speaks."""

    def meanwhile(_: Request) -> bytes:
        database["sources"].update_one({"_id": "/feed"}, {"$set": {"lease": "somebody else's"}})
        return atom(entry("a"))

    mirror.server.serve("/feed", meanwhile)
    mirror.poll()
    assert mirror.stored() == ["a"]
    watched = mirror.source()
    assert (watched.lease, watched.looks.last_ok_at, watched.remembered) == ("somebody else's", None, Remembered())


def _bug(*_: object, **__: object) -> Any:
    raise ZeroDivisionError


def _noting(asked: list[bytes]) -> Any:
    parse = feedmirror.poll.feed.parse

    def noting(body: bytes, **named: Any) -> Any:
        asked.append(body)
        return parse(body, **named)

    return noting


# -- politeness


def test_no_more_sources_of_a_group_are_polled_at_once_than_it_allows(mirror: Mirror) -> None:
    paths = [f"/{number}" for number in range(5)]
    mirror.watch(*paths, group="shared", in_flight=2)
    admitted, postponed = mirror.poller.begin(mirror.claim(*paths))
    assert [watched.source.id for watched in admitted] == paths[:2]
    assert [one.watched.source.id for one in postponed] == paths[2:]
    assert mirror.source("/4").looks.why == "2 requests in flight"
    # the slots of those that have ended are free for the others
    for path in paths:
        mirror.server.serve(path, atom(entry(path.strip("/"))))
    with closing(mirror.poller.crew()) as crew:
        for watched in admitted:
            crew.take(watched)
    assert set(mirror.poll_all(mirror.claim(*paths[2:4]))) == set(paths[2:4])


def test_a_private_source_without_limits_has_none(mirror: Mirror, database: Database[dict[str, Any]]) -> None:
    paths = [f"/{number}" for number in range(9)]
    mirror.watch(*paths)
    admitted, postponed = mirror.poller.begin(mirror.claim(*paths))
    assert (len(admitted), postponed) == (9, [])
    assert database["groups"].count_documents({}) == 0


def test_a_publisher_that_throttles_two_sources_is_left_alone_by_the_whole_group(mirror: Mirror) -> None:
    mirror.watch("/a", "/b", "/c", group="shared", per_minute=60)
    for path in ("/a", "/b"):
        mirror.server.serve(path, status=429, headers={"Retry-After": "600"})
        assert not mirror.poll(path).ok
    admitted, (waits,) = mirror.poller.begin(mirror.claim("/c"))
    assert admitted == []
    assert waits.by_s > 500
    assert "asked to wait until" in waits.why


def test_limits_that_one_source_gives_hold_for_its_whole_group(mirror: Mirror) -> None:
    sources = [
        Source(id=path, name=path, url=mirror.server.url(path), private=True, group="shared", in_flight=limit)
        for path, limit in (("/a", 1), ("/b", None), ("/c", None))
    ]
    mirror.storage.sources.synchronise(sources, [])
    mirror.poller.describe_groups()
    admitted, postponed = mirror.poller.begin(mirror.claim("/b", "/c"))
    assert (len(admitted), len(postponed)) == (1, 1)


def test_a_source_that_has_moved_counts_with_the_others_of_its_new_host(mirror: Mirror) -> None:
    mirror.watch("/old", url="https://old.example/feed", private=False)
    told_of_a_move(mirror, "/old", "https://new.example/feed", times=2)
    assert groups_asked(mirror, "/old") == ["old.example:443"]
    told_of_a_move(mirror, "/old", "https://new.example/feed", times=3)
    assert groups_asked(mirror, "/old") == ["new.example:443"]


def test_a_private_source_that_has_moved_to_a_stranger_keeps_to_the_strangers_limits(mirror: Mirror) -> None:
    mirror.watch("/old")
    told_of_a_move(mirror, "/old", mirror.server.url("/new"), times=3)
    assert groups_asked(mirror, "/old") == []
    told_of_a_move(mirror, "/old", "https://new.example/feed", times=3)
    assert groups_asked(mirror, "/old") == ["new.example:443"]


def test_limits_of_a_host_hold_for_a_source_that_has_moved_there(mirror: Mirror) -> None:
    sources = [
        Source(id="strict", name="strict", url="https://new.example/a", in_flight=1),
        Source(id="/old", name="mover", url="https://old.example/b"),
    ]
    mirror.storage.sources.synchronise(sources, [])
    told_of_a_move(mirror, "/old", "https://new.example/b", times=3)
    mirror.poller.describe_groups()
    admitted, _ = mirror.poller.begin(mirror.claim("strict"))
    waiting, (postponed,) = mirror.poller.begin(mirror.claim("/old"))
    assert (len(admitted), waiting, postponed.why) == (1, [], "1 request in flight")


def test_a_move_has_the_limits_told_anew_though_nobody_reads_the_sources_file(mirror: Mirror) -> None:
    sources = [
        Source(id=path, name=path, url=mirror.server.url(path), private=True, group="shared", in_flight=limit)
        for path, limit in (("/a", 1), ("/b", None))
    ]
    mirror.storage.sources.synchronise(sources, [])
    mirror.server.redirect("/b", "/new", status=301)
    mirror.server.serve("/new", atom(entry("a")))
    described = []
    for _ in range(4):
        mirror.poll_all(mirror.claim("/b"))
        (standing,) = mirror.storage.ledger.standings(limit=10) or (None,)
        described.append(standing is not None and standing.ledger.limits.in_flight == 1)
    assert described == [False, False, True, True]


def test_each_step_of_a_redirect_counts_as_a_request_and_is_not_refused(mirror: Mirror) -> None:
    """To refuse it would lose the request before it as well, and so would the next look."""
    mirror.server.redirect("/feed", "/next")
    mirror.server.redirect("/next", "/there")
    mirror.server.serve("/there", atom(entry("a")))
    mirror.watch("/feed", per_minute=1)
    assert mirror.poll().ok
    (standing,) = mirror.storage.ledger.standings(limit=10)
    assert (standing.ledger.used_minute, standing.ledger.used_day, standing.ledger.used_month) == (3, 3, 3)
    assert mirror.poller.begin(mirror.claim("/feed"))[0] == []


def test_a_step_to_another_host_counts_there_unless_the_group_is_given(mirror: Mirror) -> None:
    mirror.server.redirect("/feed", f"http://localhost:{mirror.server.port}/")
    has_a_group(mirror, f"localhost:{mirror.server.port}")
    counted = []
    for group in (None, "shared"):
        mirror.watch("/feed", per_minute=60, group=group)
        assert mirror.poll().failure is Failure.FORBIDDEN_ADDRESS  # a guard's affair, and it comes later
        counted.append({one.ledger.name: one.ledger.used_minute for one in mirror.storage.ledger.standings(limit=10)})
    own, other = f"127.0.0.1:{mirror.server.port}", f"localhost:{mirror.server.port}"
    assert counted == [{own: 1, other: 1}, {own: 1, other: 1, "shared": 2}]


def test_a_private_source_without_limits_is_counted_only_where_it_is_led_to_strangers(mirror: Mirror) -> None:
    own, other = f"127.0.0.1:{mirror.server.port}", f"localhost:{mirror.server.port}"
    mirror.server.redirect("/feed", "/own")
    mirror.server.redirect("/own", f"http://{other}/")
    has_a_group(mirror, own, other)
    mirror.poll()
    standings = mirror.storage.ledger.standings(limit=10)
    assert {one.ledger.name: one.ledger.used_minute for one in standings} == {own: 0, other: 1}


def test_steps_on_the_way_to_older_pages_count_as_well(mirror: Mirror) -> None:
    mirror.server.serve("/feed", paged("/2", entry("a")))
    mirror.server.redirect("/2", "/two")
    mirror.server.serve("/two", atom(entry("b")))
    mirror.watch("/feed", per_minute=60)
    assert len(mirror.poll().new) == 2
    (standing,) = mirror.storage.ledger.standings(limit=10)
    assert standing.ledger.used_minute == 3


def has_a_group(mirror: Mirror, *names: str) -> None:
    """Somebody asked these groups for something, and was granted nothing."""
    mirror.storage.groups.admit({name: Demand(1, GroupLimits(per_day=0)) for name in names}, lease_s=LEASE_S)


def told_of_a_move(mirror: Mirror, path: str, to: str, *, times: int) -> None:
    """Looks in a row that were told that the source has moved."""
    for _ in range(times):
        begun = mirror.storage.sources.begin(mirror.claim(path), lease_s=LEASE_S)
        ends = [Finished(watched=watched, outcome=Outcome(moved_to=to), interval_s=30) for watched in begun]
        mirror.storage.sources.finish(ends)


def groups_asked(mirror: Mirror, *paths: str) -> list[str]:
    """The groups that grant what these sources need; it is given back."""
    admitted, _ = mirror.poller.begin(mirror.claim(*paths))
    slots = [watched.slot for watched in admitted if watched.slot]
    mirror.storage.groups.release(slots)
    mirror.storage.sources.postpone(Postponed(watched=watched, by_s=0, why="") for watched in admitted)
    return [slot.group for slot in slots]


# -- seen for the first time


def paged(next_url: str, *entries: str) -> bytes:
    """A page of a paged feed (RFC 5005, 3)."""
    return atom(f"<link rel='next' href='{next_url}'/>", *entries)


def test_of_a_paged_feed_the_older_pages_are_read_once_when_it_is_seen_for_the_first_time(mirror: Mirror) -> None:
    mirror.server.serve("/feed", paged("/2", dated("f", 6), dated("e", 5)))
    mirror.server.serve("/2", paged("/3", dated("d", 4), dated("c", 3)))
    mirror.server.serve("/3", atom(dated("b", 2), dated("a", 1)))
    assert titles(mirror.poll().new) == list("abcdef")
    mirror.server.serve("/feed", paged("/2", dated("g", 7), dated("f", 6)))
    assert titles(mirror.poll().new) == ["g"]
    assert len(mirror.server.requests_for("/2")) == 1
    assert mirror.stored() == list("gfedcba")


def dated(name: str, day: int) -> str:
    return entry(name).replace("2026-01-01", f"2026-01-0{day}")


def test_pages_that_lead_round_in_a_circle_are_read_once(mirror: Mirror) -> None:
    mirror.server.serve("/feed", paged("/2", entry("a")))
    mirror.server.serve("/2", paged("/feed", entry("b")))
    assert sorted(titles(mirror.poll().new)) == ["a", "b"]
    assert len(mirror.server.requests) == 2


def test_no_more_pages_are_read_than_the_setting_allows(mirror: Mirror, storage: Storage) -> None:
    mirror.poller = Poller(storage, replace(SETTINGS, first_pages=3))
    for number in range(1, 9):
        path = "/feed" if number == 1 else f"/{number}"
        mirror.server.serve(path, paged(f"/{number + 1}", entry(str(number))))
    outcome = mirror.poll()
    assert sorted(titles(outcome.new)) == ["1", "2", "3"]
    assert outcome.notices == ("not all of its older pages were read: FEEDMIRROR_FIRST_PAGES is 3",)


def test_each_older_page_counts_as_a_request_of_its_group_and_waits_for_its_turn(
    mirror: Mirror, storage: Storage
) -> None:
    mirror.server.serve("/feed", paged("/2", entry("a")))
    mirror.server.serve("/2", paged("/3", entry("b")))
    mirror.server.serve("/3", atom(entry("c")))
    mirror.watch("/feed", group="one at a time", in_flight=1)
    assert len(mirror.poll().new) == 3
    (standing,) = storage.ledger.standings(limit=10)
    assert sum(granted.number for granted in standing.ledger.recent) == 3
    assert standing.ledger.in_flight == 0


def test_older_pages_for_which_the_groups_limits_leave_no_room_are_left_out(
    mirror: Mirror, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    mirror.server.serve("/feed", paged("/2", entry("a")))
    mirror.server.serve("/2", paged("/3", entry("b")))
    mirror.server.serve("/3", atom(entry("c")))
    mirror.watch("/feed", group="two a day", per_day=2)
    outcome = mirror.poll()
    assert sorted(titles(outcome.new)) == ["a", "b"]
    assert outcome.notices == ("not all of its older pages were read: its group's limits leave no room",)
    assert mirror.server.requests_for("/3") == []
    assert "its group's limits leave no room" in caplog.text


@pytest.mark.parametrize("broken", [Reply(status=500), Reply(b"no feed")], ids=["failing", "no feed"])
def test_an_older_page_that_cannot_be_read_costs_the_others_nothing(
    mirror: Mirror, caplog: pytest.LogCaptureFixture, broken: Reply
) -> None:
    mirror.server.serve("/feed", paged("/2", entry("a")))
    mirror.server.serve("/2", lambda _: broken)
    outcome = mirror.poll()
    assert outcome.ok
    assert titles(outcome.new) == ["a"]
    assert "older pages" in caplog.text
    assert outcome.notices[0].startswith("not all of its older pages were read: ")


def test_a_page_of_a_private_feed_leads_to_no_other_private_address(mirror: Mirror) -> None:
    with FeedServer() as other:
        other.serve("/2", atom(entry("secret")))
        mirror.server.serve("/feed", paged(other.url("/2"), entry("a")))
        assert titles(mirror.poll().new) == ["a"]
        assert other.requests == []


# -- documents that are not well, and edits that have to wait


def test_what_is_cut_is_told_with_the_source_that_of_older_pages_with_it(mirror: Mirror, storage: Storage) -> None:
    mirror.server.serve("/feed", paged("/2", entry("a", title="x" * 2_001), entry("b", title="y" * 3_000)))
    mirror.server.serve("/2", atom(entry("c", title="z" * 2_001)))
    told = ("3 titles cut at 2,000 characters",)
    assert mirror.poll().notices == told
    assert mirror.source().looks.notices == told
    mirror.poll()  # nothing has changed, and it still holds
    assert mirror.source().looks.notices == told
    mirror.server.serve("/feed", atom(entry("d")))
    mirror.poll()
    assert mirror.source().looks.notices == ()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (atom(entry("a")), ()),
        (atom(entry("a", title="Fish & chips")), ("recovered: it is not well-formed",)),
        (atom(entry("a"), entry("b"))[:-30], ("truncated: its end is missing",)),
    ],
)
def test_what_was_not_well_with_a_document_is_told_with_the_source(
    mirror: Mirror, body: bytes, expected: tuple[str, ...]
) -> None:
    mirror.server.serve("/feed", body)
    assert mirror.poll().notices == expected
    assert mirror.source().looks.notices == expected


def test_votes_that_had_to_wait_are_seen_although_the_document_stays_the_same(
    mirror: Mirror, database: Database[dict[str, Any]]
) -> None:
    def voted(score: int) -> bytes:
        rank = f"<rank xmlns='http://purl.org/atompub/rank/1.0'>{score}</rank></entry>"
        return atom(entry("a").replace("</entry>", rank))

    mirror.server.serve("/feed", voted(1), etag=True)
    mirror.poll()
    mirror.server.serve("/feed", voted(2), etag=True)
    assert mirror.poll().edited == 0
    database["items"].update_one({}, {"$set": {"counted_at": datetime(2026, 1, 1, tzinfo=UTC)}})
    assert mirror.poll().edited == 1
    (item,) = mirror.storage.items.newest(Selection(), limit=9).items
    assert item.score == 2
    mirror.poll()
    assert mirror.server.requests[-1].headers["If-None-Match"]
