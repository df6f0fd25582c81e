"""The servers that `bench.update` asks: ours as users run it, and those that it is divided by.

    python -m bench.servers bare PORT           cheroot answering two bytes, with as many threads as ours
    python -m bench.servers plain PORT          what one writes in an evening: MongoDB asked at every poll, by CherryPy
    python -m bench.servers processes PORT      granian answering two bytes, or $BENCH_ANSWER, set as ours is

nginx is that of `deploy/nginx.conf`, with the places that it marks filled in. All on loopback, each in a session of
its own.
"""

import getpass
import json
import os
import re
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from bench.load import Answer, Server, found
from bench.stored import wait_for
from feedmirror.web import processes, server
from tests.processes import PYTHON, ROOT, Running, environment, free_port

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# Of granian, and of nginx.
PROCESSES = 2
STATIC = "/two-bytes"
_START_S = 30
_ANSWER = "BENCH_ANSWER"


@contextmanager
def site(uri: str, directory: Path, *, one_core: bool = False) -> Iterator[Server]:
    """`python site.py` on this database."""
    with _running([PYTHON, "site.py"], directory, {"MONGODB_URI": uri}, one_core=one_core) as ours:
        yield ours


@contextmanager
def serve(uri: str, directory: Path) -> Iterator[Server]:
    """`make serve` on this database."""
    command = [PYTHON, "-m", "feedmirror.web.processes"]
    settings = {"MONGODB_URI": uri, "FEEDMIRROR_PROCESSES": str(PROCESSES)}
    with _running(command, directory, settings) as ours:
        yield ours


@contextmanager
def bare(directory: Path, *, one_core: bool = False) -> Iterator[Server]:
    """Cheroot answering two bytes."""
    with _other("bare", directory, one_core=one_core) as other:
        yield other


@contextmanager
def plain(uri: str, directory: Path, *, one_core: bool = False) -> Iterator[Server]:
    """The plain handler on this database."""
    with _other("plain", directory, {"MONGODB_URI": uri}, one_core=one_core) as other:
        yield other


@contextmanager
def bare_processes(directory: Path, like: Answer | None = None) -> Iterator[Server]:
    """Granian answering two bytes, or always what it is given."""
    answer = {} if like is None else {_ANSWER: json.dumps([list(like.headers.items()), like.body.decode()])}
    with _other("processes", directory, answer) as other:
        yield other


@contextmanager
def nginx(site: Server, directory: Path) -> Iterator[Server]:
    """`deploy/nginx.conf` in front of the site; it has two bytes of its own at STATIC."""
    home = directory / "nginx"
    home.mkdir()
    (home / STATIC[1:]).write_bytes(b"[]")
    port = free_port()
    configuration = home / "nginx.conf"
    configuration.write_text(_configured(home, port, site), "utf-8")
    command = [found("nginx") or "nginx", "-p", str(home), "-c", str(configuration), "-g", "daemon off;"]
    with _running(command, directory, port=port) as front:
        yield front


def _configured(home: Path, port: int, site: Server) -> str:
    """The configuration as it is delivered, for this place; limits are kept and are high, for all comes from one."""
    text = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    static = f"location = {STATIC} {{ root {home}; default_type application/json; }}"
    for pattern, new in {
        r"user www-data;": f"user {getpass.getuser()};",
        r"worker_processes auto;": f"worker_processes {PROCESSES};",
        r"pid \S+;": f"pid {home}/pid;",
        r"error_log \S+;": f"error_log {home}/error.log;",
        r"worker_rlimit_nofile \d+;": f"worker_rlimit_nofile {resource.getrlimit(resource.RLIMIT_NOFILE)[1]};",
        r"http \{": f"http {{ client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;",
        r"server 127\.0\.0\.1:8080": f"server {site.address.removeprefix('http://')}",
        r"proxy_cache_path \S+": f"proxy_cache_path {home}/cache",
        r"rate=\d+r/s": "rate=1000000r/s",
        r"limit_req zone=requests burst=\d+": "limit_req zone=requests burst=1000000",
        r"limit_conn connections \d+": "limit_conn connections 60000",
        r"listen 80 default_server;": f"listen 127.0.0.1:{port} backlog=4096;",
        r"location / \{": f"{static} location / {{",
    }.items():
        text, found = re.subn(pattern, new, text)
        assert found == 1, f"deploy/nginx.conf has {found} times {pattern}"
    return text


@contextmanager
def _other(
    name: str, directory: Path, settings: Mapping[str, str] | None = None, *, one_core: bool = False
) -> Iterator[Server]:
    port = free_port()
    command = [PYTHON, "-m", "bench.servers", name, str(port)]
    with _running(command, directory, settings, port=port, one_core=one_core) as other:
        yield other


@contextmanager
def _running(
    command: list[str],
    directory: Path,
    settings: Mapping[str, str] | None = None,
    *,
    port: int = 0,
    one_core: bool = False,
) -> Iterator[Server]:
    """A server, once it answers."""
    port = port or free_port()
    if one_core:
        command = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), *command]
    address = f"http://127.0.0.1:{port}"
    env = environment(HOST="127.0.0.1", PORT=str(port), FEEDMIRROR_DATA=str(directory), **(settings or {}))
    with Running(command, directory / f"server-{port}.log", env) as running:

        def answers() -> bool:
            assert running.process.poll() is None, running.output
            try:
                with urlopen(address, timeout=5):
                    return True
            except OSError:
                return False

        wait_for(answers, " ".join(command), _START_S)
        yield Server(address, running.process.pid)


# -- the others


def two_bytes(_: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """The least that can be answered with."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"[]"]


def always(headers: list[tuple[str, str]], body: bytes) -> "WSGIApplication":
    """Answers with these, whatever is asked."""

    def constant(_: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", headers)
        return [body]

    return constant


def _bare(port: int) -> None:
    from cheroot.wsgi import Server as Cheroot

    bare = Cheroot(
        ("127.0.0.1", port),
        two_bytes,
        numthreads=server._THREADS,
        request_queue_size=server._BACKLOG,
        timeout=server._SILENT_S,
        accepted_queue_size=server._QUEUE,
        accepted_queue_timeout=server._QUEUE_WAIT_S,
    )
    bare.keep_alive_conn_limit = server._KEPT_ALIVE
    bare.start()


def _plain(port: int) -> None:
    import cherrypy
    from pymongo import MongoClient

    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"])
    items = client.get_default_database()["items"]

    class Plain:
        """The stream, without anything else that it promises."""

        @cherrypy.expose  # type: ignore[untyped-decorator]
        def index(self) -> str:
            return "plain"

        @cherrypy.expose  # type: ignore[untyped-decorator]
        def update(self, timestamp: str = "0") -> bytes:
            after_us = round(float(timestamp) * 1e6)
            found = items.find({"fetched": {"$gt": after_us}}).sort("fetched", -1).limit(100)
            cherrypy.response.headers["Content-Type"] = "application/json"
            return json.dumps(list(found), default=str).encode()

    cherrypy.config.update(
        {
            "environment": "production",
            "server.socket_host": "127.0.0.1",
            "server.socket_port": port,
            "server.thread_pool": server._THREADS,
            "server.socket_queue_size": server._BACKLOG,
        }
    )
    cherrypy.quickstart(Plain())


def _processes(port: int) -> None:
    """As `processes.serve` sets it."""
    import multiprocessing

    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    multiprocessing.set_start_method("spawn")
    Granian(
        __name__,
        port=port,
        interface=Interfaces.WSGI,
        workers=PROCESSES,
        blocking_threads=processes._THREADS,
        backlog=processes._BACKLOG,
        backpressure=processes._connections(),
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=processes._SILENT_MS, max_buffer_size=processes._MAX_HEADER_BYTES
        ),
        websockets=False,
        log_access=False,
        log_level=LogLevels.error,
        workers_kill_timeout=processes._ENDING_S,
    ).serve(target_loader=_constant, wrap_loader=False)


def _constant() -> "WSGIApplication":
    answer = os.environ.get(_ANSWER)
    if answer is None:
        return two_bytes
    headers, body = json.loads(answer)
    return always([(name, value) for name, value in headers], body.encode())


_OTHERS: Mapping[str, Callable[[int], None]] = {"bare": _bare, "plain": _plain, "processes": _processes}


if __name__ == "__main__":
    _OTHERS[sys.argv[1]](int(sys.argv[2]))
