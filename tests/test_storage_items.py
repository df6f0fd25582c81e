"""The stream against the real MongoDB: numbered in commit order, edited in place, read without gaps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.models import Entry, Item, Selection
from feedmirror.storage import Storage
from feedmirror.storage.arrivals import Stored
from feedmirror.storage.changes import COUNTS_EVERY, SUMMARY_EDITS_MAX
from feedmirror.words import asked_words

EVERYTHING = Selection()


def entries(*names: str, **fields: Any) -> dict[str, Entry]:
    """A page that lists these, newest first; an entry's id is its name."""
    return {name: Entry(title=f"Title of {name}", link=f"https://example.com/{name}", **fields) for name in names}


def store(storage: Storage, source_id: str, page: dict[str, Entry], *, later: timedelta = timedelta()) -> Stored:
    """Store a page as a poll does that begins now, or that much later."""
    return storage.items.store(source_id, page, now=datetime.now(UTC) + later)


def ids(items: tuple[Item, ...]) -> list[str]:
    return [item.id for item in items]


def test_new_entries_are_numbered_oldest_first_and_shown_newest_first(storage: Storage) -> None:
    stored = store(storage, "one", entries("c", "b", "a"))
    assert ids(stored.new) == ["a", "b", "c"]
    stamps = [item.fetched_us for item in stored.new]
    assert stamps == sorted(set(stamps))
    assert ids(storage.items.newest(EVERYTHING, limit=10).items) == ["c", "b", "a"]


def test_dates_decide_the_order_of_a_feed_that_lists_the_oldest_first(storage: Storage) -> None:
    days = {name: datetime(2026, 1, day, tzinfo=UTC) for day, name in enumerate("abc", start=1)}
    page = {name: replace(entries(name)[name], published=day) for name, day in days.items()}
    assert ids(store(storage, "one", page).new) == ["a", "b", "c"]


def test_everything_of_an_entry_is_kept(storage: Storage) -> None:
    entry = Entry(
        title="<b> & é 漢字",
        link="https://example.com/q/1",
        author="Ada",
        summary="<p>text</p>",
        tags=("python", "C++"),
        published=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        updated=datetime(2026, 1, 3, tzinfo=UTC),
    )
    store(storage, "one", {"id": entry})
    (item,) = storage.items.newest(EVERYTHING, limit=1).items
    assert item.id == "id"
    for name in ("title", "link", "author", "summary", "tags", "published", "updated"):
        assert getattr(item, name) == getattr(entry, name), name
    assert item.changed_us == item.fetched_us
    assert abs((item.arrived_at - datetime.now(UTC)).total_seconds()) < 60
    assert [(seen.source_id, seen.fetched_us) for seen in item.sources] == [("one", item.fetched_us)]


def test_the_same_page_again_writes_nothing(storage: Storage) -> None:
    store(storage, "one", entries("b", "a"))
    head = storage.clock.head_us()
    again = store(storage, "one", entries("a", "b"))
    assert (again.new, again.sighted, again.edited) == ((), 0, 0)
    assert storage.clock.head_us() == head


def test_a_known_entry_above_a_new_one_does_not_hide_it(storage: Storage) -> None:
    store(storage, "one", entries("b", "a"))
    assert ids(store(storage, "one", entries("a", "new", "b")).new) == ["new"]


@pytest.mark.parametrize(
    "change", [{"title": "Better"}, {"tags": ("x",)}, {"author": "Bo"}, {"summary": "<p>more</p>"}, {"link": None}]
)
def test_an_edit_updates_the_item_in_place(storage: Storage, change: dict[str, Any]) -> None:
    (before,) = store(storage, "one", entries("a")).new
    stored = store(storage, "one", {"a": replace(entries("a")["a"], **change)})
    assert (stored.new, stored.edited) == ((), 1)
    (after,) = storage.items.newest(EVERYTHING, limit=10).items
    assert {name: getattr(after, name) for name in change} == change
    assert after.fetched_us == before.fetched_us
    assert after.changed_us > before.changed_us
    assert after.arrived_at == before.arrived_at


def test_an_edited_title_is_found_by_its_new_words(storage: Storage) -> None:
    store(storage, "one", entries("a", "b"))
    store(storage, "one", {"a": replace(entries("a")["a"], title="Walrus")})
    assert ids(storage.items.newest(Selection(words=("walrus",)), limit=9).items) == ["a"]
    assert ids(storage.items.newest(Selection(words=("title",)), limit=9).items) == ["b"]


def test_the_feeds_own_update_time_alone_is_no_edit(storage: Storage) -> None:
    store(storage, "one", entries("a"))
    touched = {"a": replace(entries("a")["a"], updated=datetime(2026, 5, 5, tzinfo=UTC))}
    assert store(storage, "one", touched).edited == 0


def test_a_summary_that_always_changes_stops_being_written(storage: Storage) -> None:
    store(storage, "one", entries("a"))
    edits = [
        store(storage, "one", {"a": replace(entries("a")["a"], summary=f"<p>{turn}</p>")}).edited
        for turn in range(SUMMARY_EDITS_MAX + 5)
    ]
    assert edits == [1] * SUMMARY_EDITS_MAX + [0] * 5
    retitled = {"a": replace(entries("a")["a"], summary="<p>x</p>", title="Retitled")}
    assert store(storage, "one", retitled).edited == 1


def test_votes_are_written_at_most_once_a_minute_and_not_forgotten(storage: Storage) -> None:
    def voted(score: int) -> dict[str, Entry]:
        return {"a": replace(entries("a")["a"], score=score, comments=score)}

    store(storage, "one", voted(0))
    at_once = store(storage, "one", voted(1))
    assert (at_once.edited, at_once.held_back) == (0, 1)
    after_a_minute = store(storage, "one", voted(2), later=COUNTS_EVERY * 1.1)
    assert (after_a_minute.edited, after_a_minute.held_back) == (1, 0)
    (item,) = storage.items.newest(EVERYTHING, limit=1).items
    assert (item.score, item.comments) == (2, 2)


def test_an_edited_text_takes_the_votes_along(storage: Storage) -> None:
    store(storage, "one", entries("a", score=0))
    store(storage, "one", {"a": replace(entries("a")["a"], title="Better", score=5)})
    assert storage.items.newest(EVERYTHING, limit=1).items[0].score == 5


def test_a_page_of_more_than_a_portion_is_stored_whole_and_in_order(storage: Storage) -> None:
    names = [f"{number:04}" for number in range(1200)]
    stored = store(storage, "one", entries(*names[::-1]))
    assert ids(stored.new) == names
    stamps = [item.fetched_us for item in stored.new]
    assert stamps == sorted(set(stamps))


def test_only_the_first_source_edits(storage: Storage) -> None:
    store(storage, "one", entries("a"))
    other = {"a": replace(entries("a")["a"], title="As the other tells it")}
    store(storage, "two", other)
    assert store(storage, "two", other).edited == 0
    assert storage.items.newest(EVERYTHING, limit=1).items[0].title == "Title of a"


# -- reading on from a stamp


def test_since_gives_the_oldest_after_the_stamp_newest_first(storage: Storage) -> None:
    stored = store(storage, "one", entries(*"edcba")).new
    update = storage.items.since(EVERYTHING, after_us=stored[0].fetched_us, limit=2)
    assert ids(update.items) == ["c", "b"]
    assert update.more
    assert update.cursor_us == stored[2].fetched_us
    rest = storage.items.since(EVERYTHING, after_us=update.cursor_us, limit=2)
    assert (ids(rest.items), rest.more) == (["e", "d"], False)
    assert rest.cursor_us == rest.head_us == storage.clock.head_us()


def test_newest_leads_back_through_everything(storage: Storage) -> None:
    store(storage, "one", entries(*"edcba"))
    seen: list[str] = []
    before = None
    while True:
        update = storage.items.newest(EVERYTHING, limit=2, before_us=before)
        seen += ids(update.items)
        if not update.more:
            break
        before = update.items[-1].fetched_us
    assert seen == list("edcba")


def test_a_cursor_never_falls(storage: Storage) -> None:
    store(storage, "one", entries("a"))
    ahead = storage.clock.head_us() + 1_000_000
    assert storage.items.since(EVERYTHING, after_us=ahead, limit=5).cursor_us == ahead


def test_a_selection_that_holds_nothing_still_moves_the_cursor_to_the_head(storage: Storage) -> None:
    store(storage, "one", entries("a", "b"))
    update = storage.items.since(Selection(tags=("rare",)), after_us=1, limit=5)
    assert (update.items, update.cursor_us) == ((), storage.clock.head_us())


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(tags=("python",)), ["b", "a"]),
        (Selection(tags=("PYTHON", "c++")), ["b"]),
        (Selection(words=asked_words("C++ walrus")), ["b"]),
        (Selection(words=asked_words("walrus")), ["c", "b"]),
        (Selection(words=asked_words("wal")), []),
        (Selection(source_id="two"), ["c"]),
        (Selection(source_id="two", tags=("python",)), []),
    ],
)
def test_selections(storage: Storage, selection: Selection, expected: list[str]) -> None:
    store(storage, "one", {"a": Entry(title="Snake", tags=("Python",))})
    store(storage, "one", {"b": Entry(title="The Walrus!", tags=("python", "C++"))})
    store(storage, "two", {"c": Entry(title="A walrus; again", tags=("sea",))})
    assert ids(storage.items.newest(selection, limit=9).items) == expected
    assert ids(storage.items.since(selection, after_us=1, limit=9).items) == expected


def test_an_item_that_a_second_source_shows_arrives_there_as_well(storage: Storage) -> None:
    (first,) = store(storage, "one", entries("shared")).new
    store(storage, "two", entries("own"))
    head = storage.clock.head_us()
    stored = store(storage, "two", entries("shared"))
    assert (stored.new, stored.sighted) == ((), 1)

    (arrived,) = storage.items.since(Selection(source_id="two"), after_us=head, limit=9).items
    assert (arrived.id, arrived.fetched_us) == ("shared", storage.clock.head_us())
    assert ids(storage.items.newest(Selection(source_id="two"), limit=9).items) == ["shared", "own"]
    assert ids(storage.items.newest(Selection(source_id="two"), limit=1).items) == ["shared"]

    assert ids(storage.items.newest(EVERYTHING, limit=9).items) == ["own", "shared"]
    (in_stream,) = storage.items.newest(Selection(source_id="one"), limit=9).items
    assert in_stream.fetched_us == first.fetched_us
    assert [seen.source_id for seen in in_stream.sources] == ["one", "two"]


def test_a_selection_applies_to_sighted_items_too(storage: Storage) -> None:
    store(storage, "one", entries("a", tags=("python",)) | entries("b", tags=("rust",)))
    store(storage, "two", entries("a") | entries("b"))
    found = storage.items.newest(Selection(source_id="two", tags=("rust",)), limit=9).items
    assert ids(found) == ["b"]


# -- changes since a stamp


def test_changes_are_what_is_new_and_what_was_edited_each_once_by_the_last_change(storage: Storage) -> None:
    store(storage, "one", entries(*"cba"))
    seen = storage.clock.head_us()
    store(storage, "one", {"b": replace(entries("b")["b"], title="Better")})
    store(storage, "one", entries("d"))
    store(storage, "one", {"d": replace(entries("d")["d"], title="Better still")})
    update = storage.items.changes(EVERYTHING, after_us=seen, limit=9)
    assert [(item.id, item.title) for item in update.items] == [("d", "Better still"), ("b", "Better")]
    assert update.cursor_us == update.head_us == storage.clock.head_us()
    assert storage.items.changes(EVERYTHING, after_us=update.cursor_us, limit=9).items == ()
    assert ids(storage.items.since(EVERYTHING, after_us=seen, limit=9).items) == ["d"]


def test_changes_go_on_from_the_last_one_given(storage: Storage) -> None:
    store(storage, "one", entries(*"edcba"))
    store(storage, "one", {"a": replace(entries("a")["a"], title="Better")})
    seen: list[str] = []
    after = 1
    while True:
        update = storage.items.changes(EVERYTHING, after_us=after, limit=2)
        seen += ids(update.items)[::-1]
        if not update.more:
            break
        after = update.cursor_us
    assert seen == list("bcdea")


def test_changes_within_a_selection(storage: Storage) -> None:
    store(storage, "one", entries("a", tags=("python",)) | entries("b", tags=("rust",)))
    store(storage, "two", entries("c", tags=("python",)))
    head = storage.clock.head_us()
    store(storage, "two", entries("a", tags=("python",)))
    store(storage, "one", {"b": replace(entries("b", tags=("rust",))["b"], title="Better")})
    assert ids(storage.items.changes(Selection(tags=("python",)), after_us=head, limit=9).items) == ["a"]
    assert ids(storage.items.changes(Selection(words=("better",)), after_us=head, limit=9).items) == ["b"]
    (arrived,) = storage.items.changes(Selection(source_id="two"), after_us=head, limit=9).items
    assert (arrived.id, arrived.fetched_us) == ("a", arrived.changed_us)
    (at_one,) = storage.items.changes(Selection(source_id="one", tags=("python",)), after_us=head, limit=9).items
    assert at_one.fetched_us < head < at_one.changed_us


# -- the clock


def test_a_clock_that_is_ahead_of_the_time_goes_on_from_there(
    storage: Storage, database: Database[dict[str, Any]]
) -> None:
    ahead = 2**52
    database["clock"].update_one({"_id": "stream"}, {"$set": {"head": ahead}})
    stored = store(storage, "one", entries("b", "a")).new
    assert [item.fetched_us for item in stored] == [ahead + 1, ahead + 2]


def test_a_clock_from_an_older_backup_gives_no_stamp_twice(
    storage: Storage, database: Database[dict[str, Any]]
) -> None:
    ahead = 2**52
    database["clock"].update_one({"_id": "stream"}, {"$set": {"head": ahead}})
    store(storage, "one", entries(*"cba"))
    database["clock"].update_one({"_id": "stream"}, {"$set": {"head": ahead}})
    stored = store(storage, "one", entries("e", "d")).new
    assert [item.fetched_us for item in stored] == [ahead + 4, ahead + 5]


def test_every_query_has_an_index(storage: Storage, database: Database[dict[str, Any]]) -> None:
    store(storage, "one", entries(*"abcdef", tags=("t",)))
    database.command("profile", 2)
    for selection in (EVERYTHING, Selection(source_id="one"), Selection(tags=("t",)), Selection(words=("title",))):
        storage.items.newest(selection, limit=3)
        storage.items.since(selection, after_us=1, limit=3)
        storage.items.changes(selection, after_us=1, limit=3)
    database.command("profile", 0)
    plans = {entry["planSummary"] for entry in database["system.profile"].find({"planSummary": {"$exists": True}})}
    assert plans
    assert not [plan for plan in plans if "COLLSCAN" in plan]
