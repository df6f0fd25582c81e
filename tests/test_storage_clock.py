"""The clock against the real MongoDB: stamps rise in commit order, and nobody else gets them."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from pymongo.client_session import ClientSession
from pymongo.database import Database

from feedmirror.storage import Storage
from feedmirror.storage.clock import Clock, Tick, stamp_us


@pytest.fixture
def clock(storage: Storage) -> Clock:
    return storage.clock


def advance(clock: Clock, database: Database[dict[str, Any]], count: int = 1) -> Tick:
    """A tick that is committed."""
    with database.client.start_session() as session:
        return session.with_transaction(lambda session: clock.advance(count, session))


def test_before_the_first_item_the_head_is_0(clock: Clock) -> None:
    assert clock.head_us() == 0


def test_a_stamp_is_the_time_in_microseconds(clock: Clock, database: Database[dict[str, Any]]) -> None:
    before = time.time()
    tick = advance(clock, database)
    assert tick.first_us == tick.head_us == clock.head_us()
    # the server is this machine; its clock counts in milliseconds
    assert before - 0.002 <= tick.head_us / 1_000_000 <= time.time() + 0.002
    assert abs(stamp_us(tick.now) - tick.head_us) < 1000


def test_a_tick_gives_as_many_stamps_as_were_asked_for(clock: Clock, database: Database[dict[str, Any]]) -> None:
    tick = advance(clock, database, 500)
    assert tick.head_us - tick.first_us + 1 == 500


def test_ticks_follow_each_other_without_a_common_stamp(clock: Clock, database: Database[dict[str, Any]]) -> None:
    # far more stamps than microseconds go by
    ticks = [advance(clock, database, 1_000_000) for _ in range(5)]
    for earlier, later in pairwise(ticks):
        assert later.first_us > earlier.head_us


def test_ticks_of_many_threads_have_no_common_stamp(clock: Clock, database: Database[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(6) as threads:
        ticks = list(threads.map(lambda _: advance(clock, database, 3), range(30)))
    stamps = [stamp for tick in ticks for stamp in range(tick.first_us, tick.head_us + 1)]
    assert len(set(stamps)) == 90
    assert clock.head_us() == max(stamps)


def test_a_clock_that_is_ahead_of_the_time_never_goes_back(clock: Clock, database: Database[dict[str, Any]]) -> None:
    ahead = 2**52
    clock.raise_to(ahead)
    tick = advance(clock, database, 2)
    assert (tick.first_us, tick.head_us) == (ahead + 1, ahead + 2)


def test_raising_never_lowers(clock: Clock, database: Database[dict[str, Any]]) -> None:
    head = advance(clock, database).head_us
    clock.raise_to(head - 1)
    assert clock.head_us() == head
    clock.raise_to(head + 1)
    assert clock.head_us() == head + 1


def test_creating_it_again_changes_nothing(clock: Clock, database: Database[dict[str, Any]]) -> None:
    head = advance(clock, database).head_us
    clock.create()
    assert clock.head_us() == head


def test_many_can_create_it_at_once(database: Database[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: Clock(database).create(), range(8)))
    assert Clock(database).head_us() == 0
    assert database["clock"].count_documents({}) == 1


def test_nothing_of_a_tick_that_was_not_committed_is_seen(clock: Clock, database: Database[dict[str, Any]]) -> None:
    head = advance(clock, database).head_us

    def within(session: ClientSession) -> None:
        tick = clock.advance(5, session)
        assert clock.head_us(session) == tick.head_us
        assert clock.head_us() == head
        session.abort_transaction()

    with database.client.start_session() as session:
        session.with_transaction(within)
    assert clock.head_us() == head


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), 1_000_005),
        (datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC), 1_772_366_400_123_456),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 253_402_300_799_999_999),
    ],
)
def test_a_moment_is_whole_microseconds_without_rounding(moment: datetime, expected: int) -> None:
    assert stamp_us(moment) == expected
