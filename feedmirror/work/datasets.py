"""A data set, fetched by its codes from an API as Quandl's was, and Nasdaq Data Link's is.

    {base}/datasets/{database_code}/{dataset_code}/data.json -> {"dataset_data": {"column_names": [...], "data": [...]}}

https://docs.data.nasdaq.com/docs/time-series. Asked for within a politeness group, under every guard of a feed.
"""

import json
import random
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import quote

from feedmirror.config import Settings
from feedmirror.errors import Failure, FetchError, ParseError
from feedmirror.fetch import Limits, fetch
from feedmirror.models import Document, Series, SeriesStatus, Source
from feedmirror.politeness import GroupLimits, demands, group_of, led_to
from feedmirror.poll.api.patience import reason_given, understood
from feedmirror.work.dataset_answer import read
from feedmirror.work.task import Failed, Later, Result, Task

_PUBLIC_URL = "https://data.nasdaq.com/api/v3"
_TRIES = 5
_FIRST_PAUSE_S = 1.0
_FIRST_PAUSE_IF_THROTTLED_S = 60.0
_LONGEST_PAUSE_S = 3600.0
_PASSING = frozenset(
    {Failure.DNS, Failure.REFUSED, Failure.TIMEOUT, Failure.SERVER_ERROR, Failure.BROKEN_BODY, Failure.THROTTLED}
)


def fetch_series(task: Task) -> Result:
    """Fetch the data of the series that is the job's subject. Raises Failed and Later."""
    series = task.storage.series.get(task.job.subject)
    if series is None or series.job_id != task.job.id:
        return {}  # removed, or asked for anew, meanwhile
    if series.status is SeriesStatus.SUCCESS:
        return {"rows": series.rows}  # whoever brought it did not come to say so
    if series.status is SeriesStatus.ERROR:
        raise Failed(series.error or "")  # nor whoever failed
    try:
        document = _fetched(task, series)
        answer = read(document.body or b"")
    except FetchError as error:
        raise _again_or_never(task, _without_key(error, task.settings)) from error
    except ParseError as error:
        raise Failed(str(error)) from error
    task.storage.series.succeed(
        task.job, document.body or b"", columns=answer.columns, rows=answer.rows, preview=answer.preview
    )
    return {"rows": answer.rows}


def _fetched(task: Task, series: Series) -> Document:
    settings, storage = task.settings, task.storage
    base = settings.datasets_url or _PUBLIC_URL
    codes = "/".join(quote(code, safe="") for code in (series.database_code, series.dataset_code))
    # the operator's own address may lead anywhere; that of the public API must not
    source = Source(
        id="datasets", name="datasets", url=f"{base}/datasets/{codes}/data.json", private=bool(settings.datasets_url)
    )
    limits = GroupLimits(in_flight=settings.group_in_flight, per_minute=settings.group_per_minute)
    group = group_of(source)
    # a private source without limits of its own has none; this one keeps to the others'
    wanted = demands([replace(source, private=False)], limits)
    # it may be under way for longer than a job is leased, which is renewed
    lease_s = max(settings.lease_s, settings.datasets_deadline_s)
    admission = storage.groups.admit(wanted, lease_s=lease_s, holder=task.holder)[group]
    if not admission.slots:
        raise Later(max(admission.retry_in_s, 0.1), admission.why)
    try:
        return fetch(
            source.url,
            headers={"X-Api-Token": settings.datasets_key} if settings.datasets_key else {},
            private=source.private,
            limits=Limits(
                total_s=settings.datasets_deadline_s,
                read_s=settings.datasets_deadline_s,
                body_bytes=settings.datasets_max_bytes,
            ),
            onward=lambda url: storage.groups.count(group_of(led_to(source, url))),
        )
    except FetchError as error:
        if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            # each series is somebody of its own: the second that is refused has all of them wait
            storage.groups.throttled(group, series.id, retry_after_s=error.retry_after_s, status=error.status)
        raise
    finally:
        storage.groups.release(admission.slots)


def _again_or_never(task: Task, given: FetchError) -> Later | Failed:
    """What becomes of the job after a failure: another try, or its end for the reason that the API gave."""
    error = understood(given)
    if error.kind in _PASSING and task.job.tries <= _TRIES:
        first_s = _FIRST_PAUSE_IF_THROTTLED_S if error.kind is Failure.THROTTLED else _FIRST_PAUSE_S
        pause_s = min(first_s * 2 ** (task.job.tries - 1), _LONGEST_PAUSE_S) * random.uniform(1, 1.5)  # noqa: S311
        task.progress(why=str(error), tries=task.job.tries)
        return Later(error.retry_after_s or pause_s, str(error), tried=True)
    return Failed(reason_given(given) or str(error))


def _without_key(error: FetchError, settings: Settings) -> FetchError:
    """The failure, whose body may name the key that it refuses."""
    if not settings.datasets_key:
        return error
    keys = {settings.datasets_key, json.dumps(settings.datasets_key)[1:-1], settings.datasets_key.replace("/", r"\/")}
    body = error.body
    for key in keys:
        body = body.replace(key.encode(), b"[key]")
    return FetchError(error.kind, str(error), status=error.status, retry_after_s=error.retry_after_s, body=body)
