"""What readers are told of polling: in a sentence, and as the header of each poll's answer.

    Feedmirror-Polling: live
    Feedmirror-Polling: stalled;words="Nothing has been polled for 2 min: no worker is running"
    Feedmirror-Polling: unknown

An item of RFC 9651: a token, with a string as its parameter. `unknown`: the database did not say so far. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from feedmirror.models import Polling
from feedmirror.web import times
from feedmirror.web.counts import counted

HEADER = "Feedmirror-Polling"

# A laptop that wakes and a system that has just begun poll within these seconds. A reader hears of anything else soon
# enough: what is due was left alone for some seconds before the first of them.
PATIENCE_S = 8.0
# Two looks are a second apart. What lies between them when they are further apart (the process was stopped, or waited
# for MongoDB) was not seen, and counts for no more than this.
_MOST_BETWEEN_S = 2.0
# Words that change more often would make each answer another one.
_MINUTE = timedelta(minutes=1)
_STEP_S = 10


class PollingState(StrEnum):
    """Whether due sources are polled."""

    LIVE = "live"
    STALLED = "stalled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Told:
    """What readers are told; `alarm`: in a sentence that nothing is polled, None where that is not so, or not known."""

    state: PollingState
    alarm: str | None = None

    @property
    def header(self) -> str:
        return self.state if self.alarm is None else f'{self.state};words="{self.alarm}"'


UNKNOWN = Told(PollingState.UNKNOWN)
_LIVE = Told(PollingState.LIVE)


class Patience:
    """Decides when a stall is told: it is once it was seen for `seconds` without a break, and no longer than seen.

    `clock` is monotonic and stands still while the machine sleeps.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]):
        self._seconds = seconds
        self._clock = clock
        self._looked_at: float | None = None  # None: the look before saw no stall
        self._seen_s = 0.0

    def told(self, polling: Polling | None) -> Told:
        """What is to be told after this look; None: the database is away."""
        if polling is None or not polling.stalled:
            self._looked_at, self._seen_s = None, 0.0
            return UNKNOWN if polling is None else _LIVE
        now = self._clock()
        if self._looked_at is not None:
            self._seen_s += min(now - self._looked_at, _MOST_BETWEEN_S)
        self._looked_at = now
        return _LIVE if self._seen_s < self._seconds else Told(PollingState.STALLED, alarm(polling))


def alarm(polling: Polling) -> str:
    """That nothing is polled, and why."""
    since = " yet" if polling.last_at is None else f" for {_passed(polling.now - polling.last_at)}"
    return f"Nothing has been polled{since}: {_why(polling.workers)}"


def _passed(time: timedelta) -> str:
    seconds = time.total_seconds()
    return times.duration(seconds if time >= _MINUTE else seconds // _STEP_S * _STEP_S)


def _why(workers: int) -> str:
    if not workers:
        return "no worker is running"
    if workers == 1:
        return "a worker is running, but it polls nothing"
    return f"{counted(workers, 'worker')} are running, but they poll nothing"
