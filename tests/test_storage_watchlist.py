"""The list of sources as a reader sees it, on the real MongoDB."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.models import Place, Source, SourceCounts, SourceFilter, State
from feedmirror.storage import Storage
from feedmirror.storage.watchlist import Watchlist

EVERYTHING = SourceFilter()


@pytest.fixture
def watchlist(storage: Storage) -> Watchlist:
    return storage.watchlist


def a_source(number: int, name: str | None = None) -> Source:
    # ids that are not in the order of the file
    return Source(id=f"s{number * 7919 % 1000:03}", name=name or f"Source {number}", url=f"https://{number}.example/")


def watch(storage: Storage, sources: Iterable[Source]) -> list[str]:
    described = list(sources)
    storage.sources.synchronise(described, [])
    return [source.id for source in described]


def fare(database: Database[dict[str, Any]], source_id: str, **looks: Any) -> None:
    """Let a source have fared so; what is not given is as if it had never been looked at."""
    database["sources"].update_one({"_id": source_id}, {"$set": {"looks": looks}})


def walk(watchlist: Watchlist, wanted: SourceFilter, limit: int) -> list[list[str]]:
    """The ids of each part of the list, up to its end."""
    pages = [watchlist.page(wanted, limit=limit)]
    while (last := pages[-1].last) is not None:
        pages.append(watchlist.page(wanted, after=last, limit=limit))
    return [[watched.source.id for watched in page.sources] for page in pages]


@pytest.mark.parametrize("limit", [1, 7, 30, 299, 300, 301])
def test_parts_hold_every_source_once_in_the_order_of_the_file(
    storage: Storage, watchlist: Watchlist, limit: int
) -> None:
    ids = watch(storage, map(a_source, range(300)))
    storage.sources.synchronise([a_source(number) for number in range(300) if number % 10], [])
    retired = {a_source(number).id for number in range(0, 300, 10)}
    parts = walk(watchlist, EVERYTHING, limit)
    assert [len(part) for part in parts[:-1]] == [limit] * (len(parts) - 1)
    assert 1 <= len(parts[-1]) <= limit
    shown = [source_id for part in parts for source_id in part]
    assert shown[:270] == [source_id for source_id in ids if source_id not in retired]
    assert sorted(shown) == sorted(ids)
    assert [watched.source.id for watched in watchlist.every()] == shown


def test_sources_in_the_same_place_of_the_file_are_all_shown(storage: Storage, watchlist: Watchlist) -> None:
    for number in range(20):  # each at place 0
        storage.sources.add(a_source(number))
    shown = [source_id for part in walk(watchlist, EVERYTHING, 3) for source_id in part]
    assert shown == sorted(a_source(number).id for number in range(20))


def test_the_list_goes_on_where_it_ended_though_sources_there_fare_otherwise_meanwhile(
    storage: Storage, watchlist: Watchlist, database: Database[dict[str, Any]]
) -> None:
    ids = watch(storage, map(a_source, range(10)))
    for source_id in ids:
        fare(database, source_id, error="no")
    failing = SourceFilter(state=State.FAILING)
    first = watchlist.page(failing, limit=4)
    for source_id in ids[:5]:
        fare(database, source_id, last_ok_at=datetime.now(UTC))
    assert first.last is not None
    rest = watchlist.page(failing, after=first.last, limit=10)
    assert [watched.source.id for watched in rest.sources] == ids[5:]


def test_behind_the_last_there_is_nothing(storage: Storage, watchlist: Watchlist) -> None:
    watch(storage, map(a_source, range(3)))
    assert watchlist.page(EVERYTHING, after=Place(False, 0, "zzz"), limit=5).sources == ()
    assert watchlist.page(EVERYTHING, limit=3).last is None


def test_a_filter_finds_what_each_source_says_of_itself(
    storage: Storage, watchlist: Watchlist, database: Database[dict[str, Any]]
) -> None:
    moment = datetime.now(UTC)
    fates = list(product([None, moment], [None, "no"], [None, 0, 2], [True, False]))
    ids = watch(storage, map(a_source, range(len(fates))))
    for source_id, (last_ok_at, error, lost, active) in zip(ids, fates, strict=True):
        given = {"last_ok_at": last_ok_at, "error": error, "windows_lost": lost}
        fare(database, source_id, **{name: value for name, value in given.items() if value is not None})
        database["sources"].update_one({"_id": source_id}, {"$set": {"active": active}})
    everyone = list(watchlist.every())
    assert len(everyone) == 24
    for state in State:
        (found,) = walk(watchlist, SourceFilter(state=state), 100)
        assert found == [watched.source.id for watched in everyone if watched.state is state]
    (lost,) = walk(watchlist, SourceFilter(window_lost=True), 100)
    assert lost == [one.source.id for one in everyone if one.active and one.looks.windows_lost]
    (both,) = walk(watchlist, SourceFilter(window_lost=True, state=State.FAILING), 100)
    assert set(both) == {one.source.id for one in everyone if one.source.id in lost and one.state is State.FAILING}
    counted = {state: sum(one.state is state for one in everyone) for state in State}
    counts = watchlist.counts()
    assert counts == SourceCounts(
        active=12,
        failing=counted[State.FAILING],
        waiting=counted[State.WAITING],
        window_lost=len(lost),
        retired=counted[State.RETIRED],
    )
    assert (counts.live, counts.all) == (counted[State.LIVE], 24)


@pytest.mark.parametrize("wanted", [SourceFilter(state=state) for state in State if state is not State.LIVE])
def test_what_an_operator_looks_for_is_found_without_reading_the_others(
    storage: Storage, watchlist: Watchlist, database: Database[dict[str, Any]], wanted: SourceFilter
) -> None:
    for number, source_id in enumerate(watch(storage, map(a_source, range(200)))):
        if number % 50:
            fare(database, source_id, last_ok_at=datetime.now(UTC))
    read = []
    database.command("profile", 2)
    try:
        watchlist.page(wanted, limit=10)
        watchlist.page(replace(wanted, window_lost=True), limit=10)
        read = list(database["system.profile"].find({"command.find": "sources"}))
    finally:
        database.command("profile", 0)
    assert len(read) == 2
    assert all(one["docsExamined"] <= 4 for one in read)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("stack",), ["Stack Overflow", "Haystack"]),
        (("over", "STACK"), ["Stack Overflow"]),
        (("c++",), ["C++ (news)"]),
        (("(news)",), ["C++ (news)"]),
        ((".*",), []),
        (("élan",), ["ÉLAN"]),
        (("$name",), ["$name"]),
        (("a\0b",), []),
        ((), ["Stack Overflow", "Haystack", "C++ (news)", "ÉLAN", "$name"]),
    ],
)
def test_search_by_name(storage: Storage, watchlist: Watchlist, words: tuple[str, ...], found: list[str]) -> None:
    names = ["Stack Overflow", "Haystack", "C++ (news)", "ÉLAN", "$name"]
    watch(storage, [a_source(number, name) for number, name in enumerate(names)])
    page = watchlist.page(SourceFilter(words=words), limit=10)
    assert [watched.source.name for watched in page.sources] == found


def test_sources_and_names_by_id(storage: Storage, watchlist: Watchlist) -> None:
    ids = watch(storage, map(a_source, range(5)))
    page = watchlist.page(SourceFilter(ids=(ids[3], "nobody", ids[1])), limit=10)
    assert [watched.source.id for watched in page.sources] == [ids[1], ids[3]]
    assert watchlist.names([ids[0], "nobody"]) == {ids[0]: "Source 0"}
    assert watchlist.names([]) == {}


def test_a_name_means_the_source_that_is_polled_and_not_a_retired_one(storage: Storage) -> None:
    old, new = (Source(id=one, name="A", url=f"https://{one}.example/") for one in ("a", "a-2"))
    storage.sources.synchronise([old], [])
    assert storage.watchlist.named("A") == storage.watchlist.named("a")
    storage.sources.synchronise([new], [])
    named = storage.watchlist.named("A")
    assert named is not None
    assert (named.source.id, named.active) == ("a-2", True)
    assert storage.watchlist.named("nobody") is None
