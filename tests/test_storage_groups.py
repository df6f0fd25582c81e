"""Politeness groups on the real MongoDB: what is granted, to many at once, and what time does to it.

Nothing here waits for a minute or a day: a group's document is made older instead, or younger, as it looks after the
server's clock has jumped back.
"""

import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from feedmirror.db import Connection
from feedmirror.models import Slot
from feedmirror.politeness import Admission, Demand, GroupLedger, GroupLimits, Throttling
from feedmirror.storage.groups import Groups
from tests.waiting import wait_until

# Longer than any test, and short enough to end within one.
LONG_S, SHORT_S = 600, 0.2
G = "a.example:443"
NONE = GroupLimits()
DAY_S = 86_400


@pytest.fixture
def database(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The database as groups read and write it: what was just written is seen, whether on the disk yet or not."""
    return database.with_options(read_concern=ReadConcern("local"), write_concern=WriteConcern(w=1))


@pytest.fixture
def groups(database: Database[dict[str, Any]]) -> Groups:
    made = Groups(database)
    made.create_indexes()
    return made


def admit(groups: Groups, count: int, limits: GroupLimits, *, name: str = G, lease_s: float = LONG_S) -> Admission:
    return groups.admit({name: Demand(count, limits)}, lease_s=lease_s)[name]


def find(groups: Groups, name: str = G) -> GroupLedger:
    (found,) = [ledger for ledger in groups.ledger() if ledger.name == name]
    return found


def age(database: Database[dict[str, Any]], seconds: float, name: str = G) -> None:
    """Let the group's document be so much older; negative: as if the server's clock had jumped back."""
    document = database["groups"].find_one({"_id": name})
    assert document is not None
    database["groups"].replace_one({"_id": name}, _shifted(document, timedelta(seconds=seconds)))


def _shifted(value: Any, by: timedelta) -> Any:
    if isinstance(value, datetime):
        return value - by
    if isinstance(value, dict):
        return {key: one if key in ("day", "month") else _shifted(one, by) for key, one in value.items()}
    return [_shifted(one, by) for one in value] if isinstance(value, list) else value


def start_window(database: Database[dict[str, Any]], window: str, *, days: float) -> None:
    """Let the calendar window of the group have begun so many days earlier than it did."""
    document = database["groups"].find_one({"_id": G})
    assert document is not None
    begun: datetime = document[window]["start"] - timedelta(days=days)
    database["groups"].update_one({"_id": G}, {"$set": {f"{window}.start": begun}})


# -- requests in flight


def test_slots_are_granted_up_to_the_limit_and_again_when_they_come_back(groups: Groups) -> None:
    limits = GroupLimits(in_flight=4)
    first = admit(groups, 3, limits)
    second = admit(groups, 3, limits)
    third = admit(groups, 3, limits)
    assert [one.granted for one in (first, second, third)] == [3, 1, 0]
    assert (first.why, first.retry_in_s) == ("", 0)
    assert (second.why, third.why) == ("4 requests in flight",) * 2
    assert third.retry_in_s >= 1
    groups.release([*first.slots[:2], *second.slots])
    assert find(groups).in_flight == 1
    assert admit(groups, 9, limits).granted == 3


def test_a_slot_that_is_given_back_twice_or_was_never_given_is_no_mistake(groups: Groups) -> None:
    limits = GroupLimits(in_flight=2)
    slots = admit(groups, 2, limits).slots
    assert len(set(slots)) == 2
    for _ in range(2):
        groups.release([slots[0], Slot(G, "another"), Slot("unknown", "another")])
    groups.release([])
    assert find(groups).in_flight == 1
    assert admit(groups, 2, limits).granted == 1


def test_slots_of_a_worker_that_died_come_free_when_their_lease_ends(groups: Groups) -> None:
    limits = GroupLimits(in_flight=1)
    assert admit(groups, 1, limits, lease_s=SHORT_S).granted == 1
    assert admit(groups, 1, limits).granted == 0
    wait_until(lambda: admit(groups, 1, limits).granted, "the lease to end")
    assert find(groups).in_flight == 1


def test_groups_of_a_batch_are_counted_each_for_itself(groups: Groups) -> None:
    wanted = {f"{number}.example:80": Demand(number, GroupLimits(in_flight=2)) for number in range(1, 5)}
    for name in ("1.example:80", "3.example:80"):  # some are known already
        groups.release(admit(groups, 1, NONE, name=name).slots)
    admissions = groups.admit(wanted, lease_s=LONG_S)
    assert {name: one.granted for name, one in admissions.items()} == dict(zip(wanted, (1, 2, 2, 2), strict=True))
    groups.release(slot for one in admissions.values() for slot in one.slots)
    assert {ledger.in_flight for ledger in groups.ledger()} == {0}
    assert groups.admit({}, lease_s=LONG_S) == {}


def test_what_is_counted_without_being_asked_for_takes_the_room_of_what_is_asked_for(groups: Groups) -> None:
    limits = GroupLimits(per_minute=18, per_day=10)  # three in ten seconds
    admit(groups, 1, limits)
    groups.count(G)
    assert admit(groups, 9, limits).granted == 1
    groups.count(G)
    ledger = find(groups)
    assert (ledger.used_minute, ledger.used_day, ledger.used_month, ledger.in_flight) == (4, 4, 4, 2)
    refused = admit(groups, 1, limits)
    assert (refused.granted, refused.why) == (0, "3 in 10 seconds are used up")
    for _ in range(9):
        groups.count(G)
    assert find(groups).used_day == 13
    assert admit(groups, 1, GroupLimits(per_day=10)).granted == 0


def test_a_group_that_nobody_asked_is_not_made_by_counting(groups: Groups) -> None:
    groups.count("stranger.example:443")
    assert groups.ledger() == []


def test_a_group_without_limits_grants_everything_and_is_seen_all_the_same(groups: Groups) -> None:
    assert admit(groups, 200, NONE).granted == 200
    assert admit(groups, 200, NONE).granted == 200
    ledger = find(groups)
    assert (ledger.in_flight, ledger.used_minute, ledger.used_day, ledger.used_month) == (400, 400, 400, 400)
    assert (ledger.why, ledger.wait_s, ledger.queue_until) == ("", 0, None)


@pytest.mark.parametrize("name", ["$name", "$$NOW", "a.b", "", "{'$gt': 1}", "x" * 200])
def test_names_that_look_like_mongodbs_own_words_are_names(groups: Groups, name: str) -> None:
    assert admit(groups, 1, GroupLimits(in_flight=1), name=name).granted == 1
    assert admit(groups, 1, GroupLimits(in_flight=1), name=name).granted == 0
    groups.describe({name: NONE})
    groups.throttled(name, "$source", retry_after_s=1, status=429)
    assert groups.throttled(name, "$$NOW", retry_after_s=60, status=429).wait_s > 0
    assert [ledger.name for ledger in groups.ledger()] == [name]


# -- the rate


def test_a_minute_has_its_number_of_requests_and_ten_seconds_a_sixth_of_it(groups: Groups, database: Any) -> None:
    limits = GroupLimits(per_minute=60)
    granted = []
    for _ in range(7):
        admission = admit(groups, 20, limits)
        granted.append(admission.granted)
        if len(granted) == 1:
            assert admission.why == "10 in 10 seconds are used up"
            assert 5 < admission.retry_in_s <= 10
        age(database, 10)
    # sixty are gone after the sixth; a minute after the first ten there is room for ten
    assert granted == [10] * 7
    age(database, -10)
    full = admit(groups, 1, limits)
    assert (full.granted, find(groups).used_minute) == (0, 60)


def test_one_a_minute_is_one_a_minute(groups: Groups, database: Any) -> None:
    limits = GroupLimits(per_minute=1)
    assert admit(groups, 2, limits).granted == 1
    denied = admit(groups, 1, limits)
    assert (denied.granted, denied.why) == (0, "1 a minute are used up")
    assert denied.retry_in_s > 59
    age(database, 50)
    assert admit(groups, 1, limits).granted == 0
    age(database, 10)
    assert admit(groups, 1, limits).granted == 1


@pytest.mark.parametrize("per_minute", [1, 7, 60, 240])
def test_no_minute_and_no_ten_seconds_ever_see_more_whatever_is_asked_when(
    groups: Groups, database: Any, per_minute: int
) -> None:
    """Some ten minutes of random demands; what the ledger says before each one is what happens."""
    chance = random.Random(per_minute)
    limits = GroupLimits(per_minute=per_minute)
    grants: list[tuple[float, int]] = []
    aged = 0.0
    admit(groups, 0, limits)
    for _ in range(150):
        before = find(groups)
        admission = admit(groups, chance.randint(1, 30), limits)
        if before.wait_s == 0:
            assert admission.granted > 0
        elif before.wait_s > 5:
            assert admission.granted == 0
        active_at = find(groups).active_at
        assert active_at is not None
        now = active_at.timestamp() + aged
        grants.append((now, admission.granted))
        step = chance.choice([0, 0.1, 0.3, 2, 9.99, 10, 11]) * chance.random()
        step = round(step, 3)  # a document has whole milliseconds
        age(database, step)
        aged += step
    for window, most in ((60, per_minute), (10, limits.per_burst)):
        assert most is not None
        # half a millisecond for the sums of floating numbers
        seen = [sum(n for at, n in grants if end - window + 0.0005 < at <= end + 0.0005) for end, _ in grants]
        assert max(seen) <= most
    minutes = (grants[-1][0] - grants[0][0]) / 60
    assert sum(n for _, n in grants) >= 0.5 * per_minute * minutes, "it grants what it may"


def test_many_grants_within_a_moment_are_one_entry(groups: Groups, database: Any) -> None:
    for _ in range(50):
        groups.release(admit(groups, 3, NONE).slots)
    document = database["groups"].find_one({"_id": G})
    seconds = (document["recent"][-1]["at"] - document["recent"][0]["at"]).total_seconds()
    assert len(document["recent"]) <= seconds * 4 + 2
    assert sum(one["n"] for one in document["recent"]) == 150


# -- days and months


@pytest.mark.parametrize(
    ("window", "limits", "why"),
    [
        ("day", GroupLimits(per_day=5), "5 a day are used up"),
        ("month", GroupLimits(per_month=5), "5 a month are used up"),
    ],
)
def test_a_calendar_window_is_used_up_until_it_ends(
    groups: Groups, database: Any, window: str, limits: GroupLimits, why: str
) -> None:
    assert admit(groups, 3, limits).granted == 3
    assert admit(groups, 3, limits).granted == 2
    age(database, 120)
    denied = admit(groups, 1, limits)
    assert (denied.granted, denied.why) == (0, why)
    assert 0 < denied.retry_in_s <= 3600
    start_window(database, window, days=1)
    assert admit(groups, 9, limits).granted == 5
    ledger = find(groups)
    assert {"day": ledger.used_day, "month": ledger.used_month}[window] == 5


def test_days_and_months_begin_at_midnight_utc(groups: Groups, database: Any) -> None:
    admit(groups, 1, NONE)
    document = database["groups"].find_one({"_id": G})
    now = document["active_at"]
    assert document["day"]["start"] == now.replace(hour=0, minute=0, second=0, microsecond=0)
    assert document["month"]["start"] == document["day"]["start"].replace(day=1)


# -- the server's clock


def test_a_clock_that_jumps_back_keeps_nobody_longer_than_was_meant(groups: Groups, database: Any) -> None:
    limits = GroupLimits(in_flight=2, per_minute=6)
    admit(groups, 2, limits, lease_s=30)
    for source_id in ("a", "b"):
        groups.throttled(G, source_id, retry_after_s=40, status=429)
    age(database, -3600)
    assert find(groups).wait_s <= 60
    assert admit(groups, 1, limits).granted == 0
    ledger = find(groups)
    assert (ledger.in_flight, ledger.used_minute) == (1, 1)
    assert 39 < ledger.wait_s <= 40
    age(database, 41)
    assert admit(groups, 1, limits).granted == 1


def test_a_clock_that_jumps_back_over_midnight_leaves_used_up_what_is(groups: Groups, database: Any) -> None:
    limits = GroupLimits(per_day=2, per_month=9)
    admit(groups, 2, limits)
    start_window(database, "day", days=-1)
    start_window(database, "month", days=-31)
    assert admit(groups, 1, limits).granted == 0
    assert (find(groups).used_day, find(groups).used_month) == (2, 2)
    # and it is the present day's again, so that the next midnight ends it
    start_window(database, "day", days=1)
    assert admit(groups, 1, limits).granted == 1


def test_the_queue_is_no_longer_than_an_hour_whatever_the_clock_does(groups: Groups, database: Any) -> None:
    limits = GroupLimits(per_minute=1)
    admit(groups, 500, limits)
    assert admit(groups, 1, limits).retry_in_s <= 3600
    age(database, -100 * DAY_S)
    assert admit(groups, 1, limits).retry_in_s <= 3600


def test_calls_that_cross_each_other_find_the_groups_time_standing_still(groups: Groups, database: Any) -> None:
    limits = GroupLimits(per_minute=6)
    assert admit(groups, 1, limits).granted == 1
    age(database, -3)
    before = find(groups)
    assert admit(groups, 1, limits).granted == 0
    assert find(groups).active_at == before.active_at == before.as_of


# -- limits that no source could tell alone


def test_limits_that_are_described_hold_whatever_a_demand_says(groups: Groups) -> None:
    groups.describe({G: GroupLimits(in_flight=2), "other": GroupLimits(in_flight=3)})
    assert admit(groups, 9, GroupLimits(in_flight=4)).granted == 2
    assert find(groups).limits == GroupLimits(in_flight=2)
    groups.describe({G: GroupLimits(in_flight=5)})
    assert admit(groups, 9, GroupLimits(in_flight=4)).granted == 3
    assert admit(groups, 9, GroupLimits(in_flight=4), name="other").granted == 4
    groups.describe({})
    assert admit(groups, 9, GroupLimits(in_flight=6)).granted == 1


def test_limits_that_are_described_are_not_forgotten_with_an_idle_group(groups: Groups, database: Any) -> None:
    def forget_at() -> datetime | None:
        found = database["groups"].find_one({"_id": G})
        assert found is not None
        moment: datetime | None = found.get("forget_at")
        return moment

    admit(groups, 1, NONE)
    idle = forget_at()
    assert idle is not None
    assert timedelta(days=31) < idle - datetime.now(UTC) < timedelta(days=33)
    groups.describe({G: NONE})
    assert forget_at() is None
    admit(groups, 1, NONE)
    assert forget_at() is None
    groups.describe({})
    assert forget_at() is not None


# -- those that are sent away


def test_those_that_are_sent_away_come_back_one_by_one(groups: Groups) -> None:
    limits = GroupLimits(in_flight=4, per_minute=60)
    first, second, third = (admit(groups, 20, limits) for _ in range(3))
    assert (first.granted, second.granted, third.granted) == (4, 0, 0)
    assert first.apart_s == 1
    # each finds its place behind those before
    assert 1 <= first.retry_in_s < 2
    assert 15 < second.retry_in_s <= 16
    assert 34 < third.retry_in_s <= 36
    queue_until = find(groups).queue_until
    assert queue_until is not None
    assert 54 < (queue_until - find(groups).as_of).total_seconds() <= 56


# -- publishers that ask to wait


def refused(
    groups: Groups, source_id: str, status: int = 429, *, retry_after_s: float | None = 300, name: str = G
) -> Throttling:
    return groups.throttled(name, source_id, retry_after_s=retry_after_s, status=status)


def test_a_group_waits_as_soon_as_a_second_source_is_asked_to(groups: Groups) -> None:
    assert refused(groups, "a", retry_after_s=900) == Throttling(counted=True)
    assert refused(groups, "a", retry_after_s=900) == Throttling(counted=True)
    assert admit(groups, 1, NONE).granted == 1
    held = refused(groups, "b", retry_after_s=30)
    assert held.counted
    assert 890 < held.wait_s <= 900
    assert held.why.startswith("asked to wait until 20")
    assert held.why.endswith(" UTC (429)")
    denied = admit(groups, 1, NONE)
    assert (denied.granted, denied.why) == (0, held.why)
    assert 890 < denied.retry_in_s <= 900
    assert admit(groups, 1, NONE, name="b.example:443").granted == 1


def test_a_group_goes_on_when_what_it_was_asked_is_over(groups: Groups, database: Any) -> None:
    refused(groups, "a")
    refused(groups, "b")
    age(database, 299)
    assert admit(groups, 1, NONE).granted == 0
    age(database, 1)
    assert admit(groups, 1, NONE).granted == 1
    assert find(groups).blocked_until is None


def test_two_sources_that_are_asked_more_than_a_minute_apart_wait_each_alone(groups: Groups, database: Any) -> None:
    refused(groups, "a", retry_after_s=3600)
    age(database, 60)
    assert refused(groups, "b") == Throttling(counted=True)
    age(database, 59)
    assert refused(groups, "c").wait_s > 0


def test_a_short_wait_does_not_shorten_a_long_one(groups: Groups, database: Any) -> None:
    refused(groups, "a", retry_after_s=3600)
    refused(groups, "b", retry_after_s=3600)
    age(database, 120)
    refused(groups, "c", retry_after_s=5)
    assert refused(groups, "d", retry_after_s=5).wait_s > 3400


@pytest.mark.parametrize(
    ("retry_after_s", "low", "high"),
    [(None, 59, 60), (0, 0, 0), (-5, 0, 0), (120.5, 119, 120.5), (10**9, DAY_S - 1, DAY_S)],
)
def test_how_long_a_group_waits(groups: Groups, retry_after_s: float | None, low: float, high: float) -> None:
    refused(groups, "a", retry_after_s=retry_after_s)
    assert low <= refused(groups, "b", retry_after_s=retry_after_s).wait_s <= high


@pytest.mark.parametrize(
    ("before", "status", "retry_after_s", "counted"),
    [
        (None, 429, 60, True),
        (None, 429, None, True),
        (None, 503, 60, True),
        (None, 503, None, False),
        (None, 403, 60, False),
        (None, 500, 60, False),
        (429, 403, None, True),
        (503, 403, None, False),
        (403, 403, None, False),
        (429, 500, None, False),
    ],
)
def test_which_refusals_count_as_being_asked_to_wait(
    groups: Groups, before: int | None, status: int, retry_after_s: float | None, counted: bool
) -> None:
    if before is not None:
        refused(groups, "a", before)
    after = refused(groups, "b", status, retry_after_s=retry_after_s)
    assert after.counted == counted
    assert (after.wait_s > 0) == (counted and before is not None)


def test_a_403_counts_within_a_minute_after_the_429_only(groups: Groups, database: Any) -> None:
    refused(groups, "a", 429, retry_after_s=None)
    age(database, 59)
    assert refused(groups, "b", 403).counted
    age(database, 1)
    assert not refused(groups, "c", 403).counted, "a 403 that counted is no 429"


def test_many_sources_that_are_refused_leave_a_short_note(groups: Groups, database: Any) -> None:
    for number in range(40):
        refused(groups, f"s{number}", retry_after_s=300)
    assert len(database["groups"].find_one({"_id": G})["heard"]) <= 8
    assert find(groups).blocked_until is not None


# -- the ledger


def test_the_ledger_tells_of_those_first_that_were_active_last(groups: Groups, database: Any) -> None:
    for days, name in enumerate("abcd"):
        admit(groups, 1, GroupLimits(per_day=7), name=name)
        age(database, days * DAY_S, name)
    groups.describe({"never asked": NONE})
    assert [ledger.name for ledger in groups.ledger()] == ["a", "b", "c", "d", "never asked"]
    assert [ledger.name for ledger in groups.ledger(limit=2)] == ["a", "b"]
    first = groups.ledger()[0]
    assert (first.limits, first.in_flight, first.used_minute) == (GroupLimits(per_day=7), 1, 1)
    assert (first.used_day, first.used_month, first.blocked_until) == (1, 1, None)
    assert groups.ledger()[-1].active_at is None


# -- many at once


def test_threads_never_hold_more_than_the_limit_together(groups: Groups) -> None:
    limits = GroupLimits(in_flight=3)
    start, lock = threading.Barrier(8), threading.Lock()
    held, most, served = 0, 0, 0

    def work(_: int) -> None:
        nonlocal held, most, served
        start.wait()
        for _ in range(40):
            slots = admit(groups, 2, limits).slots
            with lock:
                held += len(slots)
                served += len(slots)
                most = max(most, held)
            with lock:
                held -= len(slots)
            groups.release(slots)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert 0 < most <= 3
    assert served > 20
    assert find(groups).in_flight == 0


_together: list[Any] = []


def begin_together(barrier: Any) -> None:
    """What each process is given before its work."""
    _together.append(barrier)


def hammer(uri: str, limits: Mapping[str, GroupLimits]) -> list[tuple[str, float, float]]:
    """In a process of its own: hold slots of these groups again and again; when each was held, by the one clock."""
    connection = Connection(uri, timeout_s=20)
    groups = Groups(connection.database())
    held = []
    _together[0].wait()
    for _ in range(150):
        admissions = groups.admit({name: Demand(2, one) for name, one in limits.items()}, lease_s=LONG_S)
        begin = time.monotonic()
        slots = [slot for admission in admissions.values() for slot in admission.slots]
        end = time.monotonic()
        held += [(slot.group, begin, end) for slot in slots]
        groups.release(slots)
    connection.close()
    return held


def test_processes_never_hold_more_than_the_limits_together(groups: Groups, database_uri: str) -> None:
    limits = {
        "few": GroupLimits(in_flight=2),
        "slow": GroupLimits(in_flight=50, per_minute=30),
        "quota": GroupLimits(per_day=20),
    }
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(4, initializer=begin_together, initargs=(spawn.Barrier(4, timeout=60),)) as processes:
        shares = processes.starmap(hammer, [(database_uri, limits)] * 4, chunksize=1)
    held = [one for share in shares for one in share]
    per_group = {name: sorted(one[1:] for one in held if one[0] == name) for name in limits}
    assert len([share for share in shares if share]) > 1, "more than one process had its turn"
    assert len(per_group["few"]) > 20
    took_s = max(end for _, _, end in held) - min(begin for _, begin, _ in held)
    edges = sorted([(begin, 1) for begin, _ in per_group["few"]] + [(end, -1) for _, end in per_group["few"]])
    at_once = [sum(step for _, step in edges[: index + 1]) for index in range(len(edges))]
    assert max(at_once) <= 2
    assert 5 <= len(per_group["slow"]) <= 5 * (1 + (took_s + 1) // 10), "a sixth of thirty, within ten seconds"
    assert len(per_group["quota"]) == 20


def test_threads_that_meet_a_new_group_together_make_it_once(groups: Groups) -> None:
    limits = GroupLimits(in_flight=2)
    start = threading.Barrier(8)
    names = [f"new{number}" for number in range(10)]

    def ask(_: int) -> int:
        start.wait()
        admissions = groups.admit({name: Demand(1, limits) for name in names}, lease_s=LONG_S)
        assert set(admissions) == set(names)
        return sum(one.granted for one in admissions.values())

    with ThreadPoolExecutor(8) as threads:
        granted = sum(threads.map(ask, range(8)))
    # who finds a group that somebody else is just making may be sent away once
    assert 0 < granted <= 20
    rest = groups.admit({name: Demand(2, limits) for name in names}, lease_s=LONG_S)
    assert granted + sum(one.granted for one in rest.values()) == 20


# -- round trips and indexes


def test_a_batch_takes_two_round_trips_and_its_end_one(groups: Groups, database: Any) -> None:
    wanted = {f"{number}.example:443": Demand(1, GroupLimits(in_flight=1)) for number in range(20)}
    groups.release(slot for one in groups.admit(wanted, lease_s=LONG_S).values() for slot in one.slots)
    database.command("profile", 2)
    slots = [slot for one in groups.admit(wanted, lease_s=LONG_S).values() for slot in one.slots]
    groups.release(slots)
    database.command("profile", 0)
    assert len(slots) == 20
    ran = [one["op"] for one in database["system.profile"].find({"ns": f"{database.name}.groups"}).sort("ts", 1)]
    assert ran == ["update", "query", "update"]


def test_every_query_has_an_index(groups: Groups, database: Any) -> None:
    for number in range(30):
        admit(groups, 1, NONE, name=f"idle{number}")
    queries: list[Callable[[], object]] = [
        lambda: groups.describe({G: NONE, "x": NONE}),
        lambda: groups.describe({G: NONE}),
        lambda: groups.release(admit(groups, 1, NONE).slots),
        lambda: refused(groups, "a", 429),
        lambda: refused(groups, "a", 500),
        lambda: groups.count(G),
        groups.ledger,
    ]
    database.command("profile", 2)
    for query in queries:
        query()
    database.command("profile", 0)
    found = list(database["system.profile"].find({"planSummary": {"$exists": True}}))
    assert len(found) >= len(queries)
    assert [one["command"] for one in found if "COLLSCAN" in one["planSummary"]] == []
    assert [one["command"] for one in found if one.get("hasSortStage")] == []


def test_the_server_removes_groups_that_were_idle_for_long(groups: Groups, database: Any) -> None:
    indexes = database["groups"].index_information()
    assert indexes["forget_at_1"]["expireAfterSeconds"] == 0
