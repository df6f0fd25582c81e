"""Data sets against the real MongoDB: one job however many ask, data of any size, and nothing left lying about."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gridfs.errors import CorruptGridFile, NoFile
from pymongo.database import Database

from feedmirror.db import Connection
from feedmirror.models import SERIES, Job, JobState, Preview, Series, SeriesPlace, SeriesStatus
from feedmirror.storage import Storage
from feedmirror.storage.series import SeriesStore

HOUR_S = 3600.0
CODES = ("WIKI", "FB")
NOTHING = Preview()


@pytest.fixture
def series(storage: Storage) -> SeriesStore:
    return storage.series


def requested(storage: Storage, series_id: str = "fb", *, refresh: bool = False) -> Job:
    """A job that somebody is at."""
    _, job = storage.series.request(series_id, CODES, fresh_s=HOUR_S, refresh=refresh)
    assert job is not None
    claimed = storage.jobs.claim(job.id, lease_s=600)
    assert claimed is not None
    return claimed


def brought(storage: Storage, data: bytes, series_id: str = "fb", *, refresh: bool = False) -> Job:
    job = requested(storage, series_id, refresh=refresh)
    succeed(storage.series, job, data)
    return job


def succeed(series: SeriesStore, job: Job, data: bytes, **more: Any) -> None:
    given: dict[str, Any] = {"columns": ["Date", "Close"], "rows": 2, "preview": NOTHING, **more}
    series.succeed(job, data, **given)


def data(series: SeriesStore, series_id: str = "fb") -> bytes:
    parts = series.data(series_id)
    assert parts is not None
    return b"".join(parts)


def found(series: SeriesStore, series_id: str = "fb") -> Series:
    one = series.get(series_id)
    assert one is not None
    return one


def age(database: Database[dict[str, Any]], by: timedelta, series_id: str = "fb") -> None:
    """Let everything that is known of a series have happened earlier."""
    known = database["series"].find_one(series_id) or {}
    moments = {name: known[name] - by for name in ("requested_at", "refreshed_at") if known.get(name)}
    database["series"].update_one({"_id": series_id}, {"$set": moments})


def files(database: Database[dict[str, Any]]) -> tuple[int, int]:
    """How many files there are, and how many that have parts."""
    return database["series_data.files"].count_documents({}), len(database["series_data.chunks"].distinct("files_id"))


# -- asking


def test_who_asks_first_gets_the_job(storage: Storage, series: SeriesStore) -> None:
    asked, job = series.request("fb", CODES, fresh_s=HOUR_S)
    assert job is not None
    assert (job.kind, job.subject, job.state) == (SERIES, "fb", JobState.PENDING)
    assert storage.jobs.get(job.id) == job
    assert (asked.id, asked.database_code, asked.dataset_code) == ("fb", *CODES)
    assert (asked.status, asked.job_id, asked.has_data) == (SeriesStatus.PENDING, job.id, False)
    assert (asked.refreshed_at, asked.error, asked.rows, asked.bytes, asked.columns) == (None, None, None, None, ())
    assert series.get("fb") == asked
    assert series.data("fb") is None
    assert series.preview("fb") is None


@pytest.mark.parametrize("refresh", [False, True])
def test_what_is_pending_is_not_asked_for_again(series: SeriesStore, refresh: bool) -> None:
    asked, _ = series.request("fb", CODES, fresh_s=HOUR_S)
    assert series.request("fb", CODES, fresh_s=0, refresh=refresh) == (asked, None)


def test_what_is_fresh_is_not_asked_for_again(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]
) -> None:
    brought(storage, b"{}")
    age(database, timedelta(minutes=59))
    assert series.request("fb", CODES, fresh_s=HOUR_S) == (found(series), None)
    age(database, timedelta(minutes=2))
    asked, job = series.request("fb", CODES, fresh_s=HOUR_S)
    assert job is not None
    assert (asked.status, asked.has_data) == (SeriesStatus.PENDING, True)
    assert (datetime.now(UTC) - asked.requested_at).total_seconds() < 60


def test_a_refresh_fetches_what_is_fresh_anew_and_keeps_the_old_until_then(
    storage: Storage, series: SeriesStore
) -> None:
    brought(storage, b"old")
    job = requested(storage, refresh=True)
    assert found(series).status is SeriesStatus.PENDING
    assert data(series) == b"old"
    succeed(series, job, b"new")
    assert found(series).status is SeriesStatus.SUCCESS
    assert data(series) == b"new"


def test_after_an_error_it_is_asked_for_anew(storage: Storage, series: SeriesStore) -> None:
    job = requested(storage)
    series.fail(job, "$You have submitted an incorrect Quandl code.")
    assert (found(series).status, found(series).error) == (
        SeriesStatus.ERROR,
        "$You have submitted an incorrect Quandl code.",
    )
    assert not found(series).has_data
    again = requested(storage)
    assert again.id != job.id
    succeed(series, again, b"{}")
    assert (found(series).status, found(series).error) == (SeriesStatus.SUCCESS, None)


def test_an_error_leaves_what_was_there(storage: Storage, series: SeriesStore) -> None:
    brought(storage, b"old")
    series.fail(requested(storage, refresh=True), "no")
    assert (found(series).status, found(series).rows, data(series)) == (SeriesStatus.ERROR, 2, b"old")


def test_of_two_hundred_who_ask_at_once_one_gets_the_job(storage: Storage, database_uri: str) -> None:
    connection = Connection(database_uri, timeout_s=5)
    asked = Storage(connection.database()).series
    start = threading.Barrier(200)

    def ask(_: int) -> tuple[Series, Job | None]:
        start.wait()
        return asked.request("fb", CODES, fresh_s=HOUR_S)

    try:
        with ThreadPoolExecutor(200) as threads:
            answers = list(threads.map(ask, range(200)))
    finally:
        connection.close()
    (job,) = [job for _, job in answers if job is not None]
    assert {one.job_id for one, _ in answers} == {job.id}
    assert {one.status for one, _ in answers} == {SeriesStatus.PENDING}


# -- data


def test_data_is_given_as_it_came_beyond_what_a_document_can_hold(storage: Storage, series: SeriesStore) -> None:
    came = os.urandom(1 << 20) * 18
    lines = {"Close": ((1.0, 2.5), (2.0, -3.0)), "$a.b": ()}
    preview = Preview(is_time=True, lines=lines, rows=('["2026-11-20", 1.5]',))
    succeed(series, requested(storage), came, columns=["Date", "$a.b"], rows=7, preview=preview)
    one = found(series)
    assert (one.status, one.rows, one.bytes) == (SeriesStatus.SUCCESS, 7, len(came))
    assert one.columns == ("Date", "$a.b")
    assert series.preview("fb") == preview
    parts = series.data("fb")
    assert parts is not None
    largest, whole = 0, bytearray()
    for part in parts:
        largest, whole = max(largest, len(part)), whole + part
    assert whole == came
    assert largest <= 300_000


@pytest.mark.parametrize("came", [b"", b"x"])
def test_however_small_it_is(storage: Storage, series: SeriesStore, came: bytes) -> None:
    brought(storage, came)
    assert data(series) == came
    assert found(series).bytes == len(came)


def test_who_reads_while_it_is_replaced_gets_the_whole_of_the_old(storage: Storage, series: SeriesStore) -> None:
    old, new = b"o" * 1_000_000, b"n" * 1_000_000
    brought(storage, old)
    reading = series.data("fb")
    assert reading is not None
    begun = next(reading)
    brought(storage, new, refresh=True)
    assert begun + b"".join(reading) == old
    assert data(series) == new


def test_who_reads_what_is_gone_by_now_is_told_so_and_gets_no_part_for_the_whole(
    storage: Storage, series: SeriesStore
) -> None:
    brought(storage, b"o" * 20_000_000)  # more than the driver reads ahead
    reading = series.data("fb")
    assert reading is not None
    next(reading)
    assert series.remove("fb")
    with pytest.raises((CorruptGridFile, NoFile)):
        b"".join(reading)


def test_the_one_before_is_kept_and_no_more(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]
) -> None:
    for number in range(4):
        brought(storage, b"%d" % number, refresh=True)
    assert data(series) == b"3"
    assert files(database) == (2, 2)


def test_removing_takes_everything_with_it_and_of_nothing_else(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]
) -> None:
    brought(storage, b"fb")
    brought(storage, b"fb 2", refresh=True)
    brought(storage, b"other", "fbx")
    assert series.remove("fb")
    assert not series.remove("fb")
    assert (series.get("fb"), series.data("fb"), series.preview("fb")) == (None, None, None)
    assert data(series, "fbx") == b"other"
    assert files(database) == (1, 1)


def test_what_is_brought_after_a_removal_is_dropped(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]
) -> None:
    job = requested(storage)
    series.remove("fb")
    succeed(series, job, b"late")
    series.fail(job, "late")
    assert series.get("fb") is None
    assert files(database) == (0, 0)


def test_what_an_older_job_brings_is_dropped(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]
) -> None:
    old = requested(storage)
    series.remove("fb")
    new = requested(storage)
    succeed(series, old, b"late")
    series.fail(old, "late")
    assert found(series).status is SeriesStatus.PENDING
    succeed(series, new, b"right")
    succeed(series, old, b"late")
    assert data(series) == b"right"
    assert files(database) == (1, 1)


def test_of_two_who_bring_the_same_job_the_first_counts(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]
) -> None:
    job = brought(storage, b"first")
    late = replace(job, lease="one that has ended")
    succeed(series, late, b"second")
    series.fail(late, "third")
    assert (found(series).status, data(series)) == (SeriesStatus.SUCCESS, b"first")
    assert files(database) == (1, 1)


def killed_within(storage: Storage, job: Job, database: Database[dict[str, Any]]) -> None:
    """Leave what somebody leaves who is killed while data is being written: parts, and no file."""
    before = set(database["series_data.chunks"].distinct("files_id"))
    succeed(storage.series, job, b"x" * 1_000_000)
    (made,) = set(database["series_data.chunks"].distinct("files_id")) - before
    database["series_data.files"].delete_one({"_id": made})
    database["series"].update_one({"_id": job.subject}, {"$set": {"status": "pending"}, "$unset": {"file": ""}})


def test_what_somebody_left_who_was_killed_is_swept_up_with_the_next(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]
) -> None:
    job = requested(storage)
    killed_within(storage, job, database)
    assert files(database) == (0, 1)
    database["jobs"].update_one({"_id": job.id}, {"$set": {"due_at": datetime(2000, 1, 1, tzinfo=UTC)}})
    heir = storage.jobs.claim(job.id, lease_s=600)
    assert heir is not None
    succeed(series, heir, b"done anew")
    assert data(series) == b"done anew"
    assert files(database) == (1, 1)


def test_what_somebody_left_who_was_killed_goes_with_the_series(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]
) -> None:
    killed_within(storage, requested(storage), database)
    assert series.remove("fb")
    assert files(database) == (0, 0)


def test_who_is_late_does_not_sweep_up_what_is_being_written(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = requested(storage)
    series.remove("fb")
    new = requested(storage)
    between(monkeypatch, lambda: succeed(storage.series, late, b"late"))
    succeed(series, new, b"n" * 1_000_000)
    assert data(series) == b"n" * 1_000_000
    assert files(database) == (1, 1)


def between(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen, once, while data is being written: its parts are there and the file is not."""
    from gridfs.synchronous.grid_file import GridIn

    close = GridIn.close

    def closing(self: Any) -> None:
        monkeypatch.setattr(GridIn, "close", close)
        happens()
        close(self)

    monkeypatch.setattr(GridIn, "close", closing)


def test_data_that_is_lost_is_none(storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]) -> None:
    brought(storage, b"x")
    database["series_data.files"].delete_many({})  # as after a backup that was only half restored
    assert series.data("fb") is None


# -- the list


def test_the_list_has_those_first_that_were_asked_for_last_page_by_page(
    storage: Storage, series: SeriesStore, database: Database[dict[str, Any]]
) -> None:
    names = [f"s{number:02}" for number in range(9)]
    for number, name in enumerate(names):
        series.request(name, CODES, fresh_s=HOUR_S)
        # three were asked for at the same moment
        moment = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=number // 3)
        database["series"].update_one({"_id": name}, {"$set": {"requested_at": moment}})
    assert [one.id for one in series.latest(limit=100)] == names[::-1]
    seen: list[str] = []
    page = series.latest(limit=2)
    while page:
        seen += [one.id for one in page]
        page = series.latest(limit=2, after=SeriesPlace(page[-1].requested_at, page[-1].id))
    assert seen == names[::-1]


def test_asking_again_leads_the_list_anew(storage: Storage, series: SeriesStore) -> None:
    brought(storage, b"{}", "a")
    brought(storage, b"{}", "b")
    series.request("a", CODES, fresh_s=HOUR_S)
    assert [one.id for one in series.latest(limit=9)] == ["b", "a"]
    series.request("a", CODES, fresh_s=HOUR_S, refresh=True)
    assert [one.id for one in series.latest(limit=9)] == ["a", "b"]
