"""Asks for series and plays the worker that brings their data."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from feedmirror.models import Job, Series
from feedmirror.storage import Storage
from feedmirror.web.on_demand import series_id
from feedmirror.work.dataset_answer import read

CODES = ("WIKI", "AAPL")


def day(number: int) -> str:
    """A day from 2012-03-01 on."""
    return (datetime(2012, 3, 1, tzinfo=UTC) + timedelta(days=number)).date().isoformat()


def prices(number: int) -> list[list[Any]]:
    """Rows as the API lists them, the latest first: day, open, close, volume."""
    return [[day(n), 100 + n % 7, 101.5 + n % 5, 1_000_000 + n] for n in reversed(range(number))]


class SeriesWriter:
    """One series of a storage."""

    def __init__(self, storage: Storage, codes: tuple[str, str] = CODES):
        self._storage = storage
        self._codes = codes
        self.id = series_id(*codes)
        self.path = f"/series/{self.id}"

    def ask(self) -> Job:
        """Ask for it, fresh or not."""
        _, job = self._storage.series.request(self.id, self._codes, fresh_s=0, refresh=True)
        assert job is not None
        return job

    def bring(
        self,
        rows: Sequence[Any],
        columns: Sequence[str] = ("Date", "Open", "Close", "Volume"),
        *,
        job: Job | None = None,
    ) -> None:
        """The data that was asked for comes, or that of a job of somebody else's."""
        job = job or self.ask()
        data = json.dumps({"dataset_data": {"column_names": columns, "data": rows}}).encode()
        answer = read(data)
        self._storage.series.succeed(job, data, columns=answer.columns, rows=answer.rows, preview=answer.preview)

    def fail(self, error: str, *, job: Job | None = None) -> None:
        """The data that was asked for does not come."""
        self._storage.series.fail(job or self.ask(), error)

    def say_why(self, why: str) -> None:
        """A try that failed, and is to be made again."""
        job = self._storage.jobs.claim(self.ask().id, lease_s=30)
        assert job is not None
        assert self._storage.jobs.progress(job, {"why": why, "tries": 1})

    def pending(self) -> Job | None:
        """The job that somebody else asked for; None before anybody has."""
        series: Series | None = self._storage.series.get(self.id)
        return self._storage.jobs.get(series.job_id) if series and series.job_id else None
