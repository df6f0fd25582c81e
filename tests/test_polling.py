"""That nothing is polled, in words; and when it is told: not of a laptop that wakes."""

from datetime import UTC, datetime, timedelta

import pytest

from feedmirror.models import Polling
from feedmirror.web.polling import UNKNOWN, Patience, PollingState, Told, alarm

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PATIENCE_S = 8.0


def stalled(*, for_s: float | None = 120, workers: int = 0) -> Polling:
    last_at = None if for_s is None else NOW - timedelta(seconds=for_s)
    return Polling(now=NOW, stalled=True, last_at=last_at, workers=workers)


LIVE = Polling(now=NOW, last_at=NOW, workers=1)


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Looks:
    """A patience that looks once a second, unless told otherwise."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._patience = Patience(PATIENCE_S, self.clock)

    def look(self, polling: Polling | None, *, after_s: float = 1) -> Told:
        self.clock.now += after_s
        return self._patience.told(polling)

    def states(self, polling: Polling, number: int) -> list[PollingState]:
        return [self.look(polling).state for _ in range(number)]


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.mark.parametrize(
    ("polling", "words"),
    [
        (stalled(), "Nothing has been polled for 2 min: no worker is running"),
        (stalled(for_s=179), "Nothing has been polled for 2 min: no worker is running"),
        (stalled(for_s=19), "Nothing has been polled for 10 s: no worker is running"),
        (stalled(for_s=7200), "Nothing has been polled for 2 h: no worker is running"),
        (stalled(for_s=None), "Nothing has been polled yet: no worker is running"),
        (stalled(workers=1), "Nothing has been polled for 2 min: a worker is running, but it polls nothing"),
        (stalled(workers=2), "Nothing has been polled for 2 min: 2 workers are running, but they poll nothing"),
    ],
)
def test_the_alarm_says_for_how_long_and_why(polling: Polling, words: str) -> None:
    assert alarm(polling) == words


def test_the_header_is_a_token_with_the_words_as_its_parameter(looks: Looks) -> None:
    assert looks.look(LIVE).header == "live"
    assert UNKNOWN.header == "unknown"
    told = Told(PollingState.STALLED, alarm(stalled()))
    assert told.header == 'stalled;words="Nothing has been polled for 2 min: no worker is running"'


def test_a_stall_is_told_once_it_was_seen_for_eight_seconds(looks: Looks) -> None:
    assert looks.states(stalled(), 9) == [*[PollingState.LIVE] * 8, PollingState.STALLED]


def test_a_stall_is_over_at_once(looks: Looks) -> None:
    looks.states(stalled(), 9)
    assert looks.look(LIVE) == Told(PollingState.LIVE)
    assert looks.look(stalled()).state is PollingState.LIVE


def test_a_break_in_a_stall_begins_the_patience_anew(looks: Looks) -> None:
    looks.states(stalled(), 7)
    looks.look(LIVE)
    assert set(looks.states(stalled(), 8)) == {PollingState.LIVE}


def test_a_laptop_that_wakes_is_no_alarm(looks: Looks) -> None:
    looks.states(LIVE, 3)
    # the monotonic clock stood still meanwhile; the server's time says that nothing was polled for a night
    night = stalled(for_s=8 * 3600, workers=1)
    assert set(looks.states(night, 5)) == {PollingState.LIVE}
    assert looks.look(LIVE).alarm is None


def test_a_process_that_was_stopped_is_no_alarm(looks: Looks) -> None:
    looks.look(stalled())
    assert looks.look(stalled(), after_s=3600).alarm is None
    assert set(looks.states(stalled(), 5)) == {PollingState.LIVE}


def test_while_the_database_is_away_nothing_is_told(looks: Looks) -> None:
    looks.states(stalled(), 9)
    assert looks.look(None) == UNKNOWN
    assert set(looks.states(stalled(), 8)) == {PollingState.LIVE}
