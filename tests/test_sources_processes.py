"""A sources file that is edited badly, or read by a shell with another environment, beside a real worker."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedmirror.models import WatchedSource
from feedmirror.storage import Storage
from tests.atom import atom
from tests.feed_server import FeedServer
from tests.processes import PYTHON, ROOT, WORKER, Running, environment
from tests.waiting import wait_until

pytestmark = pytest.mark.long

TOKEN = "MIRROR_TEST_TOKEN"


class Installation:
    """A worker with a token in its environment, the sources file that it reads, and who is asked."""

    def __init__(self, server: FeedServer, storage: Storage, path: Path, database_uri: str):
        self.server = server
        self.storage = storage
        self.path = path
        self.env = environment(MONGODB_URI=database_uri, FEEDMIRROR_SOURCES=str(path))
        server.serve("/feed", atom([(1, "First")]))
        server.serve("/rows", b'[{"id": 1}]')
        self.text = (
            f'[[source]]\nname = "Feed"\nurl = "{server.url("/feed")}"\nevery = "1s"\nprivate = true\n'
            f'[[source]]\nname = "Api"\nkind = "api"\nurl = "{server.url("/rows")}"\nevery = "1s"\nprivate = true\n'
            f'key = "id"\nheaders = {{ Authorization = "Bearer ${{{TOKEN}}}" }}\n'
        )
        self.path.write_text(self.text)

    def source(self, source_id: str) -> WatchedSource:
        return next(one for one in self.storage.sources.all() if one.source.id == source_id)

    def goes_on(self) -> None:
        """Wait until the worker has asked both once more, and again."""
        for path in ("/feed", "/rows"):
            before = len(self.server.requests_for(path))
            wait_until(lambda: len(self.server.requests_for(path)) >= before + 2, f"{path} to be polled")  # noqa: B023


@pytest.fixture
def installation(storage: Storage, database_uri: str, tmp_path: Path) -> Iterator[Installation]:
    with FeedServer() as server:
        installation = Installation(server, storage, tmp_path / "sources.toml", database_uri)
        with Running([*WORKER, "-B"], tmp_path / "worker.log", {**installation.env, TOKEN: "secret"}):
            installation.goes_on()
            yield installation


def test_a_live_source_is_polled_on_after_a_typo_and_after_an_empty_file(installation: Installation) -> None:
    installation.path.write_text(installation.text.replace('name = "Feed"', 'name = "Feed').replace('"id"', "id"))
    wait_until(lambda: installation.source("api").mistake, "the mistakes to be seen")
    installation.goes_on()
    assert installation.storage.sources.mistakes()[0] == "sources.toml, line 2: a quote is missing"
    installation.path.write_text("")
    wait_until(lambda: "no source" in (installation.source("feed").mistake or ""), "the empty file to be seen")
    installation.goes_on()
    installation.path.write_text(installation.text.replace('"Feed"', '"Renamed"'))
    wait_until(lambda: installation.storage.watchlist.names(["feed"]) == {"feed": "Renamed"}, "the new name")
    installation.goes_on()
    assert installation.storage.sources.mistakes() == []
    assert [one.mistake for one in installation.storage.sources.all()] == [None, None]


def test_a_shell_without_the_token_leaves_what_the_worker_polls(installation: Installation) -> None:
    def in_shell(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, *command],
            cwd=ROOT,
            env={**installation.env, **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    said = in_shell("stack_scrap.py").stderr + in_shell("-m", "feedmirror", "poll", "Api").stderr
    assert f"the environment variable {TOKEN} is not set" in said or "a worker is polling it" in said
    other = in_shell("-m", "feedmirror", "poll", "Api", FEEDMIRROR_SOURCES=str(ROOT / "sources.toml"))
    assert (other.returncode, "set FEEDMIRROR_SOURCES" in other.stderr) == (2, True)
    installation.goes_on()
    api = installation.source("api")
    assert (api.active, api.looks.failures, api.looks.error) == (True, 0, None)
    asked = installation.server.requests_for("/rows")
    assert {request.headers.get("Authorization") for request in asked} == {"Bearer secret"}
