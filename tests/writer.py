"""Writers of the cursor test, each a process: `python -m tests.writer URI COUNT NAME ...`, or `... NAME pause`.

Each stores COUNT items of its own in small batches, and every few batches one that the others store as well. With
`pause` it stops itself within a transaction, after taking stamps and before storing what they number, says so on
its output, and waits to be killed or continued.
"""

import multiprocessing
import os
import random
import signal
import sys
from datetime import UTC, datetime
from typing import Any

from pymongo.client_session import ClientSession

from feedmirror.db import Connection
from feedmirror.models import Entry
from feedmirror.storage import Storage
from feedmirror.storage.clock import Clock, Tick

SHARED = 20
FORK = multiprocessing.get_context("fork")


def entry(item_id: str) -> dict[str, Entry]:
    return {item_id: Entry(title=item_id, link=f"https://example.com/{item_id}")}


def write(storage: Storage, name: str, count: int) -> None:
    chance = random.Random(name)
    numbers = iter(range(count))
    for _ in range(count):
        batch: dict[str, Entry] = {}
        for _, number in zip(range(chance.randint(1, 5)), numbers, strict=False):
            batch |= entry(f"{name}-{number}")
        if chance.random() < 0.2:
            batch |= entry(f"shared-{chance.randrange(SHARED)}")
        if batch:
            storage.items.store(name, batch, now=datetime.now(UTC))
    for number in range(SHARED):
        storage.items.store(name, entry(f"shared-{number}"), now=datetime.now(UTC))


def pause_within_transaction() -> None:
    """Make the second transaction stop in its middle, where a writer can do the most harm."""
    advance, calls = Clock.advance, iter(range(1_000_000))

    def advance_and_stop(self: Any, count: int, session: ClientSession) -> Tick:
        tick = advance(self, count, session)
        if next(calls) == 1:
            print("within a transaction", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return tick

    Clock.advance = advance_and_stop  # type: ignore[method-assign]


def run(uri: str, name: str, count: int) -> None:
    connection = Connection(uri, timeout_s=60)
    storage = Storage(connection.database()).prepare()
    print("writes", flush=True)
    write(storage, name, count)
    connection.close()


def main(uri: str, count: str, *names: str) -> int:
    """Have all of them write; 0 if all went well."""
    if names[-1] == "pause":
        pause_within_transaction()
        run(uri, names[0], int(count))
        return 0
    # what takes longest in a process of its own is to import everything
    writers = [FORK.Process(target=run, args=(uri, name, int(count))) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return int(any(writer.exitcode for writer in writers))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
