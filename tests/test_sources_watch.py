"""Keeping the stored sources in step with a file that people edit while it is read."""

import logging
import os
from pathlib import Path

import pytest

from feedmirror.errors import ConfigError
from feedmirror.sources_watch import SourcesWatch
from feedmirror.storage import Storage


def write(path: Path, *names: str, more: str = "") -> Path:
    """As editors do it: a new file put in the old one's place."""
    text = "".join(f'[[source]]\nname = "{name}"\nurl = "https://{name}.example/"\n' for name in names)
    fresh = path.with_suffix(".new")
    fresh.write_text(text + more)
    fresh.replace(path)
    return path


def polled(storage: Storage) -> list[str]:
    return [watched.source.id for watched in storage.sources.all() if watched.active]


def resting(storage: Storage) -> list[str]:
    return [watched.source.id for watched in storage.sources.all() if not watched.active]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sources.toml"


def test_what_the_file_names_is_watched_in_its_order(storage: Storage, path: Path) -> None:
    SourcesWatch().refresh(storage, write(path, "b", "a"))
    assert polled(storage) == ["b", "a"]


def test_a_change_of_the_file_is_followed(storage: Storage, path: Path) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a", "b"))
    watch.refresh(storage, write(path, "b", "c"))
    assert (polled(storage), resting(storage)) == (["b", "c"], ["a"])


def test_an_edit_in_place_of_the_same_length_within_one_tick_of_the_clock_is_seen_by_its_time(
    storage: Storage, path: Path
) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a"))
    before = path.stat().st_mtime_ns
    path.write_text(path.read_text().replace('"a"', '"z"'))
    os.utime(path, ns=(before + 1, before + 1))
    watch.refresh(storage, path)
    assert polled(storage) == ["z"]


def test_a_file_that_did_not_change_is_not_read_again(storage: Storage, path: Path) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a"))
    storage.sources.synchronise([], [])
    watch.refresh(storage, path)
    assert polled(storage) == []


def test_mistakes_are_logged_and_kept_for_the_page_until_they_are_mended(
    storage: Storage, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a", more="[[source]]\nname = 'b'\n"))
    expected = "sources.toml, line 4: the source has no 'url'"
    assert storage.sources.mistakes() == [expected]
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [expected]
    watch.refresh(storage, write(path, "a"))
    assert storage.sources.mistakes() == []


def test_of_several_processes_that_see_a_change_one_says_so(
    storage: Storage, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, "a", more="[[source]]\n")
    with caplog.at_level(logging.INFO, logger="feedmirror.sources_watch"):
        for _ in range(3):
            SourcesWatch().refresh(storage, path)
    assert [record.message for record in caplog.records] == [
        "sources.toml: 1 sources",
        "sources.toml, line 4: the source has no 'name'",
        "sources.toml, line 4: the source has no 'url'",
    ]


def test_a_file_that_vanishes_leaves_everything_as_it_is_until_it_is_back(storage: Storage, path: Path) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a"))
    path.unlink()
    watch.refresh(storage, path)
    assert polled(storage) == ["a"]
    watch.refresh(storage, write(path, "b"))
    assert polled(storage) == ["b"]


def test_a_file_that_was_never_there_is_told_once_and_costs_nothing_that_is_stored(
    storage: Storage, path: Path
) -> None:
    SourcesWatch().refresh(storage, write(path, "a"))
    path.unlink()
    restarted = SourcesWatch()
    with pytest.raises(ConfigError, match="no such sources file"):
        restarted.refresh(storage, path)
    restarted.refresh(storage, path)
    assert polled(storage) == ["a"]
    restarted.refresh(storage, write(path, "b"))
    assert polled(storage) == ["b"]


def test_a_file_that_cannot_be_read_is_told_once_and_costs_nothing_that_is_stored(storage: Storage, path: Path) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a"))
    path.write_bytes(b"\xff\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        watch.refresh(storage, path)
    watch.refresh(storage, path)
    assert polled(storage) == ["a"]
    watch.refresh(storage, write(path, "b"))
    assert polled(storage) == ["b"]
