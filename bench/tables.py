"""How fast the pages of an API become rows of a table, against a plain script, in one run on one machine.

    python -m bench.tables                  everything; part of `make bench`
    python -m bench.tables rates memory     only some parts: rates, memory, reading

One process walks each time, over the same loopback server, which is a process of its own: ours as one thread of a
worker does it, and the script one `replace_one(upsert=True)` a row. Each walks three times:

    new         nothing was there before
    1 % changed one row in a hundred has another price
    unchanged   all is as it was

The script waits for each write as MongoDB has it by default, which is until a majority has it on disk: on one member,
for its journal, as ours does. Its second form does not wait for the disk.

Prints rows a second of all and the ratios; the most memory that the walking process took, with 20,000 and with 200,000
rows; and how long it takes to read some of 200,000 rows in one order or another.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from bench import api, peers
from bench.poll import cpu_of
from bench.stored import cpu_model
from feedmirror import mongod
from feedmirror.config import Settings
from feedmirror.db import Connection

ROUNDS = 3
# Half a minute of the script's.
RATE_ROWS = 5_000
ROWS = 20_000
MANY_ROWS = 200_000
# As many as CoinGecko gives at once.
PER_PAGE = 250
SHOWN = 100
CASES = ("new", "1 % changed", "unchanged")
# More than the few megabytes by which one run differs from the next.
FLAT_MB = 16
_READS = 5


def main() -> None:
    if sys.argv[1:2] == ["--side"]:
        side, count, address = sys.argv[2:5]
        print(json.dumps(SIDES[side](int(count), address)))
        return
    parts = sys.argv[1:] or list(PARTS)
    print(f"tables, on {cpu_model()}, {time.strftime('%d %B %Y')}")
    with (
        tempfile.TemporaryDirectory() as directory,
        mongod.running(Settings(data_dir=Path(directory))) as database,
        api.running() as address,
    ):
        assert database is not None
        os.environ["MONGODB_URI"] = database.uri
        os.environ["BENCH_MONGOD"] = str(database.process.pid)
        for part in parts:
            PARTS[part](address)


def walked(side: str, count: int, address: str) -> dict[str, dict[str, float]]:
    """What a process of its own measured."""
    command = (Path(sys.executable), "-m", "bench.tables", "--side", side, str(count), address)
    found: dict[str, dict[str, float]] = json.loads(peers.output(*command))
    return found


# -- the parts


def rates(address: str) -> None:
    """Rows a second, of each the best of some rounds: what else the machine does only ever adds."""
    rounds = [{side: walked(side, RATE_ROWS, address) for side in SIDES} for _ in range(ROUNDS)]
    for case in CASES:
        best = {side: min((one[side][case] for one in rounds), key=lambda one: one["seconds"]) for side in SIDES}
        print(f"{case}: {RATE_ROWS:,} rows on pages of {PER_PAGE}")
        for side, one in best.items():
            line = f"  {side:30}{RATE_ROWS / one['seconds']:9,.0f} rows/s"
            ours, theirs = (1e6 * one[name] / RATE_ROWS for name in ("cpu_s", "mongod_cpu_s"))
            print(line + f"{ours:9,.0f} us CPU a row, {theirs:,.0f} MongoDB's")
        for side, one in best.items():
            if side != "feedmirror":
                print(f"  {one['seconds'] / best['feedmirror']['seconds']:.1f} times as fast as the {side}")


def memory(address: str) -> None:
    """The most memory that walking took."""
    few, many = (walked("feedmirror", count, address)["memory"]["peak_mb"] for count in (ROWS, MANY_ROWS))
    print(f"memory of the walking process at most: {ROWS:,} rows {few:.0f} MB, {MANY_ROWS:,} rows {many:.0f} MB")
    print(f"  {many - few:+.0f} MB for ten times as many (wanted: flat, {FLAT_MB} MB at most)")


def reading(address: str) -> None:
    """How long readers wait for some of many rows, as the last walk left them."""
    from feedmirror.storage import Storage
    from feedmirror.storage.row_document import row_id
    from feedmirror.table import TableOrder

    connection = Connection(os.environ["MONGODB_URI"], timeout_s=60)
    storage = Storage(connection.database()).prepare()
    standing = storage.sheets.standing("coins")
    if standing.rows != MANY_ROWS:
        walked("feedmirror", MANY_ROWS, address)
        standing = storage.sheets.standing("coins")
    halfway = row_id("coins", json.dumps([f"coin-{MANY_ROWS // 2}"]))
    print(f"{SHOWN} of {MANY_ROWS:,} rows, median of {_READS}")
    asked: dict[str, dict[str, Any]] = {
        "as the API lists them": {},
        "the same, from the middle on": {"after": halfway},
        "by a number": {"order": TableOrder(column="current_price", descending=True)},
        "by another, from the middle on": {"order": TableOrder(column="market_cap_rank"), "after": halfway},
        "by a text": {"order": TableOrder(column="name")},
        "by the last change": {"order": TableOrder(column="", descending=True)},
        "with a word that one row has": {"words": ["coin 123456"]},
        "with a word that no row has": {"words": ["nowhere"]},
        "with a word that all have, by a number": {"words": ["coin"], "order": TableOrder(column="current_price")},
    }
    for name, question in asked.items():
        took = []
        for _ in range(_READS):
            before = time.perf_counter()
            page = storage.sheets.page(standing, limit=SHOWN, **question)
            took.append(time.perf_counter() - before)
        print(f"  {name:42}{1000 * median(took):8,.0f} ms  ({len(page.rows)} rows)")
    before = time.perf_counter()
    count = sum(1 for _ in storage.sheets.every("coins"))
    print(f"  {'all, one after the other':42}{1000 * (time.perf_counter() - before):8,.0f} ms  ({count:,} rows)")
    connection.close()


# -- the sides


def measured(walk: Callable[[], None], count: int, address: str) -> dict[str, dict[str, float]]:
    """How long three walks took, and the most memory that this process had."""
    database = int(os.environ["BENCH_MONGOD"])
    found: dict[str, dict[str, float]] = {}
    for case, turn in zip(CASES, (0, 1, 1), strict=True):
        with urlopen(f"{address}/turn/{turn}") as answer:
            answer.read()
        before, cpu, theirs = time.perf_counter(), time.process_time(), cpu_of(database)
        walk()
        found[case] = {
            "seconds": time.perf_counter() - before,
            "cpu_s": time.process_time() - cpu,
            "mongod_cpu_s": cpu_of(database) - theirs,
        }
    status = Path("/proc/self/status").read_text("utf-8").splitlines()
    peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return {**found, "memory": {"peak_mb": peak_kb / 1024}}


def feedmirror(count: int, address: str) -> dict[str, dict[str, float]]:
    """The real poller, as a worker's thread calls it."""
    from feedmirror.models import Source
    from feedmirror.poll import Poller
    from feedmirror.storage import Storage

    settings = Settings.from_environ()
    connection = Connection(settings.database_uri, timeout_s=60)
    database = connection.database()
    database.client.drop_database(database.name)
    storage = Storage(database).prepare()
    poller = Poller(storage, settings)
    options = {"paging": "page", "key": "id", "params": {"per_page": PER_PAGE}}
    source = Source(
        id="coins", name="Coins", url=f"{address}/rows/{count}", kind="api", every_s=300, private=True, options=options
    )
    storage.sources.synchronise([source], [])

    def walk() -> None:
        goes_on = True
        while goes_on:
            claim = storage.sources.claim_now([source.id], lease_s=settings.lease_s)
            (watched,), _ = poller.begin(claim)
            finished = poller.poll(watched)
            storage.sources.finish([finished])
            assert finished.outcome.ok, finished.outcome.error
            goes_on = finished.outcome.goes_on_in_s is not None
        assert storage.sheets.standing(source.id).rows == count

    taken = measured(walk, count, address)
    connection.close()
    return taken


def plain_script(**options: Any) -> Callable[[int, str], dict[str, dict[str, float]]]:
    """What one writes in half an hour."""

    def run(count: int, address: str) -> dict[str, dict[str, float]]:
        import requests
        from pymongo import MongoClient

        client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"], **options)
        client.drop_database("plain")
        collection = client["plain"]["coins"]
        session = requests.Session()

        def walk() -> None:
            page = 1
            while rows := session.get(
                f"{address}/rows/{count}", params={"page": page, "per_page": PER_PAGE}, timeout=20
            ).json():
                for row in rows:
                    collection.replace_one({"_id": row["id"]}, row, upsert=True)
                page += 1
            assert collection.estimated_document_count() == count

        taken = measured(walk, count, address)
        client.close()
        return taken

    return run


SIDES: dict[str, Callable[[int, str], dict[str, dict[str, float]]]] = {
    "feedmirror": feedmirror,
    "plain script": plain_script(),
    "plain script, not on disk": plain_script(w=1, journal=False),
}
PARTS: dict[str, Callable[[str], None]] = {"rates": rates, "memory": memory, "reading": reading}


if __name__ == "__main__":
    main()
