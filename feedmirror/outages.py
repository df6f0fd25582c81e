"""What a process depends on and may lose: one line when it goes, one when it comes, however often it is asked for.

What it is, and how that is noticed, is not known here.
"""

import logging
import os
import time
from textwrap import shorten

# The reason is the beginning of an error: its end may be all that the library knows of the server.
_REASON_MAX = 160


class Outage:
    """The standing of one thing, as this process sees it; a forked child begins with its own view.

    To be asked by any thread: of those that notice the same change, one is told that it is the first.
    """

    def __init__(self, name: str):
        self._name = name
        # by process; the operations on a dict are atomic
        self._began: dict[int, float] = {}

    def begins(self, reason: BaseException | str) -> str | None:
        """It is away: the line that says so, or None where that was said."""
        now = time.monotonic()
        if self._began.setdefault(os.getpid(), now) is not now:
            return None
        text = shorten(str(reason) or repr(reason), _REASON_MAX, placeholder=" ...")
        return f"{self._name} is away: {text}"

    def ends(self) -> str | None:
        """It is there: the line that says so, or None where it was not away."""
        began = self._began.pop(os.getpid(), None)
        if began is None:
            return None
        return f"{self._name} is back after {time.monotonic() - began:.0f} s"


def say(log: logging.Logger, line: str | None) -> None:
    """Log what an outage has to say, if anything: the end of it as well at the level of warnings, which all see."""
    if line is not None:
        log.warning("%s", line)
