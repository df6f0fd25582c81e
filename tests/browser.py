"""The system's Chromium for tests: one browser for the run, a fresh tab for each test."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

PATIENCE_MS = 20_000

expect.set_options(timeout=PATIENCE_MS)


def chromium_path() -> str | None:
    """Where the machine's Chromium is, None if it has none; rather its engine without a browser around it."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def launch(playwright: Playwright, executable: str) -> Browser:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    return playwright.chromium.launch(executable_path=executable, args=arguments)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = chromium_path()
    if executable is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as playwright, launch(playwright, executable) as chromium:
        yield chromium


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab of a fresh browser; whatever its console complains of fails the test, refused scripts included."""
    context = browser.new_context(viewport={"width": 1000, "height": 700})
    context.set_default_timeout(PATIENCE_MS)
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    yield tab
    context.close()
    # the browser's own line for each answer of 503, and for a server that ended before its page
    expected = ("503 (Service Unavailable)", "net::ERR_")
    assert [line for line in complaints if not any(part in line for part in expected)] == []
