"""A part of the system on one machine: a program, and what its supervisor has to know of it."""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

# Programs end within five seconds. One that does not is slow to write what it has, and losing that costs more time.
STOP_S = 20.0


class Part:
    """A program to keep up. Subclasses know more of theirs."""

    # What the kernel sends it when its supervisor is killed: an orderly end may wait for programs that end as well.
    when_orphaned = signal.SIGKILL

    def __init__(self, name: str, command: Sequence[str], inherited: Sequence[int] = ()):
        self.name = name
        self.command = command
        self.inherited = inherited  # file descriptors
        self.signal: Callable[[signal.Signals], None] = lambda _: None  # to its process, while it runs

    def obstacle(self) -> str | None:
        """What keeps it from being started now; asked before each start, and again until there is none."""

    def tend(self) -> bool:
        """Called several times a second while it runs; whether it is usable."""
        return True

    def shown(self, line: str) -> str | None:
        """A line of its output as it is shown to people, None if it is not."""
        return line

    def ends(self) -> None:
        """Called when everything is about to be ended."""

    def patience_s(self) -> float:
        """How long its end may take once it is told to: what it still writes is worth more than that."""
        return STOP_S

    def last_lines(self) -> Sequence[str]:
        """What it said last, where that is not on its output."""
        return ()


_output = threading.Lock()


def say(name: str, text: str) -> None:
    """Show a line of this part."""
    with _output, suppress(OSError):  # the terminal may be gone, and the parts go on
        print(f"{time.strftime('%H:%M:%S')} {name:8}| {text}", flush=True)
