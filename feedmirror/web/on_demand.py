"""Work on demand: POST /create, GET /status/<task_id>, and data sets at /timeseries.

    /create      {"source": NAME}: look at a source now
    /status      how a job goes; 404 if there is none, or it is forgotten
    /timeseries  POST: have a data set fetched. GET: all of them, or the data of one as it came. DELETE: remove it

A request is answered at once; the work is done by whoever polls, and found in the database.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha224
from typing import TYPE_CHECKING, Any

from feedmirror.models import LOOK, Job, JobState, Series, SeriesPlace, SeriesStatus
from feedmirror.web import places, unavailable
from feedmirror.web.answer import JSON, Answer, Chunks, Incomplete, json_error, json_unavailable
from feedmirror.web.asked import Asked, BadBody, flag_in, json_body, known_fields, text_in
from feedmirror.web.permission import refusal
from feedmirror.web.query import BadParameter, SeriesQuery, encoded, series_query
from feedmirror.web.representation import rfc3339

if TYPE_CHECKING:
    from feedmirror.storage import Storage

LONGEST_NAME = 200
LONGEST_CODE = 100
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")


@dataclass(frozen=True, slots=True)
class OnDemand:
    """What has to be known to take work on. `wake(job_id)` has somebody do a job soon, and returns at once.

    `fresh_s`: for how long data need not be fetched anew. `own_host`: what this site is told to serve as.
    """

    open_storage: "Callable[[], Storage]"
    wake: Callable[[str], None]
    fresh_s: float
    own_host: str

    # -- jobs

    def create(self, asked: Asked) -> Answer:
        """POST /create: look at a source now."""
        return self._answered(self._create, asked)

    def _create(self, asked: Asked) -> Answer:
        if refused := self._refused(asked):
            return refused
        body = json_body(asked)
        known_fields(body, "source")
        name = text_in(body, "source", longest=LONGEST_NAME)
        storage = self.open_storage()
        watched = storage.watchlist.named(name)
        if watched is None or not watched.active:
            return json_error(404, f"there is no source {name!r}", field="source")
        job, is_new = storage.jobs.create(LOOK, watched.source.id)
        if is_new:
            self.wake(job.id)
        return _json(202, {"status": "success", "data": {"task_id": job.id}}, {"Location": f"/status/{job.id}"})

    def status(self, job_id: str) -> Answer:
        """GET /status/<task_id>."""
        return self._answered(self._status, job_id)

    def _status(self, job_id: str) -> Answer:
        job = self.open_storage().jobs.get(job_id)
        if job is None:
            return json_error(404, "There is no such job, or it is forgotten.")
        return _json(200, {"status": job.state.value, "result": _result(job)})

    # -- data sets

    def series(self, asked: Asked) -> Answer:
        """/timeseries, by its method."""
        methods = {"POST": self._request, "DELETE": self._remove}
        return self._answered(methods.get(asked.method, self._show), asked)

    def _request(self, asked: Asked) -> Answer:
        if refused := self._refused(asked):
            return refused
        body = json_body(asked)
        known_fields(body, "database_code", "dataset_code", "refresh")
        codes = (_code(body, "database_code"), _code(body, "dataset_code"))
        refresh = flag_in(body, "refresh")
        storage = self.open_storage()
        series, job = storage.series.request(series_id(*codes), codes, fresh_s=self.fresh_s, refresh=refresh)
        if job is not None:
            self.wake(job.id)
        headers = {"Location": f"/timeseries?id={series.id}"}
        return _json(200 if job is None else 201, {"id": series.id, "status": series.status.value}, headers)

    def _remove(self, asked: Asked) -> Answer:
        if refused := self._refused(asked):
            return refused
        query = series_query(asked.parameters)
        if query.id is None:
            raise BadParameter("id", "must say which one is to be removed")
        if not self.open_storage().series.remove(query.id):
            return json_error(404, "There is no series of this id.")
        return Answer(204, {"Cache-Control": "no-store"})

    def _show(self, asked: Asked) -> Answer:
        query = series_query(asked.parameters)
        storage = self.open_storage()
        if query.id is None:
            return _list(query, storage)
        series = storage.series.get(query.id)
        if series is None:
            return json_error(404, "There is no series of this id.")
        if not series.has_data:
            return _json(200, {"id": series.id, "status": series.status.value, **_reason(series)})
        headers = {"Content-Type": JSON, "Cache-Control": "no-cache", "Feedmirror-Status": series.status.value}
        if asked.method == "HEAD":
            return Answer(200, headers, chunks=_sent(iter(())))
        parts = storage.series.data(series.id)
        if parts is None:  # removed between the two questions
            return json_error(404, "There is no series of this id.")
        return Answer(200, headers, chunks=_sent(parts))

    # -- and around

    def _refused(self, asked: Asked) -> Answer | None:
        why = refusal(asked, own_host=self.own_host)
        return None if why is None else json_error(403, why)

    def _answered(self, answer: Callable[[Any], Answer], asked: Any) -> Answer:
        try:
            return answer(asked)
        except BadBody as error:
            return error.answer
        except BadParameter as error:
            return json_error(400, str(error), parameter=error.parameter)
        except unavailable.FAILURES as error:
            return json_unavailable(unavailable.reason(error))


def series_id(database_code: str, dataset_code: str) -> str:
    """The id of a data set: the same for whoever asks."""
    return sha224(f"{database_code}\0{dataset_code}".encode()).hexdigest()


def _code(body: Mapping[str, Any], name: str) -> str:
    code = text_in(body, name, longest=LONGEST_CODE)
    if not CODE.fullmatch(code):
        raise BadBody(f"{name} must have letters, digits and _ . - only, such as WIKI", name=name)
    return code


def _result(job: Job) -> Any:
    """What the state is about: what is done so far, what came of it, or why nothing did."""
    match job.state:
        case JobState.SUCCESS:
            return dict(job.result)
        case JobState.FAILURE:
            return job.error
        case _:
            return dict(job.progress) or None


def _list(query: SeriesQuery, storage: "Storage") -> Answer:
    found = storage.series.latest(limit=query.limit + 1, after=query.after)
    given = found[: query.limit]
    headers: dict[str, str] = {}
    if len(found) > query.limit:
        last = SeriesPlace(given[-1].requested_at, given[-1].id)
        pairs = [("limit", str(query.limit)), ("after", places.series_text(last))]
        headers["Link"] = f'</timeseries?{encoded(pairs)}>; rel="next"'
    return _json(200, [_members(series) for series in given], headers)


def _members(series: Series) -> dict[str, Any]:
    return {
        "id": series.id,
        "database_code": series.database_code,
        "dataset_code": series.dataset_code,
        "status": series.status.value,
        "error": series.error if series.status is SeriesStatus.ERROR else None,
        "rows": series.rows,
        "bytes": series.bytes,
        "requested_at": rfc3339(series.requested_at),
        "refreshed_at": rfc3339(series.refreshed_at),
    }


def _reason(series: Series) -> dict[str, str | None]:
    return {"error": series.error} if series.status is SeriesStatus.ERROR else {}


def _sent(parts: Iterator[bytes]) -> Chunks:
    """The parts of the data; an error within them breaks the answer off."""
    try:
        yield from parts
    except unavailable.FAILURES as error:
        raise Incomplete(unavailable.reason(error)) from None


def _json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps(value, ensure_ascii=False).encode()
    return Answer(status, {"Content-Type": JSON, "Cache-Control": "no-store", **(headers or {})}, body)
