"""How the politeness groups stand, on the real MongoDB."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.politeness import Demand, GroupLimits
from feedmirror.storage import Storage
from feedmirror.storage.ledger import Ledger

LONG_S = 600
FREE = GroupLimits()


@pytest.fixture
def ledger(storage: Storage) -> Ledger:
    return storage.ledger


def admit(storage: Storage, name: str, count: int = 1, limits: GroupLimits = FREE) -> None:
    storage.groups.admit({name: Demand(count, limits)}, lease_s=LONG_S)


def block(storage: Storage, name: str, for_s: float) -> None:
    for source_id in ("one", "two"):
        storage.groups.throttled(name, source_id, retry_after_s=for_s, status=429)


def names(ledger: Ledger, limit: int = 10) -> list[str]:
    return [standing.ledger.name for standing in ledger.standings(limit=limit)]


def test_those_that_keep_somebody_waiting_come_first_then_those_active_last(storage: Storage, ledger: Ledger) -> None:
    block(storage, "blocked", 60)
    block(storage, "blocked for longer", 3600)
    admit(storage, "queue", 5, GroupLimits(per_minute=6))
    admit(storage, "longer queue", 50, GroupLimits(per_minute=6))
    for number in range(5):
        admit(storage, f"g{number}")
    waiting = ["blocked for longer", "blocked", "longer queue", "queue"]
    assert names(ledger) == [*waiting, "g4", "g3", "g2", "g1", "g0"]
    assert names(ledger, 6) == [*waiting, "g4", "g3"]
    assert names(ledger, 3) == waiting[:3]
    assert ledger.count() == 9


def test_what_is_over_keeps_nobody_waiting(
    storage: Storage, ledger: Ledger, database: Database[dict[str, Any]]
) -> None:
    block(storage, "blocked", 60)
    admit(storage, "queue", 5, GroupLimits(per_minute=6))
    admit(storage, "active")
    past = datetime.now(UTC) - timedelta(seconds=1)
    database["groups"].update_one({"_id": "blocked"}, {"$set": {"blocked.until": past}})
    database["groups"].update_one({"_id": "queue"}, {"$set": {"queue_at": past}})
    assert names(ledger) == ["active", "queue", "blocked"]
    assert {(standing.queued, standing.ledger.blocked_until) for standing in ledger.standings(limit=9)} == {(0, None)}


def test_how_many_wait(storage: Storage, ledger: Ledger) -> None:
    admit(storage, "rate", 31, GroupLimits(per_minute=6))  # one is granted, the others come back every ten seconds
    admit(storage, "flight", 24, GroupLimits(in_flight=4))
    admit(storage, "free", 100)
    block(storage, "blocked", 60)
    admit(storage, "blocked", 7, GroupLimits(per_minute=6))
    queued = {standing.ledger.name: standing.queued for standing in ledger.standings(limit=9)}
    assert queued == {"rate": 30, "flight": 20, "free": 0, "blocked": 7}


def test_the_standing_of_some_groups(storage: Storage, ledger: Ledger) -> None:
    limits = GroupLimits(in_flight=4, per_minute=60, per_day=5000)
    admit(storage, "a", 3, limits)
    admit(storage, "b")
    standing = ledger.standings_of(["a", "nobody"])
    assert list(standing) == ["a"]
    found = standing["a"].ledger
    assert (found.limits, found.in_flight, found.used_minute, found.used_day, found.used_month) == (limits, 3, 3, 3, 3)
    assert ledger.standings_of([]) == {}
