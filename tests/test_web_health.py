"""Whether a process is alive, and whether it can serve: what a load balancer and a monitor ask."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from feedmirror import broker as broker_module
from feedmirror.broker import Probe
from feedmirror.config import Settings
from feedmirror.errors import NewerSchema, Upgrading
from feedmirror.storage import Storage
from feedmirror.web.follower import Follower
from feedmirror.web.health import CHECKS
from feedmirror.web.watch import Watch
from feedmirror.web.window import Window
from tests.brokers import Broker
from tests.fake_storage import FakeStorage
from tests.processes import free_port
from tests.serving import client_of
from tests.waiting import wait_until
from tests.wsgi_client import Client, Reply

UNKNOWN = "Not known while the database cannot be read."
AWAY = "The database is away; try again in a few seconds."


@pytest.fixture
def fake() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def watch(fake: FakeStorage) -> Watch:
    return Watch(lambda: fake, patience_s=0)  # type: ignore[arg-type, return-value]


@pytest.fixture
def client(fake: FakeStorage, watch: Watch) -> Client:
    return client_of(lambda: fake, watch=watch)


def failed(reply: Reply) -> dict[str, str]:
    """The checks that failed, with their reasons; what the answer says of itself fits that."""
    shown = reply.json()
    checks = shown["checks"]
    assert set(checks) == set(CHECKS)
    found = {name: check["reason"] for name, check in checks.items() if not check["ok"]}
    assert shown["ok"] == (not found)
    assert shown["ready"] == (reply.status == 200) == (not any(checks[name]["needed"] for name in found))
    assert reply.headers["cache-control"] == "no-store"
    return found


def test_a_process_that_answers_is_alive(client: Client, fake: FakeStorage) -> None:
    fake.go_away()
    reply = client.get("/healthz")
    assert (reply.status, reply.json()) == (200, {"alive": True})
    assert (client.request("HEAD", "/healthz").status, client.request("HEAD", "/healthz").body) == (200, b"")


def test_ready_is_a_process_whose_database_answers(client: Client, fake: FakeStorage, watch: Watch) -> None:
    starting = client.get("/readyz")
    assert (starting.status, failed(starting)["database"]) == (503, "The database has not answered yet.")
    watch.look()
    assert failed(client.get("/readyz")) == {}
    fake.go_away()
    watch.look()
    assert client.request("HEAD", "/readyz").status == 503
    assert failed(client.get("/readyz")) == {"database": AWAY, "broker": AWAY, "worker": UNKNOWN}
    fake.come_back()
    watch.look()
    assert failed(client.get("/readyz")) == {}


def test_no_worker_is_said_and_takes_no_page_away(client: Client, fake: FakeStorage, watch: Watch) -> None:
    fake.processes.stall()
    watch.look()
    reply = client.get("/readyz")
    assert failed(reply) == {"worker": "Nothing has been polled for 2 min: no worker is running"}
    assert reply.status == 200


def test_a_broker_or_a_disk_takes_no_page_away(fake: FakeStorage, watch: Watch) -> None:
    watch.look()
    reasons = {"disk": "the disk of data/ is full", "broker": "The broker is away."}
    client = client_of(lambda: fake, watch=watch, disk=lambda: reasons["disk"], broker=lambda: reasons["broker"])
    assert failed(client.get("/readyz")) == reasons
    assert client.get("/readyz").status == 200


@pytest.mark.parametrize("failure", [NewerSchema(2, 1), Upgrading("the data is being brought up to date")])
def test_a_schema_of_another_program_is_not_ready(
    client: Client, fake: FakeStorage, watch: Watch, failure: Exception
) -> None:
    fake.away = failure
    watch.look()
    reply = client.get("/readyz")
    assert (reply.status, failed(reply)) == (503, {"schema": str(failure), "worker": UNKNOWN})


def test_a_window_that_is_being_filled_is_not_ready(storage: Storage, fake: FakeStorage, watch: Watch) -> None:
    watch.look()
    follower = Follower(lambda: storage, Window(max_items=10, max_bytes=1_000_000), items=10)
    client = client_of(lambda: fake, watch=watch, follower=follower)
    assert failed(client.get("/readyz")) == {"window": "The window is being filled."}
    wait_until(lambda: client.get("/readyz").status == 200, "the window", timeout_s=10)
    follower.stop()


def test_a_disk_that_is_nearly_full_is_told_on_the_page_of_the_sources(fake: FakeStorage) -> None:
    client = client_of(lambda: fake, disk=lambda: "the disk of data/ is nearly full (800 MB left)")
    assert "The disk of data/ is nearly full (800 MB left)." in client.get("/sources").text
    assert 'id="disk"' not in client_of(lambda: fake).get("/sources").text


# -- the broker


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "_PROBED_EVERY_S", 0.0)


@pytest.mark.usefixtures("often")
def test_a_broker_that_goes_and_comes_is_told_of(broker: Broker) -> None:
    probe = Probe(Settings(mongodb_uri="mongodb://127.0.0.1:1/none", broker_url=broker.url))
    assert probe.trouble() is None
    broker.stop()
    assert probe.trouble() == "The broker is away."
    broker.start()
    wait_until(lambda: probe.trouble() is None, "the broker")


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections, and on which nothing is ever said."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("scheme", ["redis", "amqp", "mongodb"])
def test_a_broker_that_says_nothing_is_away_within_seconds(scheme: str, silent: int) -> None:
    probe = Probe(Settings(mongodb_uri="mongodb://127.0.0.1:1/none", broker_url=f"{scheme}://127.0.0.1:{silent}/1"))
    began = time.monotonic()
    assert probe.trouble() == "The broker is away."
    assert time.monotonic() - began < 8


def test_what_came_of_a_probe_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(Settings(mongodb_uri="mongodb://127.0.0.1:1/none", broker_url=f"redis://127.0.0.1:{free_port()}/1"))
    attempts: list[None] = []
    probed = probe._probe

    def counted() -> str | None:
        attempts.append(None)
        return probed()

    monkeypatch.setattr(probe, "_probe", counted)
    threads = [threading.Thread(target=probe.trouble) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (probe.trouble(), len(attempts)) == ("The broker is away.", 1)
