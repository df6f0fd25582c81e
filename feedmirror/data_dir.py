"""The data directory of the bundled MongoDB: whether it can be used, which process has it, and the port it remembers.

mongodb/       the database             in-use-by      locked while it is in use (see `data_lock`)
mongodb-uri    while MongoDB runs       mongodb-port   the one of last time
"""

import errno
import os
import pwd
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from feedmirror import data_lock
from feedmirror.errors import ConfigError
from feedmirror.process_identity import exists

# A MongoDB that is starting answers within it, one that ends is gone; a reader who waits is told after it.
_PATIENCE_S = 10
_AGAIN_S = 0.1


def has_database(data_dir: Path) -> bool:
    """Whether MongoDB has ever stored something there, as far as this user can see."""
    with suppress(OSError):
        return (data_dir / "mongodb" / "WiredTiger").exists()
    return False


@contextmanager
def held(data_dir: Path, *, answers: Callable[[], bool]) -> Iterator[int | None]:
    """What `take` gives, for the time of the block."""
    lock = take(data_dir, answers=answers)
    try:
        yield lock
    finally:
        if lock is not None:
            os.close(lock)


def take(data_dir: Path, *, answers: Callable[[], bool]) -> int | None:
    """The lock on the directory, made where there is none; None if the MongoDB of the process that has it `answers`.

    Raises ConfigError if the directory cannot be used, or is in use by a process whose MongoDB does not answer.
    """

    def can_be_shared() -> bool:
        process = data_lock.holder(data_dir)
        # MongoDB keeps the lock of a process that was killed until it has ended, too
        return process is not None and process > 0 and exists(process) and answers()

    if can_be_shared():  # to which end this user need not be able to write there
        return None
    _check(data_dir)
    deadline = time.monotonic() + _PATIENCE_S
    while (lock := take_at_once(data_dir)) is None and not can_be_shared():
        if time.monotonic() > deadline:
            process = data_lock.holder(data_dir) or "unknown"
            raise ConfigError(
                [
                    f"another Feedmirror (process {process}) has {data_dir}/, and its MongoDB does not answer:"
                    f" stop it, or {_ANOTHER}"
                ]
            )
        time.sleep(_AGAIN_S)
    return lock


def take_at_once(data_dir: Path) -> int | None:
    """The lock on the directory, None if another process has it; raises ConfigError."""
    try:
        return data_lock.take(data_dir)
    except OSError as error:
        raise _unusable(data_dir, error) from None


def remembered_port(data_dir: Path) -> int | None:
    """The port of last time; None if there was none, or what stands there is no port."""
    try:
        text = (data_dir / "mongodb-port").read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise _unusable(data_dir, error) from None
    return int(text) if text.isdecimal() and 0 < int(text) < 65536 else None


def free_port(data_dir: Path) -> int:
    """The port of last time if nothing else has it, else another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", remembered_port(data_dir) or 0))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def remember_port(data_dir: Path, port: int) -> None:
    if remembered_port(data_dir) != port:
        (data_dir / "mongodb-port").write_text(f"{port}\n", "ascii")


def announce(data_dir: Path, uri: str) -> None:
    """Let other processes find MongoDB at this address."""
    _address(data_dir).write_text(f"{uri}\n", "utf-8")


def withdraw(data_dir: Path) -> None:
    """Let no process look for MongoDB any more."""
    with suppress(OSError):  # no process has the lock then, so none believes it
        _address(data_dir).unlink()


def _address(data_dir: Path) -> Path:
    return data_dir / "mongodb-uri"


def _check(data_dir: Path) -> None:
    """Make the directory where there is none; raises ConfigError if its files cannot be ours."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        database = data_dir / "mongodb"
        with tempfile.TemporaryFile(dir=data_dir) as probe:
            ours = os.fstat(probe.fileno()).st_uid
        theirs = database.stat().st_uid if database.exists() else ours
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return  # which is waited for
        raise _unusable(data_dir, error) from None
    if theirs != ours:
        user = _user(theirs)
        raise ConfigError([f"{data_dir}/ has the database of the user {user}: run this as {user}, or {_ANOTHER}"])


_ANOTHER = "set FEEDMIRROR_DATA to another directory"


def _unusable(data_dir: Path, error: OSError) -> ConfigError:
    if isinstance(error, FileExistsError):
        return ConfigError([f"{data_dir} is a file, and must be a directory: {_ANOTHER}"])
    return ConfigError([f"cannot use {data_dir}/ ({error.strerror}): make it writable for this user, or {_ANOTHER}"])


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
