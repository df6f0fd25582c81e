"""What a table is, without a database: which columns rows show, and what a row says in each."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from feedmirror.table import (
    Column,
    ColumnType,
    extended,
    extends,
    loaded,
    member,
    number_of,
    order_of,
    search_text,
    titled,
    value_in,
)
from feedmirror.table.columns import MOST_SHOWN
from feedmirror.table.values import moment_of

TEXT, NUMBER, PERCENT, TIME, LINK, IMAGE = (
    ColumnType.TEXT,
    ColumnType.NUMBER,
    ColumnType.PERCENT,
    ColumnType.TIME,
    ColumnType.LINK,
    ColumnType.IMAGE,
)


def types(*rows: Any) -> dict[str, ColumnType | None]:
    """The columns that these rows show, by name."""
    return {column.name: column.type for column in extended((), rows, new=True)}


def said(text: str, kind: ColumnType | None = None) -> Any:
    """What the row {"a": text} says in the column "a"."""
    return value_in(loaded(f'{{"a": {text}}}'), Column(("a",), "A", kind))


# -- columns, as rows show them


def test_columns_of_coins_as_coingecko_lists_them() -> None:
    bitcoin = {
        "id": "bitcoin",
        "symbol": "btc",
        "name": "Bitcoin",
        "image": "https://coin-images.coingecko.com/coins/images/1/large/bitcoin.png?1696501400",
        "current_price": 70187,
        "market_cap": 1381651251183,
        "market_cap_rank": 1,
        "price_change_percentage_24h": 3.12502,
        "max_supply": None,
        "ath_date": "2024-03-14T07:10:36.635Z",
        "roi": None,
        "last_updated": "2024-04-07T16:49:31.736Z",
    }
    ethereum = {**bitcoin, "id": "ethereum", "roi": {"times": 41.8, "currency": "btc", "percentage": 4180.1}}
    assert types(bitcoin, ethereum) == {
        "id": TEXT,
        "symbol": TEXT,
        "name": TEXT,
        "image": IMAGE,
        "current_price": NUMBER,
        "market_cap": NUMBER,
        "market_cap_rank": TEXT,
        "price_change_percentage_24h": PERCENT,
        "max_supply": None,
        "ath_date": TIME,
        "last_updated": TIME,
        # null where there is nothing to say, else an object: its members, and no column of their JSON beside them
        "roi.times": NUMBER,
        "roi.currency": TEXT,
        "roi.percentage": PERCENT,
    }


def test_columns_of_questions_as_stack_exchange_lists_them() -> None:
    question = {
        "tags": ["python", "mongodb"],
        "owner": {
            "account_id": 11,
            "reputation": 101,
            "profile_image": "https://www.gravatar.com/avatar/abc?s=256&d=identicon",
            "display_name": "Ann",
            "link": "https://stackoverflow.com/users/1/ann",
        },
        "is_answered": False,
        "view_count": 12,
        "score": -1,
        "last_activity_date": 1712508571,
        "creation_date": 1712508571,
        "question_id": 78287998,
        "link": "https://stackoverflow.com/questions/78287998/how",
        "title": "How?",
    }
    assert types(question) == {
        "tags": TEXT,
        "owner.account_id": TEXT,
        "owner.reputation": NUMBER,
        "owner.profile_image": IMAGE,
        "owner.display_name": TEXT,
        "owner.link": LINK,
        "is_answered": TEXT,
        "view_count": NUMBER,
        "score": NUMBER,
        "last_activity_date": TIME,
        "creation_date": TIME,
        "question_id": TEXT,
        "link": LINK,
        "title": TEXT,
    }


def test_columns_of_issues_as_github_lists_them() -> None:
    issue = {
        "url": "https://api.github.com/repos/o/r/issues/1347",
        "id": 1,
        "number": 1347,
        "title": "Found a bug",
        "user": {
            "login": "octocat",
            "avatar_url": "https://github.com/images/error/octocat_happy",
            "site_admin": False,
        },
        "labels": [{"name": "bug"}],
        "comments": 3,
        "created_at": "2011-04-22T13:33:48Z",
        "closed_at": None,
        "reactions": {"+1": 2},
    }
    assert types(issue) == {
        "url": LINK,
        "id": TEXT,
        "number": TEXT,
        "title": TEXT,
        "user.login": TEXT,
        "user.avatar_url": IMAGE,
        "user.site_admin": TEXT,
        "labels": TEXT,
        "comments": NUMBER,
        "created_at": TIME,
        "closed_at": None,
        "reactions.+1": NUMBER,
    }


def test_columns_of_a_list_as_django_rest_framework_gives_it() -> None:
    # a DecimalField is a text there, so that no digit is lost
    row = {"id": 7, "price": "12.50", "discount_pct": "0.5", "zip": "01234", "added": "2024-01-31", "stock": 3}
    assert types(row) == {
        "id": TEXT,
        "price": NUMBER,
        "discount_pct": PERCENT,
        "zip": TEXT,
        "added": TIME,
        "stock": NUMBER,
    }


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("timestamp", [1700000000.5, 1700000001.0], TIME),
        ("timestamp", [1700000000123], TIME),
        ("timestamp", [12], NUMBER),
        ("updated", [True], TEXT),
        ("createdAt", [1700000000], TIME),
        ("userId", [5], TEXT),
        ("ean", ["2024010112000", "2024010113000"], TEXT),
        ("a", ["1", "2"], TEXT),
        ("a", ["1.5", "n/a"], TEXT),
        ("a", [None, "", [], {}], None),
        ("a", [None, 2], NUMBER),
        ("a", [1, "2.5"], TEXT),
        ("a", [True, 2], TEXT),
        ("a", ["https://example.com/x", ""], LINK),
        ("a", ["https://example.com/x y"], TEXT),
        ("a", ["javascript:alert(1)"], TEXT),
        ("a", ["https://example.com/x.svg"], IMAGE),
    ],
)
def test_the_type_of_a_column_is_what_its_values_are(name: str, values: list[Any], expected: ColumnType | None) -> None:
    assert types(*({name: value} for value in values))[name] == expected


def test_rows_that_are_no_objects_have_one_column() -> None:
    assert types("x", "y") == {"": TEXT}
    (column,) = extended((), [7], new=True)
    assert (column.title, value_in(7, column)) == ("Value", 7)


def test_columns_come_on_behind_those_that_are_known_and_get_their_type_with_the_first_value() -> None:
    known = extended((), [{"b": 1, "c": None}], new=True)
    rows = [{"a": "x", "c": "2024-01-31", "b": "now a text"}]
    assert [(column.name, column.type) for column in extended(known, rows, new=False)] == [("b", NUMBER), ("c", TIME)]
    assert [(column.name, column.type) for column in extended(known, rows, new=True)] == [
        ("b", NUMBER),
        ("c", TIME),
        ("a", TEXT),
    ]


def test_there_is_an_end_to_the_columns() -> None:
    wide = {f"c{number}": number for number in range(500)}
    columns = extended((), [wide], new=True)
    assert len(columns) == MOST_SHOWN
    assert extended(columns, [{"more": 1}], new=True) == columns


@pytest.mark.parametrize("name", ["", "\ud800"])
def test_a_member_whose_name_nothing_can_keep_has_no_column(name: str) -> None:
    assert types({name: 1, "a": 1}) == {"a": NUMBER}


def test_columns_extend_those_that_are_their_first_ones() -> None:
    a, b = Column(("a",), "A", NUMBER), Column(("b",), "B", TEXT)
    assert extends([a, b], [a, b])
    assert extends([a, b], [a])
    assert extends([a, b], [])
    assert extends([Column(("a",), "Another title", TEXT, history_s=9), b], [a])
    assert not extends([a], [a, b])
    assert not extends([b, a], [a, b])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("market_cap",), "Market cap"),
        (("owner", "display_name"), "Owner display name"),
        (("createdAt",), "Created At"),
        (("a-b__c",), "A b c"),
        (("URL",), "URL"),
        (("élan",), "Élan"),
        (("_",), "Value"),
        (("",), "Value"),
    ],
)
def test_titles(path: tuple[str, ...], expected: str) -> None:
    assert titled(path) == expected


# -- what a row says


def test_a_member_is_found_by_its_path() -> None:
    row = {"a": {"b": {"c": 1}}, "d": [1]}
    assert member(row, ("a", "b", "c")) == 1
    assert member(row, ("a", "x", "c")) is None
    assert member(row, ("d", "0")) is None
    assert member(row, ()) == row


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("null", None, None),
        ('""', TEXT, None),
        ("[]", TEXT, None),
        ("0", NUMBER, 0),
        ("false", TEXT, False),
        ("123456789012345678901234567890", NUMBER, 123456789012345678901234567890),
        ("0.10000000000000000001", NUMBER, Decimal("0.10000000000000000001")),
        ("1e400", NUMBER, Decimal("1e400")),
        ("1e999999999", NUMBER, Decimal("Infinity")),
        ("-1e99999999999999999999", NUMBER, Decimal("-Infinity")),
        ("1e-99999999999999999999", NUMBER, 0),
        ('"12.50"', NUMBER, Decimal("12.50")),
        ('"0"', NUMBER, Decimal(0)),
        ('"0.00"', NUMBER, Decimal("0.00")),
        ('"-.5e3"', NUMBER, Decimal(-500)),
        ('"n/a"', NUMBER, "n/a"),
        ('"12.50"', TEXT, "12.50"),
        ("1712508571", TIME, datetime(2024, 4, 7, 16, 49, 31, tzinfo=UTC)),
        ('"2024-04-07T18:49:31+02:00"', TIME, datetime(2024, 4, 7, 16, 49, 31, tzinfo=UTC)),
        ('"soon"', TIME, "soon"),
        ("12", TIME, 12),
        ('{"b": [1, "é"]}', TEXT, '{"b": [1, "é"]}'),
        ('[1.50, 0.10000000000000000001, {"b": 1e400}]', TEXT, '[1.50, 0.10000000000000000001, {"b": 1E+400}]'),
    ],
)
def test_what_a_row_says_in_a_column(text: str, kind: ColumnType | None, expected: Any) -> None:
    found = said(text, kind)
    assert found == expected
    assert isinstance(found, bool) == isinstance(expected, bool)
    if isinstance(found, str) and found[:1] in "[{":
        json.loads(found)  # as JSON it is whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" 12 ", 12), ("1,5", None), ("٣", None), ("0x10", None), ("nan", None), ("", None), ("1" * 500, None)],
)
def test_the_number_that_a_text_is(text: str, expected: int | None) -> None:
    assert number_of(text) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_700_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1_700_000_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1_700_000_000_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1_700_000_000.0, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (Decimal("1700000000.5"), datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)),
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-01-31 12:00:00", datetime(2024, 1, 31, 12, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        (True, None),
        (5, None),
        (10**30, None),
        (float("inf"), None),
        (None, None),
        ("x" * 1000, None),
    ],
)
def test_the_moment_that_a_value_is(value: Any, expected: datetime | None) -> None:
    assert moment_of(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Straße", "strasse"),
        ("a\0b", "ab"),
        ("\ud800", "?"),
        ("x" * 500, "x" * 100),
        (2**63 - 1, 2**63 - 1),
        (2**63, 2.0**63),
        (10**400, float("inf")),
        (-(10**400), float("-inf")),
        (Decimal("1.5"), 1.5),
        (Decimal("-1e400"), float("-inf")),
        (True, True),
        (None, None),
    ],
)
def test_what_a_value_is_ordered_by(value: Any, expected: Any) -> None:
    found = order_of(value)
    assert (found, type(found)) == (expected, type(expected))


def test_a_row_is_found_by_what_it_says() -> None:
    assert search_text(["Bitcoin", None, True, 70187, Decimal("1.50"), "\ud800"]) == "bitcoin\n70187\n1.50\n?"
    assert len(search_text(["x" * 5000])) == 2000
