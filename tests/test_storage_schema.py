"""The number of the schema and its steps: killed in the middle, made by several processes at once, read meanwhile."""

import logging
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.errors import NewerSchema, Upgrading
from feedmirror.models import Entry, Selection
from feedmirror.storage import Storage, schema
from feedmirror.storage.further_columns import find_further_columns
from feedmirror.storage.schema import STEPS, Gate, Say, Schema, Step
from tests.processes import Running, environment
from tests.table_writer import Table
from tests.waiting import wait_until

_Document = dict[str, Any]

NUMBERS = 40
# Runs a step that doubles the numbers of a collection one by one, each as slowly as its argument says.
UPGRADER = [sys.executable, "-m", "tests.upgrading"]


def number_of(database: Database[_Document]) -> int | None:
    document = database["schema"].find_one({"_id": "schema"})
    return None if document is None else document.get("number")


def numbered(database: Database[_Document], number: int) -> None:
    """Data as a Feedmirror of this number leaves it."""
    database["schema"].update_one({"_id": "schema"}, {"$set": {"number": number}}, upsert=True)


def forgotten(database: Database[_Document]) -> None:
    """The process asks for the number again at once, as it does by itself after a second."""
    from feedmirror import storage

    storage._gates.pop(database.client, None)


# -- the number


def test_new_data_gets_the_number_of_the_program(database: Database[_Document]) -> None:
    Storage(database).prepare()
    assert number_of(database) == len(STEPS)


def test_data_without_a_number_is_brought_up_to_date(database: Database[_Document], storage: Storage) -> None:
    storage.items.store("s", {"a": Entry(title="before", link="https://example.com/a")}, now=datetime.now(UTC))
    database["schema"].delete_many({})
    forgotten(database)
    after = Storage(database).prepare()
    assert number_of(database) == len(STEPS)
    assert [item.title for item in after.items.newest(Selection(), limit=10).items] == ["before"]


def test_columns_that_were_stored_before_there_was_a_number_are_exported(
    database: Database[_Document], storage: Storage
) -> None:
    Table(storage).run([{"id": number, **({"late": 1} if number > 700 else {})} for number in range(1_200)])
    database["schema"].delete_many({})
    database["columns"].delete_many({})
    database["runs"].update_one({}, {"$unset": {"further": "", "is_beyond": ""}})
    forgotten(database)
    sheets = Storage(database).prepare().sheets
    assert [column.name for column in sheets.columns(sheets.standing("coins"))] == ["id", "late"]
    assert "further_at" not in (database["runs"].find_one() or {})


@pytest.mark.parametrize("portions", [0, 1, 2])
def test_columns_are_found_however_often_the_step_is_killed(
    database: Database[_Document], storage: Storage, portions: int
) -> None:
    Table(storage).run([{"id": number, **({"late": 1} if number % 400 == 103 else {})} for number in range(1_200)])
    database["columns"].delete_many({})
    database["runs"].update_one({}, {"$unset": {"further": ""}})
    said: list[str] = []

    def killed_at(how_far: str) -> None:
        said.append(how_far)
        if len(said) > portions:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_further_columns(database, killed_at)
    find_further_columns(database, said.append)
    assert storage.sheets.standing("coins").further == 1
    assert len(said) == (3 if portions < 3 else 4)


def test_newer_data_is_refused_in_one_line_that_says_what_to_do(database: Database[_Document]) -> None:
    numbered(database, len(STEPS) + 2)
    with pytest.raises(NewerSchema) as caught:
        Storage(database).prepare()
    known = len(STEPS)
    assert f"a newer Feedmirror (schema {known + 2}, this one knows {known}): update Feedmirror" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert database.list_collection_names() == ["schema"]  # nothing was written


def test_a_process_that_is_up_finds_newer_data_within_seconds(storage: Storage, database: Database[_Document]) -> None:
    numbered(database, len(STEPS) + 1)

    def is_refused() -> bool:
        try:
            storage.prepare()
        except NewerSchema:
            return True
        return False

    wait_until(is_refused, "a refusal", timeout_s=5)
    numbered(database, len(STEPS))  # restored from a backup
    storage.prepare()


def test_the_number_is_asked_for_once_a_second_and_not_more(
    storage: Storage, database: Database[_Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.prepare()
    asked = []
    monkeypatch.setattr(Schema, "pending", lambda self: asked.append(self) or ())
    monkeypatch.setattr(schema, "_FRESH_S", 1_000)
    for _ in range(50):
        storage.prepare()
    assert asked == []


# -- the steps


def test_steps_are_made_in_order_and_each_once(database: Database[_Document]) -> None:
    made: list[str] = []

    def step(name: str) -> Step:
        return Step(name, lambda _, say: (made.append(name), say("all of it"))[0])

    steps = [step("one"), step("two"), step("three")]
    numbered(database, 1)
    Schema(database, steps).upgrade()
    Schema(database, steps).upgrade()
    assert made == ["two", "three"]
    assert database["schema"].find_one() == {"_id": "schema", "number": 3}


def test_a_step_says_in_the_log_how_far_it_is(
    database: Database[_Document], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_SAID_EVERY_S", 0)
    caplog.set_level(logging.INFO, "feedmirror.storage.schema")
    Schema(database, [Step("double the rows", lambda _, say: say("10 of 20"))]).upgrade()
    said = [record.getMessage() for record in caplog.records]
    assert said == ["schema 0 to 1: double the rows", "schema: double the rows: 10 of 20", "schema 0 to 1: done"]


def test_a_step_whose_lease_was_taken_over_ends(database: Database[_Document], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_RENEW_S", 0.05)
    runs: list[int] = []

    def run(database: Database[_Document], say: Say) -> None:
        runs.append(len(runs))
        if len(runs) > 1:
            return
        database["schema"].update_one({}, [{"$set": {"lease": {"by": "another", "until": "$$NOW"}}}])
        while True:
            say("on and on")

    Schema(database, [Step("count", run)]).upgrade()
    assert runs == [0, 1]
    assert number_of(database) == 1


@pytest.mark.parametrize("set_back_by_h", [0, 5])
def test_a_lease_of_a_dead_process_ends_whatever_the_clock_did(
    database: Database[_Document], monkeypatch: pytest.MonkeyPatch, set_back_by_h: int
) -> None:
    monkeypatch.setattr(schema, "_LEASE_S", 1)
    until = {"$add": ["$$NOW", 500 + set_back_by_h * 3_600_000]}
    database["schema"].update_one(
        {"_id": "schema"}, [{"$set": {"number": 0, "lease": {"by": "a dead one", "until": until}}}], upsert=True
    )
    began = time.monotonic()
    Schema(database).upgrade()
    assert time.monotonic() - began < 5
    assert number_of(database) == len(STEPS)


# -- who waits, and who goes on


def doubling(*, readers_wait: bool, until: Callable[[], bool]) -> Step:
    def run(_: Database[_Document], say: Say) -> None:
        while not until():
            say("half")
            time.sleep(0.01)

    return Step("double the rows", run, readers_wait=readers_wait)


def test_a_reader_goes_on_with_older_data_and_others_wait(database: Database[_Document]) -> None:
    is_over: list[bool] = []
    of_step = Schema(database, [doubling(readers_wait=False, until=lambda: bool(is_over))])
    gate = Gate()
    assert gate.admit(of_step, only_reads=True, patience_s=0) is False
    with pytest.raises(Upgrading, match="being brought up to date"):
        gate.admit(of_step, only_reads=False, patience_s=0)
    is_over.append(True)
    assert gate.admit(of_step, only_reads=False, patience_s=None) is True


def test_a_reader_waits_for_a_step_that_says_so(database: Database[_Document]) -> None:
    is_over: list[bool] = []
    of_step = Schema(database, [doubling(readers_wait=True, until=lambda: bool(is_over))])
    gate = Gate()
    with pytest.raises(Upgrading):
        gate.admit(of_step, only_reads=True, patience_s=0)
    is_over.append(True)
    assert gate.admit(of_step, only_reads=True, patience_s=None) is True


def test_a_step_with_a_mistake_is_logged_once_and_not_run_again_at_once(
    database: Database[_Document], caplog: pytest.LogCaptureFixture
) -> None:
    of_step = Schema(database, [Step("divide", lambda *_: 1 // 0)])  # type: ignore[arg-type]
    gate = Gate()
    for _ in range(3):
        with pytest.raises(Upgrading):
            gate.admit(of_step, only_reads=False, patience_s=5)
    assert len([record for record in caplog.records if record.exc_info]) == 1


# -- in processes


@pytest.fixture
def numbers(database: Database[_Document]) -> Any:
    numbers = database["numbers"]
    numbers.insert_many([{"_id": number, "value": number} for number in range(NUMBERS)])
    return numbers


def doubled(numbers: Any) -> int:
    return int(numbers.count_documents({"doubled": True}))


def is_whole(numbers: Any) -> bool:
    return all(one["value"] == 2 * one["_id"] for one in numbers.find())


def test_a_step_that_is_killed_is_taken_up_by_another_process(
    database_uri: str, database: Database[_Document], numbers: Any, tmp_path: Path
) -> None:
    slow = Running([*UPGRADER, database_uri, "0.1"], tmp_path / "slow", environment())
    with slow:
        wait_until(lambda: doubled(numbers) > 3, "some numbers that are doubled")
        slow.process.send_signal(signal.SIGKILL)
        slow.process.wait()
    before = doubled(numbers)
    assert number_of(database) == 0
    assert 3 < before < NUMBERS
    with Running([*UPGRADER, database_uri, "0"], tmp_path / "next", environment()) as following:
        assert following.process.wait(30) == 0, following.output
    assert (number_of(database), doubled(numbers), is_whole(numbers)) == (1, NUMBERS, True)


def test_of_two_processes_one_makes_the_step_while_a_reader_reads_on(
    database_uri: str, database: Database[_Document], numbers: Any, tmp_path: Path
) -> None:
    def upgrader(name: str) -> Running:
        return Running([*UPGRADER, database_uri, "0.05"], tmp_path / name, environment())

    slowest_s = 0.0
    with upgrader("one") as one, upgrader("other") as other:
        while one.process.poll() is None or other.process.poll() is None:
            began = time.monotonic()
            assert numbers.count_documents({}) == NUMBERS
            slowest_s = max(slowest_s, time.monotonic() - began)
        assert (one.process.returncode, other.process.returncode) == (0, 0), one.output + other.output
        made = [upgrader.output.count("doubled") for upgrader in (one, other)]
    assert sorted(made) == [0, NUMBERS]
    assert (number_of(database), is_whole(numbers)) == (1, True)
    assert slowest_s < 2
