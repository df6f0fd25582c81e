"""Keeping the stored sources in step with a file that people edit while it is read."""

import logging
import os
from pathlib import Path

import pytest

from feedmirror import sources_watch
from feedmirror.errors import ConfigError
from feedmirror.models import Finished, Outcome
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


def names(storage: Storage) -> dict[str, str]:
    return {watched.source.id: watched.source.name for watched in storage.sources.all()}


def mistakes(storage: Storage) -> dict[str, str | None]:
    return {watched.source.id: watched.mistake for watched in storage.sources.all() if watched.active}


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


def test_a_typo_in_a_source_that_was_live_keeps_its_last_good_version(storage: Storage, path: Path) -> None:
    watch = SourcesWatch()
    broken = '[[source]]\nname = "b"\nurl = "https://other.example/"\nevery = 30s\n'
    watch.refresh(storage, write(path, "a", "b"))
    watch.refresh(storage, write(path, "a", more=broken))
    told = 'sources.toml, line 7: text stands in quotes: every = "30s"'
    assert mistakes(storage) == {"a": None, "b": told}
    assert storage.sources.all()[1].source.url == "https://b.example/"
    assert storage.sources.mistakes() == [told]
    watch.refresh(storage, write(path, "a", "b"))
    assert mistakes(storage) == {"a": None, "b": None}


def test_a_source_with_a_mistake_that_leaves_the_file_is_retired(storage: Storage, path: Path) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a", "b"))
    watch.refresh(storage, write(path, "a", more='[[source]]\nname = "b'))
    watch.refresh(storage, write(path, "a"))
    assert (polled(storage), resting(storage)) == (["a"], ["b"])
    assert [watched.mistake for watched in storage.sources.all()] == [None, None]


@pytest.mark.parametrize("text", ["", "# all of them\n", "[[source]\n", "\n[[sources]]\nname = 'c'\n"])
def test_a_file_without_a_source_lets_all_go_on(storage: Storage, path: Path, text: str) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a", "b"))
    watch.refresh(storage, write(path, more=text))
    assert polled(storage) == ["a", "b"]
    assert all("go on" in (told or "") for told in mistakes(storage).values())
    assert storage.sources.mistakes()[0].startswith("sources.toml, line ")


def test_a_variable_missing_in_one_shell_changes_nothing_for_the_worker(
    storage: Storage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = '[[source]]\nname = "b"\nurl = "https://b.example/"\nkind = "api"\nheaders = { A = "Bearer ${B_TOKEN}" }\n'
    monkeypatch.setenv("B_TOKEN", "t")
    SourcesWatch().refresh(storage, write(path, "a", more=api))
    before = storage.sources.all()
    monkeypatch.delenv("B_TOKEN")
    SourcesWatch().refresh(storage, path)
    assert (storage.sources.all(), storage.sources.mistakes()) == (before, [])


def test_a_renamed_source_keeps_its_id_how_it_fared_and_when_it_is_due(storage: Storage, path: Path) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a"))
    (begun,) = storage.sources.begin(storage.sources.claim_now(["a"], lease_s=60), lease_s=60)
    storage.sources.finish([Finished(watched=begun, outcome=Outcome(arrived=3), interval_s=3600)])
    (before,) = storage.sources.all()
    path.write_text('[[source]]\nname = "A new name"\nurl = "https://a.example/"\n')
    watch.refresh(storage, path)
    (after,) = storage.sources.all()
    assert (after.source.id, after.source.name) == ("a", "A new name")
    assert after.looks == before.looks
    assert storage.watchlist.names(["a"]) == {"a": "A new name"}, "what is shown with the items"


def test_an_edit_in_place_of_the_same_length_within_one_tick_of_the_clock_is_seen_by_its_time(
    storage: Storage, path: Path
) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a"))
    before = path.stat().st_mtime_ns
    path.write_text(path.read_text().replace('"a"', '"z"'))
    os.utime(path, ns=(before + 1, before + 1))
    watch.refresh(storage, path)
    assert names(storage) == {"a": "z"}


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


def test_a_file_that_stays_away_is_told_once_and_all_go_on(
    storage: Storage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = SourcesWatch()
    watch.refresh(storage, write(path, "a"))
    monkeypatch.setattr(sources_watch, "GONE_AFTER_S", 0)
    path.unlink()
    with pytest.raises(ConfigError, match="no such sources file"):
        watch.refresh(storage, path)
    watch.refresh(storage, path)
    assert polled(storage) == ["a"]
    assert storage.sources.mistakes() == [f"{path.name}: no such sources file; set FEEDMIRROR_SOURCES or create it"]
    watch.refresh(storage, write(path, "a"))
    assert storage.sources.mistakes() == []


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
    assert storage.sources.mistakes() == [
        f"{path.name}: cannot be read: line 1 is no UTF-8 text; save the file as UTF-8"  # its directory is not told
    ]
    assert polled(storage) == ["a"]
    watch.refresh(storage, write(path, "b"))
    assert polled(storage) == ["b"]
