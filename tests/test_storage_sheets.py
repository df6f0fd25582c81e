"""Tables as a reader sees them: each row once in any order, columns that change, history, what is forgotten."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice, pairwise
from random import Random
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.storage import Storage
from feedmirror.storage.history import POINTS, History
from feedmirror.storage.row_document import row_id
from feedmirror.table import Column, ColumnType, RowText, Run, TableOrder, extended

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
NUMBER, TEXT = ColumnType.NUMBER, ColumnType.TEXT
PRICE = Column(("price",), "Price", NUMBER, history_s=DAY.total_seconds())


def texts(rows: Sequence[Mapping[str, Any]]) -> dict[str, RowText]:
    """A page, as a walk gives it to be stored."""
    page = {}
    for row in rows:
        text = json.dumps(row)
        digest = blake2b(text.encode(), digest_size=16).digest()
        page[row_id("t", str(row["id"]))] = RowText(text, digest, row)
    return page


class Table:
    """A table without an API: pages are handed in."""

    def __init__(self, storage: Storage):
        self.storage = storage

    def begin(self, now: datetime = NOW) -> Run:
        return self.storage.tables.begin("t", now=now)

    def walk(
        self, *pages: Sequence[Mapping[str, Any]], now: datetime = NOW, columns: Sequence[Column] | None = None
    ) -> Run:
        """All pages of a run, not yet ended; the columns are what its rows show, if none are named."""
        run = self.begin(now)
        for number, page in enumerate(pages, 1):
            shown = extended(run.columns, page, new=number == 1) if columns is None else columns
            position = {"page": number + 1} if number < len(pages) else None
            run = self.storage.tables.store(run, texts(page), position, columns=shown)
        return run

    def run(
        self,
        *pages: Sequence[Mapping[str, Any]],
        now: datetime = NOW,
        columns: Sequence[Column] | None = None,
        gone_told: timedelta = 30 * DAY,
    ) -> int:
        """A complete run; gives how many rows it found to be gone."""
        run = self.walk(*pages, now=now, columns=columns)
        return self.storage.tables.end(run, now=now, gone_told=gone_told)

    def paged(self, order: TableOrder | None = None, *, words: Sequence[str] = (), limit: int = 7) -> list[Any]:
        """All rows, by as many questions as it takes, as a reader asks them."""
        rows: list[Any] = []
        after = None
        for _ in range(1000):
            standing = self.storage.sheets.standing("t")
            page = self.storage.sheets.page(
                standing, order=order or TableOrder(), words=words, after=after, limit=limit
            )
            assert len(page.rows) <= limit
            rows += (json.loads(one.text) for one in page.rows)
            after = page.last
            if after is None:
                return rows
        raise AssertionError(f"the table does not come to an end: {len(rows)} rows")

    def ids(self, order: TableOrder | None = None) -> list[Any]:
        return [row["id"] for row in self.paged(order)]

    def past(self) -> dict[Any, dict[str, list[float]]]:
        """The numbers that rows had, by id and column."""
        page = self.storage.sheets.page(self.storage.sheets.standing("t"), limit=100)
        return {
            json.loads(row.text)["id"]: {name: [number for _, number in points] for name, points in row.past.items()}
            for row in page.rows
        }


@pytest.fixture
def table(storage: Storage) -> Table:
    return Table(storage)


def in_pages(rows: Sequence[Any], size: int) -> list[list[Any]]:
    left = iter(rows)
    return list(iter(lambda: list(islice(left, size)), []))


# -- every row exactly once, in any order


VALUES: tuple[Any, ...] = (
    *(None, 0, 1, 1.0, -5, 2**63, 10**30, 1.5, "1.5", "", "a", "A", "b" * 200, "ß", "2024-01-31"),
    *(True, False, [1, 2], [], {"x": 1}, {}, "\0", "$price"),
)


def mixed(count: int, random: Random) -> list[dict[str, Any]]:
    """Rows whose members are missing, equal, or of any type."""
    rows = []
    for number in range(count):
        row: dict[str, Any] = {"id": number, "even": number % 2, "name": f"{random.choice('xyz')} {number}"}
        if random.random() < 0.8:
            row["any"] = random.choice(VALUES)
        if random.random() < 0.5:
            row["at"] = random.choice(["2024-01-31T10:00:00Z", "2023-01-31T10:00:00.5Z", "soon", 1700000000])
        rows.append(row)
    random.shuffle(rows)
    return rows


COLUMNS = (
    Column(("id",), "Id", NUMBER),
    Column(("even",), "Even", TEXT),
    Column(("any",), "Any", NUMBER),
    Column(("at",), "At", ColumnType.TIME),
    Column(("nowhere",), "Nowhere"),
    Column(("name",), "Name", TEXT),
)
ORDERS = [
    TableOrder(column=column, descending=descending)
    for column in (None, "", *(column.name for column in COLUMNS), "no such column")
    for descending in (False, True)
]


@pytest.mark.parametrize("seed", [1, 2])
def test_paging_gives_every_row_exactly_once_in_every_order(table: Table, seed: int) -> None:
    random = Random(seed)
    rows = mixed(240, random)
    table.run(*in_pages(rows, 37), columns=COLUMNS)
    everything = list(range(240))
    for order in ORDERS:
        limit = random.choice([1, 2, 7, 50, 239, 240, 241]) if seed > 1 else 11
        found = [row["id"] for row in table.paged(order, limit=limit)]
        assert sorted(found) == everything, order
        if order.column is None:
            assert found == [row["id"] for row in rows]
        if order.column == "id":
            assert found == everything[:: -1 if order.descending else 1]
    for order in ORDERS:
        found = [row["id"] for row in table.paged(order, words=["x "], limit=7)]
        assert sorted(found) == sorted(row["id"] for row in rows if row["name"].startswith("x ")), order


def test_values_of_one_type_stand_in_their_order_and_rows_without_any_at_the_end(table: Table) -> None:
    rows: list[dict[str, Any]] = [
        {"id": 1, "any": 2},
        {"id": 2},
        {"id": 3, "any": "10.5"},
        {"id": 4, "any": 10**30},
        {"id": 5, "any": -1},
        {"id": 6, "any": None},
        {"id": 7, "any": "0.00"},
    ]
    table.run(rows, columns=[*COLUMNS])
    assert table.ids(TableOrder(column="any"))[:5] == [5, 7, 1, 3, 4]
    assert table.ids(TableOrder(column="any", descending=True))[:5] == [4, 3, 1, 7, 5]
    assert set(table.ids(TableOrder(column="any"))[5:]) == {2, 6}


def test_by_the_last_change_is_the_order_in_which_rows_changed(table: Table) -> None:
    table.run([{"id": number, "n": 0} for number in range(5)])
    table.run([{"id": number, "n": int(number == 1)} for number in range(5)])
    table.run([{"id": number, "n": int(number == 1) + int(number == 3)} for number in range(5)])
    assert table.ids(TableOrder(column="", descending=True)) == [3, 1, 4, 2, 0]
    assert table.ids(TableOrder(column="")) == [0, 2, 4, 1, 3]


def test_a_search_wants_all_of_the_words_and_takes_them_literally(table: Table) -> None:
    rows = [{"id": 1, "name": "Bitcoin Cash (BCH)"}, {"id": 2, "name": "Bitcoin"}, {"id": 3, "name": "STRASSE.x"}]
    table.run(rows)
    assert [row["id"] for row in table.paged(words=["bitcoin", "(bch"])] == [1]
    assert [row["id"] for row in table.paged(words=["strasse.x"])] == [3]
    assert table.paged(words=["strasse?x"]) == []
    assert table.paged(words=[".*"]) == []


def test_going_on_behind_a_row_that_changed_or_went_meanwhile_goes_on_where_it_stands_now(table: Table) -> None:
    rows = [{"id": number, "n": number} for number in range(6)]
    table.run(rows)
    standing = table.storage.sheets.standing("t")
    page = table.storage.sheets.page(standing, order=TableOrder(column="n"), limit=3)
    assert page.last is not None
    table.run([row for row in rows if row["id"] != 2])
    behind = table.storage.sheets.page(standing, order=TableOrder(column="n"), after=page.last, limit=10)
    assert [json.loads(row.text)["id"] for row in behind.rows] == [3, 4, 5]


def test_the_order_of_the_api_is_that_of_its_last_complete_run(table: Table) -> None:
    rows = [{"id": number} for number in range(1200)]
    table.run(rows[:700], rows[700:])
    assert table.ids() == list(range(1200))
    assert [json.loads(row.text)["id"] for row in table.storage.sheets.every("t")] == list(range(1200))
    turned = rows[::-1]
    half = table.walk(turned[:700], turned[700:])  # at its end, but not ended
    assert table.ids() == list(range(1200))
    table.storage.tables.end(half, now=NOW)
    assert table.ids() == list(range(1200))[::-1]


def test_a_table_that_is_read_for_the_first_time_lists_what_there_is_so_far(table: Table) -> None:
    run = table.begin()
    run = table.storage.tables.store(run, texts([{"id": 2}, {"id": 1}]), {"page": 2})
    assert table.ids() == [2, 1]
    # one of them has moved to the page that is read now
    table.storage.tables.store(run, texts([{"id": 1}, {"id": 3}]), {"page": 3})
    for limit in (1, 2, 3):
        assert [row["id"] for row in table.paged(limit=limit)] == [2, 1, 3]
    assert [json.loads(row.text)["id"] for row in table.storage.sheets.every("t")] == [2, 1, 3]


def test_rows_that_were_seen_twice_are_listed_once_where_they_were_seen_last(table: Table) -> None:
    table.run([{"id": number} for number in range(6)])
    gone = table.run(
        [{"id": 0}, {"id": 1}, {"id": 2}], [{"id": 2}, {"id": 0}, {"id": 3}], [{"id": 3}, {"id": 4}, {"id": 5}]
    )
    assert gone == 0
    assert table.ids() == [1, 2, 0, 3, 4, 5]
    assert table.storage.sheets.standing("t").rows == 6


# -- pages of many rows


def test_a_large_page_is_listed_in_its_order_and_known_again(table: Table) -> None:
    """What is stored in several portions is still one page."""
    rows = [{"id": number} for number in range(1100)]
    run = table.storage.tables.store(table.begin(), texts(rows), {"page": 2})
    assert (run.pages, run.rows, run.new) == (1, 1100, 1100)
    assert table.storage.tables.shows_again(run, texts(rows))
    assert not table.storage.tables.shows_again(run, texts(rows[:500]))
    assert table.ids() == list(range(1100))


def test_a_large_page_that_was_stored_in_part_is_read_anew(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker was killed between two portions, and when the page is read again it is a shorter one."""
    rows = [{"id": number} for number in range(1100)]
    table.run(rows)
    run = table.begin()
    real, portions = table.storage.tables._write, iter([True, True])

    def killed(*args: Any, **more: Any) -> None:
        if not next(portions, False):
            raise KeyboardInterrupt
        real(*args, **more)

    monkeypatch.setattr(table.storage.tables, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        table.storage.tables.store(run, texts(rows), None)
    monkeypatch.undo()
    run = table.begin()
    assert run.position == {}
    assert not table.storage.tables.shows_again(run, texts(rows))
    run = table.storage.tables.store(run, texts(rows[:400]), None)
    assert table.storage.tables.end(run, now=NOW) == 700
    assert table.ids() == list(range(400))


# -- columns that change


def stamps(table: Table) -> list[int]:
    return sorted(row.changed_us for row in table.storage.sheets.since("t", after_us=0, limit=500).rows)


def test_other_columns_order_all_rows_anew_and_no_row_gets_a_new_stamp(table: Table) -> None:
    rows = [{"id": number, "a": number % 7, "b": -number} for number in range(40)]
    table.run(rows, columns=[Column(("a",), "A", NUMBER)])
    before = stamps(table)
    table.run(rows, columns=[Column(("b",), "B", NUMBER), Column(("a",), "A", NUMBER)])
    assert stamps(table) == before
    assert table.ids(TableOrder(column="b")) == list(range(40))[::-1]
    assert [row["a"] for row in table.paged(TableOrder(column="a"))] == sorted(row["a"] for row in rows)


def test_a_column_that_comes_on_orders_rows_that_had_it_before(table: Table) -> None:
    """It is the first page that shows columns; this one had a value on the second only."""
    first, second = [{"id": 1}, {"id": 2}], [{"id": 3, "n": 1}, {"id": 4, "n": 2}]
    table.run(first, second)
    assert [column.name for column in table.storage.sheets.standing("t").columns] == ["id"]
    before = stamps(table)
    table.run([{"id": 1, "n": 5}, {"id": 2}], second)
    assert table.ids(TableOrder(column="n")) == [3, 4, 1, 2]
    assert table.paged(words=["5"]) == [{"id": 1, "n": 5}]
    assert len(set(stamps(table)) - set(before)) == 1


def test_a_type_that_shows_late_orders_rows_that_were_there_before(table: Table) -> None:
    column = Column(("n",), "N")
    rows = [{"id": 1, "n": "9.5"}, {"id": 2, "n": "10.5"}]
    table.run(rows, columns=[column])
    table.run(rows, columns=[Column(("n",), "N", NUMBER)])
    assert table.ids(TableOrder(column="n")) == [1, 2]


# -- history


def test_history_goes_on_when_columns_come_on_and_when_it_is_kept_longer(table: Table) -> None:
    def row(price: int) -> list[dict[str, Any]]:
        return [{"id": 1, "price": price, "n": 1}]

    table.run(row(1), now=NOW, columns=[PRICE])
    table.run(row(2), now=NOW + DAY / 4, columns=[PRICE, Column(("n",), "N", NUMBER)])
    assert table.past() == {1: {"price": [1, 2]}}
    longer = Column(PRICE.path, "Price", NUMBER, history_s=10 * DAY.total_seconds())
    table.run(row(3), now=NOW + DAY / 2, columns=[longer, Column(("n",), "N", NUMBER)])
    assert table.past() == {1: {"price": [1, 2, 3]}}


def test_history_of_other_columns_is_not_taken_for_that_of_these(table: Table) -> None:
    cost = Column(("cost",), "Cost", NUMBER, history_s=DAY.total_seconds())
    table.run([{"id": 1, "price": 1, "cost": 50}], columns=[PRICE])
    table.run([{"id": 1, "price": 2, "cost": 60}], columns=[cost], now=NOW + DAY / 4)
    assert table.past() == {1: {"cost": [60]}}


def test_history_has_an_end_in_number_and_in_age(table: Table, database: Database[dict[str, Any]]) -> None:
    step = DAY / 400
    table.run([{"id": 1, "price": 0}], columns=[PRICE])
    run = table.begin()
    for number in range(500):
        at = replace(run, began_at=NOW + number * step)
        History(database).note(at, texts([{"id": 1, "price": number}]))
    points = table.past()[1]["price"]
    assert len(points) <= POINTS
    assert points[-1] == 499
    assert points == sorted(points)
    assert min(points) >= 499 - 400 - 1
    # spread over all of the time that is kept
    assert min(points) < 499 - 390


@pytest.mark.parametrize(("count", "least"), [(20, 20), (95, 95), (96, 48), (1000, 48)])
def test_a_young_history_is_seen_closely_and_no_part_of_it_more_than_another(
    table: Table, database: Database[dict[str, Any]], count: int, least: int
) -> None:
    week = replace(PRICE, history_s=7 * DAY.total_seconds())
    table.run([{"id": 1, "price": 0}], columns=[week])
    run, began = table.begin(), NOW + timedelta(seconds=10)
    for number in range(count):
        at = replace(run, began_at=began + number * timedelta(seconds=10))
        History(database).note(at, texts([{"id": 1, "price": number}]))
    points = table.past()[1]["price"][1:]
    assert least - 1 <= len(points) <= POINTS
    assert points[-1] == count - 1
    gaps = [later - sooner for sooner, later in pairwise(points[:-1])]
    assert max(gaps) <= 4 * min(gaps)
    assert points[0] <= 2 * max(gaps)


def test_history_has_numbers_alone(table: Table) -> None:
    for number, price in enumerate([1, "n/a", None, True, 10**400, "2.5"]):
        table.run([{"id": 1, "price": price}], columns=[PRICE], now=NOW + number * DAY / 10)
    assert table.past() == {1: {"price": [1, 2.5]}}


# -- rows that are gone


def gone_ids(table: Table) -> list[Any]:
    rows = table.storage.sheets.since("t", after_us=0, limit=500).rows
    return sorted(json.loads(row.text)["id"] for row in rows if row.gone)


def test_gone_rows_are_told_for_as_long_as_is_said_and_then_forgotten_with_a_gap(table: Table) -> None:
    table.run([{"id": 1, "price": 1}, {"id": 2, "price": 2}], columns=[PRICE])
    head = table.storage.clock.head_us()
    assert table.run([{"id": 1, "price": 1}], columns=[PRICE]) == 1
    assert gone_ids(table) == [2]
    assert table.ids() == [1]
    update = table.storage.sheets.since("t", after_us=head, limit=10)
    assert update.gap_us is None
    (went,) = (row.changed_us for row in update.rows if row.gone)
    # the time is later, and the row went too long ago
    later = datetime.now(UTC) + 2 * DAY
    table.run([{"id": 1, "price": 1}], columns=[PRICE], now=later, gone_told=DAY)
    assert gone_ids(table) == []
    update = table.storage.sheets.since("t", after_us=head, limit=10)
    assert update.gap_us == went
    assert table.storage.sheets.since("t", after_us=went, limit=10).gap_us is None
    assert table.ids() == [1]
    # when it comes back it is new, and has no past
    table.run([{"id": 1, "price": 1}, {"id": 2, "price": 7}], columns=[PRICE], now=later)
    assert table.past()[2] == {"price": [7]}


def test_more_rows_than_one_portion_may_go_and_be_forgotten(table: Table) -> None:
    table.run([{"id": number} for number in range(1201)])
    assert table.run([{"id": 7}]) == 1200
    assert table.storage.sheets.standing("t").rows == 1
    table.run([{"id": 7}], now=datetime.now(UTC) + 2 * DAY, gone_told=DAY)
    assert gone_ids(table) == []


def test_an_end_that_was_broken_off_is_gone_on_with(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while rows are marked as gone: the rest is marked, none twice, and the counts are those of the run."""
    rows = [{"id": number} for number in range(1300)]
    table.run(rows)
    run = table.walk(rows[:2], [rows[2]])
    real, portions = table.storage.tables._mark_gone, iter([True])

    def killed(*args: Any) -> None:
        if not next(portions, False):
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(table.storage.tables, "_mark_gone", killed)
    with pytest.raises(KeyboardInterrupt):
        table.storage.tables.end(run, now=NOW)
    monkeypatch.undo()
    marked = {row.changed_us for row in _all_changes(table) if row.gone}
    assert len(marked) == 500
    run = table.begin()
    assert run.position is None
    assert table.storage.tables.end(run, now=NOW) == 797
    assert marked < {row.changed_us for row in _all_changes(table) if row.gone}
    assert table.ids() == [0, 1, 2]
    assert table.storage.sheets.standing("t").rows == 3


def test_an_end_that_was_broken_off_while_rows_that_moved_were_sorted_out_counts_them_once(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.run([{"id": 0}, {"id": 1}, {"id": 2}])
    run = table.walk([{"id": 0}, {"id": 1}], [{"id": 1}, {"id": 2}])
    real = table.storage.tables._list_once

    def killed(*args: Any) -> None:
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(table.storage.tables, "_list_once", killed)
    with pytest.raises(KeyboardInterrupt):
        table.storage.tables.end(run, now=NOW)
    monkeypatch.undo()
    table.storage.tables.end(table.begin(), now=NOW)
    assert table.ids() == [0, 1, 2]
    assert table.storage.sheets.standing("t").rows == 3


def _all_changes(table: Table) -> Iterator[Any]:
    cursor_us, more = 0, True
    while more:
        update = table.storage.sheets.since("t", after_us=cursor_us, limit=400)
        yield from update.rows
        cursor_us, more = update.cursor_us, update.more


def test_changes_are_given_each_once_however_they_are_asked_for(table: Table) -> None:
    table.run([{"id": number} for number in range(50)])
    forwards = [json.loads(row.text)["id"] for row in _all_changes(table)]
    assert sorted(forwards) == list(range(50))
    backwards: list[Any] = []
    before_us = None
    while True:
        update = table.storage.sheets.newest("t", limit=7, before_us=before_us)
        backwards += [json.loads(row.text)["id"] for row in update.rows]
        if not update.more:
            break
        before_us = update.rows[-1].changed_us
    assert backwards == list(range(50))[::-1]
