"""A disk that has little room, or none: told in one line, waited for, and gone on with. On real small disks."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from feedmirror import disk as room
from feedmirror import mongod
from feedmirror.config import Settings
from feedmirror.errors import MongodError
from tests.disks import MB, disk, resize
from tests.processes import PYTHON, Running, environment
from tests.waiting import wait_until

DATABASE = [PYTHON, "-m", "feedmirror.system", "db"]
READY = "MongoDB is ready at"
# A disk counts in pages.
_PAGES = 100_000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with disk(tmp_path / "disk", size_mb=500) as path:
        yield path


def fill(path: Path, *, left_mb: int) -> Path:
    """A file that takes all the room but so much."""
    filling = path / "filling"
    with filling.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(path).free - left_mb * MB - _PAGES)
    return filling


# -- in words


def test_room_enough_is_nothing_to_tell(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 1000 * MB:
        pytest.skip("this disk is nearly full")
    assert room.shortage(Settings(data_dir=tmp_path / "none" / "yet")) is None


def test_less_than_a_gigabyte_is_told(small: Path) -> None:
    data = small / "data"
    assert room.shortage(Settings(data_dir=data)) == "the disk of data/ is nearly full (500 MB left)"
    assert room.full(data) is None


def test_too_little_for_a_new_installation_is_told_with_what_it_takes(small: Path) -> None:
    fill(small, left_mb=12)
    for told, name in ((room.full(small), f"{small}"), (room.shortage(Settings(data_dir=small)), small.name)):
        assert told == f"the disk of {name}/ is full (12 MB left; an empty installation takes 310)"


def test_a_mongodb_with_a_disk_of_its_own_is_not_spoken_of(small: Path) -> None:
    settings = Settings(data_dir=small, mongodb_uri="mongodb://elsewhere/x")
    assert room.shortage(settings) is None
    settings.bundled_uri_path.write_text("mongodb://elsewhere/x\n")  # which is how the parts know the bundled one
    assert "nearly full" in str(room.shortage(settings))


def test_a_shortage_is_said_once_and_again_when_half_of_it_is_gone(small: Path) -> None:
    watch = room.Watch(Settings(data_dir=small))
    assert "500 MB left" in str(watch.news())
    assert watch.news() is None
    filling = fill(small, left_mb=300)
    assert watch.news() is None
    filling.unlink()
    filling = fill(small, left_mb=240)
    assert "240 MB left" in str(watch.news())
    resize(small, size_mb=2000)
    assert watch.news() is None
    resize(small, size_mb=500)
    assert "240 MB left" in str(watch.news())


# -- what MongoDB does about it


def test_a_full_disk_at_the_start_is_waited_out(small: Path, tmp_path: Path) -> None:
    filling = fill(small, left_mb=12)
    data = small / "data"
    with Running(DATABASE, tmp_path / "log", environment(FEEDMIRROR_DATA=str(data))) as running:
        running.wait_for(
            rf"mongodb \| waits: the disk of {data}/ is full \(12 MB left; an empty installation takes 310\)"
        )
        filling.unlink()
        running.wait_for(READY)
        assert running.output.count("waits: ") == 1
        assert "nearly full" in running.output
        running.process.terminate()
        assert running.process.wait(30) == 0


def write_until_it_ends(uri: str) -> None:
    with MongoClient[dict[str, Any]](uri, timeoutMS=5000) as client, suppress(PyMongoError):
        while True:
            client["test"]["things"].insert_one({"text": os.urandom(5 * MB)})


def test_a_disk_that_fills_up_is_told_when_mongodb_ends_and_it_comes_back(small: Path, tmp_path: Path) -> None:
    data = small / "data"
    with Running(DATABASE, tmp_path / "log", environment(FEEDMIRROR_DATA=str(data))) as running:
        running.wait_for(READY)
        filling = fill(small, left_mb=1)
        write_until_it_ends(Settings(data_dir=data).database_uri)
        told = rf"the disk of {data}/ is full \(\d+ MB left\)"
        running.wait_for(rf"mongodb \| {told}\n.*ended \(.*\), starts again")
        running.wait_for(f"mongodb \\| waits: {told}")
        filling.unlink()
        wait_until(lambda: running.output.count(READY) == 2, "its return")
        assert '{"' not in running.output
        assert "BACKTRACE" not in running.output
        running.process.terminate()
        assert running.process.wait(30) == 0


def test_a_command_does_not_wait_for_room(small: Path) -> None:
    fill(small, left_mb=12)
    with pytest.raises(MongodError, match=r"is full \(12 MB left"), mongod.running(Settings(data_dir=small)):
        pytest.fail("there is no room")
