"""Does one job: claims it, keeps it while it lasts, and keeps how it went.

A process may be killed within a job: the others miss its heartbeat and free the job, which is done anew.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import PyMongoError

from feedmirror.config import Settings
from feedmirror.models import LOOK, SERIES, Job
from feedmirror.storage import Storage
from feedmirror.work import datasets, looks
from feedmirror.work.task import Failed, Kind, Later, Task

log = logging.getLogger(__name__)

KINDS: dict[str, Kind] = {LOOK: looks.look, SERIES: datasets.fetch_series}

# A job that kills whoever does it must not do so for ever.
_TRIES = 10


class Worker:
    """Does jobs of one installation, in the name of `holder`."""

    def __init__(self, storage: Storage, settings: Settings, *, holder: str = ""):
        self._storage = storage
        self._holder = holder
        self._settings = settings

    def do(self, job_id: str) -> None:
        """Do a job, unless it is over or somebody is at it. Raises PyMongoError if MongoDB was away."""
        job = self._storage.jobs.claim(job_id, lease_s=self._settings.lease_s, holder=self._holder)
        if job is None:
            return
        if job.tries > _TRIES:
            self._end(job, error=f"given up after {_TRIES} tries, in which whoever was at it did not come to an end")
            return
        with self._kept(job):
            self._do(job)

    def _do(self, job: Job) -> None:
        task = Task(job, self._storage, self._settings, self._holder)
        try:
            result = KINDS[job.kind](task)
        except Later as later:
            log.debug("%s of %s goes on in %.0f s: %s", job.kind, job.subject, later.by_s, later)
            self._storage.jobs.postpone(job, later.by_s, tried=later.tried)
        except Failed as failed:
            self._end(job, error=str(failed))
        except PyMongoError:
            raise
        except Exception as error:
            log.exception("%s of %s: a bug in Feedmirror", job.kind, job.subject)
            self._end(job, error=f"a bug in Feedmirror, see the worker's log: {type(error).__name__}")
        else:
            self._storage.jobs.end(job, result=result, kept_s=self._settings.jobs_kept_s)
            log.info("%s of %s: done", job.kind, job.subject)

    def _end(self, job: Job, *, error: str) -> None:
        if job.kind == SERIES:  # else it would be pending for ever, and nobody could ask for it again
            self._storage.series.fail(job, error)
        self._storage.jobs.end(job, error=error, kept_s=self._settings.jobs_kept_s)
        log.warning("%s of %s: %s", job.kind, job.subject, error)

    @contextmanager
    def _kept(self, job: Job) -> Iterator[None]:
        """Renew the lease for the time of the block."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self._settings.lease_s / 3):
                try:
                    if not self._storage.jobs.renew(job, lease_s=self._settings.lease_s):
                        return
                except PyMongoError as error:
                    log.warning("MongoDB is away, trying again: %s", error)

        thread = threading.Thread(target=renew, name="renew a lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
