"""The stamps of the stream as text: seconds since the epoch with six decimals, exactly.

Never through a float: a double happens to be exact enough for today's microseconds, and the promise of the cursor
should not rest on that.
"""

import re
from datetime import UTC, datetime, timedelta

# BSON and MongoDB's own arithmetic hold 64 bits with a sign.
LARGEST_US = 2**63 - 1

# ASCII digits only: `\d` would let in those of other scripts, which int() reads and no client means.
_SECONDS = re.compile(r"([0-9]+)(?:\.([0-9]+))?")

# Longer than any stamp by far; what is longer is not worth a regular expression or an int().
_LONGEST_TEXT = 64


def seconds(stamp_us: int) -> str:
    """The stamp as every answer writes it, `1763710000.120000`."""
    whole, fraction = divmod(stamp_us, 1_000_000)
    return f"{whole}.{fraction:06d}"


def microseconds(text: str) -> int | None:
    """The stamp that this text says, rounded to the microsecond; None if it says none.

    Rounded, not cut: a client that went through a float sends 1763710000.1199999 for what was ...120000.
    """
    match = _SECONDS.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        return None
    fraction = (match[2] or "").ljust(7, "0")
    stamp_us = int(match[1]) * 1_000_000 + int(fraction[:6]) + (fraction[6] >= "5")
    return stamp_us if stamp_us <= LARGEST_US else None


def moment(stamp_us: int) -> datetime:
    """When the stamp was given; not quite, after the server's clock has jumped."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=stamp_us)
