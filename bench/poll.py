"""How fast feeds are polled, against lemon24/reader and against a plain script, in one run on one machine.

    python -m bench.poll

One process polls each time, as one worker process does: ours with its threads, reader with whichever number of threads
is the fastest for it, the script one feed after the other, as such scripts do. All ask the same loopback server, which
is a process of its own. What is stored goes to MongoDB (ours and the script's) or to SQLite within the process
(reader's). Each side sees each feed once before, and the look after that is measured:

    unchanged   the publisher says 304 to those who ask properly
    moving      other bytes, the same entries
    new         each feed has 30 entries that nobody has seen

Prints feeds a second, items stored a second of CPU (of the polling process, and with MongoDB's), and the ratios.
"""

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import urlopen

from bench import peers, publisher

ROUNDS = 3
# Enough feeds for some seconds of work for each side.
FEEDS = {"same": 300, "moving": 100, "new": 60}
CASES = {"same": "unchanged", "moving": "moving", "new": "new"}
# What is asked of us.
WANTED = {"same": 1.5, "new": 8.0}
THREADS = 32


@dataclass(frozen=True)
class Pass:
    """One look at all feeds: wall-clock seconds, CPU seconds of the process, and how many items it stored."""

    seconds: float
    cpu_s: float
    items: int
    mongod_cpu_s: float = 0.0


def main() -> None:
    if sys.argv[1:2] == ["--side"]:
        side, case, address = sys.argv[2:5]
        print(json.dumps(SIDES[side](case, [f"{address}/{case}/{number}" for number in range(FEEDS[case])])))
        return
    peers.make()
    from feedmirror import mongod
    from feedmirror.config import Settings

    with (
        tempfile.TemporaryDirectory() as directory,
        mongod.running(Settings(data_dir=Path(directory))) as database,
        publisher.running() as address,
    ):
        assert database is not None
        os.environ["MONGODB_URI"] = database.uri
        os.environ["BENCH_MONGOD"] = str(database.process.pid)
        for case in CASES:
            compare(case, {side: best(side, case, address) for side in SIDES})


def best(side: str, case: str, address: str) -> Pass:
    """The best of some rounds: what else the machine does only ever adds."""
    python = peers.PYTHON if side.startswith("reader") else Path(sys.executable)
    command = (python, "-m", "bench.poll", "--side", side, case, address)
    return min((Pass(**json.loads(peers.output(*command))) for _ in range(ROUNDS)), key=lambda one: one.seconds)


def compare(case: str, passes: dict[str, Pass]) -> None:
    """Print how all fared with these feeds."""
    feeds = FEEDS[case]
    print(f"{CASES[case]}: {feeds} feeds")
    for side, one in passes.items():
        line = f"  {side:26}{feeds / one.seconds:9,.0f} feeds/s{1000 * one.cpu_s / feeds:9.2f} ms CPU a feed"
        if one.items:
            line += f"{one.items / one.cpu_s:9,.0f} items/s of CPU"
        if one.items and one.mongod_cpu_s:
            line += f", {one.items / (one.cpu_s + one.mongod_cpu_s):,.0f} with MongoDB's"
        print(line)
    ours = passes["feedmirror"]
    reader = min((one for side, one in passes.items() if side.startswith("reader")), key=lambda one: one.seconds)
    for name, theirs in {"reader": reader, "the plain script": passes["plain script"]}.items():
        ratio = f"  {theirs.seconds / ours.seconds:.1f} times as fast as {name}"
        if ours.items:
            ratio += f"; items a second of CPU {theirs.cpu_s / ours.cpu_s:.1f} times"
        print(ratio)
    if case in WANTED:
        print(f"  (wanted: {WANTED[case]:g} times reader)")


def measured(run: Callable[[], int], urls: list[str]) -> dict[str, Any]:
    """How long one pass over these took; `run` returns how many items it stored."""
    mongod = int(os.environ["BENCH_MONGOD"])
    asked = requests_to(urls[0])
    before, cpu, theirs = time.perf_counter(), time.process_time(), cpu_of(mongod)
    items = run()
    taken = {
        "seconds": time.perf_counter() - before,
        "cpu_s": time.process_time() - cpu,
        "items": items,
        "mongod_cpu_s": cpu_of(mongod) - theirs,
    }
    # who keeps to a schedule of its own is fast by not asking
    assert requests_to(urls[0]) - asked == len(urls)
    return taken


def requests_to(url: str) -> int:
    """How many requests the publisher has had."""
    with urlopen(urljoin(url, "/asked")) as answer:
        return int(answer.read())


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- the sides


def feedmirror(case: str, urls: list[str]) -> dict[str, Any]:
    """As a worker process does it: claimed and begun as its crew has threads, under the limits of a group each."""
    from dataclasses import replace

    from feedmirror.config import Settings
    from feedmirror.db import Connection
    from feedmirror.models import Source
    from feedmirror.poll import Poller
    from feedmirror.storage import Storage

    settings = replace(Settings.from_environ(), threads=THREADS)
    connection = Connection(settings.database_uri, timeout_s=20)
    database = connection.database()
    database.client.drop_database(database.name)
    storage = Storage(database).prepare()
    logging.disable(logging.WARNING)  # windows are lost on purpose here
    poller = Poller(storage, settings)
    sources = [
        Source(id=f"s{place}", name=f"Feed {place}", url=url, private=True, group=f"group {place}", every_s=60)
        for place, url in enumerate(urls)
    ]
    storage.sources.synchronise(sources, [])

    def look() -> int:
        crew = poller.crew()
        futures = []
        take = crew.take
        crew.take = lambda watched: futures.append(take(watched))
        poller.poll_due(crew, for_s=600)
        crew.close()
        outcomes = [future.result().outcome for future in futures]
        assert len(outcomes) == len(urls)
        assert all(outcome.ok for outcome in outcomes)
        return sum(len(outcome.new) for outcome in outcomes)

    look()
    database["sources"].update_many(
        {}, [{"$set": {"due_at": {"$dateSubtract": {"startDate": "$$NOW", "unit": "second", "amount": 1}}}}]
    )
    taken = measured(look, urls)
    connection.close()
    return taken


def reader(threads: int) -> Callable[[str, list[str]], dict[str, Any]]:
    """lemon24/reader, with its own storage in a file."""

    def run(case: str, urls: list[str]) -> dict[str, Any]:
        from reader import make_reader

        with tempfile.TemporaryDirectory() as directory:
            reader = make_reader(f"{directory}/reader.sqlite")
            for url in urls:
                reader.add_feed(url)

            def look() -> int:
                before = reader.get_entry_counts().total
                reader.update_feeds(scheduled=False, workers=threads)  # whether or not it is time
                return int(reader.get_entry_counts().total - before)

            look()
            taken = measured(look, urls)
            assert all(feed.last_exception is None for feed in reader.get_feeds())
            reader.close()
        return {**taken, "mongod_cpu_s": 0}

    return run


def plain_script(case: str, urls: list[str]) -> dict[str, Any]:
    """What one writes in an evening: one request after the other, one insert an entry, until one is known."""
    import requests
    from lxml import etree
    from pymongo import MongoClient
    from pymongo.errors import DuplicateKeyError

    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"])
    client.drop_database("plain")
    collection = client["plain"]["items"]
    names = {"a": "http://www.w3.org/2005/Atom"}

    def look() -> int:
        stored = 0
        for url in urls:
            root = etree.fromstring(requests.get(url, timeout=20).content)
            for entry in root.xpath("//a:entry", namespaces=names):
                document = {
                    "_id": entry.xpath("string(a:link/@href)", namespaces=names),
                    "title": entry.xpath("string(a:title)", namespaces=names),
                    "author": entry.xpath("string(a:author/a:name)", namespaces=names),
                    "summary": entry.xpath("string(a:summary)", namespaces=names),
                    "tags": entry.xpath("a:category/@term", namespaces=names),
                    "published": entry.xpath("string(a:published)", namespaces=names),
                    "fetched": time.time(),
                }
                try:
                    collection.insert_one(document)
                except DuplicateKeyError:
                    break
                stored += 1
        return stored

    look()
    return measured(look, urls)


SIDES: dict[str, Callable[[str, list[str]], dict[str, Any]]] = {
    "feedmirror": feedmirror,
    "reader, 1 thread": reader(1),
    f"reader, {THREADS} threads": reader(THREADS),
    "plain script": plain_script,
}


if __name__ == "__main__":
    main()
