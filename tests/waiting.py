"""Waiting for conditions: a test never sleeps for a fixed time and hopes."""

import time
from collections.abc import Callable
from typing import TypeVar

_Found = TypeVar("_Found")


def wait_until(condition: Callable[[], _Found], what: str, *, timeout_s: float = 30) -> _Found:
    """Return what `condition` gives as soon as it is true; fails, saying what was waited for, if it never is."""
    deadline = time.monotonic() + timeout_s
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)
