"""Work that somebody asked for: jobs, and the data sets that some of them bring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


class JobState(StrEnum):
    """How a job stands. The last two are its end."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"

    @property
    def is_open(self) -> bool:
        return self not in (JobState.SUCCESS, JobState.FAILURE)


# The kinds of jobs that there are: a look at a source, by its id, and the data of a series, by its.
LOOK, SERIES = "look", "series"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that was asked for, and how it goes.

    `kind` names who does it, `subject` what with. `progress`: what is done of what, in words of its kind. `result`:
    what came of it, at the end. `error`: why nothing did. `tries`: how often it was begun. `lease`: under which it is
    worked on right now; None: by nobody. `kept_until`: when it is forgotten; None while it is open.
    """

    id: str
    kind: str
    subject: str
    state: JobState
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    kept_until: datetime | None = None
    progress: Mapping[str, Any] = field(default_factory=dict, hash=False)
    result: Mapping[str, Any] = field(default_factory=dict, hash=False)
    error: str | None = None
    tries: int = 0
    lease: str | None = None


class SeriesStatus(StrEnum):
    """How a series stands, as the API calls it."""

    PENDING = "pending"
    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A data set that somebody asked for.

    `status` PENDING: it is being fetched; with `refreshed_at` the data of then is still given meanwhile. `error` is the
    reason as its API gave it. `columns` and `rows` are what was found in the data, whose size is `bytes`.
    """

    id: str
    database_code: str
    dataset_code: str
    status: SeriesStatus
    requested_at: datetime
    refreshed_at: datetime | None = None
    error: str | None = None
    columns: tuple[str, ...] = ()
    rows: int | None = None
    bytes: int | None = None
    job_id: str | None = None

    @property
    def has_data(self) -> bool:
        return self.refreshed_at is not None


class SeriesPlace(NamedTuple):
    """Where a series stands in the list of all: those that were asked for last first."""

    requested_at: datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What is shown of a series without reading all of it.

    `lines`: for each column of numbers its name and points, in the order of their places, as many as a picture has
    room for. A place is a moment in seconds since the epoch if `is_time`, else a row's number. `rows`: the first rows,
    as the API lists them, in JSON, those that are too long to be shown apart. `further` counts the columns behind those
    that can be drawn.
    """

    is_time: bool = False
    lines: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict, hash=False)
    rows: tuple[str, ...] = ()
    further: int = 0
