"""The threads of one process that poll: whatever comes in, several at once, and one that hangs holds up only itself.

    begin ──> take: waits for a free thread ──> a thread polls ──> one other thread keeps how it went, many at a time

What is due, how a poll is done and where its end is kept is not known here. A source whose poll does not come to its
end is taken care of by its lease: it is due again when that is over.
"""

import contextlib
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pymongo.errors import PyMongoError

from feedmirror.models import Finished, WatchedSource

log = logging.getLogger(__name__)

# As many as are kept with one request to the database, where so many end at about the same time.
_PORTION = 200
# How long an end may wait for others to be kept together with it: nobody sees a twentieth of a second.
_GATHER_S = 0.05
# How often a database that is away is asked again.
_AGAIN_S = 1.0


class Crew:
    """`threads` that poll, and one that keeps how it went.

    `poll` looks at a source; it may raise PyMongoError. `finish` keeps the ends of polls; `give_back` takes the sources
    whose poll could not be done; both are tried again for `keep_trying_s` while MongoDB is away. A poll that lasts
    longer than `longest_s` hangs in a way that no time-out of ours ends: then this process is killed, as Celery kills
    one whose task hangs. None: it is not.
    """

    def __init__(
        self,
        poll: Callable[[WatchedSource], Finished],
        finish: Callable[[Sequence[Finished]], None],
        give_back: Callable[[Sequence[WatchedSource]], None],
        *,
        threads: int,
        keep_trying_s: float,
        longest_s: float | None = None,
    ):
        self._poll = poll
        self._finish = finish
        self._give_back = give_back
        self._keep_trying_s = keep_trying_s
        self._free = threading.BoundedSemaphore(threads)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="poll")
        self._ends: queue.SimpleQueue[Finished | WatchedSource | None] = queue.SimpleQueue()
        self._began: dict[int, float] = {}
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keep polls", daemon=True)
        self._keeper.start()
        if longest_s is not None:
            threading.Thread(target=self._watch, args=(longest_s,), name="watch polls", daemon=True).start()

    def take(self, watched: WatchedSource) -> "Future[Finished]":
        """Poll a source as soon as a thread is free; waits for that, so that nothing piles up here."""
        self._free.acquire()
        try:
            return self._threads.submit(self._work, watched)
        except BaseException:
            self._free.release()
            raise

    def close(self) -> None:
        """Wait until all that was taken has ended and is kept."""
        self._threads.shutdown()
        self._ends.put(None)
        self._keeper.join()
        self._closing.set()

    def _work(self, watched: WatchedSource) -> Finished:
        me = threading.get_ident()
        self._began[me] = time.monotonic()
        try:
            finished = self._poll(watched)
        except PyMongoError:
            self._ends.put(watched)
            raise
        else:
            self._ends.put(finished)
            return finished
        finally:
            del self._began[me]
            self._free.release()

    def _keep(self) -> None:
        """Write the ends of polls as they come, together with those that come at about the same time."""
        going_on = True
        while going_on:
            ends = [self._ends.get()]
            if ends[0] is not None:
                time.sleep(_GATHER_S)
            with contextlib.suppress(queue.Empty):
                while len(ends) < _PORTION:
                    ends.append(self._ends.get_nowait())
            going_on = None not in ends
            self._write([end for end in ends if end is not None])

    def _write(self, ends: Sequence[Finished | WatchedSource]) -> None:
        """Until the database takes them, or their leases are over and it does not matter any more."""
        last_moment = time.monotonic() + self._keep_trying_s
        while ends and time.monotonic() < last_moment:
            try:
                self._finish([end for end in ends if isinstance(end, Finished)])
                self._give_back([end for end in ends if isinstance(end, WatchedSource)])
            except PyMongoError as error:
                log.warning("MongoDB is away, trying again: %s", error)
                time.sleep(_AGAIN_S)
            else:
                return

    def _watch(self, longest_s: float) -> None:
        while not self._closing.wait(1):
            now = time.monotonic()
            if any(now - began > longest_s for began in list(self._began.values())):
                log.critical("a poll hangs for more than %.0f s: this process ends, and another takes over", longest_s)
                os.kill(os.getpid(), signal.SIGKILL)
