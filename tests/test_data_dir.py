"""Data directories that cannot be used: one line each that says what to do, and nothing in them is harmed."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedmirror import data_lock, mongod
from feedmirror import disk as disk_room
from feedmirror.config import Settings
from feedmirror.data_dir import has_database
from feedmirror.errors import ConfigError
from tests.disks import disk
from tests.processes import PYTHON, ROOT, environment

ANOTHER = "set FEEDMIRROR_DATA to another directory"


def run(module: str, command: str, data_dir: Path, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", module, command],
        cwd=ROOT,
        env=environment(FEEDMIRROR_DATA=str(data_dir)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=user,
    )


def start(data_dir: Path, user: int | None = None) -> str:
    """What keeping MongoDB up says before it ends with exit code 2."""
    ended = run("feedmirror.system", "db", data_dir, user)
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert ended.stderr.count("\n") == 1
    return ended.stderr.removesuffix("\n").removeprefix("feedmirror: ")


def contents(directory: Path) -> list[str]:
    return sorted(str(path) for path in directory.rglob("*"))


def test_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("mine")
    assert start(path) == f"{path} is a file, and must be a directory: {ANOTHER}"
    assert path.read_text() == "mine"


def test_a_file_above_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    path = tmp_path / "file" / "data"
    assert start(path) == f"cannot use {path}/ (Not a directory): make it writable for this user, or {ANOTHER}"


def test_a_read_only_disk_is_told(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", size_mb=10, options="ro") as path:
        told = f"cannot use {path}/ (Read-only file system): make it writable for this user, or {ANOTHER}"
        assert start(path) == told
        assert start(path / "data") == told.replace(str(path), str(path / "data"))


def test_a_database_of_another_user_is_told_to_root_as_well(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    path = tmp_path / "data"
    (path / "mongodb").mkdir(parents=True)
    nobody = pwd.getpwnam("nobody")
    os.chown(path / "mongodb", nobody.pw_uid, nobody.pw_gid)
    assert start(path) == f"{path}/ has the database of the user nobody: run this as nobody, or {ANOTHER}"
    assert contents(path) == [str(path / "mongodb")]


@pytest.fixture
def _nobody() -> Iterator[None]:
    """This process as a user without rights, if it is root's."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that other users may enter; those of tests are not such."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


def test_a_directory_that_is_not_writable_is_told(reachable: Path, request: pytest.FixtureRequest) -> None:
    path = reachable / "data"
    path.mkdir()
    path.chmod(0o555)
    request.getfixturevalue("_nobody")
    with pytest.raises(ConfigError) as caught, mongod.running(Settings(data_dir=path)):
        pytest.fail("it is not writable")
    assert str(caught.value) == f"cannot use {path}/ (Permission denied): make it writable for this user, or {ANOTHER}"
    assert contents(path) == []


def test_a_directory_that_cannot_be_reached_is_told(reachable: Path, request: pytest.FixtureRequest) -> None:
    path = reachable / "closed" / "data"
    path.mkdir(parents=True)
    path.parent.chmod(0o000)
    request.getfixturevalue("_nobody")
    settings = Settings(data_dir=path)
    with pytest.raises(ConfigError, match=r"Permission denied"), mongod.running(settings):
        pytest.fail("it cannot be reached")
    with pytest.raises(ConfigError, match=r"^no MongoDB"):
        _ = settings.database_uri
    assert disk_room.shortage(settings) is None
    assert not has_database(path)


# -- the lock


def test_a_directory_is_held_by_one_process_and_free_when_that_closes_it(tmp_path: Path) -> None:
    assert data_lock.holder(tmp_path) is None
    lock = data_lock.take(tmp_path)
    assert lock is not None
    assert data_lock.take(tmp_path) is None
    assert data_lock.holder(tmp_path) == os.getpid()
    os.close(lock)
    assert data_lock.holder(tmp_path) is None


def test_a_copy_of_a_directory_in_use_is_free(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    lock = data_lock.take(original)
    assert lock is not None
    shutil.copytree(original, copy)
    assert data_lock.holder(copy) is None
    os.close(lock)


# -- commands


def sources(data_dir: Path) -> subprocess.CompletedProcess[str]:
    return run("feedmirror", "sources", data_dir)


def test_a_command_that_reads_makes_no_empty_mongodb(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere"
    ended = sources(path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(
        f"feedmirror: no MongoDB is running, and {path}/ has no database: set FEEDMIRROR_DATA"
    )
    assert ended.stderr.count("\n") == 1
    assert not path.exists()


def test_a_command_on_a_copy_does_not_work_on_the_original(tmp_path: Path) -> None:
    original, copy, moved = tmp_path / "original", tmp_path / "copy", tmp_path / "incomplete"
    with mongod.running(Settings(data_dir=original)) as running:
        assert running is not None
        moved.mkdir()
        shutil.copy(original / "mongodb-uri", moved)
        assert sources(moved).returncode == 2
        address = (original / "mongodb-uri").read_text()
    shutil.copytree(original, copy)
    (copy / "mongodb-uri").write_text(address)
    with mongod.running(Settings(data_dir=original)):
        ended = sources(copy)  # for which a MongoDB of its own is started
        assert (ended.returncode, ended.stderr) == (0, "")
        assert (original / "mongodb-uri").read_text() == address
    assert not (copy / "mongodb-uri").exists()


@pytest.mark.parametrize("command", ["sources", "parse tests/test_data_dir.py tests", "--help", "poll nothing"])
def test_a_reader_that_ends_early_is_no_error(command: str, database_uri: str) -> None:
    ended = subprocess.run(
        ["bash", "-c", f"{PYTHON} -u -m feedmirror {command} | true"],
        cwd=ROOT,
        env=environment(MONGODB_URI=database_uri),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr
