"""Which item an entry is."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha224

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmirror.identity import identify, settle
from feedmirror.models import Entry

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def entry(number: int, **fields: object) -> Entry:
    values: dict[str, object] = {
        "title": f"Title {number}",
        "link": f"https://example.org/{number}",
        "guid": f"guid-{number}",
        "published": NOON,
    }
    return Entry(**{**values, **fields})  # type: ignore[arg-type]


def digest(*parts: str) -> str:
    return sha224("\0".join(parts).encode()).hexdigest()


def test_an_item_is_its_link_wherever_it_is_listed():
    found = [identify([entry(1)], source_id=source).items for source in ("a", "b")]
    assert found == [{digest("https://example.org/1"): entry(1)}] * 2


@pytest.mark.parametrize(
    ("rule", "entries", "ids"),
    [
        ("link", [], []),
        ("link", [entry(1)], [digest("https://example.org/1")]),
        # one entry without a link has its guid's id; the others keep theirs
        ("link", [entry(1), entry(2, link=None)], [digest("https://example.org/1"), digest("s", "guid-2")]),
        ("guid", [entry(1, link=None)], [digest("s", "guid-1")]),
        (
            "guid",
            [entry(1, link="https://e.org/"), entry(2, link="https://e.org/")],
            [digest("s", "guid-1"), digest("s", "guid-2")],
        ),
        (
            "guid+link",
            [entry(1, guid="g"), entry(2, guid="g"), entry(1, guid="h")],
            [
                digest("s", "g", "https://example.org/1"),
                digest("s", "g", "https://example.org/2"),
                digest("s", "h", "https://example.org/1"),
            ],
        ),
        (
            "digest",
            [entry(1, guid="g", link=None), entry(2, guid="g", link=None)],
            [
                digest("s", "Title 1", "2026-01-01T12:00:00.000+00:00"),
                digest("s", "Title 2", "2026-01-01T12:00:00.000+00:00"),
            ],
        ),
    ],
)
def test_the_rule_is_the_loosest_that_tells_all_entries_apart(rule: str, entries: list[Entry], ids: list[str]):
    identified = identify(entries, source_id="s")
    assert (identified.rule, list(identified.items)) == (rule, ids)


def test_entries_that_differ_in_their_text_alone_are_both_kept():
    twins = [Entry(summary="one"), Entry(summary="two")]
    identified = identify(twins, source_id="s")
    assert identified.rule == "content"
    assert list(identified.items.values()) == twins


def test_an_entry_repeated_is_one_item():
    assert list(identify([entry(1), entry(2), entry(1)], source_id="s").items.values()) == [entry(1), entry(2)]


def test_votes_do_not_make_another_item():
    identified = identify([entry(1, score=1), entry(1, score=2)], source_id="s")
    assert identified.rule == "link"
    assert len(identified.items) == 1


def test_of_two_revisions_the_latest_is_kept():
    later = entry(1, updated=NOON.replace(hour=13))
    for order in ([entry(1, updated=NOON), later], [later, entry(1, updated=NOON)]):
        assert list(identify(order, source_id="s").items.values()) == [later]


def test_the_rule_never_goes_back():
    assert identify([entry(1)], source_id="s", rule="guid").rule == "guid"
    assert identify([], source_id="s", rule="digest").rule == "digest"


def test_an_unknown_rule_counts_as_none():
    assert identify([entry(1)], source_id="s", rule="astrology").rule == "link"


def shared(number: int) -> Entry:
    return entry(number, link="https://example.org/")


def test_a_change_of_rule_says_what_came_before():
    identified = identify([shared(1), shared(2)], source_id="s", rule="link")
    assert identified.rule == "guid after link"
    again = identify([shared(2), shared(3)], source_id="s", rule=identified.rule)
    assert again.rule == "guid after link"
    assert again.former_ids == {digest("https://example.org/"), digest("s", "guid-2"), digest("s", "guid-3")}


def test_a_source_that_never_had_another_rule_looks_nothing_up():
    assert identify([shared(1), shared(2)], source_id="s").former_ids == frozenset()


def test_a_change_of_rule_brings_no_old_item_back_and_hides_no_new_one():
    link_id = digest("https://example.org/")
    first = identify([shared(1)], source_id="s")
    assert list(first.items) == [link_id]
    changed = identify([shared(2), shared(1)], source_id="s", rule=first.rule)
    settled = settle(changed, first.items)
    assert settled.items == {digest("s", "guid-2"): shared(2), link_id: shared(1)}


def test_an_old_item_is_recognised_by_title_and_time_where_its_guid_was_not_kept():
    link_id = digest("https://example.org/")
    changed = identify([shared(2), shared(1)], source_id="s", rule="link")
    settled = settle(changed, {link_id: replace(shared(1), guid=None)})
    assert set(settled.items) == {digest("s", "guid-2"), link_id}
    assert settled.items[link_id] == shared(1)


def test_two_claims_on_one_stored_item_that_nothing_decides_make_two_new_ones():
    link_id = digest("https://example.org/")
    changed = identify([shared(2), shared(1)], source_id="s", rule="link")
    assert link_id not in settle(changed, {link_id: Entry(title="Another", link="https://example.org/")}).items


def test_what_is_stored_under_its_present_id_claims_no_other():
    both = identify([shared(1), shared(2)], source_id="s", rule="link")
    stored = {digest("https://example.org/"): shared(1), digest("s", "guid-2"): shared(2)}
    assert settle(both, stored).items == {digest("https://example.org/"): shared(1), digest("s", "guid-2"): shared(2)}
    later = identify([shared(2)], source_id="s", rule=both.rule)
    assert list(settle(later, stored).items) == [digest("s", "guid-2")]


def test_another_entry_on_the_shared_link_is_no_edit_of_the_old_one():
    later = identify([shared(3)], source_id="s", rule="guid after link")
    stored = {digest("https://example.org/"): replace(shared(1), published=None)}
    assert list(settle(later, stored).items) == [digest("s", "guid-3")]


def test_what_retention_removed_does_not_come_back():
    old_id = digest("https://example.org/1")
    changed = identify([entry(1)], source_id="s", rule="guid after link")
    assert list(settle(changed, {old_id: Entry()}).items) == [old_id]


def test_a_single_claim_holds_if_the_title_was_edited():
    changed = identify([entry(1, title="Edited")], source_id="s", rule="guid after link")
    old_id = digest("https://example.org/1")
    assert list(settle(changed, {old_id: entry(1, guid=None)}).items) == [old_id]


def test_an_item_that_came_back_from_storage_is_recognised():
    precise = entry(1, guid="g", link=None, published=NOON.replace(microsecond=123_456))
    stored = replace(precise, published=NOON.replace(microsecond=123_000))
    changed = identify([precise, entry(2, guid="g", link=None)], source_id="s", rule="guid")
    assert changed.rule == "digest after guid"
    old_id = digest("s", "g")
    assert settle(changed, {old_id: stored}).items[old_id] == precise


@st.composite
def sources(draw: st.DrawFn) -> list[list[Entry]]:
    """What a source lists, look after look: its entries have links or not, guids or not, and share all they can."""
    entries = st.builds(
        Entry,
        title=st.sampled_from(["", "A", "B"]),
        link=draw(st.sampled_from([st.none(), st.sampled_from(["https://e.org/", "https://e.org/1"])])),
        guid=draw(st.sampled_from([st.none(), st.sampled_from(["g", "h"])])),
        summary=st.sampled_from(["", "one", "two"]),
        published=st.sampled_from([None, NOON]),
    )
    return draw(st.lists(st.lists(entries, max_size=4), max_size=6))


@settings(deadline=3_000, max_examples=300)
@given(sources())
def test_an_entry_that_stays_listed_stays_one_item_whatever_becomes_of_the_rule(documents: list[list[Entry]]):
    rule: str | None = None
    stored: dict[str, Entry] = {}
    listed: dict[Entry, str] = {}
    for document in documents:
        identified = identify(document, source_id="s", rule=rule)
        if identified.former_ids:
            identified = settle(identified, {one: stored[one] for one in identified.former_ids if one in stored})
        rule = identified.rule
        assert len(identified.items) == len(set(document))
        now = {entry: item_id for item_id, entry in identified.items.items()}
        for entry in now.keys() & listed.keys():
            assert now[entry] == listed[entry]
        stored.update(identified.items)
        listed = now
