"""Dates as feeds write them."""

from datetime import UTC, datetime, timedelta

import pytest

from feedmirror.parse.dates import FUTURE, MAX_GUESSES, DateReader

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def read(text: str | None) -> datetime | None:
    return DateReader(NOW).read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 3339 and W3CDTF
        ("2004-05-06T07:08:09Z", "2004-05-06T07:08:09"),
        ("2004-05-06T07:08:09.5+02:00", "2004-05-06T05:08:09.500000"),
        ("2004-05-06T07:08:09.123456789Z", "2004-05-06T07:08:09.123456"),
        (" 2004-05-06T07:08:09Z\n", "2004-05-06T07:08:09"),
        ("2004-05-06 07:08", "2004-05-06T07:08:00"),
        ("2004-05-06T07:08:09 UTC", "2004-05-06T07:08:09"),
        ("2004-05-06", "2004-05-06T00:00:00"),
        ("2004-05", "2004-05-01T00:00:00"),
        ("2004", "2004-01-01T00:00:00"),
        ("20040506T070809Z", "2004-05-06T07:08:09"),
        ("2004-05-06T24:00:00Z", "2004-05-07T00:00:00"),
        # ISO week and ordinal dates
        ("2004-W19-4", "2004-05-06T00:00:00"),
        ("2004-127", "2004-05-06T00:00:00"),
        ("2004127", "2004-05-06T00:00:00"),
        # RFC 822 and 2822, and what people make of them
        ("Thu, 06 May 2004 07:08:09 GMT", "2004-05-06T07:08:09"),
        ("Thu, 06 May 2004 07:08:09 +0130", "2004-05-06T05:38:09"),
        ("Thu, 06 May 2004 07:08:09 -0000", "2004-05-06T07:08:09"),
        ("Thu, 06 MAY 2004 07:08:09 +0107", "2004-05-06T06:01:09"),
        ("Thu, 6 May 04 07:08 EST", "2004-05-06T12:08:00"),
        ("6 May 2004 07:08:09 PDT", "2004-05-06T14:08:09"),
        ("Thu, 06 May 2004 07:08:09 CEST", "2004-05-06T05:08:09"),
        ("Thursday, 06-May-04 07:08:09 GMT", "2004-05-06T07:08:09"),
        ("Thu, 06 May 2004 07:08:09 +0000 (UTC)", "2004-05-06T07:08:09"),
        ("Thu, 06 May 2004 07:08:09 GMT+2", "2004-05-06T05:08:09"),
        ("Thu, 06 May 2004 07:08:09 &#43;0000", "2004-05-06T07:08:09"),
        ("Thu, 06 May 2004 7:08 PM GMT", "2004-05-06T19:08:00"),
        ("Thu, 06 May 2004 12:08 am", "2004-05-06T00:08:00"),
        ("Thu, 06 May 2004", "2004-05-06T00:00:00"),
        ("Thu, 06 May 2004 07:08:09 America/New_York", "2004-05-06T11:08:09"),
        ("Thu, 06 May 2004 07:08:09 Nowhere/Land", "2004-05-06T07:08:09"),
        ("Thu, 06 May 2004 07:08:09 America/", "2004-05-06T07:08:09"),
        ("Wed, 31 Dec 2003 23:59:60 GMT", "2004-01-01T00:00:00"),
        ("Thu, 06 May 2004 07:08:09 NOWHERE", "2004-05-06T07:08:09"),
        ("Thu, 06 May 2004 07:08:09 +9999", "2004-05-06T07:08:09"),
        # C, Ruby, Twitter
        ("Thu May  6 07:08:09 2004", "2004-05-06T07:08:09"),
        ("Thu May 06 07:08:09 -0100 2004", "2004-05-06T08:08:09"),
        # what only a library knows
        ("May 6, 2004", "2004-05-06T00:00:00"),
        ("Do, 06 Mai 2004 07:08:09 +0200", "2004-05-06T05:08:09"),
        ("Mi, 05 Mär 2014 10:00:00 +0100", "2014-03-05T09:00:00"),
        ("6. Dezember 2004", "2004-12-06T00:00:00"),
        ("jeu., 6 févr. 2014 10:00:00 +0100", "2014-02-06T09:00:00"),
        ("Чт, 6 май 2004 07:08:09 +0300", "2004-05-06T04:08:09"),
        ("2004년 05월 28일 오후 01:31:15", "2004-05-28T13:31:15"),
        ("2004年5月28日 23:31", "2004-05-28T23:31:00"),
    ],
)
def test_a_date_is_read_in_utc(text: str, expected: str):
    assert read(text) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "now",
        "yesterday",
        "3 hours ago",
        "12:30",
        "May",
        "0000-00-00",
        "2004-13-32",
        "Thu, 31 Feb 2004 00:00:00 GMT",
        "Thu, 06 Foo 2004 07:08:09 GMT",
        "2004-05-06T25:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "6 May 2004 " + "x" * 100,
    ],
)
def test_what_is_no_date_is_none_and_never_now(text: str | None):
    assert read(text) is None


def test_the_far_future_is_none():
    assert read((NOW + FUTURE).isoformat()) == NOW + FUTURE
    assert read((NOW + FUTURE + timedelta(seconds=1)).isoformat()) is None


def test_a_document_may_guess_only_so_often(monkeypatch: pytest.MonkeyPatch):
    guessed: list[str] = []
    monkeypatch.setattr("feedmirror.parse.dates._guess", lambda text: guessed.append(text) or NOW)
    reader = DateReader(NOW)
    dates = [f"the {number}th" for number in range(MAX_GUESSES + 5)]
    answers = [reader.read(date) for date in dates * 2]
    assert guessed == dates[:MAX_GUESSES]
    assert answers.count(None) == 10
