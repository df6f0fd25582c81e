"""How fast polls are answered, against the limits of the servers and a plain handler, in one run on one machine.

    python -m bench.update [--ten-million]      the same with ten million items stored, which takes half an hour

Everything is on loopback: MongoDB, the servers, and wrk, which asks all of them over as many connections that stay
open. What is compared is asked in turn, some rounds of each, and the best round of each counts. Absolute figures are
those of this machine, on which wrk and MongoDB run as well; the ratios are what to look at. `CPU` is what the server's
processes calculate for an answer: other load does not enter into it, nor does what wrk itself needs.

    site.py       pages that have everything, which is what nearly every poll is: python site.py
    serve         the same in two processes under granian, and what an answer there is made of
    nginx         the same behind deploy/nginx.conf
    stored        the same with few and many items stored, and what MongoDB has to do for it
    filtered      polls that ask for a part of the stream
    beginning     how long a server that begins takes until it can answer from memory, while all pages come back
    arriving      from the commit of an item to the first answer that carries it; a burst of pages that were away

Names of these run only them.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from bench import arriving, servers
from bench.load import (
    MANY_CONNECTIONS,
    Answer,
    Asked,
    Caller,
    Load,
    Server,
    allow_connections,
    in_turn,
    load,
    loaded,
    require,
)
from bench.stored import cpu_model, store, store_directly, wait_for
from feedmirror import mongod
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.storage import Storage
from feedmirror.web.assembled import assemble

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

FEW, MANY, MOST = 1_000, 100_000, 10_000_000
# Of more, all but the last thousand are written directly: a hundred thousand take a minute as polls store them.
STORED_AT_MOST = 1_000_000
# Many and short: a machine that has other things to do is seldom left alone for long.
ROUNDS = 10
SECONDS = 1.0
WARM_UP_S = 1.0
# Open pages; in a round of so many connections, the second that it takes to open them must not decide.
PAGES = 5_000
PAGES_ROUNDS = 4
PAGES_S = 5.0
CALLS = 20_000
# A server that has just begun is asked for so long at most.
BEGIN_S = 30.0
# What is asked of us.
WANTED_OF_BARE = 0.8
WANTED_OF_PLAIN = 5.0
WANTED_OF_STATIC = 0.7
WANTED_FILTERED = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.update", description="How fast polls are answered.")
    parser.add_argument("--ten-million", action="store_true", help="with so many items stored as well")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only some of: {', '.join(PARTS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    require("wrk", "nginx", "taskset")
    allow_connections(PAGES)
    parts = dict(PARTS)
    if arguments.ten_million:
        parts["stored"] = partial(stored, sizes=(FEW, MANY, MOST))
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        with mongod.running(Settings(data_dir=directory)) as database:
            assert database is not None
            print(f"{cpu_model()}, shared with wrk and MongoDB")
            few = named(database.uri, f"items_{FEW}")
            fill(few, FEW)
            for name in arguments.parts or parts:
                parts[name](few, directory)


def named(uri: str, database: str) -> str:
    """The same server with this database."""
    head, _, options = uri.partition("?")
    return f"{head.rpartition('/')[0]}/{database}?{options}"


def fill(uri: str, size: int) -> None:
    began = perf_counter()
    connection = Connection(uri, timeout_s=600)
    storage = Storage(connection.database())
    written = size - FEW if size > STORED_AT_MOST else 0
    if written:
        store_directly(connection.database(), written, say=say)
        say("making the indexes")
    storage.prepare()
    store(storage, size - written, first=written, say=say)
    statistics = connection.database().command("dbStats", scale=1_000_000)
    connection.close()
    say("")
    disk = statistics["storageSize"] + statistics["indexSize"]
    print(f"{size:,} items stored in {perf_counter() - began:,.0f} s, {disk:,.0f} MB on disk", flush=True)


# -- nothing new


def under_site(uri: str, directory: Path) -> None:
    """Pages that have everything, against cheroot itself and against the plain handler."""
    for one_core in (False, True):
        with ExitStack() as stack:
            ours = stack.enter_context(servers.site(uri, directory, one_core=one_core))
            bare = stack.enter_context(servers.bare(directory, one_core=one_core))
            plain = stack.enter_context(servers.plain(uri, directory, one_core=one_core))
            path = up_to_date(ours)
            warm_up(ours, bare, plain, path=path)
            etag = Caller(ours.address).ask(path).headers["etag"]
            seen = compared(
                {
                    "site.py": Asked(ours, path),
                    "site.py, 304": Asked(ours, path, headers={"If-None-Match": etag}),
                    "bare cheroot": Asked(bare, path),
                    "the plain handler": Asked(plain, path),
                }
            )
            # threads that hand the interpreter to each other do so faster where they are
            print(f"nothing new, python site.py{', each server kept to one core' if one_core else ''}")
            table(seen, "bare cheroot")
            us, plainly = seen["site.py"], seen["the plain handler"]
            print(f"  (wanted: {WANTED_OF_BARE:g})")
            times = f"{us.per_s / plainly.per_s:.1f} times the plain handler, {plainly.cpu_us / us.cpu_us:.1f} by CPU"
            print(f"  {times} (wanted: {WANTED_OF_PLAIN:g})")
            if not one_core:
                wire(ours, path, etag)


def wire(server: Server, path: str, etag: str) -> None:
    """Bytes of answers, as they come."""
    caller = Caller(server.address)
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


def under_granian(uri: str, directory: Path) -> None:
    """The same in several processes, against granian itself; and what the difference is made of."""
    with ExitStack() as stack:
        ours = stack.enter_context(servers.serve(uri, directory))
        path = up_to_date(ours)
        warm_up(ours, path=path)
        answer = Caller(ours.address).ask(path)
        bare = stack.enter_context(servers.bare_processes(directory))
        alike = stack.enter_context(servers.bare_processes(directory, answer))
        warm_up(bare, alike, path=path)
        asked = {
            "make serve": ours,
            "bare granian": bare,
            "the same, our headers": alike,
        }
        seen = compared({name: Asked(one, path, connections=MANY_CONNECTIONS) for name, one in asked.items()})
    print(f"nothing new, make serve, {servers.PROCESSES} processes")
    table(seen, "bare granian")
    print(f"  (wanted: {WANTED_OF_BARE:g})")
    calls = called(uri, path, answer)
    print("without a server, a call")
    for name, seconds in calls.items():
        print(f"  {name:24}{1e6 * seconds:9.2f} µs")


def called(uri: str, path: str, answer: Answer) -> dict[str, float]:
    """Seconds that the application takes by itself, and one that always answers the same."""
    site = assemble(Settings(mongodb_uri=uri))
    site.start()
    try:
        wait_for(lambda: site.follower.is_live, "the window")
        constant = servers.always(list(answer.headers.items()), answer.body)
        applications: dict[str, WSGIApplication] = {"ours": site.application, "a constant": constant}
        return {name: seconds_a_call(one, path) for name, one in applications.items()}
    finally:
        site.stop()


def seconds_a_call(application: "WSGIApplication", path: str) -> float:
    """The best of some rounds."""
    place, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": place,
        "QUERY_STRING": query,
        "HTTP_ACCEPT_ENCODING": "gzip",
        "wsgi.url_scheme": "http",
    }
    started: list[object] = []

    def start(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
        started[:] = [status, headers]
        return started.append

    best = float("inf")
    for _ in range(ROUNDS):
        began = perf_counter()
        for _ in range(CALLS):
            application(environ, start)
        best = min(best, (perf_counter() - began) / CALLS)
    assert started[0] == "200 OK"
    return best


def behind_nginx(uri: str, directory: Path) -> None:
    """The same through deploy/nginx.conf, against a file that the same nginx has."""
    with servers.serve(uri, directory) as site, servers.nginx(site, directory) as front:
        path = up_to_date(site)
        warm_up(front, path=path)
        asked = {"behind nginx": path, "a file of nginx's": servers.STATIC}
        seen = compared({name: Asked(front, one, connections=MANY_CONNECTIONS) for name, one in asked.items()})
        print(f"nothing new, behind nginx with {servers.PROCESSES} processes")
        table(seen, "a file of nginx's")
        print(f"  (wanted: {WANTED_OF_STATIC:g})")


# -- however much there is


def stored(uri: str, directory: Path, sizes: Sequence[int] = (FEW, MANY)) -> None:
    """Whether it matters how much there is, and what MongoDB does while thousands of pages poll."""
    uris = {size: named(uri, f"items_{size}") for size in sizes}
    for size in sizes[1:]:
        fill(uris[size], size)
    with ExitStack() as stack:
        sites = {size: stack.enter_context(servers.serve(uri, directory)) for size, uri in uris.items()}
        asked = {f"{size:,} items": page(site) for size, site in sites.items()}
        first = f"{FEW:,} items"
        asked[f"{first}, again"] = asked[first]
        for one in asked.values():
            warm_up(one.server, path=f"{one.path}{one.cursor}")
        seen = compared(asked, rounds=PAGES_ROUNDS, seconds=PAGES_S)
    print(f"nothing new, make serve, {PAGES:,} pages as fast as they are answered, by what is stored")
    table(seen, first)
    size, uri = max(uris.items())
    with servers.serve(uri, directory) as site:
        asking = page(site)
        warm_up(site, path=f"{asking.path}{asking.cursor}")
        connection = Connection(uri, timeout_s=20)
        database = connection.database()
        idle = operations(database, lambda: sleep(PAGES_S))
        with loaded(asking, 4 * PAGES_S) as polled:
            sleep(WARM_UP_S)
            busy = operations(database, lambda: sleep(PAGES_S))
        connection.close()
    print(f"MongoDB's operations in {PAGES_S:g} s, {size:,} items stored, {PAGES:,} pages")
    for name, done in {"without polls": idle, f"at {polled[0].per_s:,.0f} polls/s": busy}.items():
        print(f"  {name:24}{', '.join(f'{kind} {count}' for kind, count in done.items())}")
    print("  (wanted: query 0; getMore is the change stream, and hello is how drivers watch the server)")


def page(site: Server) -> Asked:
    """Pages that go on from the cursor that they are given."""
    return Asked(site, "/update?timestamp=", "follow", arriving.head_of(site.address), connections=PAGES)


def operations(database: Any, meanwhile: Callable[[], None]) -> dict[str, int]:
    """What MongoDB was asked for meanwhile: queries, and each command by name; this question itself is not counted."""
    before = counted(database)
    meanwhile()
    done = {kind: count - before.get(kind, 0) for kind, count in counted(database).items()}
    done["serverStatus"] -= 1
    return {kind: count for kind, count in done.items() if count or kind == "query"}


def counted(database: Any) -> dict[str, int]:
    status = database.command("serverStatus")
    commands = {name: seen["total"] for name, seen in status["metrics"]["commands"].items() if isinstance(seen, dict)}
    return {"query": status["opcounters"]["query"], **commands}


# -- a part of it


def filtered(uri: str, directory: Path) -> None:
    """Pages that ask for a part of the stream, with a cursor below everything; each question is a new one."""
    with servers.site(uri, directory) as site:
        path = "/update?timestamp=0.000001"
        warm_up(site, path=path)
        parts = {
            "everything": path,
            "a source": f"{path}&source=s1",
            "a tag": f"{path}&tag=only-{FEW // 2}",
            "words": f"{path}&q=only-{FEW - 1}",
            "words of many": f"{path}&q=fox",
        }
        asked = {name: Asked(site, part, "apart") for name, part in parts.items()}
        seen = compared({**asked, "everything, again": Asked(site, path)})
    print(f"filtered, {FEW:,} items after the cursor, 100 of them an answer, gzip, python site.py")
    table(seen, "everything")
    print(f"  (wanted: {1 / WANTED_FILTERED:g})")


# -- a server that begins


def begin(uri: str, directory: Path) -> None:
    """Pages that all come back at once: how long until the window of a server that has just begun is full."""
    # a database of its own: as many items as a window holds
    size = Settings().window_items
    uri = named(uri, "beginning")
    fill(uri, size)
    for command, running in {"python site.py": servers.site, "make serve": servers.serve}.items():
        with running(uri, directory) as server:
            path = up_to_date(server)
        print(f"from the first connection to a full window of {size:,} items, {command}")
        for name, how in {"without polls": None, "everybody asks the same": "same", "each another": "apart"}.items():
            say(name)
            with running(uri, directory) as server, ExitStack() as stack:
                if how:
                    asked = Asked(server, path, how, connections=MANY_CONNECTIONS)
                    stack.enter_context(loaded(asked, BEGIN_S))
                began = perf_counter()
                wait_for(lambda server=server: is_live(server), "a full window", timeout_s=BEGIN_S)
                took_s = perf_counter() - began
                sleep(SECONDS)  # for who has waited to be answered, all of which must go well
                say("")
                print(f"  {name:24}{1000 * took_s:6,.0f} ms")


def is_live(server: Server) -> bool:
    with urlopen(f"{server.address}/api/window", timeout=BEGIN_S) as answer:
        return bool(json.load(answer)["state"] == "live")


# -- what comes meanwhile


def arrive(uri: str, directory: Path) -> None:
    """Items that come while pages poll."""
    # a database of its own: what is stored here is not there for the others
    uri = named(uri, "arriving")
    fill(uri, FEW)
    first = FEW
    for command, running in {"python site.py": servers.site, "make serve": servers.serve}.items():
        with running(uri, directory) as server:
            warm_up(server, path=up_to_date(server))
            print(f"from the commit of an item to the first answer that carries it, {command}")
            for name, busy in {"one page": False, "under full load": True}.items():
                seconds, polled = arriving.delays(server, uri, first=first, busy=busy, say=say)
                first += arriving.ITEMS
                say("")
                beside = f", {polled.per_s:,.0f} polls/s beside" if polled else ""
                print(f"  {name:24}{arriving.summary(seconds)}{beside}")
            print(f"  (wanted: {1000 * arriving.WANTED_P99_S:g} ms, p99)")
            missed, more = arriving.BEFORE, arriving.MEANWHILE
            seen = arriving.burst(server.address, uri, first=first, say=say)
            first += missed + more
            say("")
        print(
            f"{arriving.CLIENTS} pages come back at once, {missed} items behind, while {more:,} more arrive, {command}"
        )
        print(f"  {seen.exact} of {arriving.CLIENTS} have every item once and in order, {len(seen.failures)} failures")
        print(f"  {len(seen.seconds):,} answers, {seen.received / 1e6:,.0f} MB: {arriving.summary(seen.seconds)}")
        for failure in sorted(set(seen.failures)):
            print(f"  {seen.failures.count(failure)} times {failure}")


# -- asking and telling


def up_to_date(server: Server) -> str:
    """What a page asks that has everything."""
    return f"/update?timestamp={arriving.head_of(server.address)}"


def compared(asked: Mapping[str, Asked], *, rounds: int = ROUNDS, seconds: float = SECONDS) -> dict[str, Load]:
    seen = in_turn(asked, rounds=rounds, seconds=seconds, say=say)
    say("")
    return seen


def warm_up(*asked: Server, path: str) -> None:
    """Ask everybody for a while, ours until its window is there."""
    for server in asked:
        say(f"warming up: {server.address}")
        load(Asked(server, path, connections=MANY_CONNECTIONS), WARM_UP_S)
    say("")


def table(seen: Mapping[str, Load], against: str) -> None:
    base = seen[against]
    for name, one in seen.items():
        p50, p99 = 1000 * one.p50_s, 1000 * one.p99_s
        share = ""
        if name != against:
            share = f"{one.per_s / base.per_s:8.2f} of {against}, {base.cpu_us / one.cpu_us:.2f} by CPU"
        times = f"{p50:8.2f} ms (p50){p99:8.2f} ms (p99)"
        print(f"  {name:24}{one.per_s:9,.0f} polls/s{times}{one.cpu_us:8.1f} µs CPU{share}", flush=True)


def say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:60.60}\r{text[:60]}", end="", file=sys.stderr, flush=True)


PARTS: dict[str, Callable[[str, Path], None]] = {
    "site.py": under_site,
    "serve": under_granian,
    "nginx": behind_nginx,
    "stored": stored,
    "filtered": filtered,
    "beginning": begin,
    "arriving": arrive,
}


if __name__ == "__main__":
    main()
