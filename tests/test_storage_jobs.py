"""Jobs against the real MongoDB: one for a subject, with one at a time, and none is lost."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.models import LOOK, SERIES, Job, JobState
from feedmirror.storage import Storage
from feedmirror.storage.jobs import Jobs, new_job_id
from tests.waiting import wait_until

LONG_S = 600
SHORT_S = 0.2
HOUR = timedelta(hours=1)


@pytest.fixture
def jobs(storage: Storage) -> Jobs:
    return storage.jobs


def created(jobs: Jobs, subject: str = "so") -> Job:
    job, is_new = jobs.create(LOOK, subject)
    assert is_new
    return job


def claimed(jobs: Jobs, job_id: str, lease_s: float = LONG_S) -> Job:
    job = jobs.claim(job_id, lease_s=lease_s)
    assert job is not None
    return job


def known(jobs: Jobs, job_id: str) -> Job:
    job = jobs.get(job_id)
    assert job is not None
    return job


def make_due(database: Database[dict[str, Any]], job_id: str) -> None:
    """Let all the time pass that this job waits for."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    moments = {name: past for name in ("due_at", "not_before") if name in (database["jobs"].find_one(job_id) or {})}
    database["jobs"].update_one({"_id": job_id}, {"$set": moments})


# -- asked for


def test_a_new_job_waits_and_says_what_it_is(jobs: Jobs) -> None:
    job = created(jobs)
    assert (job.kind, job.subject, job.state) == (LOOK, "so", JobState.PENDING)
    assert (job.started_at, job.ended_at, job.kept_until, job.lease, job.error) == (None,) * 5
    assert (job.progress, job.result, job.tries) == ({}, {}, 0)
    assert abs((datetime.now(UTC) - job.created_at).total_seconds()) < 5
    assert jobs.get(job.id) == job


def test_there_is_one_open_job_for_a_subject_and_a_new_one_after_its_end(jobs: Jobs) -> None:
    job = created(jobs)
    assert jobs.create(LOOK, "so") == (job, False)
    assert jobs.create(LOOK, "lwn")[1]
    assert jobs.create(SERIES, "so")[1]
    mine = claimed(jobs, job.id)
    assert jobs.create(LOOK, "so")[0].id == job.id
    assert jobs.postpone(mine, LONG_S, tried=False)
    assert jobs.create(LOOK, "so")[0].id == job.id
    mine = claimed(jobs, created(jobs, "third").id)
    assert jobs.end(mine, kept_s=LONG_S)
    assert created(jobs, "third").id != mine.id


def test_of_many_who_ask_at_once_one_makes_the_job(jobs: Jobs) -> None:
    start = threading.Barrier(16)

    def ask(_: int) -> tuple[Job, bool]:
        start.wait()
        return jobs.create(LOOK, "so")

    with ThreadPoolExecutor(16) as threads:
        asked = list(threads.map(ask, range(16)))
    assert [is_new for _, is_new in asked].count(True) == 1
    assert len({job.id for job, _ in asked}) == 1


@pytest.mark.parametrize("subject", ["$so", "$$NOW", "a.b", "a\0b", "", "ü" * 300])
def test_a_subject_is_a_text_and_nothing_else(jobs: Jobs, subject: str) -> None:
    job = created(jobs, subject)
    assert known(jobs, job.id).subject == subject
    assert jobs.create(LOOK, subject)[0].id == job.id


def test_nobody_guesses_an_id() -> None:
    ids = {new_job_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(one) for one in ids} == {32}


@pytest.mark.parametrize("job_id", ["", "nothing", "$gt", "0" * 32])
def test_what_there_is_not_is_none(jobs: Jobs, job_id: str) -> None:
    assert jobs.get(job_id) is None
    assert jobs.claim(job_id, lease_s=LONG_S) is None


# -- who does it


def test_a_job_that_somebody_is_at_is_given_to_nobody_else(jobs: Jobs) -> None:
    job = created(jobs)
    mine = claimed(jobs, job.id)
    assert (mine.state, mine.tries) == (JobState.STARTED, 1)
    assert mine.started_at is not None
    assert jobs.claim(job.id, lease_s=LONG_S) is None
    assert jobs.hand_out(limit=10) == []


def test_of_many_who_claim_at_once_one_gets_it(jobs: Jobs) -> None:
    for _ in range(5):
        job_id = created(jobs, new_job_id()).id
        start = threading.Barrier(8)

        def claim(_: int, job_id: str = job_id, start: threading.Barrier = start) -> Job | None:
            start.wait()
            return jobs.claim(job_id, lease_s=LONG_S)

        with ThreadPoolExecutor(8) as threads:
            got = [job for job in threads.map(claim, range(8)) if job is not None]
        assert len(got) == 1
        assert known(jobs, job_id).tries == 1


def test_a_job_whose_message_is_on_its_way_is_not_handed_out_yet(
    jobs: Jobs, database: Database[dict[str, Any]]
) -> None:
    job = created(jobs)
    assert jobs.hand_out(limit=10) == []
    make_due(database, job.id)  # it did not come
    assert jobs.hand_out(limit=10) == [job.id]
    assert jobs.hand_out(limit=10) == []
    assert claimed(jobs, job.id).tries == 1


def test_jobs_are_handed_out_those_first_that_wait_longest(jobs: Jobs, database: Database[dict[str, Any]]) -> None:
    ids = [created(jobs, f"s{number}").id for number in range(5)]
    for age, job_id in enumerate(ids):
        past = datetime.now(UTC) - timedelta(minutes=age + 1)
        database["jobs"].update_one({"_id": job_id}, {"$set": {"due_at": past}})
    assert jobs.hand_out(limit=3) == ids[:1:-1]
    assert jobs.hand_out(limit=3) == ids[1::-1]


def test_a_job_whose_worker_died_is_handed_out_and_done_anew(jobs: Jobs) -> None:
    job = created(jobs)
    dead = claimed(jobs, job.id, SHORT_S)
    assert wait_until(lambda: jobs.hand_out(limit=10), "the lease to end") == [job.id]
    heir = claimed(jobs, job.id)
    assert (heir.tries, heir.started_at) == (2, dead.started_at)
    # whoever wakes up again has lost it
    assert not jobs.renew(dead, lease_s=LONG_S)
    assert not jobs.progress(dead, {"new": 1})
    assert not jobs.postpone(dead, 1, tried=True)
    assert not jobs.end(dead, result={"new": 1}, kept_s=LONG_S)
    found = known(jobs, job.id)
    assert (found.state, found.lease, found.progress) == (JobState.STARTED, heir.lease, {})


def test_a_message_alone_is_enough_to_take_over_from_the_dead(jobs: Jobs) -> None:
    job = created(jobs)
    claimed(jobs, job.id, SHORT_S)
    assert wait_until(lambda: jobs.claim(job.id, lease_s=LONG_S), "the lease to end").tries == 2


def test_a_lease_that_is_renewed_does_not_end(jobs: Jobs, database: Database[dict[str, Any]]) -> None:
    mine = claimed(jobs, created(jobs).id, SHORT_S)
    assert jobs.renew(mine, lease_s=LONG_S)
    other = claimed(jobs, created(jobs, "lwn").id, SHORT_S)
    assert wait_until(lambda: jobs.hand_out(limit=10), "the other lease to end") == [other.id]
    assert jobs.claim(mine.id, lease_s=LONG_S) is None
    assert jobs.end(mine, kept_s=LONG_S)


# -- how it goes


def test_progress_is_seen_until_the_end_and_kept_by_the_next_who_tries(jobs: Jobs) -> None:
    job = created(jobs)
    mine = claimed(jobs, job.id, SHORT_S)
    assert jobs.progress(mine, {"new": 3, "why": "$page {2} of.5"})
    assert (known(jobs, job.id).state, known(jobs, job.id).progress) == (
        JobState.PROGRESS,
        {"new": 3, "why": "$page {2} of.5"},
    )
    heir = wait_until(lambda: jobs.claim(job.id, lease_s=LONG_S), "the lease to end")
    assert (heir.state, heir.progress["new"]) == (JobState.PROGRESS, 3)


def test_a_postponed_job_is_due_again_later_and_then_with_anybody(
    jobs: Jobs, database: Database[dict[str, Any]]
) -> None:
    mine = claimed(jobs, created(jobs).id)
    assert jobs.postpone(mine, LONG_S, tried=True)
    assert not jobs.renew(mine, lease_s=LONG_S)
    assert jobs.hand_out(limit=10) == []
    make_due(database, mine.id)
    assert jobs.hand_out(limit=10) == [mine.id]
    assert claimed(jobs, mine.id).tries == 2


def test_a_late_message_does_not_begin_a_postponed_job_too_soon(jobs: Jobs, database: Database[dict[str, Any]]) -> None:
    job = created(jobs)
    assert jobs.postpone(claimed(jobs, job.id), LONG_S, tried=True)
    assert jobs.claim(job.id, lease_s=LONG_S) is None
    assert known(jobs, job.id).tries == 1
    make_due(database, job.id)
    assert claimed(jobs, job.id).tries == 2


def test_waiting_for_somebody_else_is_no_try(jobs: Jobs, database: Database[dict[str, Any]]) -> None:
    job = created(jobs)
    for _ in range(3):
        assert jobs.postpone(claimed(jobs, job.id), 0, tried=False)
        make_due(database, job.id)
    assert known(jobs, job.id).tries == 0


@pytest.mark.parametrize(
    ("how", "state", "result", "error"),
    [
        ({"result": {"new": 2}}, JobState.SUCCESS, {"new": 2}, None),
        ({"result": {"$a.b": "$x"}}, JobState.SUCCESS, {"$a.b": "$x"}, None),
        ({}, JobState.SUCCESS, {}, None),
        ({"error": "$so answered 500"}, JobState.FAILURE, {}, "$so answered 500"),
    ],
)
def test_the_end_of_a_job(jobs: Jobs, how: dict[str, Any], state: JobState, result: object, error: object) -> None:
    mine = claimed(jobs, created(jobs).id)
    assert jobs.end(mine, **how, kept_s=3600)
    found = known(jobs, mine.id)
    assert (found.state, found.result, found.error, found.lease) == (state, result, error, None)
    assert found.ended_at is not None
    assert found.kept_until == found.ended_at + HOUR
    assert not found.state.is_open
    # what is over is over
    assert not jobs.end(mine, error="twice", kept_s=1)
    assert jobs.claim(mine.id, lease_s=LONG_S) is None


def test_what_is_over_is_never_handed_out(jobs: Jobs, database: Database[dict[str, Any]]) -> None:
    mine = claimed(jobs, created(jobs).id)
    jobs.end(mine, kept_s=LONG_S)
    make_due(database, mine.id)
    assert jobs.hand_out(limit=10) == []
    assert jobs.claim(mine.id, lease_s=LONG_S) is None


# -- forgotten


def test_a_job_is_forgotten_at_its_time_though_mongodb_has_not_removed_it(
    jobs: Jobs, database: Database[dict[str, Any]]
) -> None:
    mine = claimed(jobs, created(jobs).id)
    jobs.end(mine, kept_s=SHORT_S)
    wait_until(lambda: jobs.get(mine.id) is None, "the job to be forgotten")
    open_job = created(jobs, "lwn")
    database["jobs"].update_one({"_id": open_job.id}, {"$set": {"created_at": datetime(2000, 1, 1, tzinfo=UTC)}})
    assert jobs.get(open_job.id) is not None


def test_mongodb_removes_what_is_over_its_time(database: Database[dict[str, Any]], jobs: Jobs) -> None:
    indexes = database["jobs"].index_information()
    assert [one["key"] for one in indexes.values() if one.get("expireAfterSeconds") == 0] == [[("kept_until", 1)]]
    assert "kept_until" not in (database["jobs"].find_one(created(jobs).id) or {})


# -- a server's clock that is set back


def set_back(database: Database[dict[str, Any]]) -> None:
    """Let the server's clock go back by an hour, as seen from all that is stored."""
    ahead: Callable[[str], dict[str, Any]] = lambda field: {  # noqa: E731
        "$cond": [{"$gt": [f"${field}", None]}, {"$add": [f"${field}", HOUR // timedelta(milliseconds=1)]}, f"${field}"]
    }
    fields = ("due_at", "not_before", "created_at", "started_at")
    database["jobs"].update_many({}, [{"$set": {field: ahead(field) for field in fields}}])
    database["notes"].update_one({"_id": "clock"}, [{"$set": {"highest": ahead("highest")}}])


def test_what_is_due_moves_with_a_clock_that_is_set_back(storage: Storage, database: Database[dict[str, Any]]) -> None:
    jobs = storage.jobs
    dead = claimed(jobs, created(jobs, "dead").id, SHORT_S)
    alive = claimed(jobs, created(jobs, "alive").id, LONG_S)
    waits = claimed(jobs, created(jobs, "waits").id)
    jobs.postpone(waits, SHORT_S, tried=True)
    storage.sources.claim_due(limit=1, lease_s=LONG_S)  # the time is noted with each look for what is due
    set_back(database)
    storage.sources.claim_due(limit=1, lease_s=LONG_S)  # notices it, as whoever looks for what is due does
    given: set[str] = set()
    wait_until(lambda: given.update(jobs.hand_out(limit=10)) or len(given) == 2, "both to be due")
    assert given == {dead.id, waits.id}
    assert wait_until(lambda: jobs.claim(waits.id, lease_s=LONG_S), "it to be free")
    assert jobs.claim(alive.id, lease_s=LONG_S) is None
