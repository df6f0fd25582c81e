"""What an answer of the data sets' API holds, read row by row."""

import json
import random
from typing import Any

import pytest

from feedmirror.errors import ParseError
from feedmirror.work.dataset_answer import read


def an_answer(rows: list[Any], columns: list[Any] | None = None) -> bytes:
    columns = ["Date", "Close"] if columns is None else columns
    return json.dumps({"dataset_data": {"limit": None, "column_names": columns, "data": rows}}).encode()


def day(number: int) -> str:
    return f"{1990 + number // 336}-{1 + number // 28 % 12:02}-{1 + number % 28:02}"


def test_rows_and_columns_are_counted_and_the_line_goes_forwards() -> None:
    answer = read(an_answer([["2026-11-20", 2.5], ["2026-11-19", -3], ["2026-11-18", None]]))
    assert (answer.columns, answer.rows) == (("Date", "Close"), 3)
    assert answer.preview.is_time
    assert answer.preview.lines == {"Close": ((1795046400.0, -3.0), (1795132800.0, 2.5))}
    assert answer.preview.rows == ('["2026-11-20", 2.5]', '["2026-11-19", -3]', '["2026-11-18", null]')


def test_columns_that_are_not_drawn_are_counted() -> None:
    answer = read(an_answer([list(range(120)), [1]], columns=[f"c{number}" for number in range(121)]))
    assert (len(answer.preview.lines), answer.preview.further) == (50, 71)
    assert len(answer.columns) == 121
    assert read(an_answer([[1, 2]])).preview.further == 0


def test_the_order_of_the_members_does_not_matter() -> None:
    body = (
        b'{"dataset_data": {"data": [["2026-11-20", 1]], "column_names": ["Date", "a"]}, "other": [[1], {"data": 2}]}'
    )
    answer = read(body)
    assert (answer.columns, answer.rows, list(answer.preview.lines)) == (("Date", "a"), 1, ["a"])


@pytest.mark.parametrize("rows", [[["a", 1], ["2026-11-20", 2]], [[1, 1], [2, 2]], [["", 1], [None, 2]]])
def test_where_not_every_row_has_a_date_places_are_numbers(rows: list[Any]) -> None:
    preview = read(an_answer(rows)).preview
    assert not preview.is_time
    assert preview.lines["Close"] == ((0.0, 1.0), (1.0, 2.0))


@pytest.mark.parametrize("rows", [[], None])
def test_no_rows_are_a_data_set_too(rows: list[Any]) -> None:
    answer = read(an_answer(rows))
    assert (answer.rows, answer.preview.is_time, answer.preview.lines, answer.preview.rows) == (0, False, {}, ())
    assert answer.columns == ("Date", "Close")


def test_odd_rows_are_rows() -> None:
    rows = [[], ["2026-11-20"], ["2026-11-20", "text"], ["2026-11-20", True], 5, None, "text", {"a": 1}, [["x"], [1]]]
    answer = read(an_answer([*rows, ["2026-11-20", 4, "more", "than", "columns"]]))
    assert answer.rows == len(rows) + 1
    assert answer.preview.lines == {"Date": ((4.0, 5.0),), "Close": ((9.0, 4.0),)}
    assert [json.loads(one) for one in answer.preview.rows][:3] == [[], ["2026-11-20"], ["2026-11-20", "text"]]


@pytest.mark.parametrize(
    "number", ["1" + "0" * 308 + "9", "1" + "0" * 350, "1" + "0" * 400, "-1" + "0" * 5000, "1e400", "-1e400"]
)
def test_a_number_beyond_all_bounds_is_in_no_line(number: str) -> None:
    body = an_answer([["2026-11-20", 1], ["2026-11-19", 54321]]).replace(b"54321", number.encode())
    answer = read(body)
    assert answer.rows == 2
    assert answer.preview.lines == {"Close": ((1795132800.0, 1.0),)}
    assert all(json.loads(one) for one in answer.preview.rows)


def test_whole_numbers_of_any_size_are_shown_as_they_are() -> None:
    (row,) = read(an_answer([["2026-11-20", 12345678901234567890123]])).preview.rows
    assert row == '["2026-11-20", 12345678901234567890123]'


def test_of_many_rows_the_extremes_are_kept_wherever_they_are() -> None:
    chance = random.Random(1)
    values = [chance.uniform(-1, 1) for _ in range(20_000)]
    extremes = {3: 50.0, 9_999: -40.0, 19_990: 30.0, 0: 0.125, 19_999: 0.25}
    for number, value in extremes.items():
        values[number] = value
    preview = read(an_answer([[f"row {number}", value] for number, value in enumerate(values)])).preview
    line = preview.lines["Close"]
    assert len(line) <= 1000
    assert {(float(number), value) for number, value in extremes.items()} <= set(line)
    assert [place for place, _ in line] == sorted({place for place, _ in line})
    assert {float(values[int(place)]) for place, _ in line} == {value for _, value in line}
    assert len(preview.rows) == 100


@pytest.mark.parametrize("number", [1, 999, 1000, 1001, 1500, 5000])
def test_a_line_has_both_of_its_ends(number: int) -> None:
    rows = [[day(n), n % 7] for n in range(number)]
    preview = read(an_answer(rows[::-1])).preview
    assert preview.is_time
    line = preview.lines["Close"]
    assert len(line) <= 1000
    assert len(line) == number or number > 1000
    assert (line[0][1], line[-1][1]) == (0, (number - 1) % 7)
    assert list(line) == sorted(line)


def test_more_columns_than_a_picture_has_lines() -> None:
    columns = ["Date", *(f"c{number}" for number in range(200))]
    answer = read(an_answer([["2026-11-20", *range(200)]], columns))
    assert answer.columns == tuple(columns)
    assert len(answer.preview.lines) < 60


def test_columns_of_the_same_name_do_no_harm() -> None:
    answer = read(an_answer([["2026-11-20", 1, 2]], ["Date", "a", "a"]))
    assert answer.columns == ("Date", "a", "a")
    assert set(answer.preview.lines) == {"a"}


def test_what_is_kept_of_endless_rows_and_names_fits_into_a_document() -> None:
    columns = ["Date", *("x" * 1_000 for _ in range(20_000))]
    answer = read(an_answer([["2026-11-20", "y" * 1_000_000] for _ in range(30)], columns))
    assert answer.rows == 30
    kept = sum(map(len, answer.columns)) + sum(map(len, answer.preview.rows)) + sum(map(len, answer.preview.lines))
    assert kept < 2_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'{"dataset_data": {}}',
        b'{"dataset_data": []}',
        b'{"dataset_data": {"column_names": ["a"]}}',
        b'{"dataset_data": {"data": [[1], [2',
        b'{"dataset_data": {"column_names": ["a"], "data": [[1]]}',
        b'{"dataset_data": {"column_names": ["a"], "data": [[1]]}} more',
        b'{"dataset_data": {"column_names": ["a"], "data": [[NaN]]}}',
        b'{"dataset_data": {"column_names": ["a"], "data": "x"}}',
        b'{"dataset_data": {"column_names": ["a"], "data": {"item": [1]}}}',
        b'{"dataset_data": {"column_names": ["\xff"], "data": [[1]]}}',
        '{"dataset_data": {"data": [[1]]}}'.encode("utf-16"),
        b'{"dataset_data": {"column_names": ["a"], "data": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}}",
        b"[" * 100_000,
    ],
)
def test_what_is_no_data_set_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(ParseError, match="the answer is no data set"):
        read(body)


def test_a_date_far_away_is_a_date() -> None:
    answer = read(an_answer([["0001-01-01", 1], ["9999-12-31", 2]]))
    assert answer.preview.is_time
    assert [value for _, value in answer.preview.lines["Close"]] == [1, 2]
