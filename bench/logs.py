"""How much a busy installation writes into its logs: a hundred sources polled every second, each with news each time.

    python -m bench.logs [SECONDS]          120 by default, after every source was polled once

The real thing: a Celery worker with beat and two processes, the site, MongoDB, and a publisher on loopback in a
process of its own. Prints what each log grew by, an hour, with the kinds of lines that most of it is.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import publisher
from bench.peers import ROOT
from bench.poll import cpu_of
from feedmirror import mongod
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.parent import end_with_parent

SOURCES = 100
SECONDS = 120
# Kinds that are shown.
MOST = 12
WORKER = ["-m", "celery", "-A", "stack_scrap", "worker", "-B", "--concurrency=2", "--loglevel=INFO"]


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        settings = Settings(data_dir=data)
        with mongod.running(settings) as database, publisher.running() as address:
            assert database is not None
            tables = (
                f'[[source]]\nname = "Feed {number}"\nurl = "{address}/busy/{number}"\n'
                f'group = "host {number}"\nevery = "1s"\nprivate = true\n'
                for number in range(SOURCES)
            )
            (data / "sources.toml").write_text("\n".join(tables), "utf-8")
            connection = Connection(settings.database_uri, timeout_s=20)
            environment = {
                "MONGODB_URI": settings.database_uri,
                "FEEDMIRROR_SOURCES": str(data / "sources.toml"),
                "FEEDMIRROR_DATA": str(data),
                "PORT": str(free_port()),
            }
            logs = [data / "worker.log", data / "site.log"]
            with started(WORKER, logs[0], environment), started(["site.py"], logs[1], environment):
                measure(connection, database, logs, seconds)
            connection.close()


@contextmanager
def started(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A program that users run."""
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def measure(connection: Connection, database: mongod.Mongod, logs: Iterable[Path], seconds: int) -> None:
    items, sources = connection.database()["items"], connection.database()["sources"]
    while sources.count_documents({"looks.last_at": {"$exists": True}}) < SOURCES:
        time.sleep(0.5)
    stored, cpu = items.estimated_document_count(), cpu_of(database.process.pid)
    sizes = {log: log.stat().st_size for log in (database.log, *logs)}
    began = time.monotonic()
    time.sleep(seconds)
    taken = time.monotonic() - began
    stored = items.estimated_document_count() - stored
    cpu = cpu_of(database.process.pid) - cpu
    print(f"{SOURCES} sources for {taken:.0f} s: {stored / taken:.0f} items/s, {cpu / taken:.2f} of a core MongoDB")
    for log, size in sizes.items():
        with log.open("rb") as written:
            written.seek(size)
            report(log.name, written.read().splitlines(), taken)


def report(name: str, lines: list[bytes], taken: float) -> None:
    hourly = 3600 / taken / 1e6
    sizes, counts = Counter[str](), Counter[str]()
    for line in lines:
        kind = kind_of(line)
        sizes[kind] += len(line) + 1
        counts[kind] += 1
    print(f"{name}: {sizes.total() * hourly:.3f} MB an hour, {counts.total()} lines")
    for kind, size in sizes.most_common(MOST):
        print(f"  {size * hourly:9.3f} MB an hour {counts[kind]:7} lines  {kind}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def kind_of(line: bytes) -> str:
    """What lines of a kind have in common: MongoDB numbers its messages, ours begin with a time."""
    try:
        entry = json.loads(line)
        return f"{entry['id']} {entry['c']} {entry['msg']}"
    except (ValueError, KeyError, TypeError):
        text = line.decode("utf-8", "replace")
        return re.sub(r"\d+", "N", text.partition("] ")[2] or text)[:60]


if __name__ == "__main__":
    main()
