"""What is watched and who polls it, against the real MongoDB: claims, leases, and how a poll went."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.errors import Failure
from feedmirror.models import Finished, Item, Outcome, Postponed, Remembered, Source, Validators, WatchedSource
from feedmirror.storage import Storage
from feedmirror.storage.sources import Claim, Sources, note_overdue
from tests.waiting import wait_until

# Longer than any test, and short enough to end within one.
LONG_S, SHORT_S = 600, 0.2
REMEMBERED = Remembered(validators=Validators(etag='"1"', last_modified="Mon"), body_digest="d1", version="1.0")


def source(source_id: str, **fields: Any) -> Source:
    described = {"name": source_id.upper(), "url": f"https://{source_id}.example/feed", "every_s": 30, **fields}
    return Source(id=source_id, **described)


def item(name: str) -> Item:
    return Item(id=name, fetched_us=1, changed_us=1, arrived_at=datetime(2026, 1, 1, tzinfo=UTC), sources=())


@pytest.fixture
def sources(storage: Storage) -> Sources:
    return storage.sources


def watch(sources: Sources, *watched: str | Source) -> None:
    sources.synchronise([source(one) if isinstance(one, str) else one for one in watched], [])


def find(sources: Sources, source_id: str) -> WatchedSource:
    (found,) = [watched for watched in sources.all() if watched.source.id == source_id]
    return found


def claimed(sources: Sources, *, limit: int = 10, lease_s: float = LONG_S) -> set[str]:
    return set(sources.claim_due(limit=limit, lease_s=lease_s).source_ids)


def begun(sources: Sources, source_id: str, *, lease_s: float = LONG_S) -> WatchedSource:
    """A poll of this source that has begun."""
    claim = sources.claim_now([source_id], lease_s=LONG_S)
    (watched,) = sources.begin(claim, lease_s=lease_s)
    return watched


def end(sources: Sources, watched: WatchedSource, outcome: Outcome, *, interval_s: float = LONG_S) -> None:
    sources.finish([Finished(watched=watched, outcome=outcome, interval_s=interval_s)])


def polled(sources: Sources, source_id: str, outcome: Outcome, *, interval_s: float = LONG_S) -> WatchedSource:
    """The source after a poll that went like this."""
    end(sources, begun(sources, source_id), outcome, interval_s=interval_s)
    return find(sources, source_id)


# -- what is watched


def test_a_new_source_is_kept_whole_and_due_at_once(sources: Sources) -> None:
    described = source(
        "a", group="news", in_flight=2, per_minute=10, private=True, tags=("x", "$y"), every_s=None, kind="feed"
    )
    watch(sources, described)
    watched = find(sources, "a")
    assert watched.source == described
    assert (watched.active, watched.lease, watched.identity, watched.remembered) == (True, None, None, Remembered())
    assert (watched.looks.last_at, watched.looks.failures, watched.looks.items) == (None, 0, 0)
    assert claimed(sources) == {"a"}


def test_sources_are_listed_in_the_order_of_the_file_those_that_rest_last(sources: Sources) -> None:
    watch(sources, "c", "a", "b", "d")
    watch(sources, "d", "c", "b")
    assert [(watched.source.id, watched.active) for watched in sources.all()] == [
        ("d", True),
        ("c", True),
        ("b", True),
        ("a", False),
    ]


def test_the_same_file_again_changes_nothing_and_makes_nothing_due(sources: Sources) -> None:
    described = [source("a"), source("b", every_s=None, tags=("t",))]
    assert sources.synchronise(described, ["a mistake"])
    claimed(sources)
    before = sources.all()
    assert not sources.synchronise(described, ["a mistake"])
    assert sources.all() == before
    assert claimed(sources) == set()


@pytest.mark.parametrize(
    "change", [{"url": "https://moved.example/"}, {"every_s": 60}, {"every_s": None}, {"private": True}]
)
def test_another_address_or_interval_is_due_at_once(sources: Sources, change: dict[str, Any]) -> None:
    watch(sources, "a", "b")
    polled(sources, "a", Outcome())
    polled(sources, "b", Outcome())
    watch(sources, source("a", **change), "b")
    assert claimed(sources) == {"a"}


@pytest.mark.parametrize("change", [{"name": "Other"}, {"group": "g"}])
def test_another_look_changes_the_description_and_not_when_it_is_due(sources: Sources, change: dict[str, Any]) -> None:
    watch(sources, "a")
    before = polled(sources, "a", Outcome(remembered=REMEMBERED))
    watch(sources, source("a", **change))
    after = find(sources, "a")
    assert after == replace(before, source=source("a", **change))
    assert claimed(sources) == set()


def test_other_tags_reach_the_items_with_the_next_look_even_if_the_document_is_the_same(sources: Sources) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome(remembered=REMEMBERED))
    watch(sources, source("a", tags=("new",)))
    assert find(sources, "a").remembered == Remembered()
    assert claimed(sources) == set()


def test_another_address_is_seen_for_the_first_time(sources: Sources) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome(new=(item("i"),), remembered=REMEMBERED, identity="guid"))
    watch(sources, source("a", every_s=60))
    assert find(sources, "a").remembered == REMEMBERED
    watch(sources, source("a", url="https://moved.example/"))
    after = find(sources, "a")
    assert after.remembered == Remembered()
    assert after.identity == "guid"
    assert (after.looks.items, after.looks.last_ok_at) == (1, None)


def test_a_poll_of_the_old_address_does_not_count_for_the_new_one(sources: Sources) -> None:
    watch(sources, "a")
    old = begun(sources, "a")
    watch(sources, source("a", url="https://moved.example/"))
    end(sources, old, Outcome(remembered=REMEMBERED))
    assert find(sources, "a").remembered == Remembered()
    assert find(sources, "a").remembered == Remembered()
    assert claimed(sources) == {"a"}


def test_a_source_that_the_file_no_longer_names_rests(sources: Sources) -> None:
    watch(sources, "a", "b")
    polled(sources, "a", Outcome(new=(item("i"),)))
    watch(sources, "b")
    rests = find(sources, "a")
    assert (rests.active, rests.looks.next_at, rests.looks.items) == (False, None, 1)
    assert claimed(sources) == {"b"}


def test_an_empty_file_lets_everything_rest(sources: Sources) -> None:
    watch(sources, "a", "b")
    assert sources.synchronise([], [])
    assert claimed(sources) == set()
    assert not sources.synchronise([], [])


def test_a_source_that_comes_back_is_due_at_once_and_goes_on_from_what_it_was(sources: Sources) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome(new=(item("i"),), remembered=REMEMBERED, identity="link"))
    watch(sources)
    watch(sources, "a")
    back = find(sources, "a")
    assert (back.active, back.looks.items, back.remembered, back.identity) == (True, 1, REMEMBERED, "link")
    assert claimed(sources) == {"a"}


@pytest.mark.parametrize("text", ["$name", "$$NOW", "$source.url", "a.b", "{'$gt': 1}"])
def test_texts_that_look_like_mongodbs_own_words_are_kept_as_they_are(sources: Sources, text: str) -> None:
    described = source("a", name=text, url=text, group=text, tags=(text,))
    watch(sources, described)
    sources.synchronise([described], [text])
    assert find(sources, "a").source == described
    assert sources.mistakes() == [text]
    after = polled(
        sources,
        "a",
        Outcome(identity=text, remembered=Remembered(validators=Validators(etag=text), body_digest=text, version=text)),
    )
    assert (after.identity, after.remembered.validators.etag, after.remembered.version) == (text, text, text)
    assert polled(sources, "a", Outcome(error=text)).looks.error == text


def test_a_source_that_is_added_by_hand_is_known_and_not_polled_by_itself(sources: Sources) -> None:
    sources.add(source("a"))
    watched = find(sources, "a")
    assert (watched.active, watched.looks.next_at) == (False, None)
    assert claimed(sources) == set()
    assert sources.claim_now(["a"], lease_s=LONG_S).source_ids == ("a",)


# -- mistakes


def test_mistakes_of_the_file_are_kept_until_it_has_none(sources: Sources) -> None:
    assert sources.mistakes() == []
    assert sources.synchronise([], ["line 1: this", "line 2: that"])
    assert sources.mistakes() == ["line 1: this", "line 2: that"]
    assert not sources.synchronise([], ["line 1: this", "line 2: that"])
    assert sources.synchronise([], [])
    assert sources.mistakes() == []


# -- claims


def test_two_claims_never_overlap(sources: Sources) -> None:
    watch(sources, *"abcde")
    first, second = claimed(sources, limit=3), claimed(sources, limit=3)
    assert (len(first), len(second)) == (3, 2)
    assert first | second == set("abcde")
    assert sources.claim_due(limit=3, lease_s=LONG_S) == Claim("")


def test_claims_from_many_threads_at_once_never_overlap(sources: Sources) -> None:
    names = {f"s{number:02}" for number in range(40)}
    watch(sources, *sorted(names))
    start = threading.Barrier(8)

    def claim(_: int) -> list[str]:
        start.wait()
        taken: list[str] = []
        while claim := sources.claim_due(limit=5, lease_s=LONG_S).source_ids:
            taken += claim
        return taken

    with ThreadPoolExecutor(8) as threads:
        taken = [name for share in threads.map(claim, range(8)) for name in share]
    # a thread that lost every one of its five stops early: what is left is claimed now, and nothing twice
    taken += claimed(sources, limit=100)
    assert sorted(taken) == sorted(names)


def test_those_that_have_waited_longest_come_first(sources: Sources) -> None:
    watch(sources, "late", "early")
    polled(sources, "early", Outcome(), interval_s=0)
    polled(sources, "late", Outcome(), interval_s=0)
    assert claimed(sources, limit=1) == {"early"}


def test_a_lease_that_ends_frees_its_sources_without_anybodys_doing(sources: Sources) -> None:
    watch(sources, "a", "b")
    assert claimed(sources, lease_s=SHORT_S) == {"a", "b"}
    assert wait_until(lambda: claimed(sources), "the lease to end") == {"a", "b"}


def test_claim_now_takes_what_is_not_due_or_rests_and_leaves_what_is_being_polled(sources: Sources) -> None:
    watch(sources, "not due", "polled", "rests", "unasked")
    polled(sources, "not due", Outcome())
    begun(sources, "polled")
    watch(sources, "not due", "polled", "unasked")
    claim = sources.claim_now(["not due", "polled", "rests", "unknown"], lease_s=LONG_S)
    assert set(claim.source_ids) == {"not due", "rests"}
    assert claimed(sources) == {"unasked"}


def test_claim_now_takes_over_from_one_whose_lease_has_ended(sources: Sources) -> None:
    watch(sources, "a")
    begun(sources, "a", lease_s=SHORT_S)
    wait_until(lambda: sources.claim_now(["a"], lease_s=LONG_S).source_ids, "the lease to end")


# -- a poll begins


def test_begin_gives_the_source_under_a_lease_of_its_own(sources: Sources) -> None:
    watch(sources, "a")
    claim = sources.claim_due(limit=1, lease_s=LONG_S)
    (watched,) = sources.begin(claim, lease_s=LONG_S)
    assert watched.source == source("a")
    assert watched.lease not in (None, claim.lease)
    assert watched.looks.last_at is not None
    assert claimed(sources) == set()


def test_a_message_that_comes_twice_begins_one_poll(sources: Sources) -> None:
    watch(sources, "a")
    claim = sources.claim_due(limit=1, lease_s=LONG_S)
    start = threading.Barrier(4)

    def begin(_: int) -> list[WatchedSource]:
        start.wait()
        return sources.begin(claim, lease_s=LONG_S)

    with ThreadPoolExecutor(4) as threads:
        assert sorted(map(len, threads.map(begin, range(4)))) == [0, 0, 0, 1]
    assert sources.begin(claim, lease_s=LONG_S) == []


def test_a_message_that_comes_after_its_claim_is_over_begins_what_nobody_else_has_claimed(sources: Sources) -> None:
    watch(sources, "free", "taken")
    late = sources.claim_due(limit=2, lease_s=SHORT_S)
    wait_until(lambda: sources.claim_now(["taken"], lease_s=LONG_S).source_ids, "the lease to end")
    assert [watched.source.id for watched in sources.begin(late, lease_s=LONG_S)] == ["free"]


def test_claimed_sources_begin_in_the_order_of_their_claim(sources: Sources) -> None:
    names = ["d", "a", "c", "b"]
    watch(sources, *names)
    claim = sources.claim_now(names, lease_s=LONG_S)
    begun_polls = sources.begin(Claim(claim.lease, tuple(names)), lease_s=LONG_S)
    assert [watched.source.id for watched in begun_polls] == names


@pytest.mark.parametrize(("source_id", "lease"), [("b", None), ("a", "another"), ("a", "")])
def test_nobody_begins_what_they_have_not_claimed(sources: Sources, source_id: str, lease: str | None) -> None:
    watch(sources, "a", "b")
    claim = sources.claim_now(["a"], lease_s=LONG_S)
    other = Claim(claim.lease if lease is None else lease, (source_id,))
    assert sources.begin(other, lease_s=LONG_S) == []


def test_what_is_postponed_is_due_again_after_that_time_and_says_why(sources: Sources) -> None:
    watch(sources, "soon", "later")
    soon, later = begun(sources, "soon"), begun(sources, "later")
    sources.postpone(
        [
            Postponed(watched=soon, by_s=0, why="MongoDB was away"),
            Postponed(watched=later, by_s=LONG_S, why="60 a minute are used up"),
        ]
    )
    assert claimed(sources) == {"soon"}
    assert find(sources, "later").looks.why == "60 a minute are used up"
    assert find(sources, "later").lease is None


# -- a poll ends


def test_many_polls_end_at_once_each_in_its_own_way(sources: Sources) -> None:
    watch(sources, "a", "b")
    polls = [begun(sources, "a"), begun(sources, "b")]
    failed = Outcome(error="no such host", failure=Failure.DNS)
    sources.finish(
        [
            Finished(watched=polls[0], outcome=Outcome(), interval_s=LONG_S, why="adapts", items_per_day=2.5),
            Finished(watched=polls[1], outcome=failed, interval_s=LONG_S, why="no such host"),
        ]
    )
    well, failing = find(sources, "a").looks, find(sources, "b").looks
    assert (well.failures, well.failure, well.why, well.items_per_day) == (0, None, "adapts", 2.5)
    assert (failing.failures, failing.failure, failing.why) == (1, Failure.DNS, "no such host")


def test_windows_lost_are_counted(sources: Sources) -> None:
    watch(sources, "a")
    for expected in (1, 2):
        lost = Finished(watched=begun(sources, "a"), outcome=Outcome(listed=30), interval_s=0, window_lost=True)
        sources.finish([lost])
        looks = find(sources, "a").looks
        assert (looks.windows_lost, looks.window_lost_at) == (expected, looks.last_ok_at)


def test_a_move_counts_while_it_holds(sources: Sources) -> None:
    def looks(moved_to: str | None, *, error: str | None = None) -> tuple[str | None, int]:
        after = polled(sources, "a", Outcome(moved_to=moved_to, error=error)).looks
        return after.moved_to, after.moved_looks

    watch(sources, "a")
    assert looks("https://new.example/") == ("https://new.example/", 1)
    assert looks("https://new.example/") == ("https://new.example/", 2)
    assert looks("https://other.example/") == ("https://other.example/", 1)
    assert looks(None) == (None, 0)
    assert looks("https://new.example/") == ("https://new.example/", 1)
    assert looks(None, error="no such host") == (None, 0)


def test_a_source_is_due_again_its_interval_after_the_poll_began(sources: Sources) -> None:
    watch(sources, "a")
    watched = begun(sources, "a")
    end(sources, watched, Outcome(), interval_s=90.5)
    looks = find(sources, "a").looks
    assert looks.last_at is not None
    assert looks.next_at is not None
    assert (looks.next_at - looks.last_at).total_seconds() == 90.5
    assert looks.interval_s == 90.5
    assert looks.last_at == watched.looks.last_at
    assert claimed(sources) == set()


def let_be_due(sources: Sources, database: Database[dict[str, Any]], source_id: str, ago: timedelta) -> datetime:
    """Let a source have been due so long before now; gives when, as it is stored."""
    database["sources"].update_one({"_id": source_id}, {"$set": {"due_at": datetime.now(UTC) - ago}})
    due_at = find(sources, source_id).looks.next_at
    assert due_at is not None
    return due_at


def next_after(sources: Sources, claim: Claim, *, interval_s: float) -> WatchedSource:
    """The source after a claim of it alone, polled and due again after an interval that counts from when it was due."""
    (watched,) = sources.begin(claim, lease_s=LONG_S)
    sources.finish([Finished(watched=watched, outcome=Outcome(), interval_s=interval_s, from_due=True)])
    return find(sources, watched.source.id)


def test_what_it_takes_to_find_out_that_a_source_is_due_is_not_added_to_its_interval(
    sources: Sources, database: Database[dict[str, Any]]
) -> None:
    watch(sources, "a")
    due_at = let_be_due(sources, database, "a", timedelta(seconds=0.1))
    looks = next_after(sources, sources.claim_due(limit=1, lease_s=LONG_S), interval_s=30).looks
    assert looks.last_at is not None
    assert looks.last_at - due_at >= timedelta(seconds=0.1)
    late_by = min(looks.last_at - due_at, timedelta(seconds=0.5))
    assert looks.next_at == looks.last_at - late_by + timedelta(seconds=30)


def test_a_source_that_was_late_is_looked_at_half_a_second_sooner_for_that_and_no_more(
    sources: Sources, database: Database[dict[str, Any]]
) -> None:
    watch(sources, "a")
    let_be_due(sources, database, "a", timedelta(seconds=20))
    looks = next_after(sources, sources.claim_due(limit=1, lease_s=LONG_S), interval_s=30).looks
    assert looks.last_at is not None
    assert looks.next_at == looks.last_at + timedelta(seconds=29.5)


def test_a_source_that_is_looked_at_by_hand_is_due_its_interval_after_that(
    sources: Sources, database: Database[dict[str, Any]]
) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome(), interval_s=5000)
    looks = next_after(sources, sources.claim_now(["a"], lease_s=LONG_S), interval_s=30).looks
    assert looks.last_at is not None
    assert looks.next_at is not None
    assert timedelta(seconds=29.5) <= looks.next_at - looks.last_at <= timedelta(seconds=30)


def test_a_poll_that_took_longer_than_the_interval_is_due_at_once_and_not_before_it_ended(sources: Sources) -> None:
    watch(sources, "a")
    after = polled(sources, "a", Outcome(), interval_s=0)
    assert after.looks.next_at is not None
    assert after.looks.last_at is not None
    assert after.looks.next_at >= after.looks.last_at
    assert claimed(sources) == {"a"}


def test_who_has_lost_the_lease_has_no_say(sources: Sources) -> None:
    watch(sources, "a")
    slow = begun(sources, "a", lease_s=SHORT_S)
    claim = wait_until(
        lambda: next((one for one in [sources.claim_due(limit=1, lease_s=LONG_S)] if one.source_ids), None),
        "the lease to end",
    )
    (quick,) = sources.begin(claim, lease_s=LONG_S)
    end(sources, slow, Outcome(error="too late"))
    assert find(sources, "a") == quick
    end(sources, quick, Outcome(identity="link"))
    end(sources, quick, Outcome(error="twice"))
    after = find(sources, "a")
    assert (after.looks.error, after.identity) == (None, "link")


def test_a_failure_is_kept_with_its_beginning_and_how_often(sources: Sources) -> None:
    watch(sources, "a")
    well = polled(sources, "a", Outcome(new=(item("i"),), remembered=REMEMBERED, identity="link"))
    first = polled(sources, "a", Outcome(error="no answer"))
    second = polled(sources, "a", Outcome(error="another error"))
    assert (first.looks.failures, first.looks.error) == (1, "no answer")
    assert (second.looks.failures, second.looks.error) == (2, "another error")
    assert first.looks.error_since is not None
    assert first.looks.error_since == second.looks.error_since
    # what the last good document left is still good
    assert (second.remembered, second.identity, second.looks.items) == (REMEMBERED, "link", 1)
    assert second.looks.last_ok_at == well.looks.last_ok_at
    assert second.looks.last_new_at == well.looks.last_new_at


def test_a_source_that_healed_has_no_error_left(sources: Sources) -> None:
    watch(sources, "a")
    failing = polled(sources, "a", Outcome(error="no answer"))
    healed = polled(sources, "a", Outcome())
    assert failing.looks.last_ok_at is None
    assert (healed.looks.failures, healed.looks.error, healed.looks.error_since) == (0, None, None)
    assert healed.looks.last_ok_at is not None
    assert polled(sources, "a", Outcome(error="again")).looks.failures == 1


@pytest.mark.parametrize(
    ("outcome", "items"),
    [
        (Outcome(), 0),
        (Outcome(edited=3), 0),
        (Outcome(new=(item("i"), item("j"))), 2),
        (Outcome(sighted=3), 3),
        (Outcome(new=(item("i"),), sighted=1, edited=9), 2),
    ],
)
def test_what_arrived_is_counted_and_dated(sources: Sources, outcome: Outcome, items: int) -> None:
    watch(sources, "a")
    once, twice = polled(sources, "a", outcome), polled(sources, "a", outcome)
    assert (once.looks.items, twice.looks.items) == (items, 2 * items)
    assert (once.looks.last_new_at is not None) == (items > 0)


def test_what_an_outcome_does_not_say_keeps_its_value(sources: Sources) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome(remembered=REMEMBERED, identity="guid after link"))
    after = polled(sources, "a", Outcome())
    assert (after.remembered, after.identity) == (REMEMBERED, "guid after link")


def test_every_time_is_an_aware_one_of_the_server(sources: Sources) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome(new=(item("i"),)))
    looks = polled(sources, "a", Outcome(error="x")).looks
    for moment in (looks.next_at, looks.last_at, looks.last_ok_at, looks.last_new_at, looks.error_since):
        assert moment is not None
        assert abs((moment - datetime.now(UTC)).total_seconds()) < LONG_S + 60


# -- indexes


def test_every_query_has_an_index(sources: Sources, database: Database[dict[str, Any]]) -> None:
    watch(sources, *(f"s{number}" for number in range(30)))
    sources.add(source("by hand"))
    queries: list[Callable[[], object]] = [
        lambda: watch(sources, *(f"s{number}" for number in range(1, 30))),
        lambda: sources.add(source("by hand")),
        sources.all,
        sources.mistakes,
        lambda: sources.claim_due(limit=5, lease_s=LONG_S),
        lambda: polled(sources, "s20", Outcome()),
    ]
    database.command("profile", 2)
    for query in queries:
        query()
    database.command("profile", 0)
    found = list(database["system.profile"].find({"planSummary": {"$exists": True}}))
    assert len(found) >= len(queries)
    assert [entry["command"] for entry in found if "COLLSCAN" in entry["planSummary"]] == []
    assert [entry["command"] for entry in found if entry.get("hasSortStage")] == []


# -- a server's clock that is set back: the same as stored times that lie an hour ahead

HOUR = timedelta(hours=1)


def set_back(database: Database[dict[str, Any]], by: timedelta = HOUR) -> None:
    """Let the server's clock go back by so much, as seen from all that is stored.

    How much it was is told by the time that was noted last, so what is moved is later by as much as has passed since.
    """
    later = {"$add": ["$$this", by // timedelta(milliseconds=1)]}

    def moved(field: str) -> dict[str, Any]:
        return {"$cond": [{"$gt": [f"${field}", None]}, {"$let": {"vars": {"this": f"${field}"}, "in": later}}, None]}

    fields = ("due_at", "was_due_at", "looks.last_at", "looks.last_ok_at")
    database["sources"].update_many({}, [{"$set": {field: moved(field) for field in fields}}])
    database["notes"].update_many({"_id": "clock"}, [{"$set": {"highest": moved("highest")}}])


def due_in_s(sources: Sources, source_id: str) -> float:
    looks = find(sources, source_id).looks
    assert looks.next_at is not None
    return (looks.next_at - datetime.now(UTC)).total_seconds()


def test_a_clock_that_is_set_back_leaves_every_source_due_when_it_was(
    sources: Sources, database: Database[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    watch(sources, "soon", "later", "overdue", "new")
    polled(sources, "soon", Outcome(), interval_s=30)
    polled(sources, "later", Outcome(), interval_s=5000)
    polled(sources, "overdue", Outcome(), interval_s=0)
    set_back(database)
    assert "new" in claimed(sources)
    wait_until(lambda: claimed(sources) == {"overdue"}, "what was due then", timeout_s=5)
    assert 20 < due_in_s(sources, "soon") < 40
    assert 4990 < due_in_s(sources, "later") < 5060
    assert ["set back by 1:00:00" in line or "set back by 0:59:59" in line for line in caplog.messages] == [True]
    assert claimed(sources) == set()
    assert len(caplog.messages) == 1


def test_a_lease_keeps_its_length_when_the_clock_is_set_back(
    sources: Sources, database: Database[dict[str, Any]]
) -> None:
    watch(sources, "dies", "lives")
    begun(sources, "lives", lease_s=LONG_S)
    begun(sources, "dies", lease_s=SHORT_S)
    set_back(database)
    assert wait_until(lambda: claimed(sources), "the lease to end") == {"dies"}
    assert LONG_S - 60 < due_in_s(sources, "lives") <= LONG_S


def test_many_who_notice_it_at_once_move_everything_once(sources: Sources, database: Database[dict[str, Any]]) -> None:
    names = [f"s{number:03}" for number in range(200)]
    watch(sources, *names)
    sources.finish(
        Finished(watched=watched, outcome=Outcome(), interval_s=5000)
        for watched in sources.begin(sources.claim_now(names, lease_s=LONG_S), lease_s=LONG_S)
    )
    set_back(database)
    start = threading.Barrier(8)

    def claim(_: int) -> Claim:
        start.wait()
        return sources.claim_due(limit=500, lease_s=LONG_S)

    with ThreadPoolExecutor(8) as threads:
        assert {claim.source_ids for claim in threads.map(claim, range(8))} == {()}
    assert all(4900 < due_in_s(sources, name) < 5060 for name in (names[0], names[-1]))
    assert all(watched.looks.next_at == sources.all()[0].looks.next_at for watched in sources.all())


def test_who_dies_while_moving_leaves_all_of_it_to_the_next(
    sources: Sources, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome(), interval_s=30)
    set_back(database)
    dying = Sources(database)
    move_back = dying._move_back

    def move_and_die(*arguments: Any) -> None:
        move_back(*arguments)
        raise SystemExit

    monkeypatch.setattr(dying._clock, "_move_back", move_and_die)
    with pytest.raises(SystemExit):
        dying.claim_due(limit=1, lease_s=LONG_S)
    assert due_in_s(sources, "a") > 3000
    assert claimed(sources) == set()
    assert 20 < due_in_s(sources, "a") < 40


def test_a_small_correction_of_the_clock_moves_nothing(sources: Sources, database: Database[dict[str, Any]]) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome())
    set_back(database, timedelta(seconds=4))
    before = find(sources, "a")
    assert claimed(sources) == set()
    assert find(sources, "a") == before


@pytest.mark.parametrize("from_due", [False, True])
def test_a_poll_that_began_before_the_clock_was_set_back_is_due_its_interval_after_it_ended(
    sources: Sources, database: Database[dict[str, Any]], from_due: bool
) -> None:
    watch(sources, "a")
    watched = begun(sources, "a")
    set_back(database)
    sources.finish([Finished(watched=watched, outcome=Outcome(), interval_s=30, from_due=from_due)])
    assert 20 < due_in_s(sources, "a") < 40


def test_by_hand_a_source_comes_free_in_time_although_the_clock_was_set_back(
    sources: Sources, database: Database[dict[str, Any]]
) -> None:
    sources.add(source("a"))
    begun(sources, "a", lease_s=SHORT_S)
    set_back(database)
    wait_until(lambda: sources.claim_now(["a"], lease_s=LONG_S).source_ids, "the lease to end", timeout_s=10)


def test_a_clock_that_is_set_ahead_makes_everything_due_once(
    sources: Sources, database: Database[dict[str, Any]]
) -> None:
    watch(sources, "a", "b")
    for name in ("a", "b"):
        polled(sources, name, Outcome(), interval_s=30)
    set_back(database, -HOUR)
    for watched in sources.begin(sources.claim_due(limit=10, lease_s=LONG_S), lease_s=LONG_S):
        end(sources, watched, Outcome(), interval_s=30)
    assert claimed(sources) == set()
    assert 20 < due_in_s(sources, "a") < 40


# -- by hand


def by_hand(sources: Sources, source_id: str) -> WatchedSource:
    return replace(begun(sources, source_id), by_hand=True)


@pytest.mark.parametrize("failed_before", [0, 2])
def test_a_poll_by_hand_that_fails_leaves_back_off_and_due_time_alone(sources: Sources, failed_before: int) -> None:
    watch(sources, "a")
    for _ in range(failed_before):
        polled(sources, "a", Outcome(error="no answer", failure=Failure.TIMEOUT), interval_s=3000)
    if not failed_before:
        polled(sources, "a", Outcome(), interval_s=3000)
    before = find(sources, "a")
    end(sources, by_hand(sources, "a"), Outcome(error="no such host", failure=Failure.DNS), interval_s=90_000)
    after = find(sources, "a")
    assert after.looks == replace(before.looks, last_at=after.looks.last_at)
    assert after.lease is None


def test_a_poll_by_hand_that_succeeds_ends_back_off(sources: Sources) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome(error="no answer", failure=Failure.TIMEOUT), interval_s=90_000)
    end(sources, by_hand(sources, "a"), Outcome(), interval_s=30)
    looks = find(sources, "a").looks
    assert (looks.failures, looks.error, looks.interval_s) == (0, None, 30)
    assert looks.next_at is not None
    assert looks.last_at is not None
    assert looks.next_at - looks.last_at <= timedelta(seconds=30)


def test_a_poll_by_hand_that_has_to_wait_leaves_the_due_time_alone(sources: Sources) -> None:
    watch(sources, "a")
    polled(sources, "a", Outcome(), interval_s=3000)
    before = find(sources, "a").looks
    sources.postpone([Postponed(watched=by_hand(sources, "a"), by_s=900, why="2 requests in flight")])
    after = find(sources, "a").looks
    assert (after.next_at, after.why) == (before.next_at, before.why)


# -- kept


def test_a_source_that_is_kept_stays_as_it_was_and_says_why(sources: Sources) -> None:
    watch(sources, "a", "b")
    polled(sources, "a", Outcome(arrived=2))
    before = find(sources, "a")
    assert sources.synchronise([source("b")], ["line 7: this"], kept={"a": "line 7: this"})
    assert find(sources, "a") == replace(before, mistake="line 7: this")
    assert not sources.synchronise([source("b")], ["line 7: this"], kept={"a": "line 7: this"})
    watch(sources, "a", "b")
    assert find(sources, "a").mistake is None


def test_a_source_that_rests_is_not_woken_by_a_mistake(sources: Sources) -> None:
    watch(sources, "a")
    watch(sources, "b")
    sources.synchronise([source("b")], ["line 7: this"], kept={"a": "line 7: this"})
    assert (find(sources, "a").active, find(sources, "a").mistake) == (False, None)


def test_only_a_source_that_rests_can_be_forgotten(sources: Sources) -> None:
    watch(sources, "a", "b")
    watch(sources, "b")
    assert [sources.forget(one) for one in ("a", "b", "a")] == [True, False, False]
    assert [watched.source.id for watched in sources.all()] == ["b"]


def test_data_of_an_older_version_learns_when_its_sources_are_overdue(
    sources: Sources, database: Database[dict[str, Any]]
) -> None:
    watch(sources, "a", "b")
    database["sources"].update_many({}, {"$unset": {"overdue_at": ""}, "$set": {"looks.interval_s": 3600.0}})
    database["sources"].update_one({"_id": "b"}, {"$unset": {"looks.interval_s": ""}})
    said: list[str] = []
    for _ in range(2):  # it may be killed at its end
        note_overdue(database, said.append)
    late = {one["_id"]: one["overdue_at"] - one["due_at"] for one in database["sources"].find()}
    assert late == {"a": timedelta(minutes=6), "b": timedelta(seconds=10)}
    assert said == ["2 sources", "0 sources"]
