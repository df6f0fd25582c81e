"""How fast polls are answered, against the limit of the server and against a plain handler, in one run on one machine.

    python -m bench.update [--ten-million]      the same with ten million items stored, which takes half an hour

Everything is on loopback: MongoDB, the servers (a process each), and wrk, which asks all of them over as many
connections that stay open. What is compared is asked in turn, some rounds of each, and the best round of each counts.
Absolute figures are those of this machine, on which wrk and MongoDB run as well; the ratios are what to look at.

    nothing new   pages that have everything, which is what nearly every poll is
    stored        the same with few and many items stored, and what MongoDB has to do for it
    arriving      from the commit of an item to the first answer that carries it; a burst of pages that were away
    filtered      polls that ask for a part of the stream
    bytes         what goes over the wire
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from time import sleep
from typing import Any

from bench import arriving, servers
from bench.load import Asked, Caller, Load, in_turn, load, loaded, require_wrk
from bench.stored import cpu_model, store
from feedmirror import mongod
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.storage import Storage

FEW, MANY, MOST = 1_000, 100_000, 10_000_000
# Many and short: a machine that has other things to do is seldom left alone for long.
ROUNDS = 6
SECONDS = 1.0
WARM_UP_S = 1.0
WATCHED_S = 5.0
# What is asked of us.
WANTED_OF_BARE = 0.8
WANTED_OF_PLAIN = 5.0
WANTED_FILTERED = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.update", description="How fast polls are answered.")
    parser.add_argument("--ten-million", action="store_true", help="with so many items stored as well")
    arguments = parser.parse_args()
    require_wrk()
    sizes = (FEW, MANY, MOST) if arguments.ten_million else (FEW, MANY)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with mongod.running(Settings(data_dir=directory)) as database:
            assert database is not None
            print(f"{cpu_model()}, shared with wrk and MongoDB")
            uris = {size: named(database.uri, f"items_{size}") for size in sizes}
            for size, uri in uris.items():
                fill(uri, size)
            nothing_new(uris[FEW], directory)
            stored(uris, directory)
            filtered(uris[FEW], directory)
            arrive(uris[FEW], directory)


def named(uri: str, database: str) -> str:
    """The same server with this database."""
    head, _, options = uri.partition("?")
    return f"{head.rpartition('/')[0]}/{database}?{options}"


def fill(uri: str, size: int) -> None:
    connection = Connection(uri, timeout_s=60)
    store(Storage(connection.database()).prepare(), size, say=say)
    connection.close()
    say("")


# -- what is measured


def nothing_new(uri: str, directory: Path) -> None:
    """Pages that have everything, against cheroot itself and against the plain handler."""
    with ExitStack() as stack:
        ours = stack.enter_context(servers.site(uri, directory))
        bare = stack.enter_context(servers.bare(directory))
        plain = stack.enter_context(servers.plain(uri, directory))
        path = f"/update?timestamp={arriving.head_of(ours)}"
        warm_up(ours, bare, plain, path=path)
        etag = Caller(ours).ask(path).headers["etag"]
        seen = compared(
            {
                "site.py": Asked(ours, path),
                "site.py, 304": Asked(ours, path, headers={"If-None-Match": etag}),
                "bare cheroot": Asked(bare, path),
                "the plain handler": Asked(plain, path),
            }
        )
        print("nothing new, python site.py")
        table(seen, "bare cheroot")
        us = seen["site.py"].per_s
        print(f"  {us / seen['bare cheroot'].per_s:.2f} of bare cheroot (wanted: {WANTED_OF_BARE:g})")
        print(f"  {us / seen['the plain handler'].per_s:.1f} times the plain handler (wanted: {WANTED_OF_PLAIN:g})")
        wire(ours, path, etag)


def wire(address: str, path: str, etag: str) -> None:
    """Bytes of answers, as they come."""
    caller = Caller(address)
    print("bytes on the wire, of the answer")
    empty = caller.ask(path)
    same = caller.ask(path, {"If-None-Match": etag, "Accept-Encoding": "gzip"})
    assert same.status == 304
    for name, answer in {"nothing new": empty, "nothing new, 304": same}.items():
        print(f"  {name:24}{len(answer.head):7,} head{len(answer.body):9,} body")
    everything = "/update?timestamp=0.000001&limit=100"
    for name, encoding in {"100 items": "identity", "100 items, gzip": "gzip"}.items():
        answer = caller.ask(everything, {"Accept-Encoding": encoding})
        each = f"{answer.size / 100:,.0f} an item"
        print(f"  {name:24}{len(answer.head):7,} head{len(answer.body):9,} body, {each}")
    caller.close()


def stored(uris: Mapping[int, str], directory: Path) -> None:
    """Whether it matters how much there is, and what MongoDB does while pages poll."""
    with ExitStack() as stack:
        sites = {size: stack.enter_context(servers.site(uri, directory)) for size, uri in uris.items()}
        asked = {
            f"{size:,} items": Asked(address, f"/update?timestamp={arriving.head_of(address)}")
            for size, address in sites.items()
        }
        for one in asked.values():
            warm_up(one.address, path=one.path)
        seen = compared(asked)
    first = f"{FEW:,} items"
    print("nothing new, by what is stored")
    table(seen, first)
    size, uri = max(uris.items())
    with servers.site(uri, directory) as address:
        head = arriving.head_of(address)
        warm_up(address, path=f"/update?timestamp={head}")
        connection = Connection(uri, timeout_s=20)
        database = connection.database()
        idle = operations(database, lambda: sleep(WATCHED_S))
        with loaded(Asked(address, "/update?timestamp=", "follow", head), 4 * WATCHED_S) as polled:
            busy = operations(database, lambda: sleep(WATCHED_S))
        connection.close()
    print(f"MongoDB's operations in {WATCHED_S:g} s, {size:,} items stored")
    beside = f"at {polled[0].per_s:,.0f} polls/s"
    for name, done in {"without polls": idle, beside: busy}.items():
        print(f"  {name:24}{told(done)}")
    print("  (wanted: no query; getmore is the change stream, command the drivers' heartbeats)")


def operations(database: Any, meanwhile: Callable[[], None]) -> dict[str, int]:
    """What MongoDB was asked for meanwhile, by kind; this question itself is not counted."""
    before = database.command("serverStatus")["opcounters"]
    meanwhile()
    after = database.command("serverStatus")["opcounters"]
    done = {kind: after[kind] - before[kind] for kind in ("query", "getmore", "command", "insert", "update", "delete")}
    return {**done, "command": done["command"] - 1}


def told(done: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in done.items() if count or kind == "query")


def filtered(uri: str, directory: Path) -> None:
    """Pages that ask for a part of the stream, with a cursor below everything; each question is a new one."""
    with servers.site(uri, directory) as address:
        path = "/update?timestamp=0.000001"
        warm_up(address, path=path)
        parts = {
            "everything": path,
            "a source": f"{path}&source=s1",
            "a tag": f"{path}&tag=only-{FEW // 2}",
            "words": f"{path}&q=only-{FEW - 1}",
            "words of many": f"{path}&q=fox",
        }
        asked = {name: Asked(address, part, "apart") for name, part in parts.items()}
        seen = compared({**asked, "everything, again": Asked(address, path)})
    print(f"filtered, {FEW:,} items after the cursor, 100 of them an answer, gzip")
    table(seen, "everything")
    print(f"  (wanted: {1 / WANTED_FILTERED:g})")


def arrive(uri: str, directory: Path) -> None:
    """Items that come while pages poll."""
    with servers.site(uri, directory) as address:
        warm_up(address, path=f"/update?timestamp={arriving.head_of(address)}")
        print("from the commit of an item to the first answer that carries it")
        first = FEW
        for name, busy in {"one page": False, "under full load": True}.items():
            seconds, polled = arriving.delays(address, uri, first=first, busy=busy, say=say)
            first += arriving.ITEMS
            say("")
            beside = f", {polled.per_s:,.0f} polls/s beside" if polled else ""
            print(f"  {name:24}{arriving.summary(seconds)}{beside}")
        print(f"  (wanted: {1000 * arriving.WANTED_P99_S:g} ms, p99)")
        seen = arriving.burst(address, uri, first=first, say=say)
        say("")
    missed, more = arriving.BEFORE, arriving.MEANWHILE
    print(f"{arriving.CLIENTS} pages come back at once, {missed} items behind, while {more:,} more arrive")
    print(f"  {seen.exact} of {arriving.CLIENTS} have every item once and in order, {len(seen.failures)} failures")
    print(f"  {len(seen.seconds):,} answers, {seen.received / 1e6:,.0f} MB: {arriving.summary(seen.seconds)}")
    for failure in sorted(set(seen.failures)):
        print(f"  {seen.failures.count(failure)} times {failure}")


# -- asking and telling


def compared(asked: Mapping[str, Asked]) -> dict[str, Load]:
    seen = in_turn(asked, rounds=ROUNDS, seconds=SECONDS, say=say)
    say("")
    return seen


def warm_up(*addresses: str, path: str) -> None:
    """Ask everybody for a while, ours until its window is there."""
    for address in addresses:
        say(f"warming up: {address}")
        load(Asked(address, path), WARM_UP_S)
    say("")


def table(seen: Mapping[str, Load], against: str) -> None:
    base = seen[against].per_s
    for name, one in seen.items():
        p50, p99 = 1000 * one.p50_s, 1000 * one.p99_s
        share = "" if name == against else f"{one.per_s / base:8.2f} of {against}"
        print(f"  {name:24}{one.per_s:9,.0f} polls/s{p50:8.2f} ms (p50){p99:8.2f} ms (p99){share}")


def say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:60.60}\r{text[:60]}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
