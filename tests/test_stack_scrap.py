"""One pass by hand and the tasks, on a real feed server and the real MongoDB; the broker has tests of its own."""

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import stack_scrap
from feedmirror.broker import broker_settings
from feedmirror.config import Settings
from feedmirror.fetch.connections import connections_of_this_process
from feedmirror.models import Selection
from feedmirror.sources_file import source_id
from feedmirror.sources_watch import SourcesWatch
from feedmirror.storage import Storage
from tests.feed_server import FeedServer
from tests.processes import PYTHON, ROOT, environment, free_port


def atom(*names: str) -> bytes:
    entries = "".join(
        f"<entry><id>urn:{name}</id><title>{name}</title><link href='https://example.com/{name}'/></entry>"
        for name in names
    )
    return f"<feed xmlns='http://www.w3.org/2005/Atom'><title>T</title>{entries}</feed>".encode()


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        server.serve("/a", atom("a2", "a1"))
        server.serve("/b", atom("b1"))
        yield server
    connections_of_this_process().close()


@pytest.fixture
def sources_path(tmp_path: Path) -> Path:
    return tmp_path / "sources.toml"


@pytest.fixture(autouse=True)
def _fresh(database_uri: str, sources_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module as a new process has it, in an environment that names this test's database and sources."""
    for variable in ("HOST", "PORT", "CELERY_BROKER_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MONGODB_URI", database_uri)
    monkeypatch.setenv("FEEDMIRROR_SOURCES", str(sources_path))
    monkeypatch.setenv("FEEDMIRROR_DATA", str(tmp_path / "data"))
    stack_scrap._connection.close()
    log = logging.getLogger("feedmirror.poll")
    level = log.level
    yield
    log.setLevel(level)
    stack_scrap._give_back_and_disconnect()


def write(path: Path, *sources: tuple[str, str], private: bool = True) -> None:
    """A sources file of these names and addresses."""
    path.write_text(
        "".join(
            f'[[source]]\nname = "{name}"\nurl = "{url}"\nevery = "1h"\nprivate = {str(private).lower()}\n'
            for name, url in sources
        )
    )


def titles(storage: Storage) -> list[str]:
    return sorted(item.title for item in storage.items.newest(Selection(), limit=100).items)


# -- one pass


def test_a_pass_looks_at_every_source_of_the_file_and_gives_what_is_new_oldest_first(
    server: FeedServer, sources_path: Path, storage: Storage
) -> None:
    write(sources_path, ("A", server.url("/a")), ("B", server.url("/b")))
    assert [item.title for item in stack_scrap.questions()] == ["a1", "a2", "b1"]
    assert titles(storage) == ["a1", "a2", "b1"]


def test_a_second_pass_gives_only_what_came_since_and_asks_nobody_whether_it_is_due(
    server: FeedServer, sources_path: Path
) -> None:
    write(sources_path, ("A", server.url("/a")), ("B", server.url("/b")))
    stack_scrap.questions()
    server.serve("/a", atom("a3", "a2", "a1"))
    assert [item.title for item in stack_scrap.questions()] == ["a3"]
    assert len(server.requests_for("/b")) == 2


def test_a_pass_says_how_each_source_fared(server: FeedServer, sources_path: Path) -> None:
    write(sources_path, ("A", server.url("/a")), ("Gone", server.url("/gone")))
    fared = {poll.watched.source.name: poll.outcome for poll in stack_scrap.one_pass([])}
    assert [item.title for item in fared["A"].new] == ["a1", "a2"]
    assert "404" in str(fared["Gone"].error)


def test_an_address_that_the_file_does_not_name_leaves_nothing_behind(
    server: FeedServer, sources_path: Path, storage: Storage
) -> None:
    write(sources_path, ("A", server.url("/a")))
    for _ in range(2):
        assert [item.title for item in stack_scrap.questions(server.url("/b"))] == ["b1"]
    assert server.requests_for("/a") == []
    assert (storage.sources.all(), titles(storage)) == ([], [])


def test_an_address_that_the_file_does_not_name_is_stored_on_request(
    server: FeedServer, sources_path: Path, storage: Storage
) -> None:
    write(sources_path, ("A", server.url("/a")))
    assert [item.title for item in stack_scrap.questions(server.url("/b"), store=True)] == ["b1"]
    assert stack_scrap.questions(server.url("/b"), store=True) == []
    assert server.requests_for("/a") == []
    resting = [watched.source.url for watched in storage.sources.all() if not watched.active]
    assert (resting, titles(storage)) == ([server.url("/b")], ["b1"])


def test_of_addresses_those_of_the_file_are_stored_and_the_others_tried(
    server: FeedServer, sources_path: Path, storage: Storage
) -> None:
    write(sources_path, ("A", server.url("/a")))
    found = stack_scrap.questions(server.url("/b"), server.url("/a"))
    assert sorted(item.title for item in found) == ["a1", "a2", "b1"]
    assert titles(storage) == ["a1", "a2"]
    assert [watched.source.id for watched in storage.sources.all()] == ["a"]


def test_an_address_can_be_tried_without_database_and_sources_file(
    server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", f"mongodb://127.0.0.1:{free_port()}/x?timeoutMS=200")
    assert [item.title for item in stack_scrap.questions(server.url("/a"))] == ["a1", "a2"]


def test_an_address_that_is_given_again_is_the_same_source(server: FeedServer, storage: Storage) -> None:
    url = server.url("/a")
    assert len(stack_scrap.questions(url, store=True)) == 2
    assert stack_scrap.questions(url, url, store=True) == []
    (watched,) = storage.sources.all()
    assert (watched.source.id, watched.looks.items) == (source_id(url), 2)


def test_an_address_that_the_file_has_already_is_its_source(
    server: FeedServer, sources_path: Path, storage: Storage
) -> None:
    write(sources_path, ("A", server.url("/a")))
    stack_scrap.questions()
    server.serve("/a", atom("a3", "a2"))
    (poll,) = stack_scrap.one_pass([server.url("/a")])
    source, outcome = poll.watched.source, poll.outcome
    assert (source.id, [item.title for item in outcome.new]) == ("a", ["a3"])
    assert [watched.source.id for watched in storage.sources.all()] == ["a"]


def test_an_address_that_was_tried_before_it_came_into_the_file_is_the_source_of_the_file(
    server: FeedServer, sources_path: Path
) -> None:
    url = server.url("/a")
    stack_scrap.questions(url, store=True)
    write(sources_path, ("A", url))
    stack_scrap.questions()
    (poll,) = stack_scrap.one_pass([url])
    source = poll.watched.source
    assert source.id == "a"


def test_what_somebody_else_is_polling_is_left_to_them(
    server: FeedServer, sources_path: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    write(sources_path, ("A", server.url("/a")), ("B", server.url("/b")))
    SourcesWatch().refresh(storage, sources_path)
    storage.sources.claim_now(["a"], lease_s=600)
    assert [poll.watched.source.id for poll in stack_scrap.one_pass([])] == ["b"]
    assert stack_scrap.main([server.url("/a")]) == 1
    assert capsys.readouterr().err == "A: a worker is polling it at this moment\n0 new from 0 sources\n"
    assert server.requests_for("/a") == []


# -- the command


def test_the_command_prints_what_is_new_and_then_how_much(
    server: FeedServer, sources_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(sources_path, ("A", server.url("/a")), ("B", server.url("/b")))
    assert stack_scrap.main([]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "A: a1",
        "    https://example.com/a1",
        "A: a2",
        "    https://example.com/a2",
        "B: b1",
        "    https://example.com/b1",
    ]
    assert err == "3 new from 2 sources\n"
    assert stack_scrap.main([]) == 0
    assert capsys.readouterr() == ("", "0 new from 2 sources\n")


def test_a_source_that_fails_is_one_line_and_the_others_go_on(
    server: FeedServer, sources_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(sources_path, ("Gone", server.url("/gone")), ("B", server.url("/b")))
    assert stack_scrap.main([]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["B: b1", "    https://example.com/b1"]
    first, second = err.splitlines()
    assert first.startswith("Gone: ")
    assert second == "1 new from 2 sources"


def test_nothing_that_could_be_read_is_a_failure(server: FeedServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert stack_scrap.main(["--store", server.url("/gone")]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "0 new from 1 source"


def test_the_command_says_that_it_stores_nothing_of_another_address(
    server: FeedServer, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stack_scrap.main([server.url("/b"), server.url("/gone")]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"{server.url('/b')}: b1", "    https://example.com/b1"]
    assert err.splitlines()[0].startswith(f"{server.url('/gone')}: ")
    assert err.splitlines()[1:] == [
        "1 listed by 2 sources not in sources.toml, so nothing is stored (--store keeps it)"
    ]
    assert (storage.sources.all(), titles(storage)) == ([], [])


def test_help_is_given_and_is_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        stack_scrap.main(["--help"])
    assert ended.value.code == 0
    assert "--store" in capsys.readouterr().out


def test_an_unknown_option_is_told_with_its_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        stack_scrap.main(["--sotre", "https://a.example/"])
    assert ended.value.code == 2
    assert "--sotre" in capsys.readouterr().err


def test_a_pass_that_fails_leaves_how_a_source_fares_as_it_was(
    server: FeedServer, sources_path: Path, storage: Storage
) -> None:
    write(sources_path, ("A", server.url("/a")))
    stack_scrap.main([])
    before = storage.sources.all()[0].looks
    server.serve("/a", status=500)
    assert stack_scrap.main([]) == 1
    after = storage.sources.all()[0].looks
    assert (after.failures, after.error, after.next_at) == (0, None, before.next_at)


def test_a_mistake_in_the_sources_file_is_told_by_every_pass(
    server: FeedServer, sources_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write(sources_path, ("A", server.url("/a")), ("B", "nowhere"))
    for _ in range(2):
        caplog.clear()
        assert stack_scrap.main([]) == 0
        assert "sources.toml, line 8: url must be an http or https address" in caplog.messages


def test_a_source_that_is_kept_after_a_typo_is_polled_in_a_pass(
    server: FeedServer, sources_path: Path, storage: Storage
) -> None:
    write(sources_path, ("A", server.url("/a")), ("B", server.url("/b")))
    SourcesWatch().refresh(storage, sources_path)
    sources_path.write_text(sources_path.read_text().replace('name = "B"', 'name = "B'))
    assert [item.title for item in stack_scrap.questions()] == ["a1", "a2", "b1"]
    assert stack_scrap.questions(server.url("/b")) == []


def test_bad_addresses_are_told_all_at_once_and_nothing_is_fetched(
    server: FeedServer, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stack_scrap.main([server.url("/a"), "ftp://example.com/feed", "feed"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "feedmirror: ftp://example.com/feed: must be an http or https address\n"
        "feedmirror: feed: must be an http or https address\n"
    )
    assert (server.requests, storage.sources.all()) == ([], [])


def test_a_missing_sources_file_is_told_in_one_line(sources_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stack_scrap.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"feedmirror: {sources_path}: no such sources file; set FEEDMIRROR_SOURCES or create it\n"


def test_mistakes_in_the_sources_file_are_told_and_the_others_used(
    server: FeedServer, sources_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(sources_path, ("A", server.url("/a")), ("B", "nowhere"))
    assert [item.title for item in stack_scrap.questions()] == ["a1", "a2"]
    assert "sources.toml, line 8: url must be an http or https address" in caplog.messages


def test_mongodb_away_is_told_in_one_line(
    server: FeedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setenv("MONGODB_URI", f"mongodb://127.0.0.1:{port}/x?timeoutMS=200")
    assert stack_scrap.main(["--store", server.url("/a")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("feedmirror: ")
    assert f"127.0.0.1:{port}" in err
    assert err.count("\n") == 1


def test_settings_that_cannot_be_used_are_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEEDMIRROR_LEASE", "soon")
    assert stack_scrap.main([]) == 2
    err = capsys.readouterr().err
    assert err.startswith("feedmirror: FEEDMIRROR_LEASE='soon': ")
    assert err.count("\n") == 1


def test_as_a_program_with_nothing_but_an_address_it_brings_its_own_mongodb(server: FeedServer, tmp_path: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, "-W", "error", "stack_scrap.py", "--store", server.url("/a")],
            cwd=ROOT,
            env=environment(FEEDMIRROR_DATA=str(tmp_path / "own")),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    first = run()
    assert first.returncode == 0, first.stderr
    assert [line.rpartition(": ")[2] for line in first.stdout.splitlines()[::2]] == ["a1", "a2"]
    assert first.stderr == "2 new from 1 source\n"
    again = run()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "0 new from 1 source\n")
    assert not (tmp_path / "own" / "mongodb-uri").exists()


# -- the tasks


def test_the_tasks_have_the_names_that_others_use() -> None:
    assert {"feedmirror.poll_due", "feedmirror.do_job"} <= set(stack_scrap.app.tasks)
    assert {entry["task"] for entry in stack_scrap.app.conf.beat_schedule.values()} <= set(stack_scrap.app.tasks)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            Settings(mongodb_uri="mongodb://db/x"),
            {
                "broker_url": "mongodb://db/x",
                "broker_transport": "feedmirror.mongodb_broker:Transport",
                "broker_transport_options": {"polling_interval": 0.2, "ttl": True},
            },
        ),
        (
            Settings(mongodb_uri="mongodb://db/x", broker_url="amqp://rabbit//"),
            {"broker_url": "amqp://rabbit//", "broker_transport_options": {"confirm_publish": True}},
        ),
        (Settings(mongodb_uri="mongodb://db/x", broker_url="redis://r/0"), {"broker_url": "redis://r/0"}),
    ],
)
def test_messages_go_through_the_database_unless_a_broker_is_named(
    settings: Settings, expected: dict[str, object]
) -> None:
    assert broker_settings(settings) == expected


def test_a_pass_does_not_wait_for_a_publisher_that_asked_for_long(
    server: FeedServer, sources_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("/a", "/b"):
        server.serve(path, status=429, headers={"Retry-After": "900"})
    sources_path.write_text(
        "".join(
            f'[[source]]\nname = "{name}"\nurl = "{server.url(path)}"\nprivate = true\ngroup = "g"\nper_minute = 60\n'
            for name, path in (("A", "/a"), ("B", "/b"))
        )
    )
    assert stack_scrap.main([]) == 1
    capsys.readouterr()
    assert stack_scrap.main([]) == 1
    said = capsys.readouterr().err
    assert "A: not looked at: asked to wait until" in said
    assert "B: not looked at: asked to wait until" in said
    assert len(server.requests) == 2
