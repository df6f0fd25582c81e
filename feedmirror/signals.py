"""The signals that end a process, waited for rather than handled: none interrupts anything."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def told_to_end() -> Iterator[Callable[[float], bool]]:
    """Within this, no signal interrupts; it gives what waits so many seconds for one, and whether one says to end."""
    ending = {one for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*ending, signal.SIGCHLD})

    def is_told(longest_s: float) -> bool:
        found = signal.sigtimedwait({*ending, signal.SIGCHLD}, longest_s)
        return found is not None and found.si_signo in ending

    try:
        yield is_told
    finally:
        while ending & signal.sigpending():  # a second Ctrl-C asked for the same
            signal.sigwait(ending)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
