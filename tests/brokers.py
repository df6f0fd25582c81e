"""Message brokers as processes of the tests, on loopback, with all of their files in a directory of theirs.

    def test(broker):                                       a test for each kind
        start(WORKER, CELERY_BROKER_URL=broker.url)
        broker.stop()                                       killed
        broker.start()                                      the same one, with what it had kept

RabbitMQ takes eight seconds to start: the tests of a kind share one, are run in one process (`--dist loadgroup`), and
find it running and empty.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import amqp
import pytest
import redis
from pymongo import MongoClient
from pymongo.collection import Collection

from feedmirror.mongod import Mongod
from tests.processes import Running, free_port, kill
from tests.programs import executable
from tests.waiting import wait_until

_QUEUE = "celery"
# The script itself: Debian's `rabbitmq-server` on the PATH changes to a user of its own, and to that one's directories.
_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Broker(Protocol):
    """One that runs; `url` is what CELERY_BROKER_URL is to be."""

    url: str
    port: int

    def start(self) -> None: ...

    def stop(self) -> None:
        """Kill it."""

    def empty(self) -> None:
        """Throw all messages away."""

    def waiting(self) -> int:
        """How many messages wait for a worker."""

    def close(self) -> None:
        """End everything that belongs to it."""


class Redis:
    """A Redis that writes down each message before it says that it has it."""

    def __init__(self, directory: Path):
        directory.mkdir()
        self._directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = [executable("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--dir", str(self._directory), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self._running = Running(command, self._directory / "log", os.environ, cwd=self._directory)
        self._running.wait_for("Ready to accept connections")

    def stop(self) -> None:
        kill(self._running)

    close = stop

    def empty(self) -> None:
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def waiting(self) -> int:
        with redis.Redis(port=self.port) as client:
            return int(client.llen(_QUEUE))


class MongoDB:
    """A MongoDB that is nothing but a broker."""

    def __init__(self, directory: Path):
        self._directory = directory
        self.port = free_port()
        self.start()
        # how soon those who use it notice that it is away; half a minute by default
        self.url = f"{self._mongod.uri}&serverSelectionTimeoutMS=1000"

    def start(self) -> None:
        self._mongod = Mongod(self._directory, self.port)
        self._mongod.wait_until_usable()

    def stop(self) -> None:
        self._mongod.stop()

    close = stop

    def empty(self) -> None:
        self._messages(lambda messages: messages.delete_many({}))

    def waiting(self) -> int:
        return int(self._messages(lambda messages: messages.count_documents({"queue": _QUEUE})))

    def _messages(self, use: Callable[[Collection[dict[str, Any]]], Any]) -> Any:
        with MongoClient[dict[str, Any]](self.url) as client:
            return use(client.get_default_database()["messages"])


class RabbitMQ:
    """A RabbitMQ with the name service of Erlang's that it needs, which would outlive it if it started one itself."""

    def __init__(self, directory: Path):
        directory.mkdir()
        self._directory = directory
        executable(str(_RABBITMQ))
        self._names_port, self.port, self._own_port = free_port(), free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        (directory / "plugins").write_text("[].\n")
        command = [executable("epmd"), "-address", "127.0.0.1", "-port", str(self._names_port)]
        self._names = Running(command, directory / "names.log", os.environ, cwd=directory)
        wait_until(lambda: listens(self._names_port), "Erlang's name service")
        self._running: Running | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        self._running = Running([str(_RABBITMQ)], self._directory / "log", self._environment(), cwd=self._directory)
        self._running.wait_for(r"started TCP listener on 127\.0\.0\.1", timeout_s=60)

    def stop(self) -> None:
        if self._running:
            kill(self._running)

    def empty(self) -> None:
        with amqp.Connection(f"127.0.0.1:{self.port}") as connection:
            connection.channel().queue_declare(_QUEUE, durable=True, auto_delete=False)
            connection.channel().queue_purge(_QUEUE)

    def waiting(self) -> int:
        with amqp.Connection(f"127.0.0.1:{self.port}") as connection:
            return int(connection.channel().queue_declare(_QUEUE, durable=True, auto_delete=False).message_count)

    def close(self) -> None:
        self.stop()
        kill(self._names)

    def _environment(self) -> Mapping[str, str]:
        own = {
            "HOME": str(self._directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._names_port),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._own_port),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._directory / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(self._directory / "expanded"),
            "RABBITMQ_CONFIG_FILE": str(self._directory / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(self._directory / "none"),
            # it shares a small machine with the tests: one thread, which does not spin while it waits
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }
        return {**os.environ, **own}


_KINDS: dict[str, Callable[[Path], Broker]] = {"mongodb": MongoDB, "redis": Redis, "rabbitmq": RabbitMQ}


@pytest.fixture(scope="session")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Broker]]:
    """Those that were started in this test run."""
    with ExitStack() as stack:
        started: dict[str, Broker] = {}
        yield started
        for broker in started.values():
            stack.callback(broker.close)


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in _KINDS])
def broker(
    request: pytest.FixtureRequest, brokers: dict[str, Broker], tmp_path_factory: pytest.TempPathFactory
) -> Broker:
    """A broker of each kind, running and empty."""
    kind = request.param
    if kind not in brokers:
        brokers[kind] = _KINDS[kind](tmp_path_factory.mktemp("broker") / kind)
        return brokers[kind]
    broker = brokers[kind]
    if not listens(broker.port):  # a test that stopped it has failed
        broker.start()
    broker.empty()
    return broker
