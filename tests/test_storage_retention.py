"""Retention against the real MongoDB: what is past keeping goes, for good, a few at a time, and nobody is misled."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from feedmirror.models import Entry, Item, Selection, Source
from feedmirror.storage import Storage, retention
from feedmirror.storage.arrivals import Stored
from feedmirror.storage.gaps import Gaps
from feedmirror.storage.retention import ITEMS_A_STEP, Step

EVERYTHING = Selection()
DAY = timedelta(days=1)


def entries(*names: str, **fields: Any) -> dict[str, Entry]:
    """A page that lists these, newest first; an entry's id is its name."""
    return {name: Entry(title=f"Title of {name}", link=f"https://example.com/{name}", **fields) for name in names}


def store(storage: Storage, source_id: str, *names: str, **fields: Any) -> Stored:
    """Store a page that lists these, oldest first."""
    return storage.items.store(source_id, entries(*names[::-1], **fields), now=datetime.now(UTC))


def watch(storage: Storage, **keeps: tuple[timedelta | None, int | None]) -> None:
    """Let the sources file name these, each of which keeps so long and so many."""
    storage.sources.synchronise([source(name, *keep) for name, keep in keeps.items()], [])


def source(name: str, age: timedelta | None = None, items: int | None = None) -> Source:
    keep_s = age.total_seconds() if age else None
    return Source(id=name, name=name, url=f"https://{name}.example/", keep_s=keep_s, keep_items=items)


def let_pass(storage: Storage, time: timedelta) -> None:
    """Let so much time have passed since all that is stored arrived, and since the last round began."""
    database = storage._database
    earlier = [{"$set": {"arrived_at": {"$dateSubtract": _amount("$arrived_at", time)}}}]
    database["items"].update_many({"removed_at": None}, earlier)
    database["sightings"].update_many({}, earlier)
    database["retention"].update_many(
        {"next_at": {"$ne": None}}, [{"$set": {"next_at": {"$dateSubtract": _amount("$next_at", time)}}}]
    )


def _amount(moment: str, time: timedelta) -> dict[str, Any]:
    return {"startDate": moment, "unit": "second", "amount": int(time.total_seconds())}


def go_round(storage: Storage) -> list[Step]:
    """All steps of a round."""
    steps = [storage.retention.step()]
    while steps[-1].more:
        steps.append(storage.retention.step())
    return steps


def kept(storage: Storage, source_id: str | None = None) -> str:
    """The names of what a reader finds, oldest first."""
    return " ".join(item.id for item in newest(storage, source_id)[::-1])


def newest(storage: Storage, source_id: str | None = None) -> tuple[Item, ...]:
    return storage.items.newest(Selection(source_id=source_id), limit=5000).items


# -- what goes


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ((None, None), "old1 old2 mid1 mid2 new1 new2"),
        ((20 * DAY, None), "old1 old2 mid1 mid2 new1 new2"),
        ((8 * DAY, None), "mid1 mid2 new1 new2"),
        ((2 * DAY, None), "new1 new2"),
        ((timedelta(hours=1), None), ""),
        ((None, 7), "old1 old2 mid1 mid2 new1 new2"),
        ((None, 6), "old1 old2 mid1 mid2 new1 new2"),
        ((None, 5), "old2 mid1 mid2 new1 new2"),
        ((None, 1), "new2"),
        ((8 * DAY, 5), "mid1 mid2 new1 new2"),
        ((8 * DAY, 3), "mid2 new1 new2"),
    ],
)
def test_what_a_source_keeps(storage: Storage, keep: tuple[timedelta | None, int | None], left: str) -> None:
    watch(storage, one=keep)
    store(storage, "one", "old1", "old2")
    let_pass(storage, 5 * DAY)
    store(storage, "one", "mid1", "mid2")
    let_pass(storage, 3 * DAY)
    store(storage, "one", "new1", "new2")
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage) == kept(storage, "one") == left


def test_sources_keep_as_much_as_each_of_them_says(storage: Storage) -> None:
    watch(storage, one=(None, 1), two=(None, None), three=(DAY, None))
    for name in ("one", "two", "three"):
        store(storage, name, f"{name}-a", f"{name}-b")
    let_pass(storage, 2 * DAY)
    go_round(storage)
    assert kept(storage) == "one-b two-a two-b"


def test_nothing_goes_within_its_first_hour_however_many_there_are(storage: Storage) -> None:
    watch(storage, one=(None, 1))
    store(storage, "one", "a", "b", "c")
    let_pass(storage, timedelta(minutes=59))
    assert go_round(storage) == [Step()]
    assert kept(storage) == "a b c"
    let_pass(storage, timedelta(minutes=11))
    go_round(storage)
    assert kept(storage) == "c"


def test_the_items_of_a_source_that_the_file_no_longer_names_stay_until_it_is_back(storage: Storage) -> None:
    watch(storage, one=(None, 1))
    store(storage, "one", "a", "b")
    let_pass(storage, DAY)
    watch(storage)
    go_round(storage)
    assert kept(storage) == "a b"
    watch(storage, one=(None, 1))
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage) == "b"


def test_items_that_arrived_under_a_clock_that_was_ahead_do_not_hold_up_the_others(storage: Storage) -> None:
    watch(storage, one=(DAY, None))
    store(storage, "one", "a", "b")
    let_pass(storage, -400 * DAY)
    store(storage, "one", "c")
    let_pass(storage, 2 * DAY)
    store(storage, "one", "d")
    go_round(storage)
    assert kept(storage) == "a b d"


# -- and stays away


def removed(storage: Storage, *names: str, source_id: str = "one") -> None:
    """Let these have been stored and removed again, and something newer be kept."""
    watch(storage, **{source_id: (30 * DAY, None)})
    store(storage, source_id, *names)
    let_pass(storage, 31 * DAY)
    store(storage, source_id, "new")
    go_round(storage)
    assert kept(storage) == "new"


@pytest.mark.parametrize(
    ("source_id", "change"),
    [("one", {}), ("one", {"title": "Edited"}), ("one", {"score": 7}), ("other", {}), ("other", {"title": "Edited"})],
)
def test_a_removed_item_that_a_feed_still_lists_is_nothing(
    storage: Storage, source_id: str, change: dict[str, Any]
) -> None:
    removed(storage, "a", "b")
    head = storage.clock.head_us()
    for _ in range(2):
        page = {name: replace(entry, **change) for name, entry in entries("a", "b").items()}
        assert storage.items.store(source_id, page, now=datetime.now(UTC) + DAY) == Stored()
    assert storage.clock.head_us() == head
    assert kept(storage) == "new"
    assert storage.items.changes(EVERYTHING, after_us=head, limit=9).items == ()


def test_a_removed_item_beside_a_new_one_stays_removed(storage: Storage) -> None:
    removed(storage, "a", "b")
    stored = store(storage, "one", "a", "b", "new", "newer")
    assert ([item.id for item in stored.new], stored.sighted, stored.edited) == (["newer"], 0, 0)
    assert kept(storage) == "new newer"


def test_a_source_that_is_back_in_the_file_or_keeps_more_brings_nothing_back(storage: Storage) -> None:
    removed(storage, "a", "b")
    watch(storage)
    watch(storage, one=(None, None))
    assert store(storage, "one", "a", "b", "new") == Stored()
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage) == "new"


def test_what_is_left_of_an_item_is_small_and_in_no_index_but_that_of_its_id(
    storage: Storage, database: Database[dict[str, Any]]
) -> None:
    removed(storage, "a", "b", "c")
    assert {tuple(stub) for stub in database["items"].find({"removed_at": {"$ne": None}})} == {("_id", "removed_at")}
    keys = database.command("validate", "items")["keysPerIndex"]
    assert keys.pop("_id_") == 4
    words = keys.pop("words_1_fetched_1")
    assert words == 3  # title of new
    assert set(keys.values()) == {1}


def test_what_is_left_of_an_item_is_known_under_its_id_and_says_nothing(storage: Storage) -> None:
    removed(storage, "a")
    assert storage.items.get(["a", "b"]) == {"a": Entry()}


# -- items of several sources


def shared(storage: Storage, **keeps: tuple[timedelta | None, int | None]) -> None:
    """An item `x` that these sources show one after the other, after it one of their own; all two days old."""
    watch(storage, **keeps)
    for name in keeps:
        store(storage, name, "x")
        store(storage, name, f"{name}-own")
    let_pass(storage, 2 * DAY)


@pytest.mark.parametrize("names", [("one", "two", "three"), ("two", "one", "three"), ("two", "three", "one")])
def test_an_item_stays_as_long_as_any_source_keeps_it(storage: Storage, names: tuple[str, ...]) -> None:
    shared(storage, **{name: (DAY if name == "one" else None, None) for name in names})
    place = {item.id: item.fetched_us for item in newest(storage)}
    go_round(storage)
    assert kept(storage, "one") == ""
    for name in ("two", "three"):
        assert "x" in kept(storage, name).split()
        assert "x" in [item.id for item in storage.items.since(Selection(source_id=name), after_us=1, limit=9).items]
    (item,) = (item for item in newest(storage) if item.id == "x")
    assert item.fetched_us == place["x"]
    assert {seen.source_id for seen in item.sources} == {"two", "three"}
    changes = storage.items.changes(Selection(source_id="one"), after_us=1, limit=9)
    assert changes.items == ()


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_the_last_source_that_lets_go_of_an_item_ends_it(
    storage: Storage, database: Database[dict[str, Any]], order: tuple[str, str]
) -> None:
    shared(storage, one=(None, None), two=(None, None))
    for name in order:
        keeps = {other: (DAY if other == name else None, None) for other in ("one", "two")}
        assert "x" in kept(storage).split()
        watch(storage, **keeps)
        let_pass(storage, DAY)
        go_round(storage)
    assert kept(storage) == ""
    assert database["sightings"].count_documents({}) == 0
    assert database["items"].count_documents({"removed_at": {"$ne": None}}) == 3


def test_a_source_that_let_go_of_an_item_neither_sights_nor_edits_it(storage: Storage) -> None:
    shared(storage, one=(DAY, None), two=(None, None))
    go_round(storage)
    head = storage.clock.head_us()
    assert store(storage, "one", "x", summary="<p>edited</p>") == Stored()
    assert (storage.clock.head_us(), kept(storage, "one")) == (head, "")


def test_the_next_source_that_keeps_an_item_edits_it_from_then_on(storage: Storage) -> None:
    shared(storage, one=(DAY, None), two=(None, None), three=(None, None))
    go_round(storage)
    assert store(storage, "three", "x", summary="<p>three</p>").edited == 0
    assert store(storage, "two", "x", summary="<p>two</p>").edited == 1
    assert kept(storage, "two") == "x two-own"
    assert [item.summary for item in newest(storage, "three") if item.id == "x"] == ["<p>two</p>"]


def test_a_further_source_can_still_show_an_item_that_the_first_let_go(storage: Storage) -> None:
    shared(storage, one=(DAY, None), two=(None, None))
    go_round(storage)
    assert store(storage, "three", "x").sighted == 1
    assert kept(storage, "three") == "x"
    assert kept(storage, "two") == "x two-own"


def test_what_a_source_keeps_counts_first_and_further_sights_by_their_arrival_there(storage: Storage) -> None:
    watch(storage, one=(None, None), two=(None, 3))
    store(storage, "one", "a", "b", "c")
    store(storage, "two", "d", "e")
    store(storage, "two", "b", "a")
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage, "two") == "e b a"
    assert kept(storage) == "a b c e"
    watch(storage, one=(None, None), two=(None, 1))
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage, "two") == "a"
    assert kept(storage, "one") == "a b c"


# -- in small steps


def test_steps_are_bounded_and_go_on_where_the_last_one_ended(storage: Storage) -> None:
    many = 2 * ITEMS_A_STEP + 200
    watch(storage, a=(DAY, None), b=(None, 10))
    store(storage, "a", *(f"a{number:04}" for number in range(many)))
    store(storage, "b", *(f"b{number:02}" for number in range(20)))
    let_pass(storage, 2 * DAY)
    left = []
    for expected in (ITEMS_A_STEP, ITEMS_A_STEP, 210):
        # another process each time
        assert Storage(storage._database).retention.step() == Step(expected, more=expected == ITEMS_A_STEP)
        left.append(len(newest(storage)))
    assert left == [many + 20 - ITEMS_A_STEP, many + 20 - 2 * ITEMS_A_STEP, 10]
    assert kept(storage).split()[0] == "b10"


def test_a_step_looks_at_few_of_many_sources(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SOURCES_A_STEP", 2)
    names = [f"s{number}" for number in range(5)]
    watch(storage, **dict.fromkeys(names, (DAY, None)))
    for name in names:
        store(storage, name, f"{name}-a")
    let_pass(storage, 2 * DAY)
    assert go_round(storage) == [Step(2, more=True), Step(2, more=True), Step(1, more=False)]
    assert kept(storage) == ""


def test_between_two_rounds_there_is_nothing_to_do(storage: Storage) -> None:
    watch(storage, one=(DAY, None))
    assert go_round(storage) == [Step()]
    store(storage, "one", "a")
    storage._database["items"].update_many({}, {"$set": {"arrived_at": datetime.now(UTC) - 2 * DAY}})
    assert go_round(storage) == [Step()]
    assert kept(storage) == "a"
    let_pass(storage, retention.ROUND_EVERY)
    assert go_round(storage) == [Step(1)]


def test_without_sources_there_is_nothing_to_do(storage: Storage) -> None:
    assert go_round(storage) == [Step()]


WRITES = ("update_one", "update_many", "delete_many")


# one: the gap, three that are shared, the sighting; two: two gaps, the last of everything, sightings; the turn
@pytest.mark.parametrize("done", range(8))
def test_a_step_that_is_killed_at_any_moment_is_simply_done_again(
    storage: Storage, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    watch(storage, one=(None, None), two=(DAY, None))
    store(storage, "one", "x", "y")
    store(storage, "two", "a", "x", "y")
    store(storage, "one", "a")
    let_pass(storage, 2 * DAY)
    watch(storage, one=(DAY, None), two=(DAY, None))
    writes = iter(range(done))
    for name in WRITES:
        monkeypatch.setattr(Collection, name, dying_after(writes, getattr(Collection, name)))
    with pytest.raises(AutoReconnect):
        go_round(storage)
    monkeypatch.undo()

    lists: tuple[str | None, ...] = (None, "one", "two")
    for listed in lists:  # readers find their way in between
        assert set(kept(storage, listed).split()) <= {"x", "y", "a"}
        forwards = storage.items.since(Selection(source_id=listed), after_us=1, limit=9).items
        assert [item.id for item in forwards[::-1]] == kept(storage, listed).split()
    go_round(storage)
    assert kept(storage) == kept(storage, "one") == kept(storage, "two") == ""
    assert database["sightings"].count_documents({}) == 0
    assert store(storage, "one", "a", "x", "y") == store(storage, "two", "a", "x", "y") == Stored()


def dying_after(writes: Iterator[int], write: Callable[..., Any]) -> Callable[..., Any]:
    def dying(*given: Any, **named: Any) -> Any:
        if next(writes, None) is None:
            raise AutoReconnect("killed")
        return write(*given, **named)

    return dying


def test_a_step_that_another_one_overtakes_removes_nothing_that_is_kept(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one does the same step between the moment at which this one has counted and that at which it reads."""
    watch(storage, one=(None, 3))
    store(storage, "one", *"abcdefgh")
    let_pass(storage, 2 * DAY)
    retention, oldest = storage.retention, storage.retention._oldest
    overtaking = iter([True])

    def overtaken(source_id: str, count: int) -> Any:
        if next(overtaking, False):
            Storage(storage._database).retention.step()
        return oldest(source_id, count)

    monkeypatch.setattr(retention, "_oldest", overtaken)
    retention.step()
    assert kept(storage, "one").split() == list("fgh")


def test_two_steps_at_once_do_no_harm(storage: Storage) -> None:
    names = [f"{number:04}" for number in range(1200)]
    watch(storage, one=(None, 100))
    store(storage, "one", *names)
    store(storage, "two", *names[:300])
    let_pass(storage, 2 * DAY)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: go_round(Storage(storage._database)), range(4)))
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage, "one").split() == names[-100:]
    assert sorted(kept(storage, "two").split()) == names[:300]
    assert sorted(kept(storage).split()) == names[:300] + names[-100:]


def test_an_item_that_is_edited_while_it_goes_is_not_removed_under_a_stamp_that_nobody_was_told(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(storage, one=(DAY, None))
    store(storage, "one", "a", "b")
    let_pass(storage, 2 * DAY)
    widen = Gaps.widen

    def widen_and_edit(self: Gaps, *given: Any, **named: Any) -> None:
        widen(self, *given, **named)
        store(storage, "one", "a", summary="<p>edited</p>")

    with monkeypatch.context() as patched:
        patched.setattr(Gaps, "widen", widen_and_edit)
        go_round(storage)
    assert kept(storage) == "a"
    edited = newest(storage)[0].changed_us
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage) == ""
    assert storage.items.changes(EVERYTHING, after_us=edited - 1, limit=9).gap_us == edited


def test_a_second_source_that_shows_an_item_while_it_goes_keeps_it(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(storage, one=(DAY, None))
    store(storage, "one", "a", "b")
    let_pass(storage, 2 * DAY)
    widen = Gaps.widen

    def widen_and_sight(self: Gaps, *given: Any, **named: Any) -> None:
        widen(self, *given, **named)
        store(storage, "two", "a")

    with monkeypatch.context() as patched:
        patched.setattr(Gaps, "widen", widen_and_sight)
        go_round(storage)
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage) == kept(storage, "two") == "a"
    assert kept(storage, "one") == ""


def test_a_sighting_whose_item_is_edited_while_it_goes_stays_with_it(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared(storage, one=(None, None), two=(DAY, None))
    widen = Gaps.widen

    def widen_and_edit(self: Gaps, *given: Any, **named: Any) -> None:
        widen(self, *given, **named)
        store(storage, "one", "x", summary="<p>edited</p>")

    with monkeypatch.context() as patched:
        patched.setattr(Gaps, "widen", widen_and_edit)
        go_round(storage)
    assert kept(storage, "two") == "x"
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage, "two") == ""
    assert kept(storage) == "x one-own"


def test_an_item_that_two_steps_let_go_for_two_sources_at_once_ends_as_any_other(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared(storage, one=(DAY, None), two=(None, None))
    widen = Gaps.widen

    def widen_while_another_lets_go(self: Gaps, *given: Any, **named: Any) -> None:
        widen(self, *given, **named)
        monkeypatch.undo()
        watch(storage, one=(None, None), two=(DAY, None))
        storage.retention.step()

    monkeypatch.setattr(Gaps, "widen", widen_while_another_lets_go)
    go_round(storage)
    watch(storage, one=(DAY, None), two=(DAY, None))
    let_pass(storage, DAY)
    go_round(storage)
    assert kept(storage) == kept(storage, "one") == kept(storage, "two") == ""


# -- who is told of what is missing


@pytest.mark.parametrize("order", ["since", "changes"])
def test_a_reader_who_comes_just_after_a_removal_is_told(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    watch(storage, one=(DAY, None))
    (a,) = store(storage, "one", "a").new
    let_pass(storage, 2 * DAY)
    update_many = Collection.update_many
    told: list[int | None] = []

    def update_and_read(*given: Any, **named: Any) -> Any:
        result = update_many(*given, **named)
        told.append(getattr(storage.items, order)(EVERYTHING, after_us=1, limit=9).gap_us)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(Collection, "update_many", update_and_read)
        storage.retention.step()
    assert told == [a.fetched_us]


@pytest.mark.parametrize(("order", "find"), [("since", "_find"), ("changes", "_find_changed")])
def test_a_reader_whose_items_are_removed_just_before_it_looks_for_them_is_told(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, order: str, find: str
) -> None:
    watch(storage, one=(DAY, None))
    (a,) = store(storage, "one", "a").new
    let_pass(storage, 2 * DAY)
    looks = getattr(type(storage.items), find)

    def remove_and_look(*given: Any) -> Any:
        storage.retention.step()
        return looks(*given)

    monkeypatch.setattr(type(storage.items), find, remove_and_look)
    update = getattr(storage.items, order)(EVERYTHING, after_us=1, limit=9)
    assert (update.items, update.gap_us) == ((), a.fetched_us)


def test_whoever_asks_from_before_what_was_removed_is_told_how_far_it_went(storage: Storage) -> None:
    watch(storage, one=(None, 2))
    a, b, c, d = store(storage, "one", "a", "b", "c", "d").new
    assert storage.items.since(EVERYTHING, after_us=1, limit=9).gap_us is None
    let_pass(storage, DAY)
    go_round(storage)
    for after, gap in [(1, b), (a.fetched_us, b), (b.fetched_us, None), (c.fetched_us, None), (d.fetched_us, None)]:
        for ask in (storage.items.since, storage.items.changes):
            assert ask(EVERYTHING, after_us=after, limit=9).gap_us == (gap.fetched_us if gap else None)
    assert storage.items.newest(EVERYTHING, limit=9).gap_us is None


def test_readers_of_changes_are_told_by_the_last_change_of_what_was_removed(storage: Storage) -> None:
    watch(storage, one=(DAY, None))
    (a,) = store(storage, "one", "a").new
    (b,) = store(storage, "one", "b").new
    store(storage, "one", "a", summary="<p>edited</p>")
    edited = storage.clock.head_us()
    let_pass(storage, 2 * DAY)
    store(storage, "one", "c")
    go_round(storage)
    assert storage.items.changes(EVERYTHING, after_us=a.fetched_us, limit=9).gap_us == edited
    assert storage.items.since(EVERYTHING, after_us=a.fetched_us, limit=9).gap_us == b.fetched_us
    assert storage.items.since(EVERYTHING, after_us=b.fetched_us, limit=9).gap_us is None


def test_readers_of_a_source_are_told_of_what_it_let_go_and_the_others_of_what_is_gone(storage: Storage) -> None:
    shared(storage, one=(None, None), two=(None, 1))
    (there,) = (item.fetched_us for item in newest(storage, "two") if item.id == "x")
    go_round(storage)
    assert kept(storage, "two") == "two-own"
    gaps = {
        name: storage.items.since(Selection(source_id=name), after_us=1, limit=9).gap_us
        for name in (None, "one", "two", "unknown")
    }
    assert gaps == {None: None, "one": None, "two": there, "unknown": None}


def test_a_gap_never_shrinks(storage: Storage) -> None:
    gaps = Gaps(storage._database)
    store(storage, "one", "a")
    for stamp in (5, 9, 3):
        gaps.widen(None, fetched_us=stamp, changed_us=stamp + 1)
    assert storage.items.since(EVERYTHING, after_us=1, limit=9).gap_us == 9
    assert storage.items.changes(EVERYTHING, after_us=1, limit=9).gap_us == 10


def test_whatever_a_slow_reader_misses_lies_within_the_gap_that_it_was_told(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items go as soon as they are there, while others are written and two sources share some."""
    monkeypatch.setattr(retention, "KEPT_AT_LEAST", timedelta())
    monkeypatch.setattr(retention, "ROUND_EVERY", timedelta())
    monkeypatch.setattr(retention, "ITEMS_A_STEP", 7)
    watch(storage, one=(None, 1), two=(None, 2))
    stamps: dict[str, int] = {}
    over, told = threading.Event(), threading.Event()

    def write(source_id: str) -> int:
        # until somebody was too slow, however the machine shares its time out
        for number in range(3000):
            if number >= 60 and told.is_set():
                return number
            mine = [f"{source_id}-{number}-{one}" for one in range(3)]
            stored = store(Storage(storage._database), source_id, *mine, f"shared-{number}")
            stamps.update({item.id: item.fetched_us for item in stored.new})
        return 3000

    def retain() -> None:
        while not over.is_set():
            Storage(storage._database).retention.step()

    polls: list[tuple[int, int, int, set[str]]] = []

    def read(limit: int) -> None:
        after = 1
        while True:
            last = over.is_set()
            update = storage.items.since(EVERYTHING, after_us=after, limit=limit)
            polls.append((after, update.cursor_us, update.gap_us or 0, {item.id for item in update.items}))
            if update.gap_us:
                told.set()
            after = update.cursor_us
            if last and not update.more:
                return

    with ThreadPoolExecutor(8) as threads:
        others = [threads.submit(retain), *(threads.submit(read, limit) for limit in (1, 5, 100))]
        written = [writer.result() for writer in [threads.submit(write, name) for name in ("one", "two")]]
        over.set()
        for other in others:
            other.result()

    assert len(stamps) == 3 * sum(written) + max(written)
    for after, cursor, gap, given in polls:
        missed = {name for name, stamp in stamps.items() if after < stamp <= cursor} - given
        assert not [name for name in missed if stamps[name] > gap]
    assert any(gap for _, _, gap, _ in polls)


# -- the database


def test_a_database_with_the_indexes_of_an_older_version_gets_those_of_this_one(
    database: Database[dict[str, Any]], database_uri: str
) -> None:
    database["items"].create_index("fetched", unique=True)
    database["items"].create_index("changed", unique=True)
    database["items"].create_index([("first_source", 1), ("fetched", 1)])
    database["items"].insert_many([{"_id": str(n), "fetched": n, "changed": n, "sources": []} for n in range(9)])
    with ThreadPoolExecutor(4) as threads:  # as all processes of an installation do when it starts
        list(threads.map(lambda _: prepared_in_a_process_of_its_own(database_uri), range(4)))
    indexes = database["items"].index_information()
    assert {name: index.get("unique") for name, index in indexes.items() if index.get("sparse")} == {
        "fetched_1": True,
        "changed_1": True,
        "first_source_1_fetched_1": None,
        "labels_1_fetched_1": None,
        "words_1_fetched_1": None,
    }


def prepared_in_a_process_of_its_own(uri: str) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True)
    with client:
        Storage(client.get_default_database()).prepare()


def test_every_query_has_an_index(storage: Storage, database: Database[dict[str, Any]]) -> None:
    watch(storage, one=(DAY, 3), two=(DAY, 3))
    store(storage, "one", *"abcdef")
    store(storage, "two", *"abcdefg")
    let_pass(storage, DAY / 2)
    go_round(storage)
    let_pass(storage, DAY)
    database.command("profile", 2)
    go_round(storage)
    storage.items.since(EVERYTHING, after_us=1, limit=3)
    database.command("profile", 0)
    assert kept(storage) == ""
    profile = database["system.profile"]
    ours = {"planSummary": {"$exists": True}, "command.updates": {"$exists": False}}
    plans = {(one["ns"].split(".")[1], one["planSummary"]) for one in profile.find(ours)}
    assert {name for name, _ in plans} >= {"items", "sightings", "sources", "retention", "gaps"}
    assert not [plan for plan in plans if "COLLSCAN" in plan[1]]
