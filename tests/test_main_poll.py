"""`python -m feedmirror poll` and `python -m feedmirror sources`, on the real MongoDB and a real server."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from feedmirror.__main__ import main
from feedmirror.config import Settings
from feedmirror.poll import Poller
from feedmirror.sources_watch import SourcesWatch
from feedmirror.storage import Storage
from tests.atom import atom
from tests.feed_server import FeedServer
from tests.processes import PYTHON, ROOT


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
    assert main(["poll", "Nobody"]) == 2
    assert capsys.readouterr().err == "feedmirror: no source 'Nobody'; there are: my-questions, gone\n"


def test_poll_leaves_a_source_to_the_worker_that_is_at_it(
    sources: Path, storage: Storage, capsys: pytest.CaptureFixture[str], server: FeedServer
) -> None:
    assert main(["poll", "Gone"]) == 1
    storage.sources.claim_now(["my-questions"], lease_s=60)
    assert main(["poll", "My Questions"]) == 1
    assert "a worker is polling it" in capsys.readouterr().err
    assert server.requests_for("/feed") == []


def poll_what_is_due(storage: Storage) -> None:
    poller = Poller(storage, Settings())
    with closing(poller.crew()) as crew:
        poller.poll_due(crew, for_s=20)


def test_poll_that_fails_leaves_the_source_as_it_was(
    sources: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    SourcesWatch().refresh(storage, sources)
    poll_what_is_due(storage)
    gone = storage.sources.all()[1].looks
    assert main(["poll", "Gone"]) == 1
    assert "404" in capsys.readouterr().err
    after = storage.sources.all()[1].looks
    assert (after.failures, after.next_at, after.error_since) == (1, gone.next_at, gone.error_since)


def test_poll_that_succeeds_ends_back_off(sources: Path, storage: Storage, server: FeedServer) -> None:
    SourcesWatch().refresh(storage, sources)
    poll_what_is_due(storage)
    server.serve("/nothing", atom([(1, "First")]))
    assert main(["poll", "Gone"]) == 0
    looks = storage.sources.all()[1].looks
    assert (looks.failures, looks.error, looks.interval_s) == (0, None, 30)


@pytest.mark.parametrize("name", ["Your Questions", "my-questions"])
def test_poll_knows_a_renamed_source_by_its_new_name_and_its_id(
    sources: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["poll", "My Questions"]) == 0
    sources.write_text(sources.read_text().replace("My Questions", "Your Questions"))
    assert main(["poll", name]) == 0
    assert "Your Questions: 304" in capsys.readouterr().out


def test_poll_with_another_sources_file_than_the_worker_retires_nothing(
    sources: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    SourcesWatch().refresh(storage, sources)
    other = sources.with_name("other.toml")
    other.write_text('[[source]]\nname = "Other"\nurl = "https://other.example/"\n')
    monkeypatch.setenv("FEEDMIRROR_SOURCES", str(other))
    assert main(["poll", "Other"]) == 2
    assert capsys.readouterr().err == (
        f"feedmirror: the sources of this database are those of {sources}, not of {other}: set FEEDMIRROR_SOURCES\n"
    )
    assert [watched.active for watched in storage.sources.all()] == [True, True]


def test_a_command_that_cannot_read_the_file_leaves_the_word_of_the_worker(
    sources: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    SourcesWatch().refresh(storage, sources)
    sources.write_bytes(b"\xff")
    assert main(["poll", "Gone"]) == 2
    assert "save the file as UTF-8" in capsys.readouterr().err
    assert storage.sources.mistakes() == []


def test_poll_without_a_variable_fails_and_says_which(
    sources: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = 'kind = "api"\nheaders = { Authorization = "Bearer ${QUESTIONS_TOKEN}" }\n'
    sources.write_text(f'[[source]]\nname = "Api"\nurl = "https://a.example/"\nprivate = true\n{headers}')
    monkeypatch.delenv("QUESTIONS_TOKEN", raising=False)
    assert main(["poll", "Api"]) == 1
    assert "the environment variable QUESTIONS_TOKEN is not set" in capsys.readouterr().err
    (watched,) = storage.sources.all()
    assert (watched.active, watched.looks.failures, watched.looks.error) == (True, 0, None)


def test_sources_names_a_mistake_beside_the_source_that_it_keeps(
    sources: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    SourcesWatch().refresh(storage, sources)
    sources.write_text(sources.read_text().replace('every = "30s"', "every = 30s", 1))
    SourcesWatch().refresh(storage, sources)
    assert main(["sources"]) == 0
    out, err = capsys.readouterr()
    told = 'sources.toml, line 4: text stands in quotes: every = "30s"'
    assert out.splitlines()[1].startswith("Gone")
    assert out.splitlines()[2].endswith(f"keeps its last good version: {told}")
    assert err == f"{told}\n"


def test_a_reader_that_goes_away_ends_a_command_quietly(tmp_path: Path) -> None:
    feed = tmp_path / "feed.xml"
    feed.write_bytes(atom((number, f"Entry {number}") for number in range(5000)))
    command = [PYTHON, "-m", "feedmirror", "parse", str(feed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0


def test_sources_shows_how_each_one_fares(sources: Path, storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    SourcesWatch().refresh(storage, sources)
    poll_what_is_due(storage)
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


def test_settings_that_cannot_be_used_are_told_with_their_own_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEEDMIRROR_LEASE", "soon")
    for command in (["sources"], ["poll", "A"], ["remove", "A"]):
        assert main(command) == 2
        assert capsys.readouterr().err.startswith("feedmirror: FEEDMIRROR_LEASE='soon': ")


def test_each_mistake_in_the_settings_has_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("FEEDMIRROR_LEASE", "y")
    assert main(["sources"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.partition("=")[0] for line in lines) == ["feedmirror: FEEDMIRROR_LEASE", "feedmirror: PORT"]
