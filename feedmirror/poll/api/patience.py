"""Who asks us to wait: the ways in which APIs say that they were asked too often, besides the status 429. Pure."""

import json
from typing import Any

from feedmirror.errors import Failure, FetchError
from feedmirror.table.values import member

# Quandl's codes for its limits: a day's, a short time's, and those of a kind of account.
_QUANDL_LIMITS = frozenset({"QELx01", "QELx02", "QELx03", "QELx04", "QELx05", "QELx06", "QELx07"})
_TOO_MANY = 429
# Where APIs say what was wrong.
_REASONS = (
    ("quandl_error", "message"),
    ("error_message",),
    ("error", "message"),
    ("error",),
    ("detail",),
    ("message",),
)


def asked_to_wait(value: Any) -> float | None:
    """How many seconds the Stack Exchange API wants not to be asked (`backoff` in an answer that is well), or None."""
    seconds = member(value, ("backoff",))
    usable = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
    return min(float(seconds), 86_400.0) if usable else None


def refused(value: Any) -> FetchError | None:
    """The refusal that a body states, whatever status it came with; None where it is none."""
    status = member(value, ("status", "error_code"))  # CoinGecko
    if status == _TOO_MANY:
        return _refusal(member(value, ("status", "error_message")))
    if member(value, ("quandl_error", "code")) in _QUANDL_LIMITS:
        return _refusal(member(value, ("quandl_error", "message")))
    if member(value, ("error_name",)) == "throttle_violation":  # Stack Exchange
        return _refusal(member(value, ("error_message",)))
    return None


def understood(error: FetchError) -> FetchError:
    """The same failure, or the refusal that its body states, with what the publisher says of it."""
    try:
        value = json.loads(error.body)
    except (ValueError, RecursionError):
        return error
    if refusal := refused(value):
        return FetchError(refusal.kind, str(refusal), status=error.status, retry_after_s=error.retry_after_s)
    if said := _said(value):
        return FetchError(error.kind, f"{error}: {said}", status=error.status, retry_after_s=error.retry_after_s)
    return error


def reason_given(error: FetchError) -> str:
    """What the publisher says of a failure in its own words, "" if nothing."""
    try:
        return _said(json.loads(error.body))
    except (ValueError, RecursionError):
        return ""


def _refusal(said: Any) -> FetchError:
    return FetchError(Failure.THROTTLED, f"asked too often: {_short(said)}", status=_TOO_MANY)


def _said(value: Any) -> str:
    found = (member(value, path) for path in _REASONS)
    return next((_short(one) for one in found if isinstance(one, str)), "")


def _short(said: Any) -> str:
    return " ".join(said.split())[:200] if isinstance(said, str) else "no reason given"
