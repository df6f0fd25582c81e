"""`make serve` as its users meet it: it says where it is, ends when told, and survives what dies; and clients that are
slow or silent keep nobody else waiting, neither there nor behind nginx.
"""

import json
import os
import resource
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.models import Entry
from feedmirror.mongod import Mongod
from feedmirror.storage import Storage
from tests import nginx
from tests.fronts import SERVE, SITE, Front, children, listeners, lives, workers
from tests.processes import PYTHON, Running, environment, free_port
from tests.waiting import wait_until

# Of a client who is kept waiting by nobody; far more than an answer takes on a machine that is busy.
PROMPTLY_S = 4
# As many as would fill the threads of any server that gives one to each.
SLOW = 36
SILENT = 300
IDLE = 2_000
OTHERS = 30


def ask(address: str, path: str = "/update?timestamp=1") -> Any:
    """What a client is told by an answer of 200."""
    with urllib.request.urlopen(address + path, timeout=PROMPTLY_S) as answer:
        assert answer.status == 200
        return json.load(answer)


def refusal(address: str) -> str:
    """What a client is told who is refused for now; empty if it is not, or if nobody listens."""
    try:
        ask(address)
    except urllib.error.HTTPError as error:
        told = error
    except urllib.error.URLError:
        return ""
    else:
        return ""
    assert (told.code, told.headers["Content-Type"]) == (503, "application/json; charset=utf-8")
    assert int(told.headers["Retry-After"]) > 0
    return str(json.load(told)["error"])


def ended(pids: set[int]) -> bool:
    return not any(lives(pid) for pid in pids)


def is_quiet(running: Running) -> bool:
    return not any(word in running.output for word in ("Traceback", "ERROR", "Error", "rror:", "Warning"))


# -- its processes


@pytest.fixture
def serve(tmp_path: Path, database_uri: str) -> Iterator[Callable[..., tuple[Running, str]]]:
    """Starts one, and gives it and its address."""
    with ExitStack() as stack:

        def serve(uri: str = database_uri, **settings: str) -> tuple[Running, str]:
            settings = {"MONGODB_URI": uri, "PORT": str(free_port()), **settings}
            log = tmp_path / f"serve{len(list(tmp_path.glob('serve*')))}.log"
            running = stack.enter_context(Running(SERVE, log, environment(**settings)))
            return running, f"http://127.0.0.1:{settings['PORT']}"

        yield serve


def usable(serve: tuple[Running, str]) -> tuple[Running, str]:
    running, address = serve
    assert running.wait_for(r"Feedmirror is at (\S+)/\n")[1] == address
    wait_until(lambda: len(listeners(port_of(address))) == 2, "both processes")
    return running, address


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_make_serve_says_where_it_is_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    env = environment(FEEDMIRROR_DATA=str(tmp_path / "data"), PORT=str(free_port()))
    with Running(["make", "serve"], tmp_path / "make.log", env) as make:
        address = make.wait_for(r"Feedmirror is at (http://\S+)/", timeout_s=60)[1]
        assert ask(address) == []
        everybody = descendants(make.process.pid)
        assert len(everybody) >= 5  # the two, what started them, MongoDB and what keeps it
        make.signal_group(signal.SIGINT)
        make.process.wait(20)
        wait_until(lambda: ended(everybody), "the end of all of them", timeout_s=10)
        assert "Traceback" not in make.output


def descendants(pid: int) -> set[int]:
    found = children(pid)
    return found.union(*map(descendants, found))


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C", "the terminal is closed"])
def test_it_ends_when_told_whoever_is_still_connected(serve: Callable[..., tuple[Running, str]], how: str) -> None:
    running, address = usable(serve())
    everybody = children(running.process.pid)
    began = time.monotonic()
    with ExitStack() as stack:
        for client in [stack.enter_context(connected(address)) for _ in range(10)]:
            client.sendall(b"GET /update HTTP/1.1\r\nHost: ")
        if how == "SIGTERM":
            running.process.terminate()
        else:
            running.signal_group(signal.SIGINT if how == "Ctrl-C" else signal.SIGHUP)
        assert running.process.wait(10) == 0
        wait_until(lambda: ended(everybody), "the end of its processes", timeout_s=10)
        assert time.monotonic() - began < 5
    assert is_quiet(running), running.output


def test_ctrl_c_while_it_starts_ends_it_without_complaint(serve: Callable[..., tuple[Running, str]]) -> None:
    running, _ = serve()
    wait_until(lambda: len(workers(running)) == 2, "both processes")
    everybody = children(running.process.pid)
    running.signal_group(signal.SIGINT)
    assert running.process.wait(10) == 0
    wait_until(lambda: ended(everybody), "the end of its processes", timeout_s=10)
    assert is_quiet(running), running.output


def test_its_processes_do_not_outlive_it(serve: Callable[..., tuple[Running, str]]) -> None:
    running, address = usable(serve())
    everybody = children(running.process.pid)
    with connected(address) as silent:
        silent.sendall(b"GET /update HTTP/1.1\r\n")
        running.process.kill()
        wait_until(lambda: ended(everybody), "the end of its processes", timeout_s=10)


def test_each_process_that_dies_is_replaced_while_the_other_answers(serve: Callable[..., tuple[Running, str]]) -> None:
    running, address = usable(serve())
    port = port_of(address)
    for victim in workers(running):
        before = listeners(port)
        os.kill(victim, signal.SIGKILL)
        # not its end: its leader may be gone while its other threads still hold what it has open
        wait_until(lambda: before - listeners(port), "its end")  # noqa: B023 (waited for here)
        for _ in range(OTHERS):
            assert ask(address) == []
        wait_until(lambda: len(listeners(port)) == 2, "another one")


def test_a_process_that_dies_again_and_again_ends_it_with_a_word(serve: Callable[..., tuple[Running, str]]) -> None:
    running, _ = usable(serve())
    kept, victim = sorted(workers(running))
    os.kill(victim, signal.SIGKILL)
    [successor] = wait_until(lambda: workers(running) - {kept, victim}, "another one")
    os.kill(successor, signal.SIGKILL)
    assert running.process.wait(10) != 0
    assert "crash loop" in running.output
    wait_until(lambda: ended({kept}), "the end of the other one", timeout_s=10)


def test_a_port_that_is_taken_is_told_in_one_line(serve: Callable[..., tuple[Running, str]]) -> None:
    first, address = usable(serve())
    port = port_of(address)
    second, _ = serve(PORT=str(port))
    assert second.process.wait(20) == 2
    assert second.output == (
        f"feedmirror: another Feedmirror (process {first.process.pid}) serves at 127.0.0.1 port {port}:"
        " stop it, or set PORT to another\n"
    )
    assert ask(address) == []


def test_mongodb_away_is_told_at_once_and_over_when_it_is_back(
    serve: Callable[..., tuple[Running, str]], tmp_path: Path
) -> None:
    port = free_port()
    uri = f"mongodb://127.0.0.1:{port}/feedmirror?replicaSet=feedmirror"
    running, address = serve(uri)

    def says_that_it_is_away() -> bool:
        return "database is away" in refusal(address)

    def each_process_answers() -> bool:
        return not any(refusal(address) for _ in range(OTHERS))

    wait_until(says_that_it_is_away, "the answer that it is away", timeout_s=10)
    running.wait_for("answers, but its database is away")
    with ExitStack() as stack:

        def start_mongod() -> Mongod:
            mongod = Mongod(tmp_path / "data", port)
            stack.callback(mongod.stop)
            mongod.wait_until_usable()
            return mongod

        mongod = start_mongod()
        running.wait_for("Feedmirror is at")
        # one of the two does; the other may take a moment longer to find MongoDB
        wait_until(each_process_answers, "answers", timeout_s=10)
        assert ask(address) == []
        mongod.process.kill()
        wait_until(says_that_it_is_away, "the answer that it is away", timeout_s=10)
        for _ in range(OTHERS):
            assert says_that_it_is_away()
        start_mongod()
        wait_until(each_process_answers, "answers", timeout_s=10)
        assert ask(address) == []
    assert "Traceback" not in running.output


def test_each_process_answers_polls_from_memory(
    serve: Callable[..., tuple[Running, str]], database: Database[dict[str, Any]], storage: Storage
) -> None:
    storage.items.store("one", {"a": Entry(title="a")}, now=datetime.now(UTC))
    _, address = usable(serve())

    def queries() -> int:
        return int(database.client.admin.command("serverStatus")["opcounters"]["query"])

    def polls_without_a_query() -> bool:
        before = queries()
        for _ in range(OTHERS):  # each over a connection of its own, so that each process has some of them
            assert [item["title"] for item in ask(address)] == ["a"]
        return queries() == before

    wait_until(polls_without_a_query, "polls that ask MongoDB nothing")
    storage.items.store("one", {"b": Entry(title="b")}, now=datetime.now(UTC))
    for _ in range(OTHERS):
        wait_until(lambda: [item["title"] for item in ask(address)] == ["b", "a"], "what is new", timeout_s=5)


# -- clients who are slow or silent


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many connections as the machine lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(params=["granian", "nginx"])
def front(
    request: pytest.FixtureRequest, many_files: None, tmp_path: Path, database_uri: str
) -> Iterator[Callable[..., str]]:
    """Starts it, and gives its address. Behind nginx is the server that withstands nothing of this alone.

    `silent_s` is how long whoever asks nothing is waited for.
    """
    with ExitStack() as stack:

        def start(*, silent_s: int = 60) -> str:
            if request.param == "granian":
                program = f"from feedmirror.web import processes as p; p._SILENT_MS = {silent_s * 1000}; p.main()"
                front = Front("granian", database_uri, tmp_path, behind=[[PYTHON, "-c", program]])
            else:
                silent = {
                    "client_header_timeout 10s;": f"client_header_timeout {silent_s}s;",
                    "keepalive_timeout 30s;": f"keepalive_timeout {silent_s}s;",
                    " send_timeout 10s;": f" send_timeout {silent_s}s;",
                }
                changes = {**nginx.UNLIMITED, **silent}
                front = Front("nginx", database_uri, tmp_path, behind=[SITE], changes=changes)
            return stack.enter_context(front).wait_until_usable().address

        yield start


def connected(address: str, *, receive: int | None = None) -> socket.socket:
    """A connection; `receive` is how much of what comes the kernel takes while nobody reads."""
    client = socket.socket()
    client.settimeout(PROMPTLY_S)
    if receive:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.connect(("127.0.0.1", port_of(address)))
    return client


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: feedmirror\r\n\r\n".encode()


def head_and_body(client: socket.socket) -> tuple[bytes, bytes]:
    """One answer, to its end."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += some(client)
    head, _, body = received.partition(b"\r\n\r\n")
    head = head.lower()
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    length = next(int(value) for name, _, value in lines if name == b"content-length")
    parts, missing = [body], length - len(body)
    while missing:
        parts.append(some(client))
        missing -= len(parts[-1])
    return head, b"".join(parts)


def some(client: socket.socket) -> bytes:
    received = client.recv(1 << 20)
    assert received, "closed within an answer"
    return received


def test_slow_readers_keep_nobody_waiting_and_have_their_answers_in_the_end(
    front: Callable[..., str], storage: Storage
) -> None:
    large = {str(number): Entry(title=str(number), summary=f"<p>{'long ' * 2500}</p>") for number in range(500)}
    storage.items.store("one", large, now=datetime.now(UTC))
    address = front()
    with ExitStack() as stack:
        readers = [stack.enter_context(connected(address, receive=4096)) for _ in range(SLOW)]
        for number, reader in enumerate(readers):  # each with an answer of its own
            reader.settimeout(30)
            reader.sendall(request(f"/update?timestamp=1&limit={500 - number}"))
        for reader in readers:
            assert reader.recv(1, socket.MSG_PEEK), "no answer has begun"
        for number in range(OTHERS):
            assert len(ask(address, f"/update?timestamp=1&limit={number + 1}")) == number + 1
        for number in (0, SLOW - 1):
            head, body = head_and_body(readers[number])
            assert head.startswith(b"http/1.1 200 ")
            assert len(json.loads(body)) == 500 - number
            assert len(body) > 5_000_000  # Linux takes four of them, whoever reads (tcp_wmem)


def test_clients_who_never_finish_their_question_keep_nobody_waiting_and_are_let_go(front: Callable[..., str]) -> None:
    # as long as all the others are asked for, and no longer
    address = front(silent_s=3)
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(address)) for _ in range(SILENT)]
        for client in silent:
            client.sendall(b"GET /update?timestamp=1 HTTP/1.1\r\nHost: feedmirror\r\nAccept: app")
        for number in range(OTHERS):
            assert ask(address, f"/update?timestamp=1&limit={number + 1}") == []
        wait_until(lambda: all(map(is_let_go, silent)), "the end of the silent ones")


def is_let_go(client: socket.socket) -> bool:
    """Whether the server has closed this connection; what it may say before (408) is passed over."""
    client.setblocking(False)
    try:
        while client.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_thousands_of_idle_connections_keep_nobody_waiting(front: Callable[..., str]) -> None:
    address = front()
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(address)) for _ in range(IDLE)]
        for client in idle:
            client.sendall(request("/update?timestamp=1"))
            assert head_and_body(client)[1] == b"[]"
        for number in range(OTHERS):
            assert ask(address, f"/update?timestamp=1&limit={number + 1}") == []
        # they are still there, and their next question is answered
        for client in idle[:: IDLE // OTHERS]:
            client.sendall(request("/update?timestamp=2"))
            assert head_and_body(client)[1] == b"[]"
        assert not any(map(is_let_go, idle))
