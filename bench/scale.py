"""Ten thousand sources, each due every five minutes, 2 % of them failing: what it takes, and how late polls are.

    python -m bench.scale [SECONDS]         600 by default, after every source was seen once

The real thing: a Celery worker with beat, MongoDB, and publishers on loopback in a process of their own. Each source
has a politeness group of its own, as sources on hosts of their own have. One in fifty fails, in all the ways of
`bench.publisher.FAILURES`; of the others each has something new once an hour, and says 304 otherwise.

A poll is late by the time from the moment at which its source was due to that at which its request reaches the
publisher. Prints the shares of a core, lateness, memory, and how many polls there were.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench import publisher
from bench.peers import BUILD, ROOT
from bench.poll import cpu_of
from feedmirror import mongod
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.models import Source
from feedmirror.parent import end_with_parent

SOURCES = 10_000
EVERY_S = 300
ONE_FAILS_IN = 50
SECONDS = 600
SAMPLE_S = 10
LATE_S = 5.0
LOG = BUILD / "bench-scale.log"


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data_dir=Path(directory))
        with mongod.running(settings) as database, publisher.running() as address:
            assert database is not None
            connection = Connection(settings.database_uri, timeout_s=60)
            sources = [source(number, address) for number in range(SOURCES)]
            write_file(sources, Path(directory) / "sources.toml")
            with worker(settings, Path(directory)) as process:
                measure(connection, database.process.pid, process.pid, address, seconds)
            connection.close()


def source(number: int, address: str) -> Source:
    kinds = sorted(publisher.FAILURES)
    if number % ONE_FAILS_IN == 0:
        path = f"fails/{kinds[number // ONE_FAILS_IN % len(kinds)]}/{number}"
    else:
        path = f"rare/{number}"
    return Source(id="", name=f"Feed {number}", url=f"{address}/{path}", group=f"host {number}")


def write_file(sources: Iterable[Source], path: Path) -> None:
    """The sources as an operator would write them."""
    common = f'every = "{EVERY_S}s"\nprivate = true\n'
    tables = (f'[[source]]\nname = "{one.name}"\nurl = "{one.url}"\ngroup = "{one.group}"\n{common}' for one in sources)
    path.write_text("\n".join(tables), "utf-8")


@contextmanager
def worker(settings: Settings, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The worker that users run."""
    environment = {
        **os.environ,
        "MONGODB_URI": settings.database_uri,
        "FEEDMIRROR_SOURCES": str(directory / "sources.toml"),
        "FEEDMIRROR_DATA": str(directory),
    }
    command = [sys.executable, "-m", "celery", "-A", "stack_scrap", "worker", "-B", "--loglevel=ERROR"]
    with LOG.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, preexec_fn=end_with_parent
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def measure(connection: Connection, mongod_pid: int, worker_pid: int, address: str, seconds: int) -> None:
    database = connection.database()
    began = time.monotonic()
    while (seen := database["sources"].count_documents({"looks.last_at": {"$exists": True}})) < SOURCES:
        say(f"first looks: {seen:,} of {SOURCES:,}")
        time.sleep(2)
    say("")
    print(f"every source was seen once after {time.monotonic() - began:.0f} s")
    spread(database)
    # a round with everything in its place, so that what the first looks left behind is not measured
    wait(60, "settling")
    pids = tree(worker_pid)
    before = {pid: cpu_of(pid) for pid in (*pids, mongod_pid)}
    began, asked_before = time.time(), requests(address)
    dues: dict[str, set[float]] = {}
    most = 0
    while (left := began + seconds - time.time()) > 0:
        say(f"measuring: {left:.0f} s left")
        sample(database, dues)
        most = max(most, sum(memory_of(pid) for pid in tree(worker_pid)))
        time.sleep(min(SAMPLE_S, max(left, 0)))
    taken = time.time() - began
    say("")
    after = {pid: cpu_of(pid) for pid in (*tree(worker_pid), mongod_pid)}
    ours = sum(cpu - before.get(pid, 0) for pid, cpu in after.items() if pid != mongod_pid)
    late = lateness(address, dues, began)
    print(f"{SOURCES:,} sources every {EVERY_S} s, 1 in {ONE_FAILS_IN} failing, for {taken:.0f} s")
    print(f"  polls            {len(late):,} of healthy sources, {requests(address) - asked_before:,} requests in all")
    theirs = after[mongod_pid] - before[mongod_pid]
    print(f"  share of a core  {ours / taken:.2f} the worker, {theirs / taken:.2f} MongoDB")
    ordered = sorted(late)
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    print(
        f"  late by          {p50:.2f} s (p50), {p99:.2f} s (p99; wanted below {LATE_S:g}), {ordered[-1]:.2f} s at most"
    )
    print(
        f"  memory           {most / 1e6:.0f} MB the worker's processes, {memory_of(mongod_pid) / 1e6:.0f} MB MongoDB"
    )
    kinds = database["sources"].aggregate(
        [{"$group": {"_id": "$looks.failure", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
    )
    print("  failing          " + ", ".join(f"{kind['_id']} {kind['n']}" for kind in kinds if kind["_id"]))
    print(f"  items            {database['items'].estimated_document_count():,}")


def spread(database: Any) -> None:
    """Let the sources be due evenly over the next interval, as they are after some hours."""
    now = datetime.now(UTC)
    for one in database["sources"].find({"lease": None}, {"_id": 1}):
        due_at = now + timedelta(seconds=random.random() * EVERY_S)
        database["sources"].update_one({"_id": one["_id"], "lease": None}, {"$set": {"due_at": due_at}})


def sample(database: Any, dues: dict[str, set[float]]) -> None:
    """Note when each source that rests is due."""
    wanted = {"lease": None, "looks.failures": 0}
    for one in database["sources"].find(wanted, {"source.url": 1, "due_at": 1}):
        dues.setdefault(one["source"]["url"].rpartition("/")[2], set()).add(one["due_at"].timestamp())


def lateness(address: str, dues: dict[str, set[float]], since: float) -> list[float]:
    """By how many seconds each poll of a healthy source was late, of those whose due moment was seen."""
    with urlopen(f"{address}/times") as answer:
        times: dict[str, list[float]] = json.load(answer)
    late = []
    for number, arrivals in times.items():
        for arrival in arrivals:
            # a millisecond: what MongoDB keeps of a time
            seen = [due for due in dues.get(number, ()) if due - 0.001 <= arrival]
            if arrival >= since + SAMPLE_S and seen and arrival - max(seen) < EVERY_S:
                late.append(max(arrival - max(seen), 0))
    return late


def requests(address: str) -> int:
    with urlopen(f"{address}/asked") as answer:
        return int(answer.read())


def tree(pid: int) -> list[int]:
    """A process and those that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    return [pid, *(one for child in children for one in tree(int(child)))]


def memory_of(pid: int) -> int:
    """Bytes that this process has for itself and its part of what it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def wait(seconds: float, why: str) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        say(f"{why}: {left:.0f} s left")
        time.sleep(min(1, left))
    say("")


def say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:60}\r{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
