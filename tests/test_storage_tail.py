"""The tail of the stream: what there is and what comes, with nothing between the two."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from feedmirror.models import Entry
from feedmirror.storage import Storage
from feedmirror.storage.tail import Published

OPENINGS = 40
WRITERS = 4


@contextmanager
def writing(storage: Storage) -> Iterator[None]:
    """Have items arrive one by one, from several sides at once."""
    over = threading.Event()

    def write(source_id: str) -> None:
        number = 0
        while not over.is_set():
            number += 1
            storage.items.store(source_id, {f"{source_id}-{number}": Entry(title="T")}, now=datetime.now(UTC))

    threads = [threading.Thread(target=write, args=(f"s{number}",)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_nothing_falls_between_what_there_is_and_what_comes(storage: Storage, database: Database[Any]) -> None:
    with writing(storage):
        for _ in range(OPENINGS):
            with storage.tail.following() as events:
                recent = events.recent(100_000)
                known = {item.id for item in recent.items}
                event = None
                while not isinstance(event, Published) or event.head_us <= recent.head_us:
                    event = events.next()
                known.update(item.id for item in event.items)
            there = {one["_id"] for one in database["items"].find({"changed": {"$lte": event.head_us}}, {"_id": 1})}
            assert known >= there, f"lost: {sorted(there - known)}"
