"""The interval of a source without `every`: by the rate of its items, and by how much of its window turned over.

Times are seconds, and rates items a day. What time it is, and what a publisher asks for, is not known here.
"""

from datetime import datetime
from math import exp

from feedmirror.models import Looks, Outcome
from feedmirror.schedule.back_off import LEAST_PAUSE_S
from feedmirror.schedule.words import DAY_S, HOUR_S, rate_in_words

# A source without `every` adapts within these. Publishers call five minutes too fast for a blog; a page of
# questions that turns over within minutes needs less. A day is the longest that anybody waits for a first item.
ADAPTIVE_MIN_S = LEAST_PAUSE_S
ADAPTIVE_MAX_S = DAY_S
# Soon enough to learn how lively a new source is, and not yet a nuisance to a quiet one.
ADAPTIVE_FIRST_S = 300.0

# Looks for each item: an item is seen after an eighth of the usual time between two, on average.
_LOOKS_PER_ITEM = 4
# How much of a window may turn over between two looks: twice as lively, and nothing is lost yet.
_TURNOVER = 0.5
# A window lost may have turned over any number of times.
_LOST_CUT = 4
# A quiet source goes from half a minute to a day in twenty looks.
_RISE = 1.5

# The rate remembers about this many items: enough not to jump with each, few enough to follow. By time, not by looks,
# so that a burst and a silence count by how long they are; not less than an hour, nor more than some days.
_MEMORY_ITEMS = 20
_MEMORY_MIN_S = HOUR_S
_MEMORY_MAX_S = 4 * DAY_S
# Entries all dated within less than this are dated by whoever wrote the document, and tell no rate.
_DATES_SPAN_S = 60.0


def since_last_s(looks: Looks, now: datetime) -> float:
    """Seconds since the last good look; failures in between do not count, since they saw nothing."""
    elapsed_s = (now - looks.last_ok_at).total_seconds() if looks.last_ok_at else 0.0
    # a clock that was set back says nothing; the interval that was planned is then the better guess
    return elapsed_s if elapsed_s >= 1 else max(looks.interval_s or ADAPTIVE_FIRST_S, 1.0)


def running_rate(looks: Looks, outcome: Outcome, elapsed_s: float, *, lost: bool) -> float:
    """Items a day: a mean in which the past fades with time, the sooner the more there is to go by."""
    before = looks.items_per_day or 0.0
    memory_s = min(max(_MEMORY_ITEMS * DAY_S / before, _MEMORY_MIN_S), _MEMORY_MAX_S) if before else _MEMORY_MAX_S
    faded = exp(-elapsed_s / memory_s)
    arrived_per_day = (len(outcome.new) + outcome.sighted) * DAY_S / elapsed_s
    rate = before * faded + arrived_per_day * (1 - faded)
    # what fell out of a window was not counted
    return max(rate, before) if lost else rate


def rate_by_dates(outcome: Outcome, now: datetime) -> float | None:
    """Items a day by the feed's own dates, which is all that a first look has; None if they tell nothing."""
    dates = [item.published for item in outcome.new if item.published and item.published <= now]
    if not dates or (max(dates) - min(dates)).total_seconds() < _DATES_SPAN_S:
        return None
    return len(dates) * DAY_S / (now - min(dates)).total_seconds()


def adapted_s(looks: Looks, outcome: Outcome, elapsed_s: float, per_day: float, *, lost: bool) -> float:
    """The sooner of what the rate and the window ask for, and not much later than last time."""
    planned_s = looks.interval_s or elapsed_s
    looks_per_day = per_day * _LOOKS_PER_ITEM
    by_rate_s = DAY_S / looks_per_day if looks_per_day > 1 else ADAPTIVE_MAX_S
    if looks.last_ok_at is None:
        return min(by_rate_s, ADAPTIVE_FIRST_S)
    if lost:
        by_window_s = min(planned_s, elapsed_s) / _LOST_CUT
    elif outcome.listed > outcome.shared and looks.items:
        by_window_s = elapsed_s * _TURNOVER * outcome.listed / (outcome.listed - outcome.shared)
    else:
        by_window_s = ADAPTIVE_MAX_S
    # after failures the planned interval was a pause, and says nothing of the feed
    last_s = elapsed_s if looks.failures else max(planned_s, elapsed_s)
    return min(by_rate_s, by_window_s, _RISE * last_s)


def why_adapted(looks: Looks, outcome: Outcome, per_day: float | None, *, lost: bool) -> str:
    said = [] if per_day is None else [rate_in_words(per_day)]
    if looks.last_ok_at is None:
        said.append("first look")
    elif lost:
        said.append(f"window lost: none of {outcome.listed} shared")
    else:
        said.append(f"{outcome.shared} of {outcome.listed} shared" if outcome.listed else "nothing changed")
    return f"adapts: {', '.join(said)}"
