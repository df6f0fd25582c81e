"""Celery's pool of processes, for brokers that are asked again and again (MongoDB), with queues that survive a kill.

There, all processes of a pool read from one pipe, and whoever waits for the next message holds a semaphore. Killed
while it waits (by somebody, for want of memory, or by a crew whose poll hangs), it takes the semaphore along: the other
processes and all that replace them wait for ever, in a worker that seems to be well. A file lock is given back by the
kernel. Brokers that announce their messages (RabbitMQ, Redis) come with another pool, which has no such lock.
"""

import fcntl
import tempfile
from types import TracebackType

from billiard.pool import Pool
from celery.concurrency import prefork


class _FileLock:
    """A lock between processes, one thread of each, that whoever dies gives back; see lockf in fcntl(2)."""

    def __init__(self) -> None:
        # without a name: it is gone with the last process that has it open
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the lock is of use)

    def __enter__(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    acquire = __enter__  # which billiard uses as well, when it ends a pool


class _Pool(Pool):  # type: ignore[misc] # billiard has no types
    def _setup_queues(self) -> None:
        super()._setup_queues()
        self._inqueue._rlock = _FileLock()
        self._outqueue._wlock = _FileLock()


class TaskPool(prefork.TaskPool):  # type: ignore[misc] # Celery has no types
    BlockingPool = _Pool
