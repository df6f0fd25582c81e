"""How long a claim of due sources takes, with ten thousand sources and with a million: it should be the same.

    python -m bench.claims

A claim is what beat's one entry does every second: find what is due and take it under a lease. The same number of
sources is due each time; all others are due later.
"""

import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from pymongo import InsertOne
from pymongo.database import Database

from feedmirror import mongod
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.models import Source
from feedmirror.storage import Storage

SIZES = (10_000, 1_000_000)
CLAIMED = 100
CLAIMS = 50
_PORTION = 10_000


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data_dir=Path(directory))
        with mongod.running(settings):
            connection = Connection(settings.database_uri, timeout_s=120)
            taken = {size: claim_s(connection.database(), size) for size in SIZES}
            connection.close()
    few, many = SIZES
    for size, (due_s, nothing_s) in taken.items():
        print(f"{size:9,} sources: {1000 * due_s:.2f} ms a claim of {CLAIMED}, {1000 * nothing_s:.2f} ms to find none")
    print(f"  {taken[many][0] / taken[few][0]:.2f} and {taken[many][1] / taken[few][1]:.2f} times as long (wanted: 1)")


def claim_s(database: Database[dict[str, Any]], size: int) -> tuple[float, float]:
    """The median time of a claim with this many sources stored, and of one that finds nothing due."""
    database.client.drop_database(database.name)
    storage = Storage(database)
    storage.prepare()
    for collection in (storage.sources, storage.watchlist):  # `prepare` does it once a process
        collection.create_indexes()
    fill(storage, database, size)
    due: list[float] = []
    nothing: list[float] = []
    for _ in range(CLAIMS):
        ids = [f"s{number}" for number in random.sample(range(size), CLAIMED)]
        past = datetime.now(UTC) - timedelta(seconds=5)
        database["sources"].update_many({"_id": {"$in": ids}}, {"$set": {"due_at": past, "lease": None}})
        due.append(timed(storage, CLAIMED))
        nothing.append(timed(storage, 0))
    return median(due), median(nothing)


def timed(storage: Storage, expected: int) -> float:
    before = time.perf_counter()
    claimed = storage.sources.claim_due(limit=500, lease_s=3600)
    taken = time.perf_counter() - before
    assert len(claimed.source_ids) == expected
    return taken


def fill(storage: Storage, database: Database[dict[str, Any]], size: int) -> None:
    """Store so many sources: one as storage makes it, and the others after it, due some time tomorrow."""
    storage.sources.synchronise([Source(id="s0", name="Feed 0", url="https://example.org/0")], [])
    first = database["sources"].find_one({"_id": "s0"})
    assert first is not None
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    database["sources"].update_one({"_id": "s0"}, {"$set": {"due_at": tomorrow}})
    for start in range(0, size, _PORTION):
        made: list[InsertOne[dict[str, Any]]] = []
        for number in range(max(start, 1), min(start + _PORTION, size)):
            source = {**first["source"], "name": f"Feed {number}", "url": f"https://example.org/{number}"}
            due_at = tomorrow + timedelta(seconds=random.random() * 86_400)
            made.append(InsertOne({**first, "_id": f"s{number}", "source": source, "order": number, "due_at": due_at}))
        database["sources"].bulk_write(made, ordered=False)
        if size > _PORTION and start % (size // 10) == 0:
            print(f"  stored {start:,} of {size:,} sources", flush=True)


if __name__ == "__main__":
    main()
