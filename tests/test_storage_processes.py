"""Whether due sources are polled: read from heartbeats, leases and moments at which sources are due."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.models import Finished, Outcome, Polling, Postponed, Source, SourceFilter, State
from feedmirror.process_identity import ProcessIdentity
from feedmirror.storage import Storage
from feedmirror.storage.processes import Role

LEASE_S = 600
Database_ = Database[dict[str, Any]]


@pytest.fixture
def watch(storage: Storage) -> Callable[..., None]:
    def watch(*ids: str, every_s: float = 1) -> None:
        sources = [Source(id=one, name=one, url=f"https://{one}.example/", every_s=every_s) for one in ids]
        storage.sources.synchronise(sources, [])

    return watch


def poll(storage: Storage, *ids: str, outcome: Outcome | None = None, interval_s: float = 1) -> None:
    for watched in storage.sources.begin(storage.sources.claim_now(ids, lease_s=LEASE_S), lease_s=LEASE_S):
        finished = Finished(watched=watched, outcome=outcome or Outcome(), interval_s=interval_s)
        storage.sources.finish([finished])


def pass_time(database: Database_, seconds: float) -> None:
    """Move all that is kept of the sources back by so many seconds."""
    moved = {
        name: {"$cond": [{"$eq": [{"$type": f"${name}"}, "date"]}, {"$subtract": [f"${name}", seconds * 1000]}, None]}
        for name in ("due_at", "overdue_at", "looks.last_at", "looks.last_ok_at")
    }
    database["sources"].update_many({}, [{"$set": moved}])


def state_of(storage: Storage, source_id: str) -> State:
    (watched,) = storage.watchlist.page(SourceFilter(ids=(source_id,)), limit=1).sources
    assert storage.watchlist.page(SourceFilter(state=watched.state), limit=9).sources == (watched,)
    return watched.state


def standing(storage: Storage) -> Polling:
    return storage.processes.standing()


def test_where_nothing_is_watched_nothing_is_stalled(storage: Storage) -> None:
    now = standing(storage)
    assert (now.stalled, now.last_at, now.workers, now.overdue) == (False, None, 0, 0)


def test_a_source_that_was_never_polled_and_finds_no_worker_is_stalled(
    storage: Storage, watch: Callable[..., None]
) -> None:
    watch("a")
    assert standing(storage).stalled
    assert state_of(storage, "a") is State.WAITING


def test_what_was_just_polled_is_not_stalled_and_is_so_some_seconds_after_it_is_due(
    storage: Storage, database: Database_, watch: Callable[..., None]
) -> None:
    watch("a")
    poll(storage, "a")
    assert not standing(storage).stalled
    pass_time(database, 2)
    assert not standing(storage).stalled
    pass_time(database, 3)
    now = standing(storage)
    assert now.stalled
    assert now.last_at is not None
    assert 5 <= (now.now - now.last_at).total_seconds() < 30


def test_what_a_dead_process_holds_is_due(storage: Storage, database: Database_, watch: Callable[..., None]) -> None:
    watch("a")
    storage.processes.register("alive", Role.WORKER, host="h", identity=ProcessIdentity(1))
    claim = storage.sources.claim_due(limit=1, lease_s=LEASE_S, holder="alive.crew")
    storage.sources.begin(claim, lease_s=LEASE_S, holder="alive.crew")
    pass_time(database, 60)
    assert (standing(storage).stalled, standing(storage).workers) == (False, 1)
    database["processes"].update_one({}, {"$set": {"beat_at": datetime.now(UTC) - timedelta(seconds=60)}})
    assert (standing(storage).stalled, standing(storage).workers) == (True, 0)


def test_a_source_that_rests_or_waits_its_turn_stalls_nothing(
    storage: Storage, database: Database_, watch: Callable[..., None]
) -> None:
    watch("a", "b")
    watch("b")  # a rests
    (watched,) = storage.sources.begin(storage.sources.claim_due(limit=9, lease_s=LEASE_S), lease_s=LEASE_S)
    storage.sources.postpone([Postponed(watched=watched, by_s=300, why="its group is full")])
    pass_time(database, 60)
    assert not standing(storage).stalled


def test_only_processes_that_poll_by_themselves_are_workers(storage: Storage) -> None:
    storage.processes.register("hand", Role.BY_HAND, host="h", identity=ProcessIdentity(1))
    storage.processes.schedule_beats()
    assert standing(storage).workers == 0
    assert list(storage.processes.others("me")) == ["hand"]
    storage.processes.register("worker", Role.WORKER, host="h", identity=ProcessIdentity(2))
    assert standing(storage).workers == 1


def test_a_schedule_that_never_was_is_silent(storage: Storage, database: Database_) -> None:
    assert storage.processes.schedule_is_silent()
    storage.processes.schedule_beats()
    assert not storage.processes.schedule_is_silent()
    database["processes"].update_one({}, {"$set": {"beat_at": datetime.now(UTC) - timedelta(seconds=4)}})
    assert storage.processes.schedule_is_silent()


@pytest.mark.parametrize(("interval_s", "late_s"), [(1, 10), (60, 10), (3600, 360)])
def test_a_source_is_overdue_ten_seconds_or_a_tenth_of_its_interval_after_it_was_due(
    interval_s: float, late_s: float, storage: Storage, database: Database_, watch: Callable[..., None]
) -> None:
    watch("a", every_s=interval_s)
    poll(storage, "a", interval_s=interval_s)
    pass_time(database, interval_s + late_s - 3)
    assert state_of(storage, "a") is State.LIVE
    assert storage.watchlist.counts().overdue == 0
    pass_time(database, 4)
    assert state_of(storage, "a") is State.OVERDUE
    counts = storage.watchlist.counts()
    assert (counts.overdue, counts.live, counts.failing, counts.active) == (1, 0, 0, 1)
    (watched,) = storage.watchlist.page(SourceFilter(), limit=1).sources
    assert watched.overdue_since == watched.looks.next_at


def test_overdue_goes_before_failing_and_a_pause_after_a_failure_is_not_overdue(
    storage: Storage, database: Database_, watch: Callable[..., None]
) -> None:
    watch("a")
    poll(storage, "a", outcome=Outcome(error="no"), interval_s=300)
    pass_time(database, 290)
    assert state_of(storage, "a") is State.FAILING
    pass_time(database, 60)
    assert state_of(storage, "a") is State.OVERDUE
    assert storage.watchlist.counts().failing == 0
