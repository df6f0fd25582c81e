"""`python -m feedmirror parse`."""

import json
import subprocess
import sys
from hashlib import sha224
from pathlib import Path

import pytest

from feedmirror import fetch
from feedmirror.__main__ import main
from feedmirror.models import Document
from tests.processes import ROOT

FEED = (
    '<rss version="2.0"><channel><title>News</title>'
    "<item><title>One</title><link>/1</link><pubDate>Fri, 02 Jan 2026 03:04:05 GMT</pubDate></item></channel></rss>"
)


@pytest.fixture
def feed(tmp_path: Path) -> str:
    path = tmp_path / "feed.xml"
    path.write_text(FEED)
    return str(path)


def test_json_says_all_that_is_kept(feed: str, capsys: pytest.CaptureFixture[str]):
    assert main(["parse", feed, "--url", "https://example.org/feed", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    item = shown.pop("items")[0]
    assert shown == {
        "file": feed,
        "format": "rss 2.0",
        "encoding": "utf-8",
        "recovered": False,
        "truncated": False,
        "notices": [],
        "title": "News",
        "next": None,
        "identity": "link",
    }
    assert item.pop("_id") == sha224(b"https://example.org/1").hexdigest()
    assert item == {
        "link": "https://example.org/1",
        "title": "One",
        "author": "",
        "published": "2026-01-02T03:04:05Z",
        "updated": None,
        "tags": [],
        "summary": "",
        "guid": None,
        "thumbnail": None,
        "comments_link": None,
        "score": None,
        "comments": None,
    }


def test_each_file_has_one_line_of_json_and_one_failure_fails_all(
    feed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    page = tmp_path / "page.html"
    page.write_text("<html></html>")
    missing = str(tmp_path / "missing")
    assert main(["parse", "--json", str(page), feed, missing]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"file": str(page), "error": "an HTML page, not a feed"}
    assert lines[1]["title"] == "News"
    assert set(lines[2]) == {"file", "error"}


def test_without_json_a_failure_is_one_line_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    empty = tmp_path / "empty"
    empty.touch()
    assert main(["parse", str(empty)]) == 1
    assert capsys.readouterr() == ("", f"{empty}: the document is empty\n")


def test_text_is_for_reading(feed: str, capsys: pytest.CaptureFixture[str]):
    assert main(["parse", feed]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{feed}: News",
        "  rss 2.0, utf-8, identity digest, 1 items",
        "  2026-01-02T03:04:05Z  One",
    ]


def test_the_content_type_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "feed.xml"
    path.write_bytes(FEED.replace("News", "Новости").encode("cp1251"))
    assert main(["parse", str(path), "--content-type", "text/xml; charset=windows-1251", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Новости"


def test_an_address_is_fetched(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def fake(url: str, **_options: object) -> Document:
        return Document(url=f"{url}/moved", body=FEED.encode(), content_type="text/xml")

    monkeypatch.setattr(fetch, "fetch", fake)
    assert main(["parse", "https://example.org/a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["link"] == "https://example.org/1"


@pytest.mark.parametrize(
    ("output", "status", "told"),
    [
        (">/dev/full", 1, "feedmirror: the output cannot be written: No space left on device\n"),
        (">&-", 0, ""),
    ],
)
def test_an_output_that_takes_nothing_is_told_without_a_traceback(feed: str, output: str, status: int, told: str):
    command = f'"$0" -m feedmirror parse "$1" {output}'
    ended = subprocess.run(["sh", "-c", command, sys.executable, feed], capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (status, told)
