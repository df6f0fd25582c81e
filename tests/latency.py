"""How long a question takes from the feed to the open page: `python -m tests.latency [QUESTIONS]`.

Everything real, as `make run` starts it: a source polled every second, a page that polls every five. Questions are
asked at moments that have nothing to do with either.
"""

import json
import random
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.atom import atom
from tests.browser import chromium_path, launch
from tests.feed_server import FeedServer
from tests.processes import Running, environment, free_port
from tests.waiting import wait_until


def measure(count: int) -> tuple[list[float], list[float]]:
    """Seconds from the feed to `/update`, and to the open page, for each question."""
    executable = chromium_path()
    if executable is None:
        sys.exit("there is no Chromium on this machine")
    to_update, to_page = [], []
    with tempfile.TemporaryDirectory() as data, FeedServer() as feed:
        asked = [(0, "Question 0")]
        feed.serve("/feed", atom(asked), etag=True)
        sources = Path(data) / "sources.toml"
        sources.write_text(f'[[source]]\nname = "F"\nurl = "{feed.url("/feed")}"\nevery = "1s"\nprivate = true\n')
        env = environment(FEEDMIRROR_DATA=data, FEEDMIRROR_SOURCES=str(sources), PORT=str(free_port()))
        with Running(["make", "run"], Path(data) / "run.log", env) as run, sync_playwright() as playwright:
            address = run.wait_for(r"Feedmirror is at (http://\S+)/", timeout_s=120)[1]
            with launch(playwright, executable) as browser:
                page = browser.new_page()
                wait_until(lambda: _newest(address) == "Question 0", "the first question")
                page.goto(address)
                for number in range(1, count + 1):
                    page.wait_for_timeout(random.uniform(0, 3000))
                    title = f"Question {number}"
                    asked.insert(0, (number, title))
                    feed.serve("/feed", atom(asked[:30]), etag=True)
                    began = time.monotonic()
                    wait_until(lambda: _newest(address) == title, title)  # noqa: B023 (waited for here)
                    to_update.append(time.monotonic() - began)
                    expect(page.get_by_role("article").first.get_by_role("heading")).to_have_text(title)
                    to_page.append(time.monotonic() - began)
    return to_update, to_page


def _newest(address: str) -> str:
    with urllib.request.urlopen(f"{address}/update?timestamp=0&limit=1", timeout=10) as answer:
        items = json.load(answer)
    return str(items[0]["title"]) if items else ""


def _row(name: str, seconds: Sequence[float]) -> str:
    return f"{name}: median {statistics.median(seconds):.1f} s, most {max(seconds):.1f} s"


if __name__ == "__main__":
    update, page = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    print(_row("feed to /update", update))
    print(_row("feed to page", page))
