"""How long to leave a source alone that failed: a line for each kind of failure, and what holds for all of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmirror.errors import Failure
from feedmirror.models import Looks, Outcome, Source, WatchedSource
from feedmirror.schedule.back_off import CURVES, JITTER, LEAST_PAUSE_S, pause
from feedmirror.schedule.words import DAY_S, HOUR_S

MIN_S = 60.0
# What a cap leaves for the jitter, where the jitter makes nothing of it.
DAY_CAP_S, SIX_HOURS_CAP_S = DAY_S / (1 + JITTER), 6 * HOUR_S / (1 + JITTER)

EVERY = st.none() | st.floats(1, 30 * DAY_S)
KINDS = st.none() | st.sampled_from(Failure)
CHANCES = st.floats(0, 1)


def failing(
    kind: Failure | None,
    failures: int = 0,
    *,
    every_s: float | None = None,
    retry_after_s: float | None = None,
    chance: float = 0,
) -> tuple[float, str]:
    source = Source(id="s", name="S", url="https://s.example/", every_s=every_s)
    watched = WatchedSource(source=source, looks=Looks(failures=failures))
    return pause(watched, Outcome(error="e", failure=kind, retry_after_s=retry_after_s), chance=chance)


@pytest.mark.parametrize(
    ("kind", "first_s", "second_s", "fourth_s", "longest_s"),
    [
        (Failure.REFUSED, 10, 20, 80, SIX_HOURS_CAP_S),
        (Failure.TIMEOUT, 30, 60, 4 * MIN_S, SIX_HOURS_CAP_S),
        (Failure.SERVER_ERROR, 30, 60, 4 * MIN_S, SIX_HOURS_CAP_S),
        (Failure.BROKEN_BODY, 30, 60, 4 * MIN_S, SIX_HOURS_CAP_S),
        (Failure.DNS, 30, 90, 13.5 * MIN_S, DAY_CAP_S),
        (Failure.TLS, 2 * MIN_S, 6 * MIN_S, 54 * MIN_S, DAY_CAP_S),
        (Failure.REDIRECT, 2 * MIN_S, 6 * MIN_S, 54 * MIN_S, DAY_CAP_S),
        (Failure.CLIENT_ERROR, 2 * MIN_S, 6 * MIN_S, 54 * MIN_S, DAY_CAP_S),
        (Failure.NOT_A_FEED, MIN_S, 3 * MIN_S, 27 * MIN_S, DAY_CAP_S),
        (Failure.TOO_LARGE, 4 * MIN_S, 12 * MIN_S, 108 * MIN_S, DAY_CAP_S),
        (Failure.FORBIDDEN_ADDRESS, 4 * MIN_S, 12 * MIN_S, 108 * MIN_S, DAY_CAP_S),
        (Failure.THROTTLED, 5 * MIN_S, 10 * MIN_S, 40 * MIN_S, DAY_CAP_S),
        (Failure.GONE, DAY_CAP_S, DAY_CAP_S, DAY_CAP_S, DAY_CAP_S),
        (Failure.NOT_SET_UP, 30, 30, 30, 30),
        (Failure.BUG, MIN_S, 2 * MIN_S, 8 * MIN_S, SIX_HOURS_CAP_S),
        (None, 30, 60, 4 * MIN_S, DAY_CAP_S),
    ],
)
def test_each_kind_of_failure_has_its_curve(
    kind: Failure | None, first_s: float, second_s: float, fourth_s: float, longest_s: float
) -> None:
    pauses = [failing(kind, failures, every_s=1)[0] for failures in (0, 1, 3, 100_000)]
    assert pauses == pytest.approx([first_s, second_s, fourth_s, longest_s])


def test_every_kind_of_failure_has_one() -> None:
    assert set(CURVES) == set(Failure)


def test_a_server_that_complains_is_left_alone_longest_at_first() -> None:
    others = set(Failure) - {Failure.GONE, Failure.THROTTLED}
    assert failing(Failure.THROTTLED)[0] > max(failing(kind)[0] for kind in others)


@pytest.mark.parametrize(
    ("every_s", "failures", "expected_s"),
    [
        # never sooner than it was asked for; once the curve is above that, the curve
        (30, 0, 30),
        (HOUR_S, 0, HOUR_S),
        (HOUR_S, 6, HOUR_S),
        (HOUR_S, 8, 7680),
        (20 * HOUR_S, 1000, 20 * HOUR_S),
        (3 * DAY_S, 0, 3 * DAY_S),
        (3 * DAY_S, 1000, 3 * DAY_S),
        # one without an interval of its own is not looked at sooner because it fails
        (None, 0, LEAST_PAUSE_S),
    ],
)
def test_an_interval_of_its_own_is_the_least(every_s: float | None, failures: int, expected_s: float) -> None:
    assert failing(Failure.TIMEOUT, failures, every_s=every_s)[0] == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("retry_after_s", "failures", "expected_s"),
    [(None, 0, 300), (0, 0, 300), (5, 0, 300), (600, 0, 600), (600, 3, 2400), (DAY_S, 0, DAY_S), (9e9, 0, DAY_S)],
)
def test_retry_after_makes_a_pause_longer_and_never_shorter(
    retry_after_s: float | None, failures: int, expected_s: float
) -> None:
    assert failing(Failure.THROTTLED, failures, retry_after_s=retry_after_s)[0] == expected_s


@pytest.mark.parametrize(
    ("kind", "failures", "retry_after_s", "why"),
    [
        (Failure.TIMEOUT, 0, None, "time-out"),
        (Failure.TIMEOUT, 1, None, "time-out, 2nd failure in a row"),
        (Failure.TIMEOUT, 2, None, "time-out, 3rd failure in a row"),
        (Failure.DNS, 10, None, "host name not found, 11th failure in a row"),
        (Failure.DNS, 20, None, "host name not found, 21st failure in a row"),
        (Failure.DNS, 110, None, "host name not found, 111th failure in a row"),
        (Failure.GONE, 7, None, "gone (410): resting, looked at once a day"),
        (Failure.THROTTLED, 0, 3600, "asked to wait (Retry-After)"),
        (Failure.THROTTLED, 0, 1, "asked to slow down"),
        (None, 3, None, "failed, 4th failure in a row"),
    ],
)
def test_it_says_why(kind: Failure | None, failures: int, retry_after_s: float | None, why: str) -> None:
    assert failing(kind, failures, retry_after_s=retry_after_s)[1] == why


@settings(deadline=None)
@given(kind=KINDS, failures=st.integers(0, 10_000), every_s=EVERY, chance=CHANCES)
def test_a_pause_is_never_sooner_than_the_interval_nor_longer_than_a_day(
    kind: Failure | None, failures: int, every_s: float | None, chance: float
) -> None:
    paused_s, _ = failing(kind, failures, every_s=every_s, chance=chance)
    assert (every_s or LEAST_PAUSE_S) <= paused_s <= max(every_s or 0, DAY_S)


@settings(deadline=None)
@given(kind=KINDS, failures=st.integers(0, 10_000), every_s=EVERY, chance=CHANCES)
def test_a_further_failure_never_makes_it_shorter(
    kind: Failure | None, failures: int, every_s: float | None, chance: float
) -> None:
    now, then = (failing(kind, count, every_s=every_s, chance=chance)[0] for count in (failures, failures + 1))
    assert now <= then


@settings(deadline=None)
@given(kind=KINDS, every_s=EVERY, chance=CHANCES, retry_after_s=st.floats(0, 1e300))
def test_a_publisher_is_never_asked_before_it_said(
    kind: Failure | None, every_s: float | None, chance: float, retry_after_s: float
) -> None:
    paused_s, _ = failing(kind, every_s=every_s, chance=chance, retry_after_s=retry_after_s)
    assert min(retry_after_s, DAY_S) <= paused_s <= max(every_s or 0, DAY_S)


@settings(deadline=None)
@given(kind=KINDS, failures=st.integers(0, 10_000), every_s=st.none() | st.floats(1, 20 * HOUR_S))
def test_sources_that_failed_together_come_back_apart(
    kind: Failure | None, failures: int, every_s: float | None
) -> None:
    first, last = (failing(kind, failures, every_s=every_s, chance=chance)[0] for chance in (0, 1))
    assert first * (1 + JITTER) == pytest.approx(last)
