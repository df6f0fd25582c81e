"""`python -m feedmirror poll` and `python -m feedmirror sources`, on the real MongoDB and a real server."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedmirror.__main__ import main
from feedmirror.storage import Storage
from tests.atom import atom
from tests.feed_server import FeedServer


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


@pytest.fixture
def sources(server: FeedServer, tmp_path: Path, database_uri: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sources file with one that is well and one that is not, for the database of this test."""
    server.serve("/feed", atom([(2, "Second"), (1, "First")]), etag=True)
    path = tmp_path / "sources.toml"
    path.write_text(
        "".join(
            f'[[source]]\nname = "{name}"\nurl = "{server.url(at)}"\nevery = "30s"\nprivate = true\n'
            'keep = "7d"\nkeep_items = 500\n'
            for name, at in (("My Questions", "/feed"), ("Gone", "/nothing"))
        )
    )
    monkeypatch.setenv("MONGODB_URI", database_uri)
    monkeypatch.setenv("FEEDMIRROR_SOURCES", str(path))
    return path


@pytest.mark.parametrize("name", ["My Questions", "my-questions"])
def test_poll_says_each_step(sources: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["poll", name]) == 0
    out = capsys.readouterr().out
    for step in ("bytes of", "atom 1.0 in utf-8, 2 entries", "2 items by link: 2 new", "every 30 s, as configured"):
        assert step in out
    assert main(["poll", name]) == 0
    assert "304 in" in capsys.readouterr().out


def test_poll_of_a_source_that_fails(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["poll", "Gone", "My Questions"]) == 1
    said = capsys.readouterr()
    assert "404" in said.err
    assert "2 new" in said.out


def test_poll_of_a_source_that_does_not_exist_names_those_that_do(
    sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["poll", "Nobody"]) == 1
    assert capsys.readouterr().err == "feedmirror: no source 'Nobody'; there are: my-questions, gone\n"


def test_poll_leaves_a_source_to_the_worker_that_is_at_it(
    sources: Path, storage: Storage, capsys: pytest.CaptureFixture[str], server: FeedServer
) -> None:
    assert main(["poll", "Gone"]) == 1
    storage.sources.claim_now(["my-questions"], lease_s=60)
    assert main(["poll", "My Questions"]) == 1
    assert "a worker is polling it" in capsys.readouterr().err
    assert server.requests_for("/feed") == []


def test_sources_shows_how_each_one_fares(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["poll", "My Questions", "Gone"])
    capsys.readouterr()
    assert main(["sources"]) == 0
    headings, well, failing = capsys.readouterr().out.splitlines()
    assert re.split("  +", headings) == [
        *("SOURCE", "STATE", "LAST LOOK", "LAST NEW", "NEXT LOOK", "EVERY"),
        *("ITEMS", "AN HOUR", "LOST", "KEEPS", "GROUP", "WHY"),
    ]
    cells = dict(zip(re.split("  +", headings), re.split("  +", well), strict=False))
    assert (cells["SOURCE"], cells["STATE"], cells["EVERY"], cells["ITEMS"]) == ("My Questions", "live", "30 s", "2")
    assert "s ago" in cells["LAST LOOK"]
    assert "in " in cells["NEXT LOOK"]
    assert "7 d or 500 items  127.0.0.1:" in well
    assert well.endswith("every 30 s, as configured")
    assert re.match("Gone +failing ", failing)
    assert re.search("404.*, since [0-9]+ s ago", failing)


def test_mongodb_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:1/feedmirror?timeoutMS=100")
    assert main(["sources"]) == 1
    assert capsys.readouterr().err.startswith("feedmirror: ")
