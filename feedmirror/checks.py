"""What is wrong with a value in the sources file, in words: None where it can be used.

Each says what must be there, to be read behind the name of the key: "every must be a time in quotes". What the values
are for, and which keys there are, is not known here.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from feedmirror.config import duration_s

Check = Callable[[object], str | None]

# Intervals below a second would be a load on any publisher, above a month a forgotten source.
_EVERY_LIMITS_S = (1, 30 * 86400)
# Nothing is removed within its first hour: whoever looks hourly must not miss anything.
_KEEP_LIMITS_S = (3600, 36500 * 86400)
_KEEP_ITEMS_MAX = 10_000_000
_NAME_MAX = 200
_URL_MAX = 4000
_COUNT_MAX = 1_000_000_000


def bounded_text(value: object, most: int) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return "must be a text"
    if len(value) > most:
        return f"must not be longer than {most} characters"
    return None


def name(value: object) -> str | None:
    return bounded_text(value, _NAME_MAX)


def url(value: object) -> str | None:
    """What is wrong with the address of a source, None if it can be used."""
    if mistake := bounded_text(value, _URL_MAX):
        return mistake
    try:
        parts = urlsplit(str(value))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    return None if usable else "must be an http or https address"


def every(value: object) -> str | None:
    low, high = _EVERY_LIMITS_S
    if not isinstance(value, str):
        return 'must be a time in quotes, such as "30s"'
    try:
        seconds = duration_s(value)
    except ValueError as error:
        return str(error)
    return None if low <= seconds <= high else 'must be from "1s" to "30d"'


def keep(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return f'must be a time in quotes, such as "90d"; a number of items is written keep_items = {value}'
    low, high = _KEEP_LIMITS_S
    try:
        usable = isinstance(value, str) and low <= duration_s(value) <= high
    except ValueError:
        usable = False
    return None if usable else 'must be a time in quotes from "1h" to "36500d", such as "90d"'


def count(value: object) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        return "must be a whole number from 1"
    # far beyond use, and within what the database can hold
    return None if value <= _COUNT_MAX else f"must not be above {_COUNT_MAX}"


def keep_items(value: object) -> str | None:
    usable = count(value) is None and int(str(value)) <= _KEEP_ITEMS_MAX
    return None if usable else f"must be a whole number from 1 to {_KEEP_ITEMS_MAX}"


def flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def tags(value: object) -> str | None:
    usable = isinstance(value, list) and all(isinstance(tag, str) and tag.strip() for tag in value)
    return None if usable else 'must be a list of texts, such as ["python"]'
