"""Points in time, as feeds write them: RFC 3339, RFC 822 and whatever else people publish.

The two standards are read by hand because every entry has such a date; all the rest goes to dateparser, which knows
the months of many languages and is a thousand times slower, so that a document may ask it only so often.
"""

import html
import re
import warnings
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from feedmirror.models import Cut
from feedmirror.parse import limits

# Real feeds do not announce what they publish; a year allows for calendars of events, and for broken clocks.
FUTURE = timedelta(days=366)
# No date is longer; dateparser's time grows with the length.
MAX_LENGTH = 80
# dateparser takes 3 to 20 ms a date: this bounds a document to a few seconds. A feed's dates are all of one kind,
# so a feed that needs guessing at all has few different ones in a page.
MAX_GUESSES = 200
_NOT_GUESSED = Cut("date", "dates", f"left out: in no known form, of which {MAX_GUESSES} are guessed")

_LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "nl", "ru", "pl", "cs", "hu", "el", "tr", "sv", "ja", "ko", "zh"]

_RFC_822 = re.compile(
    r"(?:[^\W\d]+\.?\s*,?\s*)?"  # the day of the week, which says nothing new
    r"(?P<day>\d{1,2})(?:[ -]|\s+)(?P<month>[a-z]{3})[a-z]*\.?,?(?:[ -]|\s+)(?P<year>\d{4}|\d{2})"
    r"(?:,?\s+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?(?:\s*(?P<half>[ap])\.?m\b\.?)?"
    r"(?:\s*(?P<zone>[+-]\d{1,2}:?\d{2}|[a-z/_]+(?:\s*[+-]\d{1,2}:?(?:\d{2})?)?))?)?"
    r"(?:\s*\(.*\))?",
    re.IGNORECASE,
)
# C's asctime, and what Ruby and Twitter print: the year stands last
_ASCTIME = re.compile(
    r"(?:[a-z]+\.?,?\s+)?(?P<month>[a-z]{3})[a-z]*\.?\s+(?P<day>\d{1,2}),?"
    r"\s+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    r"(?:\s+(?P<zone>[+-]\d{1,2}:?\d{2}|[a-z]+))?\s+(?P<year>\d{4})",
    re.IGNORECASE,
)
_W3CDTF = re.compile(
    r"(?P<year>\d{4})(?:-?(?P<ordinal>\d{3})|-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?)?"
    r"(?:\s*T?\s*(?P<hour>\d{1,2})(?::(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:[.,]\d*)?)?)?"
    r"\s*(?P<zone>[+-]\d{1,2}:?\d{2}|[a-z]+)?)?",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})?")
_MONTHS = {
    name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)
}
# Hours east of Greenwich. RFC 822 defines the American ones and UT; the others are what people write. Where a name is
# used twice (IST, CST, BST) the one that feeds use most.
_ZONES = {
    **dict.fromkeys(("", "z", "ut", "utc", "gmt", "wet", "etc/utc", "etc/gmt"), 0.0),
    **{"est": -5.0, "edt": -4.0, "cst": -6.0, "cdt": -5.0, "mst": -7.0, "mdt": -6.0, "pst": -8.0, "pdt": -7.0},
    **{"et": -5.0, "ct": -6.0, "mt": -7.0, "pt": -8.0, "akst": -9.0, "akdt": -8.0, "hst": -10.0, "hdt": -9.0},
    **{"ast": -4.0, "adt": -3.0, "nst": -3.5, "ndt": -2.5, "art": -3.0, "brt": -3.0, "brst": -2.0, "clt": -4.0},
    **{"bst": 1.0, "west": 1.0, "cet": 1.0, "met": 1.0, "mez": 1.0, "cest": 2.0, "mest": 2.0, "mesz": 2.0},
    **{"eet": 2.0, "sast": 2.0, "eest": 3.0, "msk": 3.0, "msd": 4.0, "pkt": 5.0, "ist": 5.5, "npt": 5.75},
    **{"wib": 7.0, "hkt": 8.0, "sgt": 8.0, "awst": 8.0, "jst": 9.0, "kst": 9.0, "acst": 9.5, "acdt": 10.5},
    **{"aest": 10.0, "aedt": 11.0, "nzst": 12.0, "nzt": 12.0, "nzdt": 13.0},
}


_DAY = timedelta(days=1)
# The months of RFC 822's exact form as ISO 8601 writes them, and its zones as offsets: all that are in use
_ISO_MONTHS = {name.title(): f"{number:02}" for name, number in _MONTHS.items()}
_OFFSETS = dict.fromkeys(("GMT", "UTC", "UT", "Z"), timedelta()) | {
    f"{sign}{hours:02}{minutes:02}": factor * timedelta(hours=hours, minutes=minutes)
    for sign, factor in (("+", 1), ("-", -1))
    for hours in range(15)
    for minutes in (0, 15, 30, 45)
}


class DateReader:
    """Reads the dates of one document.

    `now` decides what is the far future. Remembers what it guessed: the dates of a document repeat.
    """

    def __init__(self, now: datetime):
        self._latest = now + FUTURE
        self._guesses: dict[str, datetime | None] = {}

    def read(self, text: str | None) -> datetime | None:
        """The point in time, aware and in UTC; None where the text is none that anybody could mean."""
        if not text:
            return None
        exact = _rfc_3339(text) if text[0].isdigit() else _rfc_822_exact(text)
        return self._believable(exact or self._other(text))

    def _other(self, text: str) -> datetime | None:
        text = " ".join(html.unescape(text).split())
        if not text or len(text) > MAX_LENGTH:
            return None
        return _rfc_822(text) or _asctime(text) or _w3cdtf(text) or self._guessed(text)

    def _guessed(self, text: str) -> datetime | None:
        if text not in self._guesses:
            if len(self._guesses) >= MAX_GUESSES:
                limits.note(_NOT_GUESSED)
                return None
            self._guesses[text] = _guess(text)
        return self._guesses[text]

    def _believable(self, moment: datetime | None) -> datetime | None:
        # year 1 is what .NET prints for "no date"
        if moment is None or moment.year <= 1 or moment > self._latest:
            return None
        return moment


def _rfc_3339(text: str) -> datetime | None:
    try:
        return _utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _rfc_822_exact(text: str) -> datetime | None:
    """`Fri, 02 Jan 2026 03:04:05 +0100`, which nearly all RSS feeds write, at a quarter of the general form's time."""
    month, offset = _ISO_MONTHS.get(text[8:11]), _OFFSETS.get(text[26:])
    if month is None or offset is None or text[3:5] != ", " or text[7] != " ":
        return None
    try:
        # half the time of having the offset read and taken away again
        return datetime.fromisoformat(f"{text[12:16]}-{month}-{text[5:7]}T{text[17:25]}Z") - offset
    except (ValueError, OverflowError):
        return None


def _rfc_822(text: str) -> datetime | None:
    match = _RFC_822.fullmatch(text)
    if match is None:
        return None
    hour = int(match["hour"] or 0)
    if match["half"]:
        hour = hour % 12 + (12 if match["half"].lower() == "p" else 0)
    return _with_named_month(match, hour)


def _asctime(text: str) -> datetime | None:
    match = _ASCTIME.fullmatch(text)
    return None if match is None else _with_named_month(match, int(match["hour"]))


def _with_named_month(match: re.Match[str], hour: int) -> datetime | None:
    month = _MONTHS.get(match["month"].lower())
    return None if month is None else _moment(_full_year(match["year"]), month, int(match["day"]), hour, match)


def _w3cdtf(text: str) -> datetime | None:
    match = _W3CDTF.fullmatch(text)
    if match is None:
        return None
    moment = _moment(
        int(match["year"]), int(match["month"] or 1), int(match["day"] or 1), int(match["hour"] or 0), match
    )
    if moment is not None and match["ordinal"]:
        moment += timedelta(days=int(match["ordinal"]) - 1)
    return moment


def _moment(year: int, month: int, day: int, hour: int, match: re.Match[str]) -> datetime | None:
    minute, second = int(match["minute"] or 0), int(match["second"] or 0)
    try:
        # 24:00 and the leap second are right, and datetime knows neither
        midnight = datetime(year, month, day, tzinfo=_zone(match["zone"] or ""))
        if hour > 24 or minute > 59 or second > 60:
            return None
        return _utc(midnight + timedelta(hours=hour, minutes=minute, seconds=second))
    except (ValueError, OverflowError):
        return None


def _full_year(digits: str) -> int:
    # RFC 2822, 4.3
    year = int(digits)
    if len(digits) > 2:
        return year
    return year + (2000 if year < 70 else 1900)


@lru_cache(maxsize=128)
def _zone(text: str) -> tzinfo:
    """The zone of this name or offset; one that is unknown or impossible counts as UTC, as RFC 2822, 4.3 asks."""
    offset = _OFFSET.search(text)
    if offset is None:
        return _named_zone(text)
    span = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
    if span >= _DAY:
        return UTC
    return timezone(-span if offset[1] == "-" else span)


def _named_zone(name: str) -> tzinfo:
    if "/" in name:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # no such place, or no file name
            return UTC
    return timezone(timedelta(hours=_ZONES.get(name.lower(), 0.0)))


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:  # as of most feeds; astimezone would make it anew
        return moment
    # a date without a zone is read as UTC: the same for everybody who reads the feed
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _guess(text: str) -> datetime | None:
    # imported late: it takes half a second and most processes never need it
    import dateparser

    settings = {"REQUIRE_PARTS": ["day", "month", "year"], "PARSERS": ["absolute-time"], "TIMEZONE": "UTC"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that a later Python will read otherwise
        try:
            moment: datetime | None = dateparser.parse(text, languages=_LANGUAGES, settings=settings)
        except (ValueError, OverflowError, RecursionError):
            return None
    return None if moment is None else _utc(moment)
