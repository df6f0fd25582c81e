"""When to look again: tables of what happened and how long the pause is then; and feeds, simulated for weeks."""

import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmirror.errors import Failure
from feedmirror.models import Hints, Item, Looks, Outcome, Source, WatchedSource
from feedmirror.schedule import NextLook, next_look
from feedmirror.schedule.words import in_words

MIN_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0
# A Thursday.
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ITEM = Item(id="i", fetched_us=1, changed_us=1, arrived_at=NOW, sources=(), title="A question")

UNCHANGED = Outcome()
EVERY = st.none() | st.floats(1, 30 * DAY_S)
CHANCES = st.floats(0, 1)


def found(new: int, listed: int = 30, *, max_age_s: float | None = None) -> Outcome:
    return Outcome(new=(ITEM,) * new, listed=listed, shared=max(0, listed - new), max_age_s=max_age_s)


def watched(
    *,
    last_s: float | None = 600,
    every_s: float | None = None,
    per_day: float | None = 0.0,
    items: int = 100,
    failures: int = 0,
    ok_ago_s: float | None = None,
) -> WatchedSource:
    """A source that was looked at `last_s` ago, as planned; None: never."""
    ok_at = None if last_s is None else NOW - timedelta(seconds=ok_ago_s or last_s)
    looks = Looks(last_ok_at=ok_at, interval_s=last_s, items=items, items_per_day=per_day, failures=failures)
    return WatchedSource(source=Source(id="s", name="S", url="https://s.example/", every_s=every_s), looks=looks)


NEVER = watched(last_s=None, per_day=None, items=0)


def look(source: WatchedSource, outcome: Outcome, *, chance: float = 0, hints: Hints = Hints()) -> NextLook:  # noqa: B008
    """The next look after a document that gave these hints, or that had not changed since one that did."""
    told = outcome if outcome.listed == 0 else replace(outcome, hints=hints)
    return next_look(replace(source, looks=replace(source.looks, hints=hints)), told, now=NOW, chance=chance)


# -- a source with an interval of its own


@pytest.mark.parametrize("every_s", [1, 30, 300, 30 * DAY_S])
@pytest.mark.parametrize("outcome", [UNCHANGED, found(3), found(30), Outcome(edited=1), found(0, max_age_s=HOUR_S)])
@pytest.mark.parametrize("failures", [0, 1, 1000])
@pytest.mark.parametrize("chance", [0, 0.5, 1])
def test_every_is_kept_exactly(every_s: float, outcome: Outcome, failures: int, chance: float) -> None:
    hints = Hints(ttl_s=DAY_S, skip_hours=frozenset({12, 13}), skip_days=frozenset({3}))
    source = watched(every_s=every_s, failures=failures)
    looked = look(source, outcome, chance=chance, hints=hints)
    assert (looked.interval_s, looked.from_due) == (every_s, True)


@pytest.mark.parametrize(
    ("every_s", "outcome"),
    [
        (None, Outcome()),
        (30, Outcome(error="e", failure=Failure.TIMEOUT)),
        (30, Outcome(error="e", failure=Failure.THROTTLED, retry_after_s=60)),
        (30, Outcome(goes_on_in_s=5, goes_on_why="its group is full")),
        (30, Outcome(began_before_s=20)),
    ],
    ids=["adapts", "failed", "was told to wait", "goes on", "took more than one visit"],
)
def test_any_other_interval_counts_from_the_look(every_s: float | None, outcome: Outcome) -> None:
    assert not look(watched(every_s=every_s), outcome).from_due


def test_a_failure_makes_every_longer() -> None:
    failed = look(watched(every_s=30, failures=2), Outcome(error="e", failure=Failure.TIMEOUT))
    assert failed.interval_s == 120
    assert failed.why == "time-out, 3rd failure in a row"


# -- a source without one


@pytest.mark.parametrize(
    ("source", "outcome", "expected_s"),
    [
        # the first look
        (NEVER, found(30), 5 * MIN_S),
        (NEVER, UNCHANGED, 5 * MIN_S),
        (NEVER, found(0, 0), 5 * MIN_S),
        # nothing new: gently longer, up to a day
        (watched(last_s=600), UNCHANGED, 900),
        (watched(last_s=600), found(0), 900),
        (watched(last_s=600), Outcome(edited=4, listed=30, shared=30), 900),
        (watched(last_s=30), UNCHANGED, 45),
        (watched(last_s=DAY_S), UNCHANGED, DAY_S / 1.1),
        # its rate: four looks for each item
        (watched(last_s=DAY_S, per_day=1), UNCHANGED, 27_734),
        (watched(last_s=6 * HOUR_S, per_day=1), found(1), 18_278),
        (watched(last_s=600, per_day=50), UNCHANGED, 440),
        (watched(last_s=30, per_day=8640), found(3), 30),
        # its window: at most a half of it between two looks, and the fewer shared, the sooner
        (watched(last_s=4800), found(10), 7200),
        (watched(last_s=4800), found(15), 4800),
        (watched(last_s=4800), found(20), 3600),
        (watched(last_s=4800), found(29), 2483),
        (watched(last_s=4800), found(30), 1200),
        (watched(last_s=60), found(20), 45),
        (watched(last_s=60), found(30), 30),
        # a window of one entry
        (watched(last_s=4800), found(1, 1), 1200),
        # empty until now: nothing was lost
        (watched(last_s=600, items=0), found(30), 900),
        # looked at late, because the worker was away: no reason to go on late
        (watched(last_s=60, ok_ago_s=DAY_S, per_day=50), found(30), 30),
        # after failures: from what it was before them
        (watched(last_s=DAY_S, ok_ago_s=2 * HOUR_S, failures=9, per_day=50), UNCHANGED, 532),
        (watched(last_s=30, ok_ago_s=6 * HOUR_S, failures=1, per_day=1), UNCHANGED, 22_993),
        # a clock that was set back
        (watched(last_s=600, ok_ago_s=-HOUR_S), UNCHANGED, 900),
        # a database of before rates were kept
        (watched(last_s=600, per_day=None), UNCHANGED, 900),
    ],
)
def test_it_adapts(source: WatchedSource, outcome: Outcome, expected_s: float) -> None:
    assert look(source, outcome).interval_s == pytest.approx(expected_s, abs=1)


@pytest.mark.parametrize(
    ("outcome", "hints", "expected_s"),
    [
        (found(0, max_age_s=60), Hints(), 900),
        (found(0, max_age_s=HOUR_S), Hints(), HOUR_S),
        (found(30, max_age_s=HOUR_S), Hints(), HOUR_S),
        (found(0, max_age_s=365 * DAY_S), Hints(), DAY_S),
        (found(0, max_age_s=float("inf")), Hints(), DAY_S),
        (UNCHANGED, Hints(ttl_s=60), 900),
        (UNCHANGED, Hints(ttl_s=HOUR_S), HOUR_S),
        (UNCHANGED, Hints(ttl_s=1e300), DAY_S),
        (UNCHANGED, Hints(ttl_s=-5), 900),
        (found(0, max_age_s=2 * HOUR_S), Hints(ttl_s=HOUR_S), 2 * HOUR_S),
        # it is Thursday noon, and the next look would be at 12:15
        (UNCHANGED, Hints(skip_hours=frozenset({11, 13})), 900),
        (UNCHANGED, Hints(skip_hours=frozenset({12})), HOUR_S),
        (UNCHANGED, Hints(skip_hours=frozenset(range(12, 24))), 12 * HOUR_S),
        (UNCHANGED, Hints(skip_hours=frozenset(range(1, 24))), 12 * HOUR_S),
        (UNCHANGED, Hints(skip_days=frozenset({3})), 12 * HOUR_S),
        (UNCHANGED, Hints(skip_days=frozenset({3, 4, 5, 6})), 3.5 * DAY_S),
        (UNCHANGED, Hints(skip_days=frozenset({3}), skip_hours=frozenset(range(8))), 20 * HOUR_S),
        # all of the week is nonsense
        (UNCHANGED, Hints(skip_hours=frozenset(range(24))), 900),
        (UNCHANGED, Hints(skip_days=frozenset(range(7))), 900),
        (UNCHANGED, Hints(skip_hours=frozenset({24, -1}), skip_days=frozenset({7})), 900),
    ],
)
def test_it_does_as_the_publisher_asks(outcome: Outcome, hints: Hints, expected_s: float) -> None:
    assert look(watched(last_s=600), outcome, hints=hints).interval_s == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("source", "outcome", "hints", "why"),
    [
        (watched(every_s=30), found(0), Hints(), "every 30 s, as configured"),
        (watched(every_s=90), found(0), Hints(), "every 90 s, as configured"),
        (watched(every_s=3600), found(0), Hints(), "every 1 h, as configured"),
        (NEVER, found(30), Hints(), "adapts: first look"),
        (watched(last_s=HOUR_S, per_day=12), UNCHANGED, Hints(), "adapts: 12 items a day, nothing changed"),
        (watched(last_s=9000, per_day=48), found(5), Hints(), "adapts: 48 items a day, 25 of 30 shared"),
        (watched(last_s=600, per_day=0.3), found(0), Hints(), "adapts: 2 items a week, 30 of 30 shared"),
        (watched(last_s=600, per_day=0.03), UNCHANGED, Hints(), "adapts: 1 item a month, nothing changed"),
        (watched(last_s=600), UNCHANGED, Hints(), "adapts: hardly any items, nothing changed"),
        (watched(last_s=60, per_day=99), found(30), Hints(), "adapts: 247 items a day, window lost: none of 30 shared"),
        (watched(), found(0, max_age_s=1200), Hints(), "publisher calls it fresh for 20 min"),
        (watched(), UNCHANGED, Hints(ttl_s=7200), "publisher asks for a ttl of 2 h"),
        (
            watched(),
            UNCHANGED,
            Hints(skip_days=frozenset({3}), skip_hours=frozenset(range(6))),
            "publisher asks to be left alone until Fri 06:00 GMT",
        ),
    ],
)
def test_it_says_why(source: WatchedSource, outcome: Outcome, hints: Hints, why: str) -> None:
    assert look(source, outcome, hints=hints).why == why


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 s"), (90, "90 s"), (60, "1 min"), (600, "10 min"), (5400, "90 min"), (9000, "2.5 h"), (86_400, "1 day")],
)
def test_spans_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


# -- windows and rates


@pytest.mark.parametrize("every_s", [None, 30])
@pytest.mark.parametrize(
    ("items", "outcome", "lost"),
    [
        (100, found(30), True),
        (100, found(29), False),
        (100, found(1, 1), True),
        (0, found(30), False),
        (100, found(0, 0), False),
        (100, UNCHANGED, False),
        (100, Outcome(error="e"), False),
    ],
)
def test_a_window_is_lost_where_no_entry_is_shared(
    every_s: float | None, items: int, outcome: Outcome, lost: bool
) -> None:
    assert look(watched(every_s=every_s, items=items), outcome).window_lost is lost


@pytest.mark.parametrize("every_s", [None, 30])
@pytest.mark.parametrize(
    ("source", "outcome", "per_day"),
    [
        (watched(last_s=600, per_day=7), Outcome(error="e"), 7),
        (watched(last_s=600, per_day=None), Outcome(error="e"), None),
        # what goes on as before leaves it as it is, however long it was
        (watched(last_s=HOUR_S, per_day=24), found(1), 24),
        (watched(last_s=10 * HOUR_S, per_day=24), found(10), 24),
        # a day of silence weighs more than a minute of it
        (watched(last_s=60, per_day=10), UNCHANGED, 10 * 0.9997),
        (watched(last_s=DAY_S, per_day=10), UNCHANGED, 10 * 0.6065),
        # what fell out was not counted
        (watched(last_s=DAY_S, per_day=5000), found(30), 5000),
        # known items that it shows for the first time are as good as new ones
        (watched(last_s=HOUR_S, per_day=24), Outcome(sighted=1, listed=30, shared=29), 24),
    ],
)
def test_the_rate_is_a_mean_over_time(
    every_s: float | None, source: WatchedSource, outcome: Outcome, per_day: float | None
) -> None:
    found_per_day = look(replace(source, source=replace(source.source, every_s=every_s)), outcome).items_per_day
    assert found_per_day == (per_day and pytest.approx(per_day, rel=1e-3))


def dated(*ago_s: float | None) -> Outcome:
    """A first document, of entries that are so old by the feed's own word."""
    dates = [None if ago is None else NOW - timedelta(seconds=ago) for ago in ago_s]
    new = tuple(Item(id="i", fetched_us=1, changed_us=1, arrived_at=NOW, sources=(), published=date) for date in dates)
    return Outcome(new=new, listed=len(new))


@pytest.mark.parametrize(
    ("outcome", "per_day", "interval_s"),
    [
        # a page of questions that turns over within five minutes is not left for as long
        (dated(*range(10, 301, 10)), 8640, 30),
        (dated(*(hours * HOUR_S for hours in range(1, 25))), 24, 300),
        (dated(DAY_S, 1000 * DAY_S), 0.002, 300),
        # dates that tell nothing
        (dated(), None, 300),
        (dated(60), None, 300),
        (dated(None, None, 60), None, 300),
        (dated(0, 0, 0, 0), None, 300),
        (dated(0, 1, 2, 3), None, 300),
        (dated(-DAY_S, -2 * DAY_S), None, 300),
    ],
)
def test_at_first_the_dates_of_the_feed_tell_its_rate(
    outcome: Outcome, per_day: float | None, interval_s: float
) -> None:
    first = look(NEVER, outcome)
    assert (first.items_per_day or 0) == pytest.approx(per_day or 0, rel=0.01)
    assert (first.items_per_day is None) is (per_day is None)
    assert first.interval_s == interval_s


# -- whatever happens

LOOKS = st.builds(
    Looks,
    last_ok_at=st.none() | st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    interval_s=st.none() | st.floats(0, 1e12),
    failures=st.integers(0, 10**6),
    items=st.integers(0, 10**9),
    items_per_day=st.none() | st.floats(0, 1e12),
)
OUTCOMES = st.builds(
    Outcome,
    new=st.integers(0, 40).map(lambda number: (ITEM,) * number),
    sighted=st.integers(0, 40),
    listed=st.integers(0, 40),
    shared=st.integers(0, 40),
    error=st.none() | st.just("e"),
    failure=st.none() | st.sampled_from(Failure),
    max_age_s=st.none() | st.floats(allow_nan=False),
    retry_after_s=st.none() | st.floats(allow_nan=False),
)
HINTS = st.builds(
    Hints,
    ttl_s=st.none() | st.floats(allow_nan=False),
    skip_hours=st.frozensets(st.integers(0, 23)),
    skip_days=st.frozensets(st.integers(0, 6)),
)


def source_with(looks: Looks, every_s: float | None) -> WatchedSource:
    return WatchedSource(source=Source(id="s", name="S", url="https://s.example/", every_s=every_s), looks=looks)


@settings(deadline=None)
@given(looks=LOOKS, every_s=EVERY, outcome=OUTCOMES, chance=CHANCES)
def test_an_interval_stays_within_its_bounds(
    looks: Looks, every_s: float | None, outcome: Outcome, chance: float
) -> None:
    next_one = look(source_with(looks, every_s), outcome, chance=chance)
    assert (every_s or 30) <= next_one.interval_s <= max(every_s or 0, DAY_S)
    assert next_one.why
    assert next_one.items_per_day is None or next_one.items_per_day >= 0


@settings(deadline=None)
@given(looks=LOOKS, outcome=OUTCOMES, chance=CHANCES, hints=HINTS)
def test_a_look_never_falls_into_what_the_publisher_skips(
    looks: Looks, outcome: Outcome, chance: float, hints: Hints
) -> None:
    interval_s = look(source_with(looks, None), outcome, chance=chance, hints=hints).interval_s
    assert 30 <= interval_s <= 9 * DAY_S
    at = NOW + timedelta(seconds=interval_s)
    if outcome.ok and len(hints.skip_hours) < 24 and len(hints.skip_days) < 7:
        assert at.hour not in hints.skip_hours
        assert at.weekday() not in hints.skip_days


@settings(deadline=None)
@given(looks=LOOKS, outcome=OUTCOMES.filter(lambda outcome: outcome.ok), ttl_s=st.none() | st.floats(0, DAY_S))
def test_jitter_spreads_by_a_tenth_and_keeps_what_was_asked(
    looks: Looks, outcome: Outcome, ttl_s: float | None
) -> None:
    source, hints = source_with(looks, None), Hints(ttl_s=ttl_s)
    first, middle, last = (look(source, outcome, chance=chance, hints=hints).interval_s for chance in (0, 0.5, 1))
    assert max(30, ttl_s or 0) <= first <= middle <= last <= first * 1.1001


@settings(deadline=None)
@given(last_s=st.floats(30, DAY_S), per_day=st.floats(0, 1000), shared=st.integers(0, 29))
def test_the_fewer_entries_are_shared_the_sooner_it_looks(last_s: float, per_day: float, shared: int) -> None:
    source = watched(last_s=last_s, per_day=per_day)
    fewer, more = (look(source, found(30 - number)).interval_s for number in (shared, shared + 1))
    assert fewer <= more


# -- feeds, simulated


@dataclass
class Watch:
    """A source that is looked at from `begin_s` on: what the recipe and the storage do with each look."""

    arrivals_s: Sequence[float]
    window: int = 30
    looks: Looks = field(default_factory=Looks)
    looked_s: list[float] = field(default_factory=list)
    lost_s: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    seen: int = 0

    def run(self, begin_s: float, end_s: float, seed: int = 1) -> "Watch":
        chance, now_s = random.Random(seed), begin_s
        while now_s < end_s:
            now_s += self._look(now_s, chance.random())
        return self

    def _look(self, now_s: float, chance: float) -> float:
        now = NOW + timedelta(seconds=now_s)
        there = bisect_right(self.arrivals_s, now_s)
        listed = min(self.window, there)
        new = min(there - self.seen, listed)
        arrivals = self.arrivals_s[there - new : there]
        items = (
            tuple(self._item(arrived_s) for arrived_s in arrivals) if self.looks.last_ok_at is None else (ITEM,) * new
        )
        unchanged = not new and self.looks.last_ok_at
        outcome = Outcome(new=items, listed=0 if unchanged else listed, shared=0 if unchanged else listed - new)
        next_one = next_look(source_with(self.looks, None), outcome, now=now, chance=chance)
        self.looked_s.append(now_s)
        self.rates.append(next_one.items_per_day or 0)
        if next_one.window_lost:
            self.lost_s.append(now_s)
        self.seen = there
        self.looks = Looks(
            last_ok_at=now,
            interval_s=next_one.interval_s,
            items=self.looks.items + new,
            items_per_day=next_one.items_per_day,
        )
        return next_one.interval_s

    def _item(self, arrived_s: float) -> Item:
        published = NOW + timedelta(seconds=arrived_s)
        return Item(id="i", fetched_us=1, changed_us=1, arrived_at=NOW, sources=(), published=published)

    def intervals_s(self, begin_s: float, end_s: float) -> list[float]:
        looked = [at for at in self.looked_s if begin_s <= at < end_s]
        return [later - earlier for earlier, later in pairwise(looked)]


def steady(per_day: float, days: float) -> list[float]:
    return [number * DAY_S / per_day for number in range(int(days * per_day))]


def by_chance(per_day: float, begin_s: float, end_s: float, seed: int = 1) -> list[float]:
    """Arrivals that know nothing of each other."""
    chance, at, arrivals = random.Random(seed), begin_s, []
    while (at := at + chance.expovariate(per_day / DAY_S)) < end_s:
        arrivals.append(at)
    return arrivals


def mean(numbers: Iterable[float]) -> float:
    listed = list(numbers)
    return sum(listed) / len(listed)


@pytest.mark.parametrize(
    ("per_day", "days", "interval_s"),
    [(1 / 30, 60, DAY_S), (1, 40, 6 * HOUR_S), (12, 20, 1800), (50, 20, 432), (300, 10, 72), (8640, 2, 30)],
)
@pytest.mark.parametrize("at_random", [False, True])
def test_a_steady_feed_settles_at_four_looks_an_item_and_loses_no_window(
    per_day: float, days: float, interval_s: float, at_random: bool
) -> None:
    end_s = 2 * days * DAY_S
    arrivals = by_chance(per_day, 0, end_s) if at_random else steady(per_day, 2 * days)
    watch = Watch(arrivals).run(days * DAY_S / 2, end_s)
    settled = watch.intervals_s(days * DAY_S, end_s)
    assert watch.lost_s == []
    assert mean(settled) == pytest.approx(interval_s, rel=0.25 if at_random else 0.15)
    assert mean(watch.rates[-len(settled) :]) == pytest.approx(per_day, rel=0.5 if at_random else 0.1)


@pytest.mark.parametrize("window", [1, 2, 5, 10, 30, 100])
def test_it_settles_whatever_the_window(window: int) -> None:
    watch = Watch(steady(50, 20), window).run(5 * DAY_S, 20 * DAY_S)
    assert watch.lost_s == [] or window == 1
    assert 200 < mean(watch.intervals_s(10 * DAY_S, 20 * DAY_S)) < 500


def test_it_follows_a_burst_and_rests_after_it() -> None:
    """A blog of one item a day, on which 100 an hour appear for half a day."""
    begin_s, end_s = 30 * DAY_S, 30.5 * DAY_S
    arrivals = [*steady(1, 30), *by_chance(2400, begin_s, end_s), *(end_s + at for at in steady(1, 30))]
    watch = Watch(arrivals).run(10 * DAY_S, 50 * DAY_S)
    # what nobody could foresee, and then no more
    assert 1 <= len(watch.lost_s) <= 3
    first = watch.lost_s[0]
    assert watch.lost_s[-1] - first < 1.5 * HOUR_S
    assert max(watch.intervals_s(watch.lost_s[-1] + 1, end_s)) < 15 * MIN_S
    assert mean(watch.intervals_s(end_s + 15 * DAY_S, 50 * DAY_S)) > 4 * HOUR_S


def test_the_nights_of_a_newspaper_cost_nothing_but_a_few_looks() -> None:
    """50 items a day between six and ten at night; the first of the morning must not wait for hours."""
    arrivals = [day * DAY_S + 6 * HOUR_S + number * 16 * HOUR_S / 50 for day in range(30) for number in range(50)]
    watch = Watch(arrivals).run(10 * DAY_S, 30 * DAY_S)
    assert watch.lost_s == []
    assert max(watch.intervals_s(15 * DAY_S, 30 * DAY_S)) < 30 * MIN_S


def test_a_feed_that_says_no_dates_is_followed_from_nothing() -> None:
    watch = Watch(steady(8640, 1))
    watch.looks = Looks(last_ok_at=NOW + timedelta(hours=1), interval_s=300, items=30)
    watch.seen = bisect_right(watch.arrivals_s, HOUR_S)
    watch.run(HOUR_S + 300, 6 * HOUR_S)
    assert len(watch.lost_s) <= 1
    assert max(watch.intervals_s(2 * HOUR_S, 6 * HOUR_S)) < 150
