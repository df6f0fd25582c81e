"""How much one fetch may take: the limits, and the budget that is left while it runs.

A budget is asked by every read from a socket (see connections.py), because the time-outs that requests knows
are for one read each: a server that sends a byte a second, headers included, would be read for ever.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from feedmirror.errors import Failure, FetchError

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one fetch may take, all redirects included.

    `total_s`: one deadline for everything is the simplest promise to keep; Miniflux allows as much.
    `connect_s`: time for two lost packets to be sent again (after 1 s and 3 s), and still for a host's other
    addresses. Also for its look-up and its TLS handshake.
    `read_s`: a slow feed takes its time before the first byte, hence half of the total; silence after that means
    that nobody is there any more.
    `body_bytes`: after decompression, as Miniflux has it; a feed is read into memory as a whole.
    `redirects`: enough for http to https to www to a feed service; SimplePie's default.
    """

    total_s: float = 20.0
    connect_s: float = 5.0
    read_s: float = 10.0
    body_bytes: int = 15 * _MIB
    redirects: int = 5


class Budget:
    """What is left of one fetch: its time, and the bytes that it may still take off the wire."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._deadline = time.monotonic() + limits.total_s
        # The body is counted where it is decompressed. This is for what is no body and yet has no end: headers,
        # interim answers, chunks of one byte (six bytes each on the wire), blocks that decompress to nothing.
        self._bytes_left = 2 * limits.body_bytes + _MIB

    def connect_s(self) -> float:
        """How long to wait for a name, a connection or a handshake."""
        return min(self._limits.connect_s, self._seconds_left())

    def read_s(self) -> float:
        """How long to wait for the next bytes."""
        return min(self._limits.read_s, self._seconds_left())

    def spend(self, received: int) -> None:
        """Take bytes off the budget. Raises FetchError when there are more than any answer needs."""
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise FetchError(Failure.TOO_LARGE, "the answer has far more bytes than any feed needs")

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise FetchError(Failure.TIMEOUT, f"the answer was not complete after {self._limits.total_s:g} s")
        return left


# A thread has one fetch at a time, and urllib3 no way to hand a value down to its sockets.
_running: ContextVar[Budget] = ContextVar("budget")


@contextmanager
def within(budget: Budget) -> Iterator[None]:
    """Let all that is read and connected in this block live on `budget`."""
    token = _running.set(budget)
    try:
        yield
    finally:
        _running.reset(token)


def running_budget() -> Budget:
    """The budget of the fetch that this thread is in."""
    return _running.get()
