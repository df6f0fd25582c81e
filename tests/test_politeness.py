"""Which group a source is of, its limits, and the words for what is in the way: tables, no database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feedmirror.models import Looks, Source, WatchedSource
from feedmirror.politeness import (
    Demand,
    Granted,
    GroupLedger,
    GroupLimits,
    as_asked,
    common_limits,
    demands,
    group_of,
    limits_of,
    next_day,
    next_month,
)

DEFAULTS = GroupLimits(in_flight=4, per_minute=60)
NOW = datetime(2026, 3, 31, 14, 5, 30, tzinfo=UTC)


def source(name: str = "a", **fields: Any) -> Source:
    return Source(**{"id": name, "name": name, "url": f"https://{name}.example/feed", **fields})


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def ledger(**fields: Any) -> GroupLedger:
    return GroupLedger(**{"name": "g", "as_of": NOW, "limits": DEFAULTS, **fields})


# -- which group


@pytest.mark.parametrize(
    ("url", "group"),
    [
        ("https://stackoverflow.com/feeds", "stackoverflow.com:443"),
        ("http://stackoverflow.com/feeds", "stackoverflow.com:80"),
        ("https://STACKoverflow.com:443/a?b", "stackoverflow.com:443"),
        ("https://stackoverflow.com./feeds", "stackoverflow.com:443"),
        ("http://localhost:8080/", "localhost:8080"),
        ("https://user:secret@a.example/", "a.example:443"),
        ("http://[2001:DB8::1]/", "[2001:db8::1]:80"),
        ("http://[::1]:81/", "[::1]:81"),
        ("https://a.tumblr.com/rss", "a.tumblr.com:443"),
    ],
)
def test_a_group_is_the_host_and_port_of_the_address(url: str, group: str) -> None:
    assert group_of(source(url=url)) == group


@pytest.mark.parametrize(
    ("given", "group"),
    [("stackexchange", "stackexchange"), (" Stack  Exchange ", "stack exchange"), ("$now", "$now"), ("a:443", "a:443")],
)
def test_a_group_that_is_given_counts_instead(given: str, group: str) -> None:
    assert group_of(source(group=given)) == group


# -- where a source is asked that has moved


@pytest.mark.parametrize(
    ("looks", "group"), [(0, "a.example:443"), (2, "a.example:443"), (3, "b.example:443"), (9, "b.example:443")]
)
def test_a_source_is_asked_and_counted_where_it_has_moved_to_when_that_has_held(looks: int, group: str) -> None:
    watched = moved(source("a"), "https://b.example/feed", looks=looks)
    assert group_of(as_asked(watched)) == group
    assert as_asked(watched).url == f"https://{group.removesuffix(':443')}/feed"


def test_a_source_whose_group_is_given_stays_in_it_when_it_moves() -> None:
    assert group_of(as_asked(moved(source(group="shared"), "https://b.example/feed"))) == "shared"


@pytest.mark.parametrize(
    ("to", "private"),
    [
        ("http://nas.example/new", True),
        ("https://nas.example/feed", False),
        ("http://nas.example:81/feed", False),
        ("http://b.example/feed", False),
    ],
)
def test_a_private_source_that_has_moved_to_another_host_is_anybodys(to: str, private: bool) -> None:
    watched = moved(source(url="http://NAS.example:80/feed", private=True), to)
    assert as_asked(watched).private is private
    assert limits_of([as_asked(watched)], DEFAULTS) == (GroupLimits() if private else DEFAULTS)


def moved(source: Source, to: str, *, looks: int = 3) -> WatchedSource:
    return WatchedSource(source=source, looks=Looks(moved_to=to, moved_looks=looks))


# -- its limits


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([{}], DEFAULTS),
        ([{"per_minute": 100}], GroupLimits(in_flight=4, per_minute=100)),
        ([{"per_minute": 100}, {"per_minute": 10}, {}], GroupLimits(in_flight=4, per_minute=10)),
        ([{"in_flight": 9}, {"per_day": 300}], GroupLimits(in_flight=9, per_minute=60, per_day=300)),
        ([{"per_month": 9}, {"per_month": 8}], GroupLimits(in_flight=4, per_minute=60, per_month=8)),
        ([{"private": True}], GroupLimits()),
        ([{"private": True, "per_minute": 5}], GroupLimits(per_minute=5)),
        ([{"private": True}, {"private": True, "in_flight": 2}], GroupLimits(in_flight=2)),
        ([{"private": True}, {}], DEFAULTS),
    ],
)
def test_the_limits_of_a_group_are_the_strictest_that_are_given(members: list[Any], expected: GroupLimits) -> None:
    assert limits_of([source(**fields) for fields in members], DEFAULTS) == expected


def test_limits_are_told_of_groups_only_whose_sources_do_not_all_say_the_same() -> None:
    sources = [
        *(source(name, group="plain") for name in "ab"),
        *(source(name, group="agreed", per_minute=5) for name in "cd"),
        source("e", group="mixed", per_minute=100),
        source("f", group="mixed", per_day=50),
        source("g", group="half private", private=True),
        source("h", group="half private"),
    ]
    assert common_limits(sources, DEFAULTS) == {
        "mixed": GroupLimits(in_flight=4, per_minute=100, per_day=50),
        "half private": DEFAULTS,
    }


def test_a_batch_of_sources_is_a_demand_of_each_group() -> None:
    sources = [source("a", group="x"), source("b", group="x", in_flight=1), source("c", private=True)]
    assert demands(sources, DEFAULTS) == {
        "x": Demand(2, GroupLimits(in_flight=1, per_minute=60)),
        "c.example:443": Demand(1, GroupLimits()),
    }


@pytest.mark.parametrize(("per_minute", "per_burst"), [(None, None), (1, 1), (6, 1), (7, 2), (60, 10), (600, 100)])
def test_ten_seconds_see_a_sixth_of_the_minute_and_one_at_least(per_minute: int | None, per_burst: int | None) -> None:
    assert GroupLimits(per_minute=per_minute).per_burst == per_burst


# -- what is in the way


@pytest.mark.parametrize(
    ("fields", "wait_s", "why"),
    [
        ({}, 0, ""),
        ({"in_flight": 3}, 0, ""),
        ({"in_flight": 4}, 1, "4 requests in flight"),
        ({"in_flight": 1, "limits": GroupLimits(in_flight=1)}, 1, "1 request in flight"),
        ({"in_flight": 1000, "limits": GroupLimits()}, 0, ""),
        ({"recent": (Granted(ago(4), 9),)}, 0, ""),
        ({"recent": (Granted(ago(4), 10),)}, 6, "10 in 10 seconds are used up"),
        ({"recent": (Granted(ago(10), 10),)}, 0, ""),
        ({"recent": (Granted(ago(8), 1), Granted(ago(4), 9))}, 2, "10 in 10 seconds are used up"),
        ({"recent": (Granted(ago(50), 30), Granted(ago(20), 30))}, 10, "60 a minute are used up"),
        ({"recent": (Granted(ago(50), 30), Granted(ago(20), 29))}, 0, ""),
        # more than the limit, because it was a looser one
        ({"recent": (Granted(ago(50), 5), Granted(ago(20), 60))}, 40, "60 a minute are used up"),
        ({"recent": (Granted(ago(1), 500),), "limits": GroupLimits()}, 0, ""),
        ({"used_day": 300, "limits": GroupLimits(per_day=300)}, 35_670, "300 a day are used up"),
        ({"used_day": 299, "limits": GroupLimits(per_day=300)}, 0, ""),
        ({"used_month": 9, "limits": GroupLimits(per_month=9)}, 35_670, "9 a month are used up"),
        ({"blocked_until": ago(-90)}, 90, "asked to wait until 2026-03-31 14:07:00 UTC"),
        ({"blocked_until": ago(-90), "blocked_status": 429}, 90, "asked to wait until 2026-03-31 14:07:00 UTC (429)"),
        ({"blocked_until": ago(1)}, 0, ""),
        # of several, what takes longest
        ({"in_flight": 4, "recent": (Granted(ago(4), 10),)}, 6, "10 in 10 seconds are used up"),
    ],
)
def test_what_is_in_the_way_of_one_more_request(fields: dict[str, Any], wait_s: float, why: str) -> None:
    assert (ledger(**fields).wait_s, ledger(**fields).why) == (wait_s, why)


def test_windows_of_a_ledger() -> None:
    recent = (Granted(ago(60), 1), Granted(ago(59), 2), Granted(ago(3), 4))
    assert ledger(recent=recent).used_minute == 6
    assert ledger(recent=recent).used_within(timedelta(seconds=10)) == 4


@pytest.mark.parametrize(
    ("moment", "day", "month"),
    [
        (NOW, (2026, 4, 1), (2026, 4, 1)),
        (datetime(2026, 1, 30, tzinfo=UTC), (2026, 1, 31), (2026, 2, 1)),
        (datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), (2027, 1, 1), (2027, 1, 1)),
        (datetime(2028, 2, 28, 12, tzinfo=UTC), (2028, 2, 29), (2028, 3, 1)),
    ],
)
def test_days_and_months_end_at_midnight_utc(moment: datetime, day: Any, month: Any) -> None:
    assert next_day(moment) == datetime(*day, tzinfo=UTC)
    assert next_month(moment) == datetime(*month, tzinfo=UTC)
