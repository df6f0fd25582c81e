"""Which of the known sources those of the file are: an id stays what it was, and a mistake retires nothing."""

from collections.abc import Mapping

import pytest

from feedmirror.models import Source, WatchedSource
from feedmirror.recognition import Recognised, recognised
from feedmirror.sources_file import parse_sources, source_id


def table(name: str, url: str = "", more: str = "") -> str:
    return f'[[source]]\nname = "{name}"\nurl = "https://{url or name.lower()}.example/"\n{more}\n'


def known(
    source_id: str,
    name: str = "",
    url: str = "",
    *,
    active: bool = True,
    kind: str = "feed",
    mistake: str | None = None,
) -> WatchedSource:
    name = name or source_id.upper()
    source = Source(id=source_id, name=name, url=f"https://{url or source_id}.example/", kind=kind)
    return WatchedSource(source=source, active=active, mistake=mistake)


def found(*watched: WatchedSource, text: str) -> Recognised:
    return recognised(parse_sources(text), watched)


def ids(result: Recognised) -> Mapping[str, str]:
    """By the name of today, the ids that the sources of the file have."""
    return {source.name: source.id for source in result.sources}


# -- ids


def test_a_new_source_gets_the_id_that_its_name_makes() -> None:
    assert ids(found(text=table("Stack Overflow", "so"))) == {"Stack Overflow": "stack-overflow"}


def test_a_new_name_with_the_same_address_keeps_the_id() -> None:
    result = found(known("a"), text=table("Better", "a"))
    assert (ids(result), result.kept, result.mistakes) == ({"Better": "a"}, {}, ())


def test_a_new_address_with_the_same_name_keeps_the_id() -> None:
    assert ids(found(known("a"), text=table("A", "moved"))) == {"A": "a"}


def test_a_name_in_other_capitals_with_another_address_keeps_the_id() -> None:
    assert ids(found(known("stack-overflow", "Stack Overflow"), text=table("stack overflow", "moved"))) == {
        "stack overflow": "stack-overflow"
    }


def test_a_new_name_and_address_keep_the_id_with_formerly() -> None:
    text = table("Better", "moved", 'formerly = "A"')
    assert ids(found(known("a"), known("b"), text=text + table("B"))) == {"Better": "a", "B": "b"}
    assert ids(found(known("a", "Better", "moved"), text=text)) == {"Better": "a"}, "when it is read again"


def test_a_former_name_that_another_source_has_now_means_nothing() -> None:
    text = table("C", "moved", 'formerly = "A"') + table("A", "moved too")
    assert ids(found(known("a", "C"), known("a-2", "A"), text=text)) == {"C": "a", "A": "a-2"}


def test_an_address_of_another_kind_is_another_source() -> None:
    result = found(known("a", kind="api"), text=table("Better", "a"))
    assert ids(result) == {"Better": "better"}


def test_two_sources_with_one_address_stay_two() -> None:
    watched = known("a", url="u"), known("b", url="u")
    assert ids(found(*watched, text=table("A", "u") + table("B", "u"))) == {"A": "a", "B": "b"}
    assert ids(found(*watched, text=table("B", "u") + table("C", "u"))) == {"B": "b", "C": "a"}
    assert ids(found(*watched[:1], text=table("A", "u") + table("C", "u"))) == {"A": "a", "C": "c"}


def test_sources_that_swap_their_names_keep_the_ids_of_the_names() -> None:
    assert ids(found(known("a"), known("b"), text=table("A", "b") + table("B", "a"))) == {"A": "a", "B": "b"}


def test_a_name_that_returns_is_the_source_that_it_was() -> None:
    assert ids(found(known("a", active=False), text=table("A", "moved"))) == {"A": "a"}


def test_an_address_that_returns_under_a_new_name_is_the_source_it_was() -> None:
    assert ids(found(known("a", active=False), text=table("Better", "a"))) == {"Better": "a"}


def test_a_source_keeps_its_id_when_it_takes_the_address_of_a_retired_one() -> None:
    assert ids(found(known("a"), known("b", active=False), text=table("A", "b"))) == {"A": "a"}


def test_an_address_stored_by_hand_gives_its_id_to_no_other_source() -> None:
    url = "https://u.example/"
    by_hand = WatchedSource(source=Source(id=source_id(url), name=url, url=url), active=False)
    assert ids(found(by_hand, text=table("A", "u"))) == {"A": "a"}


@pytest.mark.parametrize("active", [True, False])
def test_an_id_that_a_renamed_source_has_is_not_given_again(active: bool) -> None:
    renamed = known("a", "Better", "old", active=active)
    text = table("A", "new") + (table("Better", "old") if active else "")
    assert ids(found(renamed, text=text))["A"] == "a-2"
    assert ids(found(renamed, known("a-2", "A", "new"), text=text))["A"] == "a-2"


def test_of_two_sources_of_a_name_the_one_that_is_polled_is_meant() -> None:
    watched = known("b", "A", "x"), known("a", "A", "y", active=False)
    assert ids(found(*watched, text=table("A", "z"))) == {"A": "b"}


def test_ten_thousand_sources_are_recognised_in_a_moment() -> None:
    watched = [known(f"s{number}") for number in range(10_000)]
    text = "".join(table(f"renamed {number}", f"s{number}") for number in range(10_000))
    result = found(*watched, text=text)
    assert {source.id for source in result.sources} == {one.source.id for one in watched}


# -- mistakes


def kept(result: Recognised) -> set[str]:
    return set(result.kept)


def test_a_source_whose_table_has_a_mistake_is_kept_and_told_why() -> None:
    result = found(known("a"), known("b"), text=table("A", more="every = 30s") + table("B"))
    told = 'sources.toml, line 4: text stands in quotes: every = "30s"'
    assert (ids(result), result.kept, result.mistakes) == ({"B": "b"}, {"a": told}, (told,))


def test_a_source_that_the_file_names_no_more_is_not_kept() -> None:
    result = found(known("a"), known("b"), known("c"), text=table("A", more="every = 30s") + table("B"))
    assert kept(result) == {"a"}


def test_a_broken_name_is_found_by_its_address() -> None:
    text = '[[source]]\nname = 7\nurl = "https://a.example/"\n' + table("B")
    assert kept(found(known("a"), known("b"), known("c"), text=text)) == {"a"}


def test_a_broken_address_is_found_by_its_name() -> None:
    text = '[[source]]\nname = "A"\nurl = "nowhere"\n' + table("B")
    assert kept(found(known("a"), known("b"), known("c"), text=text)) == {"a"}


def test_a_new_source_with_a_mistake_is_a_mistake_only() -> None:
    result = found(known("a"), known("gone"), text=table("A") + table("New", more="every = 5"))
    assert (ids(result), result.kept, len(result.mistakes)) == ({"A": "a"}, {}, 1)


def test_a_retired_source_with_a_mistake_stays_retired() -> None:
    result = found(known("a", active=False), text=table("A", more="every = 5") + table("B"))
    assert (ids(result), result.kept) == ({"B": "b"}, {})


def test_while_a_source_cannot_be_told_none_is_retired() -> None:
    text = "[[source]]\nname = 7\nurl = 7\n" + table("B")
    result = found(known("a"), known("b"), known("c"), known("old", active=False), text=text)
    told = (
        "sources.toml, line 2: which source this is cannot be read, so no source is retired until it is mended: "
        "'A', 'C' go on"
    )
    assert (ids(result), result.kept) == ({"B": "b"}, {"a": told, "c": told})
    assert result.mistakes[-1] == told


def test_a_header_that_was_lost_costs_neither_of_the_two_sources() -> None:
    text = table("A") + table("B").replace("[[source]]\n", "") + table("C")
    result = found(known("a"), known("b"), known("c"), text=text)
    assert (ids(result), kept(result)) == ({"C": "c"}, {"a", "b"})


def test_a_name_that_was_typed_twice_keeps_the_second_source() -> None:
    result = found(known("a"), known("b"), text=table("A") + table("A", "b"))
    assert (ids(result), kept(result)) == ({"A": "a"}, {"b"})


def test_a_renamed_source_with_a_mistake_is_kept_under_its_old_name() -> None:
    result = found(known("a"), known("b"), text=table("Better", "a", "every = 5") + table("B"))
    assert (ids(result), kept(result)) == ({"B": "b"}, {"a"})


@pytest.mark.parametrize("text", ["", "# none\n", "[[source]]\n", table("New", more="every = 5")])
def test_a_file_without_a_source_that_can_be_used_retires_none(text: str) -> None:
    result = found(known("a"), known("b"), text=text)
    assert (result.sources, kept(result)) == ((), {"a", "b"})
    assert "go on" in result.mistakes[-1]


def test_many_sources_that_go_on_are_told_in_one_line() -> None:
    result = found(*(known(f"s{number}") for number in range(50)), text="")
    assert result.mistakes[-1].endswith("so 'S0', 'S1', 'S2' and 47 more go on")
