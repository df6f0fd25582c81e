"""A request that may change something, as its function gets it: whatever server carried it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from unicodedata import category

from feedmirror.errors import FeedmirrorError
from feedmirror.web.answer import Answer, json_error
from feedmirror.web.query import Parameters

# Two codes or a name, and room to be wrong in.
LARGEST_BODY = 16 * 1024
_JSON_TYPES = ("application/json",)
# Control characters, and halves of surrogate pairs; what joins emojis or keeps words together is text.
_NO_TEXT = frozenset({"Cc", "Cs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request. `headers` have lower-case names; `remote` is the address that it came from, as text.

    `body` has one byte more than may be where it is too large.
    """

    method: str = "GET"
    parameters: Parameters = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    remote: str = ""
    body: bytes = b""


class BadBody(FeedmirrorError):
    """A body cannot be used. `status` is 413 where it is too large, 415 where it is no JSON by name, else 400.

    `name` is the field that is wrong, None where it is the whole.
    """

    def __init__(self, message: str, *, status: int = 400, name: str | None = None):
        super().__init__(message)
        self.status = status
        self.name = name

    @property
    def answer(self) -> Answer:
        where = {} if self.name is None else {"field": self.name}
        return json_error(self.status, str(self), None, **where)


def json_body(asked: Asked) -> dict[str, Any]:
    """The object that the body is. Raises BadBody."""
    if asked.headers.get("content-type", "").partition(";")[0].strip().lower() not in _JSON_TYPES:
        raise BadBody("Content-Type must be application/json", status=415)
    if len(asked.body) > LARGEST_BODY:
        raise BadBody(f"the body is larger than {LARGEST_BODY} bytes", status=413)
    try:
        value = json.loads(asked.body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise BadBody(f"the body is no JSON: {what}") from None
    if not isinstance(value, dict):
        raise BadBody('the body must be an object, such as {"source": "Stack Overflow"}')
    return value


def known_fields(body: Mapping[str, Any], *names: str) -> None:
    """Refuse a field that is none of these: it is a mistyped one. Raises BadBody."""
    for name in body:
        if name not in names:
            raise BadBody(f"there is no field {name[:60]!r}; there are: {', '.join(names)}", name=name[:60])


def text_in(body: Mapping[str, Any], name: str, *, longest: int) -> str:
    """A field that must be there, and be a text. Raises BadBody."""
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadBody(f"{name} must be a text", name=name)
    if len(value) > longest:
        raise BadBody(f"{name} must not be longer than {longest} characters", name=name)
    if any(category(sign) in _NO_TEXT for sign in value):
        raise BadBody(f"{name} must have no control characters", name=name)
    return value


def flag_in(body: Mapping[str, Any], name: str) -> bool:
    """A field that is true or false, false where it is not there. Raises BadBody."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise BadBody(f"{name} must be true or false", name=name)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadBody(f"{twice[:60]!r} is given twice", name=twice[:60])
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
