"""When to look again: tables of what happened and how long the pause is then."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmirror.models import Item, Looks, Outcome, Source, WatchedSource
from feedmirror.schedule import (
    ADAPTIVE_FIRST_S,
    ADAPTIVE_MAX_S,
    ADAPTIVE_MIN_S,
    BACK_OFF_MAX_S,
    next_interval_s,
)

# The chance that the jitter makes nothing of.
MIDDLE = 0.5
HOUR_S, DAY_S = 3600, 86_400

ITEM = Item(
    id="i", fetched_us=1, changed_us=1, arrived_at=datetime(2026, 1, 1, tzinfo=UTC), sources=(), title="A question"
)
NOTHING, NEWS, FAILED = Outcome(), Outcome(new=(ITEM,)), Outcome(error="no answer")


def watched(*, every_s: float | None = None, failures: int = 0, interval_s: float | None = None) -> WatchedSource:
    return WatchedSource(
        source=Source(id="s", name="S", url="https://s.example/", every_s=every_s),
        looks=Looks(failures=failures, interval_s=interval_s),
    )


def pause_s(source: WatchedSource, outcome: Outcome, chance: float = MIDDLE) -> float:
    return next_interval_s(source, outcome, chance=chance)


# -- a source with an interval of its own


@pytest.mark.parametrize("every_s", [1, 30, 300, 2_592_000])
@pytest.mark.parametrize("outcome", [NOTHING, NEWS, Outcome(sighted=3), Outcome(edited=1)])
@pytest.mark.parametrize("chance", [0, MIDDLE, 1])
def test_every_is_kept_exactly(every_s: float, outcome: Outcome, chance: float) -> None:
    assert pause_s(watched(every_s=every_s, interval_s=7), outcome, chance) == every_s


@pytest.mark.parametrize("failures", [1, 5, 1000])
def test_every_is_kept_again_after_the_first_success(failures: int) -> None:
    assert pause_s(watched(every_s=30, failures=failures, interval_s=DAY_S), NOTHING) == 30


# -- failures


CAPPED_S = BACK_OFF_MAX_S / 1.1  # so that with its jitter it is a day at most


@pytest.mark.parametrize(
    ("every_s", "failures", "expected_s"),
    [
        (30, 0, 30),
        (30, 1, 60),
        (30, 2, 120),
        (30, 5, 960),
        (30, 11, 61_440),
        (30, 12, CAPPED_S),
        (30, 3000, CAPPED_S),
        # one that is polled every second must not be hit every second while it is down
        (1, 0, 5),
        (1, 1, 10),
        (HOUR_S, 3, 8 * HOUR_S),
        (HOUR_S, 5, CAPPED_S),
        # never more often than it was asked for
        (3 * DAY_S, 0, 3 * DAY_S),
        (3 * DAY_S, 9, 3 * DAY_S),
        (None, 0, ADAPTIVE_MIN_S),
        (None, 3, 8 * ADAPTIVE_MIN_S),
        (None, 100, CAPPED_S),
    ],
)
def test_failures_double_the_pause_up_to_a_day(every_s: float | None, failures: int, expected_s: float) -> None:
    assert pause_s(watched(every_s=every_s, failures=failures), FAILED) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("failures", "retry_after_s", "expected_s"),
    [(0, 600, 600), (0, 5, 30), (0, 0, 30), (0, None, 30), (10, 60, 30_720), (0, DAY_S, DAY_S)],
)
def test_retry_after_makes_a_pause_longer_and_never_shorter(
    failures: int, retry_after_s: float | None, expected_s: float
) -> None:
    outcome = Outcome(error="busy", retry_after_s=retry_after_s)
    assert pause_s(watched(every_s=30, failures=failures), outcome) == expected_s


def test_what_a_publisher_asks_for_is_not_cut_by_the_jitter() -> None:
    outcome = Outcome(error="busy", retry_after_s=600)
    assert {pause_s(watched(every_s=30), outcome, chance) for chance in (0, MIDDLE, 1)} == {600}


@pytest.mark.parametrize("failures", [1, 4, 50])
def test_sources_that_failed_together_come_back_apart(failures: int) -> None:
    source = watched(every_s=30, failures=failures)
    middle = pause_s(source, FAILED)
    assert pause_s(source, FAILED, 0) == pytest.approx(0.9 * middle)
    assert pause_s(source, FAILED, 1) == pytest.approx(1.1 * middle)


@settings(deadline=None)
@given(
    every_s=st.none() | st.floats(1, 30 * DAY_S),
    failures=st.integers(0, 10_000),
    chance=st.floats(0, 1),
)
def test_a_failing_source_is_never_polled_more_often_than_a_healthy_one_nor_given_up(
    every_s: float | None, failures: int, chance: float
) -> None:
    pause = pause_s(watched(every_s=every_s, failures=failures), FAILED, chance)
    assert (every_s or ADAPTIVE_MIN_S) <= pause <= max(every_s or 0, BACK_OFF_MAX_S)


# -- a source without an interval


@pytest.mark.parametrize(
    ("interval_s", "outcome", "expected_s"),
    [
        (None, NOTHING, 1.5 * ADAPTIVE_FIRST_S),
        (None, NEWS, ADAPTIVE_FIRST_S / 2),
        (600, NOTHING, 900),
        (600, Outcome(edited=4), 900),
        (600, NEWS, 300),
        (600, Outcome(sighted=1), 300),
        (40, NEWS, ADAPTIVE_MIN_S),
        (ADAPTIVE_MAX_S, NOTHING, ADAPTIVE_MAX_S),
    ],
)
def test_a_source_without_an_interval_adapts_to_what_it_brings(
    interval_s: float | None, outcome: Outcome, expected_s: float
) -> None:
    assert pause_s(watched(interval_s=interval_s), outcome) == expected_s


def test_after_failures_it_starts_from_the_first_interval_and_not_from_the_pause() -> None:
    assert pause_s(watched(failures=7, interval_s=DAY_S), NOTHING) == 1.5 * ADAPTIVE_FIRST_S


def test_a_quiet_feed_slows_down_to_a_day_and_a_lively_one_speeds_up_to_half_a_minute() -> None:
    interval_s: float | None = None
    for _ in range(30):
        interval_s = pause_s(watched(interval_s=interval_s), NOTHING)
    assert interval_s == ADAPTIVE_MAX_S == DAY_S
    for _ in range(30):
        interval_s = pause_s(watched(interval_s=interval_s), NEWS)
    assert interval_s == ADAPTIVE_MIN_S == 30


@settings(deadline=None)
@given(
    interval_s=st.none() | st.floats(1, 10 * DAY_S),
    outcome=st.sampled_from([NOTHING, NEWS]),
    chance=st.floats(0, 1),
)
def test_an_adapted_interval_stays_within_its_bounds_whatever_the_jitter(
    interval_s: float | None, outcome: Outcome, chance: float
) -> None:
    assert ADAPTIVE_MIN_S <= pause_s(watched(interval_s=interval_s), outcome, chance) <= ADAPTIVE_MAX_S


def test_adapted_intervals_are_spread() -> None:
    source = watched(interval_s=600)
    assert pause_s(source, NOTHING, 0) == pytest.approx(0.9 * 900)
    assert pause_s(source, NOTHING, 1) == pytest.approx(1.1 * 900)
