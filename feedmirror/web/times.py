"""Times as one says them: how long ago, how soon, how long. static/words.js says "ago" in the same words."""

from datetime import datetime

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_UNITS = ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"))

# After a month the date says more than a number of days.
_LONGEST_AGO_S = 30 * _DAY_S


def ago(moment: datetime, now: datetime) -> str:
    """`moment` seen from `now`: "just now", "2 min ago" ... and after a month the date.

    What lies in the future (the clocks of two machines) is just now.
    """
    seconds = (now - moment).total_seconds()
    if seconds < _MINUTE_S:
        return "just now"
    if seconds >= _LONGEST_AGO_S:
        return moment.date().isoformat()
    return f"{duration(seconds)} ago"


def lasting(since: datetime, now: datetime) -> str:
    """How long something has lasted: "for 3 min"."""
    return f"for {duration(max(0, round((now - since).total_seconds())))}"


def until(moment: datetime | None, now: datetime) -> str:
    """How soon `moment` is: "in 20 s", "now" if it has come, "not planned" if there is none."""
    if moment is None:
        return "not planned"
    seconds = (moment - now).total_seconds()
    return f"in {duration(round(seconds))}" if seconds >= 1 else "now"


def duration(seconds: float | None) -> str:
    """A length of time in its largest unit, rounded down; None is one that adapts."""
    if seconds is None:
        return "adapts"
    for length_s, unit in _UNITS:
        if seconds >= length_s:
            return f"{int(seconds // length_s)} {unit}"
    return f"{seconds:.3g} s"
