"""What a request may ask for, and what it is told when it may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedmirror.models import Selection
from feedmirror.web import stamps
from feedmirror.web.query import (
    LARGEST_LIMIT,
    LONGEST_NAME,
    LONGEST_SEARCH,
    MOST_TAGS,
    MOST_WORDS,
    BadParameter,
    Filters,
    encoded,
    page_query,
    parameters,
    update_query,
)


@pytest.mark.parametrize(
    ("text", "stamp_us"),
    [
        ("0", 0),
        ("0.0", 0),
        ("1", 1_000_000),
        ("0001", 1_000_000),
        ("1763710000.120000", 1_763_710_000_120_000),
        ("1763710000.12", 1_763_710_000_120_000),
        ("1763710000.1199999", 1_763_710_000_120_000),
        ("1763710000.1200004", 1_763_710_000_120_000),
        ("1763710000.9999999", 1_763_710_001_000_000),
        ("9223372036854.775807", stamps.LARGEST_US),
    ],
)
def test_a_timestamp_is_seconds_rounded_to_the_microsecond(text: str, stamp_us: int) -> None:
    assert update_query({"timestamp": [text]}).after_us == stamp_us


BAD_STAMPS = [
    "",
    " ",
    "abc",
    "nan",
    "inf",
    "-1",
    "+1",
    "1e400",
    "1e3",
    "1.",
    ".5",
    "1,5",
    "0x10",
    "1_000",
    " 1",
    "1\n",
    "١٢٣",
    "2026-11-21",
    "9223372036854.775808",
    "9" * 10_000,
    "x" * 10_000,
]


@pytest.mark.parametrize("name", ["timestamp", "before"])
@pytest.mark.parametrize("text", BAD_STAMPS)
def test_a_bad_stamp_is_refused_by_name_and_briefly(name: str, text: str) -> None:
    with pytest.raises(BadParameter) as caught:
        update_query({name: [text]})
    assert caught.value.parameter == name
    assert len(str(caught.value)) < 200


@given(st.integers(0, stamps.LARGEST_US))
def test_a_stamp_comes_back_as_it_left(stamp_us: int) -> None:
    assert stamps.microseconds(stamps.seconds(stamp_us)) == stamp_us


@given(st.integers(1_500_000_000_000_000, 2_500_000_000_000_000))
def test_a_stamp_comes_back_through_a_float_as_well(stamp_us: int) -> None:
    assert stamps.microseconds(repr(float(stamps.seconds(stamp_us)))) == stamp_us


@pytest.mark.parametrize(("text", "limit"), [("1", 1), ("007", 7), ("500", LARGEST_LIMIT)])
def test_a_limit(text: str, limit: int) -> None:
    assert update_query({"limit": [text]}).limit == limit


@pytest.mark.parametrize("text", ["", "0", "501", "-1", "1.0", "ten", "٣", "9" * 10_000])
def test_a_bad_limit(text: str) -> None:
    with pytest.raises(BadParameter) as caught:
        update_query({"limit": [text]})
    assert caught.value.parameter == "limit"


@pytest.mark.parametrize(("query", "changes"), [("", False), ("changes=0", False), ("changes=1", True)])
def test_changes_are_given_where_they_are_asked_for(query: str, changes: bool) -> None:
    assert update_query(parameters(query)).changes is changes


@pytest.mark.parametrize("text", ["", "2", "01", "1.0", "-1", "yes", "true", "١", " 1", "1\n", "1" * 10_000])
def test_changes_are_asked_for_in_one_way(text: str) -> None:
    with pytest.raises(BadParameter, match="0 or 1") as caught:
        update_query({"changes": [text]})
    assert caught.value.parameter == "changes"
    assert len(str(caught.value)) < 200


def test_nothing_given() -> None:
    query = update_query({})
    assert (query.changes, query.after_us, query.before_us, query.limit) == (False, 0, None, 100)
    assert query.filters == Filters()
    assert query.filters.selection == Selection()


@pytest.mark.parametrize("name", ["timestamp", "before", "limit", "changes", "source", "q"])
def test_what_may_stand_once_must_not_stand_twice(name: str) -> None:
    with pytest.raises(BadParameter, match="more than once") as caught:
        update_query({name: ["1", "1"]})
    assert caught.value.parameter == name


@pytest.mark.parametrize("name", ["timestamp", "before", "limit", "changes", "source", "q", "tag"])
@pytest.mark.parametrize("brackets", ["[]", "[0]", "[a][b]"])
def test_a_list_is_refused_under_the_name_that_was_meant(name: str, brackets: str) -> None:
    with pytest.raises(BadParameter, match="list") as caught:
        update_query({name + brackets: ["1"]})
    assert caught.value.parameter == name


def test_unknown_parameters_are_ignored() -> None:
    assert update_query(parameters("_=1763710000&x[]=1&%ff=%ff&timestampx=abc")) == update_query({})


def test_filters() -> None:
    filters = update_query(parameters("source=so&tag=c%2B%2B&tag=python&tag=python&q=Node.js+%22C%23%22")).filters
    assert filters == Filters(source_id="so", tags=("c++", "python"), search='Node.js "C#"')
    assert filters.selection == Selection(source_id="so", tags=("c++", "python"), words=("node.js", "c#"))


def test_filters_survive_being_asked_for_again() -> None:
    filters = Filters(source_id="a&b=c", tags=("c++", "ünï", "50%", "<b>"), search="a+b #1 & more")
    query = encoded(filters.pairs())
    assert query.isascii()
    assert not set(query) & set('<>" ')
    assert page_query(parameters(query)).filters == filters


def test_an_untouched_search_field_is_no_search() -> None:
    assert page_query(parameters("q=")).filters == Filters()
    assert page_query(parameters("q=+%20")).filters == Filters()


@pytest.mark.parametrize(
    ("given_parameters", "parameter"),
    [
        ({"q": ["x" * (LONGEST_SEARCH + 1)]}, "q"),
        ({"q": [" ".join(f"w{n}" for n in range(MOST_WORDS + 1))]}, "q"),
        ({"tag": [f"t{n}" for n in range(MOST_TAGS + 1)]}, "tag"),
        ({"tag": ["x" * (LONGEST_NAME + 1)]}, "tag"),
        ({"tag": [""]}, "tag"),
        ({"source": [""]}, "source"),
        ({"source": ["x" * (LONGEST_NAME + 1)]}, "source"),
    ],
)
def test_filters_are_bounded(given_parameters: dict[str, list[str]], parameter: str) -> None:
    for read in (update_query, page_query):
        with pytest.raises(BadParameter) as caught:
            read(given_parameters)
        assert caught.value.parameter == parameter


def test_the_bounds_themselves_are_allowed() -> None:
    update_query({"q": [" ".join(f"w{n}" for n in range(MOST_WORDS))], "tag": [f"t{n}" for n in range(MOST_TAGS)]})


def test_raw_utf_8_is_read_like_percent_encoded() -> None:
    as_wsgi = "tag=ü".encode().decode("latin-1")
    assert parameters(as_wsgi) == parameters("tag=%C3%BC") == {"tag": ["ü"]}


@pytest.mark.parametrize("query", ["tag=%ff", "tag=\xff", "q=%ed%a0%80", "timestamp=%80"])
def test_what_is_not_utf_8_is_refused_under_its_name(query: str) -> None:
    with pytest.raises(BadParameter, match="not UTF-8") as caught:
        update_query(parameters(query))
    assert caught.value.parameter == query.partition("=")[0]


@given(st.text(st.characters(max_codepoint=255)))
def test_no_query_string_breaks_the_reading(query: str) -> None:
    try:
        update_query(parameters(query))
    except BadParameter as error:
        str(error).encode()
