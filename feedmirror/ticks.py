"""A Celery schedule by a clock that nobody sets.

Beat compares the wall clock with when it last sent something, and keeps what comes next in a heap by the wall clock as
well: set back by an hour, it would be silent for an hour. Both ask the schedule what time it is.
"""

from datetime import UTC, datetime, timedelta
from time import monotonic

from celery.schedules import schedule

# `monotonic` counts from no moment in particular; Celery wants a date. It is compared with others of its kind only.
_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def every(seconds: float) -> schedule:
    """Every so many seconds, whatever is done to the wall clock."""
    return schedule(seconds, nowfun=_now)


def _now() -> datetime:
    return _SOME_DAY + timedelta(seconds=monotonic())
