"""Tables wider than their page: every value is in what is exported, however many columns there are and come."""

import csv
import io
import json
import time
import tracemalloc
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmirror.storage import Storage
from feedmirror.table import FURTHER, MOST_COLUMNS, Column, ColumnType, Line, further_values, value_in
from feedmirror.table.columns import MOST_SHOWN
from feedmirror.web import table_export
from tests.apis import Api, Mirror
from tests.serving import client_of
from tests.table_writer import Table
from tests.test_web_export import body_of


def exported(storage: Storage, kind: str, source_id: str = "t") -> bytes:
    answer = table_export.answer(source_id, kind, lambda: storage)
    assert answer.status == 200, answer.body
    return body_of(answer)


def csv_lines(storage: Storage, source_id: str = "t") -> list[dict[str, str]]:
    """Each row of the .csv, without what it says nothing of."""
    csv.field_size_limit(10_000_000)
    text = exported(storage, "csv", source_id).decode("utf-8-sig")
    return [
        {name: value for name, value in line.items() if value} for line in csv.DictReader(io.StringIO(text, newline=""))
    ]


def xlsx_lines(storage: Storage, source_id: str = "t") -> list[dict[str, Any]]:
    book = openpyxl.load_workbook(io.BytesIO(exported(storage, "xlsx", source_id)), read_only=True)
    head, *lines = book["Rows"].iter_rows(values_only=True)
    return [{str(name): value for name, value in zip(head, line, strict=False) if value is not None} for line in lines]


# -- what is exported


def test_a_file_has_the_columns_that_its_page_has_no_room_for(mirror: Mirror, api: Api) -> None:
    api.rows = [{f"c{number}": number * line for number in range(100)} | {"id": line} for line in (1, 2)]
    mirror.watch(api.url)
    mirror.run()
    expected = [{f"C{number}": number * line for number in range(100)} | {"Id": line} for line in (1, 2)]
    assert xlsx_lines(mirror.storage) == expected
    assert csv_lines(mirror.storage) == [{name: str(value) for name, value in line.items()} for line in expected]
    standing = mirror.storage.sheets.standing("t")
    assert (len(standing.columns), standing.further, standing.is_beyond) == (MOST_SHOWN, 41, False)


def test_the_page_says_how_many_columns_it_does_not_show(mirror: Mirror, api: Api) -> None:
    api.rows = [{f"c{number}": number for number in range(100)}]
    mirror.watch(api.url, key="c0")
    mirror.run()
    page = client_of(lambda: mirror.storage).get("/tables/t").body.decode()
    assert ">40 more columns in .csv, .xlsx and .jsonl</p>" in page
    assert page.count("<th ") == MOST_SHOWN


def test_of_a_narrow_table_nothing_is_said(mirror: Mirror, api: Api) -> None:
    api.rows = [{"id": 1, "name": "a"}]
    mirror.watch(api.url)
    mirror.run()
    assert "more column" not in client_of(lambda: mirror.storage).get("/tables/t").body.decode()


def test_a_file_has_columns_that_only_late_rows_have(storage: Storage) -> None:
    rows: list[Any] = [{"id": number} for number in range(200)]
    rows[120] |= {"late": "a", "owner": {"name": "n", "since": "2026-01-02"}, "deep": {"a": {"b": [1]}}}
    rows[199] |= {"owner": "a text", "late": ""}
    Table(storage).run(rows)
    lines = csv_lines(storage, "coins")
    late = {"Late": "a", "Owner name": "n", "Owner since": "2026-01-02T00:00:00.000Z", "Deep a": '{"b": [1]}'}
    late["Owner"] = '{"name": "n", "since": "2026-01-02"}'  # a column of its own, for in one row it is a text
    assert lines[120] == {"Id": "120", **late}
    assert lines[199] == {"Id": "199", "Owner": "a text"}
    assert lines[0] == {"Id": "0"}


def test_a_column_that_a_later_run_shows_is_exported_once(storage: Storage) -> None:
    table = Table(storage)
    table.run([{"id": number} for number in range(60)] + [{"id": 99, "b": 1}])
    assert storage.sheets.standing("coins").further == 1
    table.run([{"id": 99, "b": 1}])
    standing = storage.sheets.standing("coins")
    assert ([column.name for column in standing.columns], standing.further) == (["id", "b"], 0)
    assert csv_lines(storage, "coins") == [{"Id": "99", "B": "1"}]


def test_columns_that_the_operator_names_come_first_and_the_others_behind(mirror: Mirror, api: Api) -> None:
    api.rows = [{"id": 1, "name": "a", "price": {"usd": 2, "eur": 3}}]
    mirror.watch(api.url)
    mirror.run()
    mirror.watch(api.url, columns=[{"name": "price.eur", "title": "Euros"}])
    mirror.run()
    assert xlsx_lines(mirror.storage) == [{"Euros": 3, "Id": 1, "Name": "a", "Price usd": 2}]
    assert next(iter(xlsx_lines(mirror.storage)[0])) == "Euros"
    mirror.watch(api.url, columns=["price"])
    mirror.run()
    assert xlsx_lines(mirror.storage) == [{"Price": '{"usd": 2, "eur": 3}', "Id": 1, "Name": "a"}]


def test_a_column_that_comes_while_a_file_is_made_breaks_it_off(storage: Storage, monkeypatch: Any) -> None:
    table = Table(storage)
    table.run([{"id": number} for number in range(1_200)])
    every = storage.sheets.every

    def with_a_run_within(source_id: str) -> Any:
        rows = every(source_id)
        yield next(rows)
        table.run([{"id": number} for number in range(1_199)] + [{"id": 1_199, "new": "x"}], end=False)
        yield from rows

    monkeypatch.setattr(storage.sheets, "every", with_a_run_within)
    answer = table_export.answer("coins", "csv", lambda: storage)
    assert answer.status == 503
    assert b"a column came while its rows were read; begin again" in answer.body
    monkeypatch.undo()
    assert csv_lines(storage, "coins")[-1] == {"Id": "1199", "New": "x"}


# -- beyond any number of columns


def test_what_is_beyond_the_columns_of_a_sheet_is_in_its_last_one(mirror: Mirror, api: Api) -> None:
    """A new key in every row, twenty thousand of them."""
    api.rows = [
        {"id": line, **{f"k{number}": number for number in range(line * 1_000, line * 1_000 + 1_000)}}
        for line in range(20)
    ]
    mirror.watch(api.url, paging="page")
    outcome = mirror.run()
    assert outcome.notices == (
        "more than 16,383 columns, or names that none can have: what they say is in the last column of .csv and "
        ".xlsx, and in .jsonl",
    )
    standing = mirror.storage.sheets.standing("t")
    assert (len(standing.columns) + standing.further, standing.is_beyond) == (MOST_COLUMNS, True)
    for line, row in zip(csv_lines(mirror.storage), api.rows, strict=True):
        rest = json.loads(line.pop(FURTHER.title, "{}"))
        said = {name.lower(): int(value) for name, value in line.items()} | rest
        assert said == row
    lines = xlsx_lines(mirror.storage)
    assert [len(line) for line in lines[:2]] == [1_001, 1_001]
    assert json.loads(lines[-1][FURTHER.title]) == {f"k{number}": number for number in range(19_000, 20_000)}
    page = client_of(lambda: mirror.storage).get("/tables/t").body.decode()
    assert "more columns and further values in .csv, .xlsx and .jsonl" in page
    mirror.run()
    assert mirror.storage.sheets.standing("t").further == standing.further


@pytest.mark.parametrize("name", ["", "\ud800", "x" * 501])
def test_a_name_that_no_column_can_have_is_in_the_last_one(mirror: Mirror, api: Api, name: str) -> None:
    api.rows = [{"id": 1, name: "said", "a": {name: 2}}]
    mirror.watch(api.url)
    mirror.run()
    (line,) = csv_lines(mirror.storage)
    shown = name.encode(errors="replace").decode().replace("?", "\ufffd") if name == "\ud800" else name
    assert line.pop("Id") == "1"
    assert json.loads(line[FURTHER.title]) == {shown: "said", "a": {shown: 2}}


def test_a_million_different_keys_take_no_more_memory_and_time_than_there_may_be_columns() -> None:
    rows = ({f"k{line}_{number}": 1 for number in range(100)} for line in range(10_000))
    tracemalloc.start()
    began = time.process_time()
    try:
        found, is_beyond = further_values([], rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(found), is_beyond) == (MOST_COLUMNS, True)
    assert peak < 20_000_000
    assert time.process_time() - began < 30


def test_a_wide_table_takes_time_for_what_its_rows_say_and_not_for_all_columns() -> None:
    columns = [Column((f"c{number}",), "", ColumnType.NUMBER) for number in range(MOST_COLUMNS)]
    line = Line(columns)
    began = time.process_time()
    for number in range(2_000):
        assert len(list(line.values({f"c{number}": 1, f"c{number + 1}": 2}))) == 2
    assert time.process_time() - began < 2


# -- a line, whichever way it is read

NAMES = st.sampled_from(["a", "b", "c", "", "d"])
SCALARS = st.one_of(
    st.none(), st.just(""), st.integers(-5, 5), st.booleans(), st.sampled_from(["x", "1.5", "2026-01-02"])
)
ROWS = st.recursive(SCALARS, lambda inner: st.dictionaries(NAMES, inner, max_size=4) | st.lists(inner, max_size=2))
PATHS = st.lists(NAMES.filter(bool), min_size=1, max_size=3).map(tuple)
COLUMNS = st.lists(st.builds(Column, PATHS, st.just("T"), st.sampled_from(ColumnType)), max_size=6)


@settings(max_examples=500, deadline=None)
@given(row=ROWS, columns=COLUMNS)
def test_a_walk_over_the_row_finds_what_each_column_does(row: Any, columns: list[Column]) -> None:
    others = [Column((f"other {number}",), "") for number in range(101)]
    walked = {number: value for number, value in Line([*columns, *others]).values(row) if value is not None}
    asked = {number: value for number, column in enumerate(columns) if (value := value_in(row, column)) is not None}
    assert walked == asked


@settings(max_examples=500, deadline=None)
@given(row=st.dictionaries(NAMES, ROWS, max_size=4), columns=COLUMNS)
def test_with_the_last_column_every_value_of_a_row_is_in_its_line(row: Any, columns: list[Column]) -> None:
    line = Line([*columns, FURTHER])
    said = " ".join(str(value) for _, value in line.values(row) if value is not None)
    assert line.says_all_of(row)
    for value in leaves(row, columns):
        assert str(value) in said


def leaves(value: Any, columns: list[Column]) -> list[Any]:
    """The whole numbers in a row, which look the same wherever they are written."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [leaf for one in inner for leaf in leaves(one, columns)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []
