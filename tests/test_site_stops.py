"""How `python site.py` stops: within seconds, whatever its clients do."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fronts import SITE
from tests.processes import Running, environment, free_port
from tests.waiting import wait_until

# More than there are threads.
CLIENTS = 36
SILENT = b"GET /update HTTP/1.1\r\nHost: "
UNREAD = b"GET /static/vendor/jquery.min.js HTTP/1.1\r\nHost: x\r\n\r\n" * 200
SOON_S = 4.5


@pytest.fixture
def site(database_uri: str, tmp_path: Path) -> Iterator[tuple[Running, int]]:
    port = free_port()
    with Running(SITE, tmp_path / "log", environment(MONGODB_URI=database_uri, PORT=str(port))) as running:
        running.wait_for("Feedmirror is at")
        yield running, port


@pytest.fixture
def clients() -> Iterator[Callable[[int, bytes], None]]:
    with ExitStack() as stack:

        def connect(port: int, request: bytes) -> None:
            for _ in range(CLIENTS):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                client.sendall(request)

        yield connect


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("request_", [b"", SILENT, UNREAD], ids=["idle", "silent", "unread"])
def test_it_stops_soon_whatever_its_clients_do(
    site: tuple[Running, int], clients: Callable[[int, bytes], None], request_: bytes, number: signal.Signals
) -> None:
    running, port = site
    clients(port, request_)
    began = time.monotonic()
    running.process.send_signal(number)
    assert running.process.wait(30) == 0
    assert time.monotonic() - began < SOON_S
    assert running.output.count("\n") == 1, "it says where it is, and no more"


def test_ctrl_c_before_it_serves_is_quiet(tmp_path: Path) -> None:
    with Running(SITE, tmp_path / "log", environment(MONGODB_URI="mongodb://127.0.0.1:1/x")) as running:
        maps = Path(f"/proc/{running.process.pid}/maps")
        wait_until(lambda: "_cbson" in maps.read_text(), "its imports")  # which it is in the middle of
        running.process.send_signal(signal.SIGINT)
        running.process.wait(20)
        assert running.output == ""
