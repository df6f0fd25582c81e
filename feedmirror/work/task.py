"""One job while it is worked on: what a kind of job is given, and how it says that it is not done yet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from feedmirror.config import Settings
from feedmirror.errors import FeedmirrorError
from feedmirror.models import Job
from feedmirror.storage import Storage

Result = Mapping[str, Any]


class Later(FeedmirrorError):
    """The job is to be gone on with in so many seconds, and until then by nobody.

    `tried`: it was tried, and counts as such; else somebody else was in the way, or it is only half done.
    """

    def __init__(self, by_s: float, why: str = "", *, tried: bool = False):
        super().__init__(why)
        self.by_s = by_s
        self.tried = tried


class Failed(FeedmirrorError):
    """The job cannot be done; the text says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """A job under a lease; `holder` is the name in which it holds what it needs."""

    job: Job
    storage: Storage
    settings: Settings
    holder: str = ""

    def progress(self, **progress: Any) -> None:
        """Say what is done of what, for whoever asks."""
        self.storage.jobs.progress(self.job, {**self.job.progress, **progress})


Kind = Callable[[Task], Result]
"""Does a job, and gives what came of it. May raise Later and Failed, and what pymongo raises."""
