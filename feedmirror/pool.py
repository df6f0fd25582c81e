"""Celery's pool of processes, for brokers that are asked again and again (MongoDB), made to survive every kill.

There, all processes of a pool read their tasks from one pipe. One that is killed (by somebody, for want of memory, or
by a crew whose poll hangs) could take along what the others need, in a worker that then seems to be well and does
nothing: the semaphore that it holds while it waits, half of a message, or a task that it has read and not yet said that
it has, for which the worker waits before it takes the next one from the broker. Here the lock is one that the kernel
gives back, a message is read whole or not at all, and a task is there for others until it is known who has it.

Brokers that announce their messages (RabbitMQ, Redis) come with another pool, which has a pipe for each process.
"""

import errno
import fcntl
import io
import socket
import tempfile
from types import TracebackType
from typing import Any

from billiard.connection import Connection
from billiard.einfo import ExceptionInfo
from billiard.pool import ACK, Pool
from billiard.queues import SimpleQueue
from billiard.reduction import ForkingPickler
from celery.concurrency import prefork

_NO_MORE = bytes(ForkingPickler.dumps(None))


class _FileLock:
    """A lock between processes, one thread of each, that whoever dies gives back; see lockf in fcntl(2)."""

    def __init__(self) -> None:
        # without a name: it is gone with the last process that has it open
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the lock is of use)

    def acquire(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class _WholeMessages(Connection):  # type: ignore[misc] # billiard has no types
    """An end of a socket that keeps to the bounds of messages; see SOCK_SEQPACKET in socket(2)."""

    def __init__(self, end: socket.socket):
        super().__init__(end.fileno())
        self._socket = end
        # no message is larger, whatever the machine is set to (Linux, net.core.wmem_default)
        self._largest = end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    def peek(self) -> bytes:
        """The next message, which stays where it is; EOFError if the other end is closed."""
        return self._received(socket.MSG_PEEK)

    def _received(self, flags: int = 0) -> bytes:
        message = self._socket.recv(self._largest, flags)
        if not message:
            raise EOFError
        return message

    def _recv_bytes(self, maxsize: int | None = None) -> io.BytesIO:
        return io.BytesIO(self._received())

    def _send_bytes(self, message: bytes | memoryview) -> None:
        self._socket.send(message)

    def _close(self) -> None:
        self._socket.close()


class _Tasks(SimpleQueue):  # type: ignore[misc]
    """What is to be done. Who takes a task keeps the others from it until it has said so."""

    def __init__(self, **context: Any):
        super().__init__(**context)
        self.close()
        reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._reader, self._writer = _WholeMessages(reader), _WholeMessages(writer)
        self._rlock = _FileLock()

    def get_payload(self) -> bytes:
        """The next task, which others get if this process dies before `taken`; or that there is no more, for all."""
        self._rlock.acquire()
        payload: bytes = self._reader.peek()
        if payload == _NO_MORE:  # it stays there: each process finds it, and none waits for another one's end
            self._rlock.release()
        return payload

    def taken(self) -> None:
        self._reader.recv_bytes()
        self._rlock.release()


class _Results(SimpleQueue):  # type: ignore[misc]
    """What became of the tasks: that a process has one, then how it went."""

    def __init__(self, tasks: _Tasks, **context: Any):
        super().__init__(**context)
        self._wlock = _FileLock()
        self._tasks = tasks

    def put(self, message: tuple[int, object] | None) -> None:
        super().put(message)
        if message and message[0] == ACK:
            self._tasks.taken()


class _Pool(Pool):  # type: ignore[misc]
    _inqueue: SimpleQueue
    _outqueue: SimpleQueue

    def _setup_queues(self) -> None:
        super()._setup_queues()
        self._inqueue.close()
        self._outqueue.close()
        tasks = _Tasks(ctx=self._ctx)
        results = _Results(tasks, ctx=self._ctx)
        self._inqueue, self._outqueue = tasks, results
        self._quick_put, self._quick_get = self._hand_over, results._reader.recv

    def _hand_over(self, message: tuple[int, Any] | None) -> None:
        """Send this; a task that is too large fails by itself, where an OSError would end the thread that sends."""
        try:
            self._inqueue._writer.send(message)
        except OSError as error:
            if message is None or error.errno != errno.EMSGSIZE:
                raise
            job = self._cache[message[1][0]]
            job._set(None, (False, ExceptionInfo()))
            job.discard()

    def _join_exited_workers(self, shutdown: bool = False) -> list[int]:
        """Billiard's own looks only when a process dies, which may be before it is read that this one had a task."""
        exited: list[int] = super()._join_exited_workers(shutdown)
        there = {process.pid for process in self._pool}
        for job in list(self._cache.values()):
            if not job.ready() and not job._worker_lost and (gone := set(job.worker_pids()) - there):
                self.on_job_process_lost(job, gone.pop(), None)
        return exited


class TaskPool(prefork.TaskPool):  # type: ignore[misc] # Celery has no types
    BlockingPool = _Pool

    def on_stop(self) -> None:
        """Gracefully; then nothing is left to be terminated when the interpreter ends, which would take a second."""
        pool = self._pool
        super().on_stop()
        if pool is not None:
            pool._terminate.cancel()
