"""What an RSS channel says about when to look at it: ttl, skipHours and skipDays (optional elements of RSS 2.0)."""

from feedmirror.models import Hints
from feedmirror.parse.fields import Fields

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Longer than a year is a slip of the pen; the schedule has a bound of its own.
_LONGEST_TTL_MIN = 366 * 24 * 60


def hints_of(channel: Fields) -> Hints:
    """The channel's hints; what cannot be understood counts as not said."""
    return Hints(
        ttl_s=_ttl_s(channel.text("ttl")),
        skip_hours=frozenset(_hours(channel)),
        skip_days=frozenset(_days(channel)),
    )


def _ttl_s(text: str) -> float | None:
    """Seconds of a ttl, which is in minutes."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return 60.0 * min(int(text), _LONGEST_TTL_MIN)


def _hours(channel: Fields) -> set[int]:
    said = {
        text for text in _texts(channel, "skiphours", "hour") if text.isascii() and text.isdigit() and len(text) < 3
    }
    # RSS 0.91 counted from 1 to 24
    return {int(text) % 24 for text in said if int(text) <= 24}


def _days(channel: Fields) -> set[int]:
    return {_DAYS.index(text) for text in map(str.lower, _texts(channel, "skipdays", "day")) if text in _DAYS}


def _texts(channel: Fields, group: str, name: str) -> list[str]:
    return [
        (child.text or "").strip() for element in channel.each(group) for child in channel.within(element).each(name)
    ]
