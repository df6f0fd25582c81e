"""Items that arrive while pages poll: how soon they are given, and whether everybody gets all of them.

Part of `python -m bench.update`.
"""

import asyncio
import gzip
import json
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pymongo import monitoring

from bench.load import HEADERS, Answer, Asked, Caller, Load, Server, closes, latencies, loaded, parsed, request
from bench.stored import store
from feedmirror.db import Connection
from feedmirror.storage import Storage

ITEMS = 300
WANTED_P99_S = 0.25
# How many pages poll beside the one that watches.
_LOAD = 8
_LONGEST_S = 90

CLIENTS = 500
# What came in the minute that the clients have not seen, and what comes while they ask.
BEFORE = 200
MEANWHILE = 1_000
_PORTION = 20
_PORTION_EVERY_S = 0.1
_AGAIN_S = 1.0

_NUMBER = re.compile(rb'"_id": "item-(\d+)"')


class _Commits(monitoring.CommandListener):
    """Notes when the last transaction was told to commit."""

    at = 0.0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "commitTransaction":
            self.at = time.perf_counter()

    def succeeded(self, _: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, _: monitoring.CommandFailedEvent) -> None:
        pass


_commits = _Commits()
# for all clients that are made from here on
monitoring.register(_commits)


# -- how soon


def delays(
    server: Server, uri: str, *, first: int, busy: bool, say: Callable[[str], None]
) -> tuple[list[float], Load | None]:
    """Seconds from each item's commit to the end of the first answer that carries it; with `busy`, under load.

    The commit is counted from the moment at which MongoDB is told to, so it is part of them.
    """
    if not busy:
        return _delays(server.address, uri, first, say), None
    follow = Asked(server, "/update?timestamp=", "follow", cursor=head_of(server.address), connections=_LOAD)
    with loaded(follow, _LONGEST_S) as seen:
        found = _delays(server.address, uri, first, say)
    return found, seen[0]


def _delays(address: str, uri: str, first: int, say: Callable[[str], None]) -> list[float]:
    committed: dict[int, float] = {}
    given: dict[int, float] = {}
    # a cursor from before the first item is stored: one that the thread asks for might come after it
    watcher = threading.Thread(target=_watch, args=(address, head_of(address), first, given), daemon=True)
    connection = Connection(uri, timeout_s=20)
    storage = Storage(connection.database())
    watcher.start()
    for number in range(first, first + ITEMS):
        store(storage, 1, first=number)
        committed[number] = _commits.at
        say(f"items stored: {number - first} of {ITEMS}")
        time.sleep(random.uniform(0.01, 0.05))
    watcher.join(_LONGEST_S)
    connection.close()
    missing = sorted(number - first for number in committed if number not in given)
    assert not missing, f"of {ITEMS} items, these were not given: {missing}"
    return [given[number] - committed[number] for number in committed]


def _watch(address: str, cursor: str, first: int, given: dict[int, float]) -> None:
    """Ask as fast as it is answered, and note when each item is given."""
    caller = Caller(address)
    until = time.monotonic() + _LONGEST_S
    while len(given) < ITEMS and time.monotonic() < until:
        answer = caller.ask(f"/update?timestamp={cursor}")
        now = time.perf_counter()
        assert answer.status == 200, answer.head
        cursor = answer.headers["feedmirror-cursor"]
        for number in map(int, _NUMBER.findall(plain_body(answer))):
            assert number not in given, f"item {number} was given twice"
            if number >= first:
                given[number] = now
    caller.close()


def head_of(address: str) -> str:
    """The cursor of somebody who has everything."""
    caller = Caller(address)
    try:
        return caller.ask("/update?timestamp=0&limit=1").headers["feedmirror-head"]
    finally:
        caller.close()


def plain_body(answer: Answer) -> bytes:
    return gzip.decompress(answer.body) if answer.headers.get("content-encoding") == "gzip" else answer.body


# -- whether all


@dataclass
class Burst:
    """What all clients saw together."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    exact: int = 0
    received: int = 0
    # each distinct answer once: they are many, and mostly the same
    answers: dict[bytes, Answer] = field(default_factory=dict)


@dataclass
class _Client:
    """One page that was away: where it stands, and the answers that it got."""

    cursor: str
    got: list[Answer] = field(default_factory=list)
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None


def burst(address: str, uri: str, *, first: int, say: Callable[[str], None]) -> Burst:
    """Have CLIENTS come back at once, while items arrive."""
    connection = Connection(uri, timeout_s=20)
    storage = Storage(connection.database())
    cursor = head_of(address)
    store(storage, BEFORE, first=first, portion=_PORTION)
    final = asyncio.Event()
    seen = Burst()
    clients = [_Client(cursor) for _ in range(CLIENTS)]

    def arrive() -> None:
        for start in range(0, MEANWHILE, _PORTION):
            store(storage, _PORTION, first=first + BEFORE + start, portion=_PORTION)
            say(f"items stored: {start} of {MEANWHILE}")
            time.sleep(_PORTION_EVERY_S)

    async def run() -> None:
        async def arriving() -> None:
            await asyncio.to_thread(arrive)
            final.set()

        await asyncio.wait_for(
            asyncio.gather(arriving(), *(_follow(one, address, seen, final) for one in clients)), 120
        )

    asyncio.run(run())
    found = connection.database()["items"].find({"fetched": {"$gt": round(float(cursor) * 1e6)}}, {"_id": 1})
    expected = [document["_id"] for document in found.sort("fetched", 1)]
    connection.close()
    assert len(expected) == BEFORE + MEANWHILE
    given = {id(answer): _ids(answer) for answer in seen.answers.values()}
    for client in clients:
        ids = [one for answer in client.got for one in given[id(answer)]]
        seen.exact += ids == expected
    return seen


async def _follow(client: _Client, address: str, seen: Burst, final: asyncio.Event) -> None:
    """Ask until nothing is left after the last item was stored."""
    while True:
        was_final = final.is_set()
        before = time.perf_counter()
        try:
            answer = await _ask(client, address)
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.failures.append(repr(error))
            client.streams = None
            await asyncio.sleep(_AGAIN_S)
            continue
        seen.seconds.append(time.perf_counter() - before)
        if answer.status != 200:
            seen.failures.append(str(answer.status))
            await asyncio.sleep(_AGAIN_S)
            continue
        seen.received += answer.size
        headers = answer.headers
        client.cursor = headers["feedmirror-cursor"]
        client.got.append(seen.answers.setdefault(answer.body, answer))
        if "link" in headers:
            continue
        if was_final:
            break
        await asyncio.sleep(_AGAIN_S)
    if client.streams is not None:
        client.streams[1].close()


async def _ask(client: _Client, address: str) -> Answer:
    if client.streams is None:
        host, _, port = address.removeprefix("http://").partition(":")
        client.streams = await asyncio.open_connection(host, int(port), limit=1 << 20)
    reader, writer = client.streams
    writer.write(request(f"/update?timestamp={client.cursor}", HEADERS))
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(Answer(head, b"").headers["content-length"])
    answer = parsed(head + await reader.readexactly(length))
    assert answer is not None
    if closes(answer):
        writer.close()
        client.streams = None
    return answer


def _ids(answer: Answer) -> list[str]:
    """Which items it carries, the oldest first."""
    items: list[dict[str, Any]] = json.loads(plain_body(answer))
    return [item["_id"] for item in reversed(items)]


def summary(seconds: list[float]) -> str:
    p50, p99 = latencies(seconds)
    return f"{1000 * p50:.0f} ms (p50), {1000 * p99:.0f} ms (p99), {1000 * max(seconds):.0f} ms at most"
