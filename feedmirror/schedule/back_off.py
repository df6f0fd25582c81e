"""How long to leave a source alone that failed: each kind of failure has a curve of its own.

Never stopping is the point: readers that do stop lose feeds. A source that is gone for good costs a request a day.
"""

from dataclasses import dataclass

from feedmirror.errors import Failure
from feedmirror.models import Outcome, WatchedSource
from feedmirror.schedule.words import DAY_S, HOUR_S, MINUTE_S, ordinal

# No source without an interval of its own is looked at sooner, failing or not.
LEAST_PAUSE_S = 30.0

# A pause is lengthened by up to this part of it: sources that failed together come back apart. Only ever lengthened,
# so that a least pause is one; room for it is kept below the cap.
JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Curve:
    """The first pause, by how much each further failure in a row lengthens it, and the longest; `words` for people."""

    words: str
    first_s: float
    factor: float = 2
    cap_s: float = DAY_S


# What passes by itself is tried again at once and often. What somebody has to see and mend gets a first pause that a
# slip of minutes (a deployment, a certificate renewed) does not outlast, and then goes up three times at a time.
CURVES = {
    # restarts are over in seconds; a server that comes back after days is seen within hours, for four requests a day
    Failure.REFUSED: Curve("connection refused", 10, cap_s=6 * HOUR_S),
    # a server out of breath, and every try holds one of our threads until the deadline
    Failure.TIMEOUT: Curve("time-out", 30, cap_s=6 * HOUR_S),
    Failure.SERVER_ERROR: Curve("server error", 30, cap_s=6 * HOUR_S),
    Failure.BROKEN_BODY: Curve("broken answer", 30, cap_s=6 * HOUR_S),
    # a resolver's hiccup passes in seconds; a name that stays away has lapsed
    Failure.DNS: Curve("host name not found", 30, factor=3),
    # an expired certificate, mostly
    Failure.TLS: Curve("TLS failed", 2 * MINUTE_S, factor=3),
    Failure.REDIRECT: Curve("redirects lead nowhere", 2 * MINUTE_S, factor=3),
    Failure.CLIENT_ERROR: Curve("refused by the server (4xx)", 2 * MINUTE_S, factor=3),
    # a page of maintenance that calls itself 200 passes; a feed that became a web page does not
    Failure.NOT_A_FEED: Curve("not a feed", MINUTE_S, factor=3),
    # each try costs as many bytes as we take
    Failure.TOO_LARGE: Curve("too large", 4 * MINUTE_S, factor=3),
    # a name that leads into a private network: its owner or the operator has to say otherwise
    Failure.FORBIDDEN_ADDRESS: Curve("leads to a forbidden address", 4 * MINUTE_S, factor=3),
    # the first pause is the longest of all, since asking on is what is complained of
    Failure.THROTTLED: Curve("asked to slow down", 5 * MINUTE_S),
    # meant to stay so (RFC 9110, 15.5.11); it rests, and is heard if it comes back
    Failure.GONE: Curve("gone (410): resting, looked at once a day", DAY_S, factor=1),
    # no request is made, and a worker that is started with the variable goes on at once
    Failure.NOT_SET_UP: Curve("not set up: nothing is asked for", 30, factor=1),
    # the next release mends it; an update is noticed within hours
    Failure.BUG: Curve("a bug in Feedmirror", MINUTE_S, cap_s=6 * HOUR_S),
}
UNKNOWN = Curve("failed", 30)


def pause(watched: WatchedSource, outcome: Outcome, *, chance: float) -> tuple[float, str]:
    """Seconds from the begin of a look that failed to the next one, and why.

    Never sooner than the source's own interval or Retry-After, never above a day but for a longer `every`.
    """
    curve = CURVES.get(outcome.failure, UNKNOWN) if outcome.failure else UNKNOWN
    least_s = watched.source.every_s or LEAST_PAUSE_S
    # more than 40 steps are beyond any cap, and 3.0 ** 2000 would overflow
    grown_s = curve.first_s * curve.factor ** min(watched.looks.failures, 40)
    base_s = max(least_s, min(grown_s, curve.cap_s / (1 + JITTER)))
    paused_s = min(_later(base_s, chance), max(least_s, DAY_S))
    asked_s = min(_later(outcome.retry_after_s or 0, chance), DAY_S)
    if asked_s > paused_s:
        return asked_s, "asked to wait (Retry-After)"
    return paused_s, _why(curve, watched.looks.failures + 1)


def _later(seconds: float, chance: float) -> float:
    return seconds * (1 + JITTER * chance)


def _why(curve: Curve, failures: int) -> str:
    if failures == 1 or curve.factor == 1:
        return curve.words
    return f"{curve.words}, {ordinal(failures)} failure in a row"
