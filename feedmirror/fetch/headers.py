"""What an answer's headers say: when to come back, how long it stays fresh, what to ask with next time.

Pure. Headers are a stranger's text: what cannot be understood counts as absent.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from requests.utils import parse_header_links

from feedmirror.models import Validators

_DAY_S = 86_400.0
_YEAR_S = 365 * _DAY_S
# Longer ones are sent back only to be refused as a header too large, poll after poll.
_LONGEST_VALIDATOR = 1024
_MAX_AGE = re.compile(r'(?:^|[,\s])max-age\s*=\s*"?([0-9]+)', re.IGNORECASE)
_ALWAYS_STALE = re.compile(r"(?:^|[,\s])no-(?:cache|store)(?:$|[,\s])", re.IGNORECASE)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long Retry-After asks to stay away (RFC 9110, 10.2.3): 0 to a day, None if it does not ask.

    A date is taken against the server's own Date where there is one, so that no clock needs to be right.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value):
        return min(float(value), _DAY_S)
    until = _date(value)
    if until is None:
        return None
    return min(max(0.0, _seconds_between(_date(headers.get("Date", "")) or now, until)), _DAY_S)


def max_age_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long the answer stays fresh (RFC 9111, 4.2): 0 to a year, None if it does not say.

    `max-age` overrides Expires; the time that it has spent in caches is over (Age).
    """
    control = headers.get("Cache-Control", "")
    if _ALWAYS_STALE.search(control):
        return 0.0
    if found := _MAX_AGE.search(control):
        lifetime_s = float(found[1])
    elif "Expires" in headers:
        expires = _date(headers["Expires"])  # RFC 9111, 5.3: what is no date, 0 above all, is in the past
        lifetime_s = _seconds_between(_date(headers.get("Date", "")) or now, expires) if expires else 0.0
    else:
        return None
    return min(max(0.0, lifetime_s - _age_s(headers)), _YEAR_S)


def next_url(headers: Mapping[str, str]) -> str | None:
    """Where a Link header says that the next page is (RFC 8288), as it stands there; None if it does not."""
    try:
        links = parse_header_links(headers.get("Link", ""))
    except ValueError:
        return None
    return next((link["url"] for link in links if "next" in link.get("rel", "").lower().split()), None)


def validators_of(headers: Mapping[str, str], *, kept: Validators) -> Validators:
    """What to ask with next time: what this answer carries, and `kept` for what it does not carry."""
    return Validators(
        etag=_validator(headers, "ETag") or kept.etag,
        last_modified=_validator(headers, "Last-Modified") or kept.last_modified,
    )


def _validator(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name, "")
    return value if len(value) <= _LONGEST_VALIDATOR else None


def _age_s(headers: Mapping[str, str]) -> float:
    age = headers.get("Age", "").strip()
    return float(age) if re.fullmatch(r"[0-9]+", age) else 0.0


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _seconds_between(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
