"""The tail of the stream: what there is and what comes, with nothing between the two."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database

from feedmirror.models import Entry
from feedmirror.storage import Storage
from feedmirror.storage.clock import Clock
from feedmirror.storage.tail import Published, Tail

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


class Overtaken(Clock):
    """A clock that something happens behind the back of, right after it was read."""

    then: Callable[[], object] | None = None

    def head_us(self, session: ClientSession | None = None) -> int:
        head_us = super().head_us(session)
        if self.then:
            self.then()
        return head_us


def test_an_item_that_changes_while_what_there_is_is_read_is_not_missed(
    storage: Storage, database: Database[Any]
) -> None:
    """Its last change is beyond the head that was read then; its arrival is not, and somebody may wait for that."""

    def store(source_id: str) -> None:
        storage.items.store(source_id, {"1": Entry(title="T")}, now=datetime.now(UTC))

    store("a")
    clock = Overtaken(database)
    with Tail(database, clock).following() as events:
        clock.then = lambda: store("b")
        recent = events.recent(10)
    assert [item.id for item in recent.items] == ["1"]
