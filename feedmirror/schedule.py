"""When to look at a source again. Pure: what happened goes in, a number of seconds comes out.

Who asks, what time it is and how that is remembered is not known here.
"""

from feedmirror.models import Outcome, WatchedSource

# A source without `every` adapts within these. Publishers call five minutes too fast for a blog; a page of
# questions that turns over within minutes needs less. A day is the longest that anybody waits for a first item.
ADAPTIVE_MIN_S = 30.0
ADAPTIVE_MAX_S = 86_400.0
ADAPTIVE_FIRST_S = 300.0

# A failure doubles the pause, up to a day: a server that is down for an hour is tried again within two, and one
# that is gone for good costs a request a day. Never stopping is the point: readers that do stop lose feeds.
BACK_OFF_MIN_S = 5.0
BACK_OFF_MAX_S = 86_400.0

# What spreads sources that failed together, so that they do not come back together.
_JITTER = 0.1


def next_interval_s(watched: WatchedSource, outcome: Outcome, *, chance: float) -> float:
    """Seconds from the begin of this look to the next one.

    `chance` is a number from 0 to 1, for the jitter. `every` is kept to exactly: only failures and the
    publisher's Retry-After make it longer.
    """
    if outcome.ok:
        return watched.source.every_s or _adapted_s(watched, outcome, chance)
    return max(_back_off_s(watched, chance), outcome.retry_after_s or 0)


def _back_off_s(watched: WatchedSource, chance: float) -> float:
    first = max(watched.source.every_s or ADAPTIVE_MIN_S, BACK_OFF_MIN_S)
    # more than 40 doublings are beyond any cap, and 2.0 ** 2000 would overflow
    doubled = first * 2.0 ** min(watched.looks.failures, 40)
    return max(first, min(doubled, BACK_OFF_MAX_S / (1 + _JITTER)) * _jittered(chance))


def _adapted_s(watched: WatchedSource, outcome: Outcome, chance: float) -> float:
    """Half as long after something new, half as long again after nothing new."""
    # after failures the last interval was a pause, and says nothing of the feed
    last = (not watched.looks.failures and watched.looks.interval_s) or ADAPTIVE_FIRST_S
    adapted = last / 2 if outcome.new or outcome.sighted else last * 1.5
    return min(max(adapted * _jittered(chance), ADAPTIVE_MIN_S), ADAPTIVE_MAX_S)


def _jittered(chance: float) -> float:
    return 1 - _JITTER + 2 * _JITTER * chance
