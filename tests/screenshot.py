"""Take the pictures of the demo in the README: `python -m tests.screenshot ITEMS TABLE`. It takes four minutes."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.browser import chromium_path, launch
from tests.processes import Running, environment, free_port


def take(items: Path, table: Path) -> None:
    executable = chromium_path()
    if executable is None:
        sys.exit("there is no Chromium on this machine")
    with tempfile.TemporaryDirectory() as data:
        env = environment(FEEDMIRROR_DATA=data, PORT=str(free_port()))
        with Running(["make", "demo"], Path(data) / "demo.log", env) as demo, sync_playwright() as playwright:
            address = demo.wait_for(r"Feedmirror is at (http://\S+)", timeout_s=120)[1]
            with launch(playwright, executable) as browser:
                page = browser.new_page(viewport={"width": 1200, "height": 760}, device_scale_factor=2)
                page.goto(address)
                rows = page.get_by_role("article")
                expect(rows.nth(33)).to_be_attached(timeout=120_000)  # the first 30, and four that came by themselves
                page.screenshot(path=items)
                page.goto(address.rstrip("/") + "/tables/coins")
                # prices have a past worth drawing by then
                expect(page.locator("svg.past", has_text="3 min: ").first).to_be_attached(timeout=300_000)
                expect(page.locator("td[data-moved]").first).to_be_attached(timeout=60_000)
                page.screenshot(path=table)


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
