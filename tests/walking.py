"""A process that walks over an API as a worker does, and says how much memory that took: for tests of large tables.

    python -m tests.walking MONGODB_URI URL PARAMS [RUNS]

Prints, as JSON, how each run ended, and by how many kilobytes it all has raised the peak of the process.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.models import Source
from feedmirror.poll import Poller
from feedmirror.storage import Storage


def main(uri: str, url: str, params: str, runs: str = "1") -> None:
    connection = Connection(uri, timeout_s=20)
    storage = Storage(connection.database()).prepare()
    settings = replace(Settings(), lease_s=60)
    options = {"key": "id", "paging": "page", "params": json.loads(params)}
    source = Source(id="large", name="Large", url=url, private=True, every_s=300, kind="api", options=options)
    storage.sources.synchronise([source], [])
    poller = Poller(storage, settings)
    before_kb = peak_kb()
    ended = []
    for _ in range(int(runs)):
        arrived = edited = visits = 0
        while True:
            claim = storage.sources.claim_now([source.id], lease_s=settings.lease_s)
            (watched,), _postponed = poller.begin(claim)
            finished = poller.poll(watched)
            storage.sources.finish([finished])
            outcome = finished.outcome
            arrived, edited, visits = arrived + outcome.arrived, edited + outcome.edited, visits + 1
            if outcome.goes_on_in_s is None:
                break
        ended.append({"error": outcome.error, "arrived": arrived, "edited": edited})
        urlopen(f"{url}/next-turn").close()
    print(json.dumps({"runs": ended, "grown_kb": peak_kb() - before_kb}))
    connection.close()


def peak_kb() -> int:
    """The most memory that this process ever had."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
