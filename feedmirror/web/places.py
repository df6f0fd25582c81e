"""Places in lists as text, for the address of what follows: `1.42.stack-overflow` among the sources."""

import re
from datetime import UTC, datetime, timedelta

from feedmirror.models import Place, SeriesPlace

# active or not, place in the sources file, id; no file has a thousand million sources
_PLACE = re.compile(r"([01])\.([0-9]{1,9})\.(.{1,200})", re.DOTALL)
# when it was asked for, in milliseconds of this age, and its id
_SERIES_PLACE = re.compile(r"([0-9]{1,14})\.(.{1,200})", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(place: Place) -> str:
    """The place as an address has it."""
    return f"{place.active:d}.{place.order}.{place.source_id}"


def place(text: str) -> Place | None:
    """The place that this text says; None if it says none."""
    match = _PLACE.fullmatch(text)
    return Place(match[1] == "1", int(match[2]), match[3]) if match else None


def series_text(place: SeriesPlace) -> str:
    """The place of a series as an address has it."""
    return f"{(place.requested_at - _EPOCH) // timedelta(milliseconds=1)}.{place.id}"


def series_place(text: str) -> SeriesPlace | None:
    """The place of a series that this text says; None if it says none."""
    match = _SERIES_PLACE.fullmatch(text)
    return SeriesPlace(_EPOCH + timedelta(milliseconds=int(match[1])), match[2]) if match else None
