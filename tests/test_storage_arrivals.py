"""What several sources show at the same time, stored together: as if each had come alone, against the real MongoDB."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.models import Entry, Selection
from feedmirror.storage import Storage
from feedmirror.storage.arrivals import Stored

EVERYTHING = Selection()
SOURCES = 8


def entries(*names: str) -> dict[str, Entry]:
    return {name: Entry(title=f"Title of {name}", link=f"https://example.com/{name}") for name in names}


@contextmanager
def held_up(storage: Storage, database: Database[dict[str, Any]]) -> Iterator[None]:
    """Nobody can store for the time of the block: somebody holds the clock."""
    with database.client.start_session() as session, session.start_transaction():
        storage.clock.advance(1, session)
        yield


def store_together(
    storage: Storage, database: Database[dict[str, Any]], pages: dict[str, dict[str, Entry]]
) -> dict[str, Future[Stored]]:
    """Store the page of each source, in a thread of its own; they meet, because none can write at first."""
    began = Barrier(len(pages) + 1)

    def store(source_id: str, page: dict[str, Entry]) -> Stored:
        began.wait(10)
        return storage.items.store(source_id, page, now=datetime.now(UTC))

    with ThreadPoolExecutor(len(pages)) as threads, held_up(storage, database):
        storing = {source_id: threads.submit(store, source_id, page) for source_id, page in pages.items()}
        began.wait(10)
    return storing


def test_each_item_of_many_sources_is_stored_once(storage: Storage, database: Database[dict[str, Any]]) -> None:
    pages = {f"s{number}": entries(f"own {number}", "shared") for number in range(SOURCES)}
    stored = [storing.result() for storing in store_together(storage, database, pages).values()]
    assert sum(len(one.new) for one in stored) == SOURCES + 1
    assert sum(one.sighted for one in stored) == SOURCES - 1
    items = {item.id: item for item in storage.items.newest(EVERYTHING, limit=100).items}
    assert items.keys() == {"shared", *(f"own {number}" for number in range(SOURCES))}
    assert {seen.source_id for seen in items["shared"].sources} == pages.keys()
    for source_id in pages:
        arrived = storage.items.since(Selection(source_id=source_id), after_us=0, limit=100).items
        assert {item.id for item in arrived} == pages[source_id].keys()
    stamps = [seen.fetched_us for item in items.values() for seen in item.sources]
    assert len(set(stamps)) == len(stamps)


def test_one_that_cannot_be_stored_keeps_no_other_out(storage: Storage, database: Database[dict[str, Any]]) -> None:
    pages = {f"s{number}": entries(f"own {number}") for number in range(SOURCES)}
    pages["s3"] = {"own 3": replace(pages["s3"]["own 3"], score=2**70)}  # more than BSON has room for
    storing = store_together(storage, database, pages)
    with pytest.raises(OverflowError):
        storing.pop("s3").result()
    assert [len(one.result().new) for one in storing.values()] == [1] * (SOURCES - 1)
    stored = {item.id for item in storage.items.newest(EVERYTHING, limit=100).items}
    assert stored == {f"own {number}" for number in range(SOURCES) if number != 3}
