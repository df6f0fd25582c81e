"""An invented feed and an invented table on a small server of our own, for trying the mirror without a network.

    python -m feedmirror.demo [--port N] [--every SECONDS] [--sources FILE]

A new question comes every few seconds, and coins change their prices. Each start has new questions.
"""

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random, SystemRandom

from feedmirror.demo.feed import InventedFeed
from feedmirror.demo.market import InventedMarket
from feedmirror.demo.server import DemoServer


def sources_file(*, feed_url: str, market_url: str) -> str:
    """A sources file that names what the demo serves, and nothing else."""
    return f"""\
# Written by python -m feedmirror.demo at each start.

[[source]]
name = "Invented questions"
url = {json.dumps(feed_url)}
every = "1s"
private = true
tags = ["demo"]

[[source]]
name = "Coins"
kind = "api"
url = {json.dumps(market_url)}
every = "10s"
private = true
tags = ["demo"]
params = {{ vs_currency = "usd", per_page = 50 }}
paging = "page"
key = "id"
columns = [
    {{ name = "market_cap_rank", title = "Rank", type = "number" }},
    {{ name = "name", title = "Coin" }},
    {{ name = "symbol", title = "Symbol" }},
    {{ name = "current_price", title = "Price, USD", type = "money", history = "1h" }},
    {{ name = "price_change_percentage_24h", title = "24 h", type = "percent" }},
    {{ name = "market_cap", title = "Market cap, USD", type = "money" }},
    {{ name = "total_volume", title = "Volume in 24 h, USD", type = "money" }},
]
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    random = Random(options.seed if options.seed is not None else SystemRandom().random())  # noqa: S311 - no secret
    feed = InventedFeed(random=random, every_s=options.every, now=_now())
    market = InventedMarket(random=Random(random.random()), now=_now())  # noqa: S311 - each its own, whoever asks first
    try:
        server = DemoServer((options.host, options.port), feed=feed, market=market, now=_now)
    except OSError as error:
        print(f"feedmirror: the demo cannot listen on {options.host}:{options.port}: {error.strerror}", file=sys.stderr)
        return 2
    with server:
        if options.sources:
            _write(options.sources, sources_file(feed_url=server.feed_url, market_url=server.market_url))
        _serve(server, stop)
    return 0


def _serve(server: DemoServer, stop: threading.Event) -> None:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="demo server")
    thread.start()
    with contextlib.suppress(BrokenPipeError):  # whoever started us does not listen
        print(f"invented questions at {server.feed_url}", flush=True)
        print(f"invented coins at {server.market_url}", flush=True)
    stop.wait()
    server.shutdown()
    thread.join()


def _write(path: Path, text: str) -> None:
    """Replace the file in one step: the worker reads it whenever it changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _now() -> datetime:
    return datetime.now(UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m feedmirror.demo", description="A feed and a table, both invented.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--every", type=_seconds, default=4.0, help="seconds from one question to the next (4)")
    parser.add_argument("--seed", type=int, help="the same questions and the same moves of prices at each start")
    parser.add_argument("--sources", type=Path, help="write a sources file that names both")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.01 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be between 0.01 and 86400")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
