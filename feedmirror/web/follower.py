"""Keeps a window at the end of the stream: one thread of its own, begun with the first question after a fork.

    starting ──> live ──> starting ──> live ──> ...
        └─────────┴─────> lost ──────> live

Whenever the change stream breaks, for whatever reason, the window is filled anew before it answers again; until then
the database is to be asked (see `instead`), unless the window is lost: nobody is there, or it could not be filled.
`is_live` means that all that was committed until a few seconds ago is in it: that, and no more, is how old an answer
can be.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from feedmirror.errors import NewerSchema, StorageError
from feedmirror.storage.tail import Gap, LetGo, Published, Removed
from feedmirror.web import unavailable
from feedmirror.web.window import Window

if TYPE_CHECKING:
    from feedmirror.storage import Storage
    from feedmirror.storage.tail import Event

log = logging.getLogger(__name__)

# No answer is older than this. The server is heard of twice a second, if only to say that there is nothing; where more
# comes than can be followed, such as the first of thousands of sources, to begin anew with the newest is faster.
_OLDEST_S = 3.0
_AGAIN_S = 0.5
# A window is filled within a second, or it is known after two that nobody is there. Who asks meanwhile waits for that
# rather than to take the processor from it, or to find out once more.
_PATIENCE_S = 3.0
# While more comes than can be followed, that is so again every few seconds.
_SAID_AGAIN_S = 60.0
# How often the follower asks whether the data still has our number.
_ADMITTED_AGAIN_S = 1.0


class Follower:
    """Fills a window from the storage that `open_storage` gives, for as long as it is wanted."""

    def __init__(self, open_storage: "Callable[[], Storage]", window: Window, *, items: int):
        self._open_storage = open_storage
        self._items = items
        self.window = window
        self._lock = threading.Lock()
        self._pid = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._heard_at: float | None = None
        self._lost: str | None = None
        self._said, self._said_at = "", 0.0
        self._filling_since = 0.0
        self._settled = threading.Event()  # live or lost
        self._one = threading.Lock()

    @property
    def is_live(self) -> bool:
        """Whether the window may answer; begins to follow where nobody has yet in this process."""
        if self._pid != os.getpid():
            self.start()
        heard_at = self._heard_at
        return heard_at is not None and time.monotonic() - heard_at < _OLDEST_S

    @property
    def behind_s(self) -> float | None:
        """How old what the window says may be, in seconds; None if the window is not usable."""
        heard_at = self._heard_at
        return None if heard_at is None else time.monotonic() - heard_at

    @property
    def lost(self) -> str | None:
        """Why there is nothing to follow, in words for anybody; None where the window is live or being filled."""
        return self._lost

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Within this the database is to be asked instead, if the window is still not live, and not lost.

        One at a time, and nobody while it has just begun to be filled, which takes the same processor: pages that all
        come back after a restart would otherwise keep it from being full for as long as they ask.
        """
        with nullcontext() if self._lost else self._one:
            self._settled.wait(max(0.0, self._filling_since + _PATIENCE_S - time.monotonic()))
            yield

    def start(self) -> None:
        """Begin to follow; once a process, however often it is called."""
        with self._lock:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._heard_at = None
            self._filling_since = time.monotonic()
            self._settled.clear()
            self._ending = threading.Event()
            self._thread = threading.Thread(target=self._follow, name="follow the stream", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for that."""
        with self._lock:
            thread, self._thread, self._pid = self._thread, None, 0
            self._ending.set()
        if thread is not None:
            thread.join()
        self._heard_at = None

    def _follow(self) -> None:
        ending = self._ending
        while not ending.is_set():
            try:
                self._follow_once(ending)
            except unavailable.FAILURES as error:
                is_newer = isinstance(error, NewerSchema)
                if self._lost is None and not is_newer:
                    self._say(str(error))
                # a server that says no is there to be asked, while the window is filled anew
                if unavailable.is_away(error) or is_newer or self._heard_at is None:
                    self._lost = unavailable.reason(error)
                    self._settled.set()
            finally:
                self._heard_at = None
                self._filling_since = time.monotonic()
                if self._lost is None:
                    self._settled.clear()
            ending.wait(_AGAIN_S)

    def _say(self, what: str) -> None:
        """Log this, unless it has just been said."""
        now = time.monotonic()
        if what != self._said or now - self._said_at >= _SAID_AGAIN_S:
            self._said, self._said_at = what, now
            log.warning("the window has lost the stream: %s", what)

    def _follow_once(self, ending: threading.Event) -> None:
        with self._open_storage().tail.following() as events:
            began_at = time.monotonic()
            recent = events.recent(self._items)
            self.window.reset(recent.items, head_us=recent.head_us, floor_us=recent.floor_us)
            for gap in recent.gaps:
                self._apply(gap)
            self._heard_at, self._lost = began_at, None
            self._settled.set()
            has_caught_up = False  # with what came while it was being filled
            admitted_at = began_at
            while not ending.is_set():
                if time.monotonic() - admitted_at >= _ADMITTED_AGAIN_S:
                    self._open_storage()
                    admitted_at = time.monotonic()
                event = events.next()
                is_replay = isinstance(event, Published) and event.head_us <= recent.head_us
                if event is not None and not is_replay:
                    self._apply(event)
                if events.behind_s <= _OLDEST_S:
                    has_caught_up = True
                elif has_caught_up:
                    raise StorageError("more comes than can be followed")
                self._heard_at = time.monotonic() - events.behind_s

    def _apply(self, event: "Event") -> None:
        window = self.window
        match event:
            case Published(items, head_us):
                window.publish(items, head_us)
            case Removed(item_id):
                window.remove(item_id)
            case LetGo(item):
                window.let_go(item)
            case Gap(source_id, fetched_us, changed_us):
                window.widen(source_id, fetched_us=fetched_us, changed_us=changed_us)
