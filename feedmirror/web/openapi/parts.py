"""What the description is made of: schemas, parameters, answers and requests, as OpenAPI writes them."""

from collections.abc import Iterable, Mapping
from typing import Any

from feedmirror.web import query
from feedmirror.web.asked import LARGEST_BODY
from feedmirror.web.polling import HEADER as POLLING

Json = dict[str, Any]


def text_of(longest: int, shortest: int = 1, **more: Any) -> Json:
    return {"type": "string", "minLength": shortest, "maxLength": longest, **more}


def object_of(properties: Mapping[str, Json], *, closed: bool = True, optional: Iterable[str] = ()) -> Json:
    required = [name for name in properties if name not in set(optional)]
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        **({"additionalProperties": False} if closed else {}),
    }


def list_of(items: Json) -> Json:
    return {"type": "array", "items": items}


def or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def ref_to(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


MOMENT: Json = {"type": "string", "format": "date-time"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer", "minimum": 0}
TEXT: Json = {"type": "string"}
TEXTS = list_of(TEXT)
STAMP: Json = {
    "type": "number",
    "minimum": 0,
    "description": "Seconds since the epoch with six decimals, unique and rising in the order in which things came.",
}


def parameter_of(name: str, schema: Json, about: str, *, place: str = "query") -> Json:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": about}


def stamp_of(name: str, about: str) -> Json:
    return parameter_of(name, {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$"}, about)


def many_of(name: str, most: int, about: str) -> Json:
    schema = {"type": "array", "items": text_of(query.LONGEST_NAME), "maxItems": most}
    return {**parameter_of(name, schema, about), "style": "form", "explode": True}


LIMIT = parameter_of(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": query.LARGEST_LIMIT, "default": query.DEFAULT_LIMIT},
    "How many at most.",
)
AFTER_T = stamp_of("timestamp", "What came after this; 0 or nothing: the newest.")
BEFORE = stamp_of("before", "What came before this.")
SEARCH = parameter_of(
    "q", text_of(query.LONGEST_SEARCH, 0), f"Words, all of which stand somewhere; {query.MOST_WORDS} at most."
)
SOURCE_FILTER = parameter_of("source", text_of(query.LONGEST_NAME), "The id of a source: what was seen there.")
TAG_FILTER = many_of("tag", query.MOST_TAGS, "Tags, all of which the items have.")
CHANGES = parameter_of(
    "changes", {"type": "string", "enum": ["0", "1"]}, "1: the cursor counts by changes, so that edits come as well."
)
KNOWN = parameter_of("If-None-Match", TEXT, "The ETag of an answer that is there already.", place="header")
SOURCE_ID = parameter_of(
    "source", text_of(query.LONGEST_NAME, pattern=r"^[^./]+$"), "The id of a source that has a table.", place="path"
)


def header_of(about: str, schema: Json = TEXT) -> Json:
    return {"description": about, "schema": schema}


LINK = {"Link": header_of('Where the list goes on, with rel="next"; missing at its end.')}
CURSOR = {
    **LINK,
    "Feedmirror-Head": header_of("The highest stamp there is."),
    "Feedmirror-Cursor": header_of("The answer is complete up to here; ask on with it as `timestamp`."),
    "Feedmirror-Gap": header_of("Of what came after `timestamp`, some up to here is no longer kept."),
    POLLING: header_of(
        "`live`: due sources are polled. `stalled`: nothing is, and `words` says for how long and why. `unknown`.",
        {"type": "string", "pattern": '^(live|unknown|stalled;words="[ -!#-~]+")$'},
    ),
    "ETag": header_of("Of this very answer."),
}
LISTING = header_of("Another one whenever the API lists other rows, or in another order.")
RETRY = {"Retry-After": header_of("Seconds to wait.", {"type": "string", "pattern": "^[0-9]+$"})}


def in_json(about: str, schema: Json, headers: Mapping[str, Json] | None = None) -> Json:
    return {
        "description": about,
        "content": {"application/json": {"schema": schema}},
        **({"headers": dict(headers)} if headers else {}),
    }


def in_html(about: str) -> Json:
    return {"description": about, "content": {"text/html": {"schema": TEXT}}}


def error_of(about: str) -> Json:
    return in_json(about, ref_to("Error"))


BAD = error_of("A parameter cannot be used; `parameter` is its name.")
AWAY = in_json("The database is away.", ref_to("Error"), RETRY)
AWAY_PAGE = {**in_html("The database is away."), "headers": RETRY}
NO_PAGE = in_html("There is nothing here.")
REFUSALS = {
    "400": error_of("The body cannot be used; `field` is what is wrong in it, if that is one field."),
    "403": error_of("Who asks may not change anything."),
    "408": error_of("The body did not come."),
    "413": error_of(f"The body is larger than {LARGEST_BODY} bytes."),
    "415": error_of("The body is no application/json."),
    "503": AWAY,
}


def get_of(about: str, responses: Mapping[str, Json], *parameters: Json, tag: str) -> Json:
    return {"summary": about, "tags": [tag], "parameters": list(parameters), "responses": dict(responses)}


def body_of(schema: Json, example: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}
