"""What a search finds: one rule for the words that are stored and the words that are asked for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmirror.words import asked_words, words_of


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Walrus", ("walrus",)),
        ("walrus PYTHON", ("walrus", "python")),
        ("C++ C# .NET node.js", ("c++", "c#", ".net", "node.js")),
        ('"quoted", (bracketed); said: really?!', ("quoted", "bracketed", "said", "really")),
        ("«walrus» „walrus“", ("walrus", "„walrus")),
        ("the end.", ("the", "end")),
        ("wait...", ("wait",)),
        ("STRASSE Straße", ("strasse",)),
        ("same same SAME", ("same",)),
        ("line\nand\ttab", ("line", "and", "tab")),
        ("漢字 и кириллица", ("漢字", "и", "кириллица")),
        ("", ()),
        (" \t ", ()),
        ("?! () ;", ()),
    ],
)
def test_the_words_of_a_query(query: str, expected: tuple[str, ...]) -> None:
    assert asked_words(query) == expected


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("How to use the walrus operator?", "walrus operator"),
        ("How do I use := (walrus)?", "Walrus"),
        ("Segfault in C++17 code", "c++17"),
        ("Is C++ faster than C?", "c++ c"),
        ("What is new in .NET 9.", ".net 9"),
        ("node.js: read a file", "node.js"),
        ("node.js: read a file", "node"),
        ("snake_case and kebab-case", "kebab"),
        ("snake_case and kebab-case", "snake_case"),
        ("Die Straße", "STRASSE"),
        ("It’s about “quotes”", "quotes"),
    ],
)
def test_a_text_is_found_by_its_words_as_people_write_them(title: str, query: str) -> None:
    assert set(asked_words(query)) <= words_of([title])


@pytest.mark.parametrize(
    ("title", "query"),
    [("Walrus", "wal"), ("C", "c++"), ("C++", "c#"), ("NET worth", ".net"), ("one two", "one three")],
)
def test_a_text_is_not_found_by_other_words(title: str, query: str) -> None:
    assert not set(asked_words(query)) <= words_of([title])


def test_the_words_of_several_texts_are_those_of_each() -> None:
    assert words_of(["A walrus", "C++"]) == {"a", "walrus", "c++", "c"}


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=3))
def test_whatever_a_text_says_it_is_found_by_its_own_words(texts: list[str]) -> None:
    stored = words_of(texts)
    for text in texts:
        assert set(asked_words(text)) <= stored
