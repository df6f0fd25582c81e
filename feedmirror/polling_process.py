"""One process that polls: its crew, its heartbeat, and the looks for what is due.

    look      the schedule asks for one each second; where none comes, the heartbeat makes one
    ├── the sources file, where it changed
    ├── what is due, to the crew
    └── jobs that are due, to `hand_over`
    do_job    what was asked for
    close     all that is under way is abandoned and given back, for others to do at once

What brings looks and jobs here is not known.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from pymongo.errors import PyMongoError

from feedmirror.config import Settings
from feedmirror.crew import Crew
from feedmirror.errors import ConfigError, StorageError
from feedmirror.heartbeat import Heartbeat
from feedmirror.poll import Poller
from feedmirror.sources_watch import SourcesWatch
from feedmirror.storage import Storage
from feedmirror.storage.processes import Role
from feedmirror.work import Worker

log = logging.getLogger(__name__)

# A look hands out work for this long; what is left then is for the next one, which the schedule sends to any process.
_LOOK_S = 0.9
# So many that the messages hold nothing else up.
_JOBS_AT_ONCE = 100
# Of jobs that a process does without a message, so many at once.
_OWN_JOBS = 2
# Until the schedule that begins at the same time has sent its first look.
_SCHEDULE_STARTS_S = 3.0
# Once is also seen when MongoDB or the machine stood still for a moment.
_SILENT_IS_SAID = 2
# How long an end may take to keep how the last polls went; the whole of a worker is to end within five seconds.
_LAST_ENDS_S = 1.0
# How soon a job that is under way hears that its process ends.
_HEARS_S = 0.1


class PollingProcess:
    """Made after a fork, begun with `start` and ended with `close`. Safe to use from several threads."""

    def __init__(self, open_storage: Callable[[], Storage], settings: Settings):
        self._open_storage = open_storage
        self._settings = settings
        self._heartbeat = Heartbeat(open_storage, Role.WORKER, each=self._look_if_none_comes)
        self._sources_watch = SourcesWatch()
        self._crew: Crew | None = None  # begins with the first look, for which MongoDB must be there
        self._own_jobs = ThreadPoolExecutor(_OWN_JOBS, thread_name_prefix="job")
        self._looking = threading.Lock()
        self._has_strays = False
        self._ending = threading.Event()
        self._started_at = time.monotonic()
        self._silent = 0  # heartbeats in a row in which it was

    def start(self) -> None:
        self._heartbeat.start()

    def look(self, hand_over: Callable[[str], object]) -> None:
        """Hand out what is due, as the schedule asks for. `hand_over` has a job done by any process.

        Raises what storage raises.
        """
        storage = self._open_storage()
        storage.processes.schedule_beats()
        self._look(storage, hand_over)

    def do_job(self, job_id: str) -> None:
        """Do a job, unless it is done or being done; returns when it is over, or this process ends before that."""
        job = self._own_jobs.submit(self._do_job, job_id)
        while not self._ending.is_set() and not wait({job}, timeout=_HEARS_S).done:
            pass
        if job.done():
            job.result()

    def end_soon(self) -> None:
        """Begin nothing more, and wait for no job; may be called by a handler of a signal."""
        self._ending.set()

    def close(self) -> None:
        """Abandon what is under way, and give it back: it is due again at once."""
        self._ending.set()
        if self._crew is not None:
            self._crew.abandon(within_s=_LAST_ENDS_S)
        self._own_jobs.shutdown(wait=False, cancel_futures=True)
        self._heartbeat.stop()
        try:
            self._open_storage().release(self._heartbeat.id)
        except (PyMongoError, StorageError) as error:  # others do it when they miss the heartbeat
            log.debug("not given back: %s", error)

    def _look(self, storage: Storage, hand_over: Callable[[str], object]) -> None:
        if self._ending.is_set() or not self._looking.acquire(blocking=False):
            return
        try:
            # a lease of the crew is told from one of a job by its name
            poller = Poller(storage, self._settings, holder=f"{self._heartbeat.id}.crew")
            self._read_sources(storage, poller)
            self._poll_due(poller)
            for job_id in storage.jobs.hand_out(limit=_JOBS_AT_ONCE):  # of which no message has come
                hand_over(job_id)
            storage.retention.step()  # a small one, after what cannot wait
        finally:
            self._looking.release()

    def _poll_due(self, poller: Poller) -> None:
        if self._crew is None:
            self._crew = poller.crew(longest_s=self._settings.lease_s)
        if self._has_strays:
            poller.give_back_strays(self._crew)
        self._has_strays = True  # unless this comes to its end
        poller.poll_due(self._crew, for_s=_LOOK_S)
        self._has_strays = False

    def _look_if_none_comes(self, storage: Storage) -> None:
        """Look where the schedule does not: it hangs, died or was never started, or its broker is away."""
        if time.monotonic() - self._started_at < _SCHEDULE_STARTS_S:
            return
        was_silent = self._silent
        self._silent = was_silent + 1 if storage.processes.schedule_is_silent() else 0
        if self._silent == _SILENT_IS_SAID:
            log.warning("the schedule sends no looks: this process looks for what is due by itself")
        elif was_silent >= _SILENT_IS_SAID and not self._silent:
            log.info("the schedule sends looks again")
        if self._silent:
            self._look(storage, lambda job_id: self._own_jobs.submit(self._do_job, job_id))

    def _read_sources(self, storage: Storage, poller: Poller) -> None:
        try:
            if self._sources_watch.refresh(storage, self._settings.sources_path) is not None:
                poller.describe_groups()
        except ConfigError as error:  # said once; what the file named before goes on
            log.warning("%s", error)

    def _do_job(self, job_id: str) -> None:
        Worker(self._open_storage(), self._settings, holder=f"{self._heartbeat.id}.job").do(job_id)
