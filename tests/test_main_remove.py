"""`python -m feedmirror remove`, on the real MongoDB: what is forgotten, and what stays."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.__main__ import main
from feedmirror.commands import remove
from feedmirror.models import Entry, Selection
from feedmirror.storage import Storage
from tests.table_writer import Table


@pytest.fixture
def file(tmp_path: Path, database_uri: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONGODB_URI", database_uri)
    monkeypatch.setenv("FEEDMIRROR_SOURCES", str(tmp_path / "sources.toml"))
    return write(tmp_path / "sources.toml", "Kept", "Old One")


def write(path: Path, *names: str) -> Path:
    path.write_text(
        "".join(f'[[source]]\nname = "{name}"\nurl = "https://{name[:3].lower()}.example/"\n' for name in names)
    )
    return path


def store(storage: Storage, source_id: str, *names: str) -> None:
    entries = {name: Entry(title=name) for name in names}
    storage.items.store(source_id, entries, now=datetime.now(UTC))


def titles(storage: Storage, source_id: str | None = None) -> list[str]:
    found = storage.items.newest(Selection(source_id=source_id), limit=100).items
    return sorted(item.title for item in found)


def ids(storage: Storage) -> list[str]:
    return [watched.source.id for watched in storage.sources.all()]


@pytest.fixture
def retired(file: Path, storage: Storage, capsys: pytest.CaptureFixture[str]) -> Path:
    """A file that names "Old One" no more, whose items are there."""
    main(["poll", "nobody"])  # reads the file
    capsys.readouterr()
    store(storage, "old-one", "a", "b", "c")
    store(storage, "kept", "c", "d")
    return write(file, "Kept")


@pytest.mark.parametrize("name", ["Old One", "old-one", "old one"])
def test_a_retired_source_is_forgotten_and_its_items_stay(
    retired: Path, storage: Storage, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["remove", name]) == 0
    assert capsys.readouterr().out == "Old One is forgotten; its items stay\n"
    assert ids(storage) == ["kept"]
    assert titles(storage) == ["a", "b", "c", "d"]


def test_its_items_go_with_it_but_for_those_that_others_show(
    retired: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    before = storage.items.newest(Selection(), limit=1).head_us
    assert main(["remove", "Old One", "--items"]) == 0
    assert capsys.readouterr().out == "Old One is forgotten, and 3 of its items or rows are removed\n"
    assert (ids(storage), titles(storage), titles(storage, "old-one")) == (["kept"], ["c", "d"], [])
    (shared,) = [item for item in storage.items.newest(Selection(), limit=100).items if item.title == "c"]
    assert [seen.source_id for seen in shared.sources] == ["kept"]
    assert storage.items.newest(Selection(), limit=1).head_us == before


def test_readers_who_have_yet_to_come_to_its_items_are_told_of_the_gap(retired: Path, storage: Storage) -> None:
    main(["remove", "Old One", "--items"])
    for selection in (Selection(), Selection(source_id="old-one")):
        assert storage.items.since(selection, after_us=1, limit=100).gap_us


def test_what_was_removed_does_not_come_back(retired: Path, storage: Storage) -> None:
    main(["remove", "Old One", "--items"])
    store(storage, "kept", "a", "e")
    assert titles(storage) == ["c", "d", "e"]


def test_a_name_that_comes_back_has_its_id_and_the_items_that_were_left(retired: Path, storage: Storage) -> None:
    main(["remove", "Old One"])
    write(retired, "Kept", "Old One")
    main(["poll", "nobody"])
    assert ids(storage) == ["kept", "old-one"]
    assert titles(storage, "old-one") == ["a", "b", "c"]


def test_a_table_goes_with_its_rows_runs_and_history(
    file: Path, storage: Storage, database: Database[dict[str, Any]]
) -> None:
    table, other = Table(storage, "coins"), Table(storage, "others")
    table.watch(other.source)
    for one in (table, other):
        one.run([{"id": number, "price": number} for number in range(1200)])
    assert main(["remove", "Coins", "--items"]) == 0
    assert (storage.sheets.has("coins"), storage.sheets.has("others")) == (False, True)
    for name in ("rows", "seen", "runs", "history"):
        assert database[name].count_documents({"$or": [{"source": "coins"}, {"_id": "coins"}]}) == 0
    assert database["rows"].count_documents({"source": "others"}) == 1200


def test_a_source_that_is_still_in_the_file_is_refused(
    file: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["remove", "Old One", "--items"]) == 2
    assert capsys.readouterr().err == "feedmirror: 'Old One' is still in sources.toml: take it out there first\n"
    assert ids(storage) == ["kept", "old-one"]


def test_a_source_that_a_mistake_keeps_is_refused_with_the_mistake(
    file: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["poll", "nobody"])
    capsys.readouterr()
    file.write_text(file.read_text().replace('name = "Old One"', 'name = "Old One'))
    assert main(["remove", "Old One"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == "feedmirror: 'Old One' is still polled: sources.toml, line 5: a quote is missing"


def test_an_unknown_source_is_refused_with_those_that_are_retired(
    retired: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["remove", "Nobody"]) == 2
    assert capsys.readouterr().err == "feedmirror: no source 'Nobody'; retired ones are: old-one\n"


def test_a_source_that_is_being_polled_is_left_alone(
    retired: Path, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    storage.sources.claim_now(["old-one"], lease_s=60)
    assert main(["remove", "Old One"]) == 1
    assert capsys.readouterr().err == "feedmirror: Old One is being polled at this moment; try again\n"


def test_a_removal_that_is_interrupted_can_be_tried_again_at_once(
    retired: Path, storage: Storage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(remove, "_remove_items", interrupted)
        assert main(["remove", "Old One", "--items"]) == 130
    assert capsys.readouterr().err == "feedmirror: interrupted\n"
    assert main(["remove", "Old One", "--items"]) == 0
    assert titles(storage) == ["c", "d"]


def test_long_work_says_how_far_it_is(
    retired: Path, storage: Storage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remove, "_TOLD_EVERY_S", 0)
    store(storage, "old-one", *(f"more {number}" for number in range(1100)))
    assert main(["remove", "Old One", "--items"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "500 of 1,103 removed",
        "1,000 of 1,103 removed",
        "1,103 of 1,103 removed",
    ]
