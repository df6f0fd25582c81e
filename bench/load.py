"""Asking an HTTP server: as fast as it answers, with wrk; or once, to see every byte of the answer."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

_SCRIPT = Path(__file__).with_name("pages.lua")
# Whatever is compared is asked over as many. Cheroot's and CherryPy's own servers keep ten open unless told otherwise.
CONNECTIONS = 8
# For more of them than cores: granian and nginx divide connections among their processes, and not always evenly.
MANY_CONNECTIONS = 64
# What a browser sends and what makes a difference.
HEADERS = {"Accept-Encoding": "gzip"}

Key = TypeVar("Key")


@dataclass(frozen=True)
class Server:
    """Where it listens, and the session that its processes are in."""

    address: str
    session: int


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw. `failed` counts connections, time-outs and answers from 400 on.

    `cpu_s` is what the server's processes calculated meanwhile, system calls included.
    """

    answers: int
    seconds: float
    received: int
    failed: int
    p50_s: float
    p99_s: float
    cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        return self.answers / self.seconds

    @property
    def cpu_us(self) -> float:
        """Of one answer."""
        return 1e6 * self.cpu_s / self.answers


@dataclass(frozen=True)
class Asked:
    """A server, how it is asked (see pages.lua), and by how many connections."""

    server: Server
    path: str
    how: str = "same"
    cursor: str = ""
    headers: Mapping[str, str] | None = None
    connections: int = CONNECTIONS


def require(*programs: str) -> None:
    """End with a word on where to get what is not there: wrk asks the servers, nginx stands in front of one."""
    for program in programs:
        if not found(program):
            sys.exit(f"bench: no {program}: apt-get install {program} (Debian, Ubuntu)")


def found(program: str) -> str | None:
    """Where it is; not everybody's PATH has what only administrators need."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def load(asked: Asked, seconds: float) -> Load:
    """Ask as fast as it is answered, for so long; raises if anything failed."""
    before = cpu_s(asked.server.session)
    process = _start(asked, seconds)
    output, _ = process.communicate(timeout=seconds + 30)
    return replace(_load_of(output), cpu_s=cpu_s(asked.server.session) - before)


@contextmanager
def loaded(asked: Asked, seconds: float) -> Iterator[list[Load]]:
    """The same, beside the block and as long as that, `seconds` at most; the list has the result after it."""
    seen: list[Load] = []
    process = _start(asked, seconds)
    try:
        yield seen
        # what the block measured must have been measured under load
        assert process.poll() is None, "the load ended too early"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        seen.append(_load_of(output))
    finally:
        process.kill()
        process.wait()


def in_turn(
    asked: Mapping[Key, Asked], *, rounds: int, seconds: float, say: Callable[[str], None] = lambda _: None
) -> dict[Key, Load]:
    """The best of some rounds of each, one after the other in every round: what else the machine does only ever
    takes away, and must not hit one side alone."""
    best: dict[Key, Load] = {}
    for number in range(rounds):
        for name, one in asked.items():
            say(f"round {number + 1} of {rounds}: {name}")
            seen = load(one, seconds)
            if name not in best or seen.per_s > best[name].per_s:
                best[name] = seen
    return best


def cpu_s(session: int) -> float:
    """What the processes of a session have calculated so far, those that they have waited for included."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            # behind the name, which may have anything in it: see proc(5)
            fields = stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def allow_connections(count: int) -> None:
    """Let this process and its children open as many files as that takes; ends with a word if it may not."""
    wanted = count + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"bench: {count:,} connections need {wanted:,} open files, and {hard:,} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _start(asked: Asked, seconds: float) -> subprocess.Popen[str]:
    headers = {**HEADERS, **(asked.headers or {})}
    command = [
        *("wrk", "--threads", "1", "--connections", str(asked.connections), "--duration", f"{seconds:g}s"),
        *("--timeout", "10s", "--script", str(_SCRIPT)),
        *(part for name, value in headers.items() for part in ("--header", f"{name}: {value}")),
        *(asked.server.address + asked.path, "--", asked.how, asked.path, asked.cursor),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _load_of(output: str) -> Load:
    # what else wrk prints is for people
    found: Load | None = None
    for line in output.splitlines():
        if line.startswith("{"):
            found = Load(**json.loads(line))
    assert found is not None, output
    assert found.answers, output
    assert not found.failed, output
    return found


# -- one answer


@dataclass(frozen=True)
class Answer:
    """An answer as it came over the wire."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def size(self) -> int:
        return len(self.head) + len(self.body)

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}


class Caller:
    """One client with one connection, made anew where the server closes it."""

    def __init__(self, address: str):
        host, _, port = address.removeprefix("http://").partition(":")
        self._place = host, int(port)
        self._connection: socket.socket | None = None

    def ask(self, path: str, headers: Mapping[str, str] = HEADERS) -> Answer:
        """The answer; raises OSError."""
        if self._connection is None:
            self._connection = socket.create_connection(self._place, timeout=10)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sendall(request(path, headers))
        received = b""
        while (answer := parsed(received)) is None:
            some = self._connection.recv(1 << 20)
            if not some:
                raise ConnectionError(f"closed after {len(received)} bytes")
            received += some
        if closes(answer):
            self.close()
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def request(path: str, headers: Mapping[str, str] = HEADERS) -> bytes:
    """A GET as it goes over the wire."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def parsed(received: bytes) -> Answer | None:
    """The answer that these bytes are; None while some of it is missing. Only with a Content-Length or without body."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    answer = Answer(received[: end + 4], received[end + 4 :])
    length = 0 if answer.status == 304 else int(answer.headers["content-length"])
    return answer if len(answer.body) >= length else None


def closes(answer: Answer) -> bool:
    """Whether the server takes no further question on this connection."""
    return answer.headers.get("connection", "").lower() == "close"


def latencies(seconds: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2], ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
