"""Jobs done by the real worker on the real MongoDB, against servers on loopback that behave and misbehave."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from feedmirror.config import Settings
from feedmirror.fetch.connections import connections_of_this_process
from feedmirror.models import LOOK, SERIES, Job, JobState, Series, SeriesStatus, Source
from feedmirror.poll import Poller
from feedmirror.storage import Storage
from feedmirror.work import KINDS, Worker
from tests.apis import Api, row
from tests.atom import atom
from tests.feed_server import FeedServer, Reply, Request, drip, raw, reset
from tests.quandl import KEY, TOO_OFTEN, UNKNOWN, Quandl, dataset, long_dataset, refusal
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
LONG_S = 600


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server
    connections_of_this_process().close()


@pytest.fixture
def quandl(server: FeedServer) -> Quandl:
    return Quandl(server)


class Work:
    """A worker, and the time that its jobs wait for."""

    def __init__(self, storage: Storage, database: Database[dict[str, Any]], settings: Settings):
        self.storage = storage
        self.database = database
        self.settings = settings

    def given(self, **settings: Any) -> "Work":
        return Work(self.storage, self.database, replace(self.settings, **settings))

    def do(self, job: Job) -> Job:
        """What a message brings about."""
        Worker(self.storage, self.settings).do(job.id)
        return self.now(job)

    def see_through(self, job: Job) -> Job:
        """Do it as often as it takes, without the waiting in between."""
        for _ in range(100):
            job = self.do(job)
            if not job.state.is_open:
                return job
            self.let_time_pass(job)
        raise AssertionError(f"it does not come to an end: {job}")

    def now(self, job: Job) -> Job:
        found = self.storage.jobs.get(job.id)
        assert found is not None
        return found

    def waits_s(self, job: Job) -> float:
        document = self.database["jobs"].find_one(job.id) or {}
        due_at: datetime = document["due_at"]
        return (due_at - datetime.now(UTC)).total_seconds()

    def let_time_pass(self, job: Job | None = None) -> None:
        """Have all that waits wait no longer: jobs, sources, and what a minute's requests used up."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        which = {} if job is None else {"_id": job.id}
        self.database["jobs"].update_many({**which, "open": True}, {"$set": {"due_at": past, "not_before": past}})
        self.database["sources"].update_many({"lease": None}, {"$set": {"due_at": past}})
        self.database["groups"].delete_many({})

    # -- looks

    def watch(self, *sources: Source) -> None:
        self.storage.sources.synchronise(sources, [])

    def look(self, source_id: str) -> Job:
        return self.storage.jobs.create(LOOK, source_id)[0]

    # -- data sets

    def request(self, codes: str = "WIKI/FB", *, refresh: bool = False) -> Job:
        database_code, dataset_code = codes.split("/")
        _, job = self.storage.series.request(codes, (database_code, dataset_code), fresh_s=3600, refresh=refresh)
        assert job is not None
        return job

    def series(self, codes: str = "WIKI/FB") -> Series:
        found = self.storage.series.get(codes)
        assert found is not None
        return found

    def data(self, codes: str = "WIKI/FB") -> bytes:
        parts = self.storage.series.data(codes)
        assert parts is not None
        return b"".join(parts)


@pytest.fixture
def work(storage: Storage, database: Database[dict[str, Any]], quandl: Quandl) -> Work:
    return Work(storage, database, Settings(datasets_url=quandl.url, datasets_key=KEY, datasets_deadline_s=20))


def feed(*titles: str) -> bytes:
    return atom(enumerate(titles))


def a_feed(server: FeedServer, **more: Any) -> Source:
    return Source(id="blog", name="A blog", url=server.url("/feed"), private=True, every_s=3600, **more)


# -- looks


def test_a_look_now_says_what_came_in(work: Work, server: FeedServer) -> None:
    server.serve("/feed", feed("one", "two", "three"))
    work.watch(a_feed(server))
    done = work.do(work.look("blog"))
    assert (done.state, done.result, done.error) == (JobState.SUCCESS, {"new": 3, "edited": 0}, None)
    assert work.do(work.look("blog")).result == {"new": 0, "edited": 0}
    assert len(server.requests_for("/feed")) == 2


def test_a_look_that_fails_says_why(work: Work, server: FeedServer, caplog: pytest.LogCaptureFixture) -> None:
    server.serve("/feed", status=500)
    work.watch(a_feed(server))
    done = work.do(work.look("blog"))
    assert (done.state, done.result) == (JobState.FAILURE, {})
    assert done.error == "127.0.0.1 has an error of its own (500)"
    (watched,) = work.storage.sources.all()
    assert (watched.looks.error, watched.looks.failures) == (None, 0), "who asked is told, and nothing backs off"
    assert any(done.error in line for line in caplog.messages)


@pytest.mark.parametrize("sources", [[], ["other"]])
def test_a_source_that_the_file_names_no_more_is_not_looked_at(
    work: Work, server: FeedServer, sources: list[str]
) -> None:
    server.serve("/feed", feed("one"))
    work.watch(a_feed(server))
    job = work.look("blog")
    work.watch(*(Source(id=one, name=one, url=server.url("/other")) for one in sources))
    done = work.do(job)
    assert (done.state, done.error) == (JobState.FAILURE, "the sources file does not name it any more")
    assert server.requests == []


def test_a_source_that_is_polled_at_this_moment_is_not_polled_beside_it(work: Work, server: FeedServer) -> None:
    server.serve("/feed", feed("one"))
    work.watch(a_feed(server))
    poller = Poller(work.storage, work.settings)
    claim = work.storage.sources.claim_due(limit=9, lease_s=60)
    job = work.look("blog")
    for _ in range(15):  # claimed, by who is no longer or not yet there: as often as it takes, and not a try
        waiting = work.do(job)
        assert (waiting.state, waiting.tries, waiting.lease) == (JobState.STARTED, 0, None)
        assert 0 < work.waits_s(job) <= 1.5
        work.let_time_pass(job)
    (watched,), _ = poller.begin(claim)
    assert work.do(job).state.is_open
    assert server.requests == []
    finished = poller.poll(watched)
    work.storage.sources.finish([finished])
    assert work.see_through(job).result == {"new": 0, "edited": 0}
    assert len(server.requests_for("/feed")) == 2


def test_a_look_that_is_under_way_keeps_the_schedule_away(work: Work, server: FeedServer) -> None:
    due: list[Any] = []

    def answer(_: Request) -> bytes:
        due.extend(work.storage.sources.claim_due(limit=9, lease_s=60).source_ids)
        return feed("one")

    server.serve("/feed", answer)
    work.watch(a_feed(server))
    assert work.do(work.look("blog")).state is JobState.SUCCESS
    assert due == []


def test_a_job_is_done_by_one_however_many_messages_come(work: Work, server: FeedServer) -> None:
    server.serve("/feed", feed("one"))
    work.watch(a_feed(server))
    job = work.look("blog")
    start = threading.Barrier(6)

    def do(_: int) -> None:
        start.wait()
        Worker(work.storage, work.settings).do(job.id)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(do, range(6)))
    assert work.now(job).state is JobState.SUCCESS
    assert work.now(job).tries == 1
    assert len(server.requests_for("/feed")) == 1


def test_a_look_keeps_to_the_limits_of_its_group(work: Work, server: FeedServer) -> None:
    server.serve("/feed", feed("one"))
    work.watch(a_feed(server, per_day=1))
    assert work.do(work.look("blog")).state is JobState.SUCCESS
    waiting = work.do(work.look("blog"))
    assert waiting.state.is_open
    assert work.waits_s(waiting) > 1
    assert len(server.requests_for("/feed")) == 1


def test_a_look_at_a_table_that_takes_several_visits_is_watched_to_its_end(work: Work, api: Api) -> None:
    api.rows = [row(number) for number in range(8)]
    options = {"key": "id", "params": {"per_page": "3"}, "paging": "page", "delay": "1h"}
    work.watch(Source(id="t", name="T", url=api.url, kind="api", private=True, every_s=3600, options=options))
    job = work.do(work.look("t"))
    assert (job.state, job.progress["new"], job.tries) == (JobState.PROGRESS, 3, 0)
    assert len(api.asked) == 1
    work.let_time_pass(job)
    assert work.do(job).progress["new"] == 3  # nobody has gone on meanwhile
    for seen in (6, 8):
        work.let_time_pass()
        Poller(work.storage, work.settings).look_now(["t"])  # whoever looks for what is due goes on with it
        job = work.do(job)
        assert (job.progress if job.state.is_open else job.result)["new"] == seen
    assert (job.state, job.result) == (JobState.SUCCESS, {"new": 8})
    assert len(api.asked) == 3


def test_a_table_that_is_being_read_already_is_only_watched(work: Work, api: Api) -> None:
    api.rows = [row(number) for number in range(5)]
    options = {"key": "id", "params": {"per_page": "3"}, "paging": "page", "delay": "1h"}
    work.watch(Source(id="t", name="T", url=api.url, kind="api", private=True, every_s=3600, options=options))
    poller = Poller(work.storage, work.settings)
    poller.look_now(["t"])
    job = work.do(work.look("t"))
    assert job.state is JobState.PROGRESS
    assert len(api.asked) == 1
    work.let_time_pass()
    poller.look_now(["t"])
    assert work.do(job).result == {"new": 2}
    assert len(api.asked) == 2


def test_a_table_whose_run_fails_later_fails(work: Work, api: Api) -> None:
    api.rows = [row(number) for number in range(8)]
    api.instead = {2: Reply(status=404)}
    options = {"key": "id", "params": {"per_page": "3"}, "paging": "page", "delay": "1h"}
    work.watch(Source(id="t", name="T", url=api.url, kind="api", private=True, every_s=3600, options=options))
    job = work.do(work.look("t"))
    work.let_time_pass()
    poller = Poller(work.storage, work.settings)
    with closing(poller.crew()) as crew:  # a worker goes on with it
        poller.poll_due(crew, for_s=20)
    work.let_time_pass(job)
    done = work.do(job)
    assert done.state is JobState.FAILURE
    assert "404" in (done.error or "")


# -- whoever does them


def test_a_job_whose_worker_was_killed_is_done_anew(work: Work, server: FeedServer) -> None:
    server.serve("/feed", feed("one"))
    work.watch(a_feed(server))
    job = work.look("blog")
    work.storage.jobs.claim(job.id, lease_s=LONG_S)
    assert work.do(job).state is JobState.STARTED  # somebody seems to be at it
    work.let_time_pass(job)
    assert work.storage.jobs.hand_out(limit=1) == [job.id]
    done = work.do(job)
    assert (done.state, done.tries) == (JobState.SUCCESS, 2)


def killed_often(work: Work, job: Job) -> None:
    for _ in range(10):
        assert work.storage.jobs.claim(job.id, lease_s=LONG_S)
        work.let_time_pass(job)


def test_a_job_that_kills_its_workers_is_given_up(work: Work, quandl: Quandl) -> None:
    quandl.have("WIKI/FB")
    job = work.request()
    killed_often(work, job)
    done = work.do(job)
    assert done.state is JobState.FAILURE
    assert "10 tries" in (done.error or "")
    # and what was asked for can be asked for again
    assert (work.series().status, work.series().error) == (SeriesStatus.ERROR, done.error)
    assert work.see_through(work.request()).state is JobState.SUCCESS


def test_a_bug_ends_a_job_and_is_told_with_its_traceback(
    work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(_: object) -> dict[str, Any]:
        raise ZeroDivisionError("hUnter2")

    monkeypatch.setitem(KINDS, SERIES, bug)
    done = work.do(work.request())
    assert (done.state, done.error) == (
        JobState.FAILURE,
        "a bug in Feedmirror, see the worker's log: ZeroDivisionError",
    )
    assert any(record.exc_info for record in caplog.records)
    assert (work.series().status, work.series().error) == (SeriesStatus.ERROR, done.error)


def test_a_database_that_is_away_is_not_the_jobs_failure(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> dict[str, Any]:
        raise AutoReconnect("gone")

    monkeypatch.setitem(KINDS, LOOK, away)
    job = work.look("blog")
    with pytest.raises(AutoReconnect):
        work.do(job)
    assert work.now(job).state is JobState.STARTED
    work.let_time_pass(job)
    assert work.storage.jobs.hand_out(limit=1) == [job.id]


def test_a_job_that_takes_longer_than_its_lease_is_kept(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    short = work.given(lease_s=0.6)
    job = work.look("blog")
    given_out: list[str] = []

    def slow(task: Any) -> dict[str, Any]:
        first = work.database["jobs"].find_one(job.id) or {}

        def renewed_twice() -> bool:
            given_out.extend(work.storage.jobs.hand_out(limit=1))
            now = work.database["jobs"].find_one(job.id) or {}
            return bool(now["due_at"] - first["due_at"] > timedelta(seconds=0.9))

        wait_until(renewed_twice, "the lease to be renewed")
        return {}

    monkeypatch.setitem(KINDS, LOOK, slow)
    assert short.do(job).state is JobState.SUCCESS
    assert given_out == []
    assert [one.name for one in threading.enumerate() if one.name == "renew a lease"] == []


# -- data sets


def test_a_data_set_is_kept_as_it_came(work: Work, quandl: Quandl) -> None:
    came = dataset([["2018-03-27", 152.19], ["2018-03-26", 160.06]]) + b"\n"
    quandl.have("WIKI/FB", data=came)
    done = work.do(work.request())
    assert (done.state, done.result) == (JobState.SUCCESS, {"rows": 2})
    series = work.series()
    assert (series.status, series.rows, series.bytes, series.columns) == (
        SeriesStatus.SUCCESS,
        2,
        len(came),
        ("Date", "Close"),
    )
    assert work.data() == came
    preview = work.storage.series.preview("WIKI/FB")
    assert preview is not None
    assert [value for _, value in preview.lines["Close"]] == [160.06, 152.19]


def test_the_reason_of_a_failure_is_the_apis(work: Work, quandl: Quandl, server: FeedServer) -> None:
    quandl.say("WIKI/NO", refusal(404, "QECx02", UNKNOWN))
    done = work.do(work.request("WIKI/NO"))
    assert (done.state, done.error) == (JobState.FAILURE, UNKNOWN)
    series = work.series("WIKI/NO")
    assert (series.status, series.error, series.has_data) == (SeriesStatus.ERROR, UNKNOWN, False)
    assert len(server.requests) == 1


def test_a_failure_without_a_reason_is_told_in_our_words(work: Work, server: FeedServer, quandl: Quandl) -> None:
    done = work.do(work.request())
    assert done.error == work.series().error == "127.0.0.1 has no such document (404); check the URL"


def test_codes_stand_in_the_address_as_they_are(work: Work, quandl: Quandl) -> None:
    quandl.have("LBMA/GOLD.A_b-1")
    assert work.do(work.request("LBMA/GOLD.A_b-1")).state is JobState.SUCCESS


def test_a_failed_refresh_keeps_what_was_there(work: Work, quandl: Quandl) -> None:
    quandl.have("WIKI/FB")
    work.do(work.request())
    before = work.data()
    quandl.say("WIKI/FB", refusal(403, "QEPx04", "You do not have permission to view this dataset."))
    work.do(work.request(refresh=True))
    assert (work.series().status, work.data()) == (SeriesStatus.ERROR, before)
    assert work.series().error == "You do not have permission to view this dataset."


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(status=500),
        Reply(status=502),
        reset(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + dataset([])),
        raw(b""),
    ],
    ids=["500", "502", "reset", "truncated", "nothing"],
)
def test_what_passes_is_tried_again(work: Work, quandl: Quandl, trouble: Any) -> None:
    quandl.have("WIKI/FB")
    quandl.say("WIKI/FB", trouble, trouble)
    job = work.request()
    waiting = work.do(job)
    assert (waiting.state, waiting.tries, waiting.progress["tries"]) == (JobState.PROGRESS, 1, 1)
    assert waiting.progress["why"]
    assert 0 < work.waits_s(job) < 2
    assert work.series().status is SeriesStatus.PENDING
    work.let_time_pass(job)
    assert work.do(job).tries == 2
    assert 1 < work.waits_s(job) < 4
    work.let_time_pass(job)
    assert work.do(job).state is JobState.SUCCESS
    assert len(quandl.asked("WIKI/FB")) == 3


def test_what_does_not_pass_is_given_up_after_some_tries(work: Work, quandl: Quandl) -> None:
    quandl.say("WIKI/FB", *[Reply(status=500)] * 50)
    done = work.see_through(work.request())
    assert (done.state, done.error) == (JobState.FAILURE, "127.0.0.1 has an error of its own (500)")
    assert work.series().error == done.error
    assert 3 <= len(quandl.asked("WIKI/FB")) <= 10


def test_a_body_that_ends_too_soon_by_its_own_brackets_is_refused(work: Work, quandl: Quandl) -> None:
    quandl.have("WIKI/FB", data=dataset([["2018-03-27", 1]])[:-20])
    done = work.do(work.request())
    assert done.state is JobState.FAILURE
    assert "no data set" in (work.series().error or "")


def test_a_server_that_drips_is_given_up_at_the_deadline(work: Work, quandl: Quandl) -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    quandl.say("WIKI/FB", drip(start, b" "))
    waiting = work.given(datasets_deadline_s=1).do(work.request())
    assert waiting.state is JobState.PROGRESS
    assert "not complete after 1 s" in waiting.progress["why"]


def test_more_bytes_than_may_be_are_not_read(work: Work, quandl: Quandl) -> None:
    quandl.have("WIKI/FB", data=long_dataset(1))
    done = work.given(datasets_max_bytes=100_000).do(work.request())
    assert done.state is JobState.FAILURE
    assert "larger than" in (done.error or "")


@pytest.mark.parametrize(
    ("answer", "low_s", "high_s"),
    [
        (refusal(429, "QELx04", TOO_OFTEN, **{"Retry-After": "30"}), 28, 30),
        (refusal(429, "QELx04", TOO_OFTEN), 55, 95),
        (refusal(403, "QELx01", TOO_OFTEN), 55, 95),
        (refusal(429, "QELx06", TOO_OFTEN, **{"Retry-After": "7200"}), 7100, 7200),
        (Reply(status=429), 55, 95),
        (Reply(status=503, headers={"Retry-After": "9"}), 7, 9),
    ],
)
def test_who_asks_too_often_waits_as_long_as_the_api_says(
    work: Work, quandl: Quandl, answer: Reply, low_s: float, high_s: float
) -> None:
    quandl.have("WIKI/FB")
    quandl.say("WIKI/FB", answer)
    job = work.request()
    waiting = work.do(job)
    assert waiting.state is JobState.PROGRESS
    assert low_s < work.waits_s(job) <= high_s
    if b"QEL" in answer.body:
        assert TOO_OFTEN in waiting.progress["why"]
    assert work.do(job).tries == 1  # a message that comes meanwhile changes nothing
    work.let_time_pass(job)
    assert work.do(job).state is JobState.SUCCESS


def test_one_refusal_is_heeded_by_the_series_and_a_second_by_all(work: Work, quandl: Quandl) -> None:
    names = [f"WIKI/S{number}" for number in range(6)]
    quandl.have(*names)
    for name in names:
        quandl.say(name, *[refusal(429, "QELx04", TOO_OFTEN, **{"Retry-After": "600"})] * 9)
    jobs = [work.request(name) for name in names]
    for job in jobs:
        work.do(job)
    assert len(quandl.server.requests) == 2
    assert all(work.waits_s(job) > 500 for job in jobs)


def test_series_keep_to_the_limits_of_their_group_together(work: Work, quandl: Quandl) -> None:
    names = [f"WIKI/S{number}" for number in range(9)]
    quandl.have(*names)
    some = work.given(group_per_minute=30)  # five in ten seconds
    jobs = [some.request(name) for name in names]
    for job in jobs:
        some.do(job)
    assert len(quandl.server.requests) == 5
    waiting = [some.now(job) for job in jobs[5:]]
    assert {job.state for job in waiting} == {JobState.STARTED}
    assert {job.tries for job in waiting} == {0}


def test_a_redirect_counts_as_a_request_of_its_own(work: Work, quandl: Quandl) -> None:
    quandl.have("WIKI/A")
    quandl.say("WIKI/A", Reply(status=302, headers={"Location": quandl.path("WIKI/A")}))
    assert work.do(work.request("WIKI/A")).state is JobState.SUCCESS
    (standing,) = work.storage.ledger.standings(limit=10)
    assert (standing.ledger.used_minute, standing.ledger.in_flight) == (2, 0)


def test_only_so_many_are_under_way_at_once_even_beyond_a_lease(work: Work, quandl: Quandl) -> None:
    names = ["WIKI/A", "WIKI/B"]
    quandl.have(*names)
    narrow = work.given(group_in_flight=1, lease_s=0.3)
    jobs = [narrow.request(name) for name in names]
    tried = threading.Event()
    began = threading.Event()

    def long_answer() -> None:
        began.set()
        tried.wait(20)

    quandl.meanwhile = long_answer
    first = threading.Thread(target=narrow.do, args=(jobs[0],))
    first.start()
    assert began.wait(20)
    end = datetime.now(UTC) + timedelta(seconds=0.5)
    try:
        wait_until(lambda: datetime.now(UTC) > end, "a lease to be over")
        Worker(narrow.storage, narrow.settings).do(jobs[1].id)
    finally:
        tried.set()
        first.join()
    assert quandl.most == 1
    assert narrow.now(jobs[0]).state is JobState.SUCCESS
    assert narrow.see_through(jobs[1]).state is JobState.SUCCESS


def test_what_was_removed_meanwhile_is_not_fetched(work: Work, quandl: Quandl) -> None:
    quandl.have("WIKI/FB")
    job = work.request()
    work.storage.series.remove("WIKI/FB")
    again = work.request()
    assert work.do(job).state is JobState.SUCCESS
    assert quandl.server.requests == []
    assert work.do(again).result == {"rows": 2}


def test_what_has_come_already_is_not_fetched_again(work: Work, quandl: Quandl) -> None:
    """Somebody was killed between the end of the series and that of the job."""
    quandl.have("WIKI/FB")
    job = work.request()
    work.do(job)
    reopened = {"open": True, "state": "STARTED", "due_at": datetime(2000, 1, 1, tzinfo=UTC)}
    work.database["jobs"].update_one({"_id": job.id}, {"$set": reopened, "$unset": {"kept_until": ""}})
    done = work.do(job)
    assert (done.state, done.result) == (JobState.SUCCESS, {"rows": 2})
    assert len(quandl.asked("WIKI/FB")) == 1


def test_what_has_failed_already_stays_failed(work: Work, quandl: Quandl) -> None:
    """As above, between the series' failure and the job's."""
    quandl.have("WIKI/FB")
    job = work.request()
    work.storage.series.fail(job, "no")
    done = work.do(job)
    assert (done.state, done.error, work.series().error) == (JobState.FAILURE, "no", "no")
    assert quandl.server.requests == []


# -- the key


def everything_stored(database: Database[dict[str, Any]]) -> str:
    return "".join(repr(document) for name in database.list_collection_names() for document in database[name].find())


def test_the_key_is_sent_as_a_header_and_is_nowhere_else(
    work: Work, quandl: Quandl, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    quandl.have("WIKI/FB")
    echo = f"We could not recognize your API key: {KEY}. " + "x" * 150 + KEY
    quandl.say("WIKI/BAD", refusal(400, "QEAx01", echo))
    quandl.say("WIKI/BUSY", refusal(429, "QELx04", echo))
    assert work.do(work.request()).state is JobState.SUCCESS
    done = work.do(work.request("WIKI/BAD"))
    assert (done.error or "").startswith("We could not recognize your API key: ")
    work.do(work.request("WIKI/BUSY"))
    assert [request.headers["X-Api-Token"] for request in quandl.server.requests] == [KEY] * 3
    assert all(KEY not in request.path for request in quandl.server.requests)
    told = everything_stored(work.database) + caplog.text + repr(work.settings)
    assert KEY[:8] not in told


def test_without_a_key_none_is_sent(work: Work, quandl: Quandl) -> None:
    quandl.have("WIKI/FB")
    work.given(datasets_key=None).do(work.request())
    assert quandl.asked("WIKI/FB")[0].headers["X-Api-Token"] is None


def test_a_redirect_leads_no_further_than_it_may_and_never_with_the_key(
    work: Work, quandl: Quandl, server: FeedServer
) -> None:
    with FeedServer() as other:
        other.serve("/data.json", dataset([["2018-03-27", 1]]))
        server.redirect(quandl.path("WIKI/FB"), other.url("/data.json"))
        done = work.do(work.request())
        assert other.requests == []
    assert done.state is JobState.FAILURE
    assert "private" in (done.error or "")


def test_a_redirect_within_the_api_is_followed(work: Work, quandl: Quandl, server: FeedServer) -> None:
    quandl.have("WIKI/META")
    server.redirect(quandl.path("WIKI/FB"), quandl.path("WIKI/META"))
    assert work.do(work.request()).state is JobState.SUCCESS
    assert quandl.asked("WIKI/META")[0].headers["X-Api-Token"] == KEY


# -- size


@pytest.mark.parametrize("megabytes", [10, 40])
def test_long_series_are_kept_in_bounded_memory(work: Work, quandl: Quandl, database_uri: str, megabytes: int) -> None:
    came = long_dataset(megabytes)
    quandl.have("WIKI/LONG", data=came)
    job = work.request("WIKI/LONG")
    script = """
import json, resource, sys
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.storage import Storage
from feedmirror.work import Worker
uri, url, job_id = sys.argv[1:]
connection = Connection(uri, timeout_s=20)
storage = Storage(connection.database()).prepare()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Worker(storage, Settings(datasets_url=url)).do(job_id)
print(json.dumps([before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
connection.close()
"""
    command = [sys.executable, "-c", script, database_uri, quandl.url, job.id]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=True)
    before_kb, peak_kb = json.loads(ended.stdout)
    assert work.now(job).error is None
    series = work.series("WIKI/LONG")
    assert (series.status, series.bytes) == (SeriesStatus.SUCCESS, len(came))
    assert work.data("WIKI/LONG") == came
    # the bytes twice while they come, then bytes, text and numbers; as values they would take twenty times as much
    assert peak_kb - before_kb < 8_000 * megabytes


# -- genuine answers


@pytest.mark.corpora
def test_genuine_series_are_read(work: Work, quandl: Quandl, corpora: Path) -> None:
    found = 0
    for path in sorted(corpora.glob("quandl4j/**/testdata/Response*.csv"))[:100]:
        header, *lines = path.read_text("utf-8").splitlines()
        if not lines or '"' in header + "".join(lines):
            continue
        rows = [[_cell(cell) for cell in line.split(",")] for line in lines]
        name = f"GENUINE/{path.stem}"
        quandl.have(name, data=dataset(rows, header.split(",")))
        unlimited: Callable[..., Work] = work.given
        done = unlimited(group_per_minute=60_000).do(work.request(name))
        assert (done.error, done.result) == (None, {"rows": len(lines)})
        preview = work.storage.series.preview(name)
        assert preview is not None
        assert preview.is_time
        found += 1
        if found == 12:
            break
    assert found == 12


@pytest.mark.corpora
def test_genuine_answers_of_an_older_api_are_refused(work: Work, quandl: Quandl, corpora: Path) -> None:
    path = next(path for path in sorted(corpora.glob("quandl4j/**/Response*.json")) if b'"docs"' in path.read_bytes())
    quandl.have("WIKI/FB", data=path.read_bytes())
    assert work.do(work.request()).error == "the answer is no data set: it has no dataset_data.data"


def _cell(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text or None
