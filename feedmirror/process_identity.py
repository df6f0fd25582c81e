"""Which process of which machine one is, so that another one there can tell that it has ended; only on Linux.

A number alone would not do: it is used again, and each container counts from 1. With the moment at which the process
started, and the boot and the namespace that count (pid_namespaces(7)), it is one process for ever.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
# Of proc_pid_stat(5), counted behind the name, which may hold anything.
_STATE, _STARTED = 0, 19


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process: its number, when it started in ticks since the boot, and where it is counted; "" where unknown."""

    pid: int
    started: int = 0
    place: str = ""

    def has_ended(self) -> bool:
        """Whether it has, as far as can be told from here: False for a process of another machine."""
        if not self.place or self.place != _place():
            return False
        started = _started(self.pid)
        return not exists(self.pid) if started is None else started != self.started


def own_identity() -> ProcessIdentity:
    pid = os.getpid()
    return ProcessIdentity(pid, _started(pid) or 0, _place())


@cache
def _place() -> str:
    with suppress(OSError):
        return f"{_BOOT_ID.read_text().strip()} {_NAMESPACE.readlink()}"
    return ""


def exists(pid: int) -> bool:
    """Whether there is a process with this number, of any user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _started(pid: int) -> int | None:
    """0 for a zombie; None where nothing is shown of it: it is gone, or another user's (hidepid, see proc(5))."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return 0 if fields[_STATE] in "ZX" else int(fields[_STARTED])
    return None
