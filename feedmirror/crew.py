"""The threads of one process that poll: whatever comes in, several at once, and one that hangs holds up only itself.

    begin ──> take: waits for a free thread ──> a thread polls ──> one other thread keeps how it went, many at a time

What is due, how a poll is done and where its end is kept is not known here. A source whose poll does not come to its
end is freed with all that its process held.
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
        self._number = threads
        self._busy = 0
        self._changed = threading.Condition()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="poll")
        self._ends: queue.SimpleQueue[Finished | WatchedSource | None] = queue.SimpleQueue()
        self._under_way: dict[str, WatchedSource] = {}
        self._began: dict[int, float] = {}
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keep polls", daemon=True)
        self._keeper.start()
        if longest_s is not None:
            threading.Thread(target=self._watch, args=(longest_s,), name="watch polls", daemon=True).start()

    @property
    def room(self) -> int:
        """How many threads are free."""
        return self._number - self._busy

    @property
    def under_way(self) -> list[WatchedSource]:
        """What was taken and is not kept yet."""
        with self._changed:
            return list(self._under_way.values())

    def wait_for_room(self, wanted: int, *, until: float) -> bool:
        """Wait until so many threads are free, or until this moment of the monotonic clock; whether they are."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self.room >= wanted or self._closing.is_set(), max(0.0, until - time.monotonic())
            )

    def take(self, watched: WatchedSource) -> "Future[Finished]":
        """Poll a source as soon as a thread is free; waits for that, so that nothing piles up here."""
        with self._changed:
            self._changed.wait_for(lambda: self.room > 0)
            self._busy += 1
            self._under_way[watched.source.id] = watched
        try:
            return self._threads.submit(self._work, watched)
        except BaseException:
            self._leave(watched, kept=True)
            raise

    def close(self) -> None:
        """Wait until all that was taken has ended and is kept."""
        self._threads.shutdown()
        self._end()
        self._keeper.join()

    def abandon(self, *, within_s: float) -> None:
        """Keep how those went that have ended, within so many seconds, and leave the others as they are.

        Their threads go on until the process ends; what they bring counts for nothing once their leases are released.
        """
        self._end()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._keeper.join(within_s)

    def _end(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._ends.put(None)

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
            self._leave(watched, kept=False)

    def _leave(self, watched: WatchedSource, *, kept: bool) -> None:
        with self._changed:
            self._busy -= 1
            if kept:
                self._under_way.pop(watched.source.id, None)
            self._changed.notify_all()

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
            self._forget(ends)

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

    def _forget(self, ends: Sequence[Finished | WatchedSource | None]) -> None:
        with self._changed:
            for end in ends:
                watched = end.watched if isinstance(end, Finished) else end
                # it may have been taken again meanwhile
                if watched is not None and self._under_way.get(watched.source.id) is watched:
                    del self._under_way[watched.source.id]

    def _watch(self, longest_s: float) -> None:
        while not self._closing.wait(1):
            now = time.monotonic()
            if any(now - began > longest_s for began in list(self._began.values())):
                log.critical("a poll hangs for more than %.0f s: this process ends, and another takes over", longest_s)
                os.kill(os.getpid(), signal.SIGKILL)
