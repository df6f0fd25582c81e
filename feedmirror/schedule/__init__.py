"""When to look at a source again, and why. Pure: what happened goes in, an interval and its reason come out.

    next_look
    ├── failed       the curve of that kind of failure, and Retry-After (back_off.py)
    ├── `every`      that, exactly
    └── neither      the sooner of what its rate and its window ask for, rising gently (adapt.py);
                     not before Cache-Control, Expires and ttl allow it, nor in skipped hours and days (hints.py)

Who asks, what time it is and how that is remembered is not known here.
"""

from dataclasses import dataclass
from datetime import datetime

from feedmirror.models import Outcome, WatchedSource
from feedmirror.schedule.adapt import adapted_s, rate_by_dates, running_rate, since_last_s, why_adapted
from feedmirror.schedule.back_off import pause
from feedmirror.schedule.hints import patient, unless_skipped
from feedmirror.schedule.words import in_words

__all__ = ["NextLook", "next_look"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLook:
    """When to look again, and what this look says of the source.

    `interval_s` counts from the begin of this look, or from when it was due (`from_due`, see Finished); `why` says in a
    few words what it rests on. `items_per_day` is the
    running mean as of now, None while nothing is known. `window_lost`: no entry was shared with the look before, so
    that items probably fell out in between.
    """

    interval_s: float
    why: str
    items_per_day: float | None
    window_lost: bool
    from_due: bool = False


def next_look(
    watched: WatchedSource, outcome: Outcome, *, now: datetime, chance: float, taken_s: float = 0
) -> NextLook:
    """Decide when to look at a source again.

    `watched` is the source as it was before this look, which began at `now`; `chance` is a number from 0 to 1, for
    the jitter; it took `taken_s`. `every` is kept to exactly: only failures and Retry-After make it longer.
    """
    looks, every_s = watched.looks, watched.source.every_s
    # of a document that had not changed, what it said the last time still holds
    hints = looks.hints if outcome.hints is None else outcome.hints
    if not outcome.ok:
        interval_s, why = pause(watched, outcome, chance=chance)
        return NextLook(interval_s=interval_s, why=why, items_per_day=looks.items_per_day, window_lost=False)
    if outcome.goes_on_in_s is not None:
        interval_s = taken_s + outcome.goes_on_in_s
        return NextLook(
            interval_s=interval_s, why=outcome.goes_on_why, items_per_day=looks.items_per_day, window_lost=False
        )
    lost = outcome.listed > 0 and outcome.shared <= 0 and looks.items > 0 and looks.last_ok_at is not None
    elapsed_s = since_last_s(looks, now)
    if looks.last_ok_at is None:
        per_day = rate_by_dates(outcome, now)
    else:
        per_day = running_rate(looks, outcome, elapsed_s, lost=lost)
    if every_s:
        # from when it began, if it took more than one visit
        interval_s, why = max(every_s - outcome.began_before_s, 0), f"every {in_words(every_s)}, as configured"
    else:
        wanted_s = adapted_s(looks, outcome, elapsed_s, per_day or 0, lost=lost)
        interval_s, why = patient(wanted_s, why_adapted(looks, outcome, per_day, lost=lost), outcome, hints, chance)
        interval_s, why = unless_skipped(interval_s, why, now, hints, chance)
    from_due = bool(every_s) and not outcome.began_before_s
    return NextLook(interval_s=interval_s, why=why, items_per_day=per_day, window_lost=lost, from_due=from_due)
