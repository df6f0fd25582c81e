"""Watches over polling: a thread that asks the database each second whether due sources are polled.

    storage ──> Watch ──> told: what answers, pages and the log say (see polling)

Every reader is told from memory, so a poll that brings nothing pays for none of this.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from feedmirror.models import Polling
from feedmirror.web import unavailable
from feedmirror.web.polling import PATIENCE_S, UNKNOWN, Patience, PollingState, Told

if TYPE_CHECKING:
    from feedmirror.storage import Storage

log = logging.getLogger(__name__)

_EVERY_S = 1.0
# A look takes two seconds at most, after which the database is away; one that takes longer hangs.
_LATEST_S = 5.0


class Watch:
    """Knows how polling stands. Until it is started nothing is known.

    `told` stays the same object for as long as it says the same: an answer that was made with it is known by it.
    """

    def __init__(self, open_storage: "Callable[[], Storage]", *, patience_s: float = PATIENCE_S):
        self._open_storage = open_storage
        self._patience = Patience(patience_s, time.monotonic)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked_at: float | None = None
        self._is_logged = False
        self.told: Told = UNKNOWN
        self.polling: Polling | None = None
        self.failure: Exception | None = None  # of the last look

    @property
    def away(self) -> str | None:
        """Why the database cannot be asked, in words for every reader; None where it answers."""
        if self._looked_at is None:
            return "The database has not answered yet."
        passed_s = time.monotonic() - self._looked_at
        if passed_s >= _LATEST_S:
            return f"The database has not answered for {passed_s:.0f} s."
        return None if self.failure is None else unavailable.words(self.failure)

    def start(self) -> None:
        """Begin to watch; once, however often it is called."""
        with self._lock:
            if self._thread is None:
                self._ending = threading.Event()
                self._thread = threading.Thread(target=self._watch, name="watch over polling", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread; a look that waits for MongoDB meanwhile ends with the process."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._ending.set()
        if thread is not None:
            thread.join(_EVERY_S)

    def _watch(self) -> None:
        ending = self._ending
        while not ending.is_set():
            self.look()
            ending.wait(_EVERY_S)

    def look(self) -> None:
        """Ask once."""
        try:
            self.polling, self.failure = self._open_storage().processes.standing(), None
        except unavailable.FAILURES as error:
            self.polling, self.failure = None, error  # the follower of the stream logs it
        self._looked_at = time.monotonic()
        told = self._patience.told(self.polling)
        if told != self.told:
            self.told = told
        self._log(told)

    def _log(self, told: Told) -> None:
        """One line when a stall begins and one when it is over; what is not known is neither."""
        if told.alarm is not None and not self._is_logged:
            log.warning("%s", told.alarm)
        elif told.state is PollingState.LIVE and self._is_logged:
            log.warning("Due sources are polled again")
        if told.state is not PollingState.UNKNOWN:
            self._is_logged = told.alarm is not None
