"""Places in the list of sources as text, for the address of what follows: `1.42.stack-overflow`."""

import re

from feedmirror.models import Place

# active or not, place in the sources file, id; no file has a thousand million sources
_PLACE = re.compile(r"([01])\.([0-9]{1,9})\.(.{1,200})", re.DOTALL)


def text(place: Place) -> str:
    """The place as an address has it."""
    return f"{place.active:d}.{place.order}.{place.source_id}"


def place(text: str) -> Place | None:
    """The place that this text says; None if it says none."""
    match = _PLACE.fullmatch(text)
    return Place(match[1] == "1", int(match[2]), match[3]) if match else None
