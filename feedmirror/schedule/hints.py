"""What a publisher asks for: freshness, a ttl, hours and days off.

It makes an adapted interval longer, never shorter.
"""

from datetime import UTC, datetime, timedelta

from feedmirror.models import Hints, Outcome
from feedmirror.schedule.adapt import ADAPTIVE_MAX_S, ADAPTIVE_MIN_S
from feedmirror.schedule.words import HOUR_S, in_words

# Spreads sources that adapt alike. It only lengthens, so that what a publisher asks for is kept.
JITTER = 0.1

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def patient(wanted_s: float, why: str, outcome: Outcome, hints: Hints, chance: float) -> tuple[float, str]:
    """Not before the publisher's word on freshness is over, and within the bounds; jittered."""
    fresh_s, ttl_s = (min(asked_s or 0.0, ADAPTIVE_MAX_S) for asked_s in (outcome.max_age_s, hints.ttl_s))
    if max(fresh_s, ttl_s) > max(wanted_s, ADAPTIVE_MIN_S):
        word = "calls it fresh for" if fresh_s >= ttl_s else "asks for a ttl of"
        why = f"publisher {word} {in_words(max(fresh_s, ttl_s))}"
    least_s = max(fresh_s, ttl_s, ADAPTIVE_MIN_S)
    # room is kept for the jitter below the day, and none where the publisher asks for all of it
    base_s = min(max(wanted_s, least_s), ADAPTIVE_MAX_S / (1 + JITTER))
    return max(base_s * (1 + JITTER * chance), least_s), why


def unless_skipped(interval_s: float, why: str, now: datetime, hints: Hints, chance: float) -> tuple[float, str]:
    """Move a look out of the publisher's skipped hours and days; that alone may make it later than a day."""
    at = (now + timedelta(seconds=interval_s)).astimezone(UTC)
    hour = at.replace(minute=0, second=0, microsecond=0)
    for hours in range(7 * 24 + 1):
        allowed = hour + timedelta(hours=hours)
        if allowed.hour in hints.skip_hours or allowed.weekday() in hints.skip_days:
            continue
        if hours == 0:
            return interval_s, why
        moved_s = (allowed - now).total_seconds() + JITTER * HOUR_S * chance
        return moved_s, f"publisher asks to be left alone until {_WEEKDAYS[allowed.weekday()]} {allowed:%H:%M} GMT"
    return interval_s, why  # nothing is left of the week: nonsense
