"""What the whole suite shares: one real MongoDB, a database of its own for each test."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror import mongod
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.storage import Storage
from tests.apis import api, api_server, mirror
from tests.brokers import broker, brokers
from tests.browser import browser, page
from tests.databases import Databases

__all__ = ["api", "api_server", "broker", "brokers", "browser", "mirror", "page"]

_ROOT = Path(__file__).resolve().parent.parent
_CORPORA = _ROOT.parent / "shared" / "corpora"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Most of the suite waits for processes to start, end and find each other again: two more than there are cores."""
    return (os.cpu_count() or 1) + 2


@pytest.fixture(scope="session")
def mongodb_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a MongoDB of this test run's own, without a database's name."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    with mongod.running(settings):
        yield settings.database_uri.replace("/feedmirror?", "/?")


@pytest.fixture(scope="session")
def databases(mongodb_uri: str) -> Iterator[Databases]:
    connection = Connection(mongodb_uri.replace("/?", "/test?"), timeout_s=20)
    with closing(connection), ThreadPoolExecutor(1) as behind:
        yield Databases(connection.database().client, behind)


@pytest.fixture
def database_uri(request: pytest.FixtureRequest, mongodb_uri: str, databases: Databases) -> Iterator[str]:
    """The address of a database that nobody else has; there is nothing in it, unless `storage` is asked for as well."""
    with databases.prepared() if "storage" in request.fixturenames else databases.new() as name:
        yield mongodb_uri.replace("/?", f"/{name}?")


@pytest.fixture
def connection(database_uri: str) -> Iterator[Connection]:
    connection = Connection(database_uri, timeout_s=20)
    yield connection
    connection.close()


@pytest.fixture
def database(connection: Connection) -> Database[dict[str, Any]]:
    return connection.database()


@pytest.fixture
def storage(database: Database[dict[str, Any]]) -> Storage:
    """The real storage on an empty database."""
    return Storage(database).prepare()


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Genuine feeds of other projects, which are no part of this one."""
    if not _CORPORA.is_dir():
        pytest.skip("the feeds of other projects are not here")
    return _CORPORA


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With FEEDMIRROR_NO_SKIPS set, a skipped test is a failed one: a green run then means that all of it ran."""
    report = yield
    if report.skipped and os.environ.get("FEEDMIRROR_NO_SKIPS") and not item.get_closest_marker("corpora"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which this run does not allow: {report.longrepr}"
    return report
