"""What there is to ask here, for programs: GET /openapi.json, as OpenAPI 3.1.

One description, put together from parts; what is a limit comes from where it is kept to. That each address of the tree
is in it, and that the site behaves as it says, is held by tests.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from feedmirror import __version__
from feedmirror.models import JobState, SeriesStatus, State
from feedmirror.web import query
from feedmirror.web.answer import Answer, json_answer
from feedmirror.web.asked import LARGEST_BODY
from feedmirror.web.export import FORMATS
from feedmirror.web.on_demand import CODE, LONGEST_CODE, LONGEST_NAME

Json = dict[str, Any]

_ABOUT = """\
A live mirror of feeds and paginated APIs.

Whoever may reach this site may read. Whatever changes something (POST, DELETE) is accepted only from the machine that
it runs on: from loopback, without `Forwarded` or `X-Forwarded-For`, with a `Host` that is ours and, from a browser,
from a page of ours (`Origin`, `Sec-Fetch-Site`); everything else is answered with 403.

A parameter that is known must be right, or the answer is 400 and names it. One that is not known is ignored, since
caches, proxies and scripts add their own; a field of a body that is not known is refused. Every GET may be a HEAD; any
other method is answered with 405 and an `Allow` that names those that there are.

A list that goes on is led on by `Link` with rel="next". While the database is away the answer is 503 with Retry-After.
"""


def answer() -> Answer:
    """Answer GET /openapi.json."""
    return json_answer(_text())


@cache
def _text() -> str:
    return json.dumps(description(), ensure_ascii=False, indent=1)


def description() -> Json:
    """The whole of it."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Feedmirror", "version": __version__, "description": _ABOUT},
        "paths": {**_STREAM, **_TABLES, **_SOURCES, **_ON_DEMAND, **_AROUND},
        "components": {"schemas": _SCHEMAS},
    }


# -- what answers and parameters are made of


def _text_of(longest: int, shortest: int = 1, **more: Any) -> Json:
    return {"type": "string", "minLength": shortest, "maxLength": longest, **more}


def _object(properties: Mapping[str, Json], *, closed: bool = True, optional: Iterable[str] = ()) -> Json:
    required = [name for name in properties if name not in set(optional)]
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        **({"additionalProperties": False} if closed else {}),
    }


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_MOMENT: Json = {"type": "string", "format": "date-time"}
_NUMBER: Json = {"type": "number"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_TEXT: Json = {"type": "string"}
_TEXTS = _list(_TEXT)
_STAMP: Json = {
    "type": "number",
    "minimum": 0,
    "description": "Seconds since the epoch with six decimals, unique and rising in the order in which things came.",
}


def _parameter(name: str, schema: Json, about: str, *, place: str = "query") -> Json:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": about}


def _stamp_parameter(name: str, about: str) -> Json:
    return _parameter(name, {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$"}, about)


def _many(name: str, most: int, about: str) -> Json:
    schema = {"type": "array", "items": _text_of(query.LONGEST_NAME), "maxItems": most}
    return {**_parameter(name, schema, about), "style": "form", "explode": True}


_LIMIT = _parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": query.LARGEST_LIMIT, "default": query.DEFAULT_LIMIT},
    "How many at most.",
)
_AFTER_T = _stamp_parameter("timestamp", "What came after this; 0 or nothing: the newest.")
_BEFORE = _stamp_parameter("before", "What came before this.")
_SEARCH = _parameter(
    "q", _text_of(query.LONGEST_SEARCH, 0), f"Words, all of which stand somewhere; {query.MOST_WORDS} at most."
)
_SOURCE_FILTER = _parameter("source", _text_of(query.LONGEST_NAME), "The id of a source: what was seen there.")
_TAG_FILTER = _many("tag", query.MOST_TAGS, "Tags, all of which the items have.")
_CHANGES = _parameter(
    "changes", {"type": "string", "enum": ["0", "1"]}, "1: the cursor counts by changes, so that edits come as well."
)
_KNOWN = _parameter("If-None-Match", _TEXT, "The ETag of an answer that is there already.", place="header")
_SOURCE_ID = _parameter(
    "source", _text_of(query.LONGEST_NAME, pattern=r"^[^./]+$"), "The id of a source that has a table.", place="path"
)


def _header(about: str, schema: Json = _TEXT) -> Json:
    return {"description": about, "schema": schema}


_LINK = {"Link": _header('Where the list goes on, with rel="next"; missing at its end.')}
_CURSOR = {
    **_LINK,
    "Feedmirror-Head": _header("The highest stamp there is."),
    "Feedmirror-Cursor": _header("The answer is complete up to here; ask on with it as `timestamp`."),
    "Feedmirror-Gap": _header("Of what came after `timestamp`, some up to here is no longer kept."),
    "ETag": _header("Of this very answer."),
}
_RETRY = {"Retry-After": _header("Seconds to wait.", {"type": "string", "pattern": "^[0-9]+$"})}


def _json(about: str, schema: Json, headers: Mapping[str, Json] | None = None) -> Json:
    return {
        "description": about,
        "content": {"application/json": {"schema": schema}},
        **({"headers": dict(headers)} if headers else {}),
    }


def _html(about: str) -> Json:
    return {"description": about, "content": {"text/html": {"schema": _TEXT}}}


def _error(about: str) -> Json:
    return _json(about, _ref("Error"))


_BAD = _error("A parameter cannot be used; `parameter` is its name.")
_AWAY = _json("The database is away.", _ref("Error"), _RETRY)
_AWAY_PAGE = {**_html("The database is away."), "headers": _RETRY}
_NO_PAGE = _html("There is nothing here.")
_REFUSALS = {
    "400": _error("The body cannot be used; `field` is what is wrong in it, if that is one field."),
    "403": _error("Who asks may not change anything."),
    "408": _error("The body did not come."),
    "413": _error(f"The body is larger than {LARGEST_BODY} bytes."),
    "415": _error("The body is no application/json."),
    "503": _AWAY,
}


def _get(about: str, responses: Mapping[str, Json], *parameters: Json, tag: str) -> Json:
    return {"summary": about, "tags": [tag], "parameters": list(parameters), "responses": dict(responses)}


def _body(schema: Json, example: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


# -- the stream

_STREAM: Json = {
    "/": {
        "get": _get(
            "The page: the newest items, kept current by its script.",
            {"200": _html("The page."), "400": _html("A parameter cannot be used."), "503": _AWAY_PAGE},
            *(_SOURCE_FILTER, _TAG_FILTER, _SEARCH, _BEFORE),
            tag="pages",
        )
    },
    "/update": {
        "get": _get(
            "The items after a cursor, newest first. Whoever goes on from Feedmirror-Cursor gets each of them once.",
            {
                "200": _json("The items.", _list(_ref("Item")), _CURSOR),
                "304": {"description": "Nothing changed."},
                "400": _BAD,
                "503": _AWAY,
            },
            *(_AFTER_T, _BEFORE, _LIMIT, _SOURCE_FILTER, _TAG_FILTER, _SEARCH, _CHANGES, _KNOWN),
            tag="stream",
        )
    },
}

# -- tables


def _file(kind: str, content_type: str) -> Json:
    responses = {
        "200": {
            "description": "The file, made while it is sent.",
            "content": {content_type.partition(";")[0]: {"schema": {"type": "string"}}},
            "headers": {"Content-Disposition": _header("The file's name.")},
        },
        "404": _error("There is no table of this name."),
        "503": _json("The database is away, or as many files are being made as may be.", _ref("Error"), _RETRY),
    }
    return {"get": _get(f"The table as a file: .{kind}", responses, _SOURCE_ID, tag="tables")}


_TABLES: Json = {
    "/tables": {
        "get": _get("The page of all tables.", {"200": _html("The page."), "503": _AWAY_PAGE}, tag="pages"),
    },
    "/tables/{source}": {
        "get": _get(
            "The page of one table.",
            {
                "200": _html("The page."),
                "400": _html("A parameter cannot be used."),
                "404": {
                    "description": "There is no table of this name; as JSON where the name has a dot, as files have.",
                    "content": {"text/html": {"schema": _TEXT}, "application/json": {"schema": _ref("Error")}},
                },
                "503": _AWAY_PAGE,
            },
            _SOURCE_ID,
            _parameter(
                "sort",
                _text_of(query.LONGEST_NAME, 0, pattern=r"^($|-?[^-]|--)"),
                "A column's name, or -name for its end; -_changed: what changed last.",
            ),
            _SEARCH,
            _parameter("after", _text_of(query.LONGEST_NAME), "The id of the row that it goes on behind."),
            tag="pages",
        )
    },
    "/tables/{source}/update": {
        "get": _get(
            "The rows of a table that changed after a cursor, newest first.",
            {
                "200": _json("The rows.", _list(_ref("Row")), _CURSOR),
                "304": {"description": "Nothing changed."},
                "400": _BAD,
                "404": _error("There is no table of this name."),
                "503": _AWAY,
            },
            *(_SOURCE_ID, _AFTER_T, _BEFORE, _LIMIT, _KNOWN),
            tag="tables",
        )
    },
    **{f"/tables/{{source}}.{kind}": _file(kind, format_.content_type) for kind, format_ in FORMATS.items()},
}

# -- what is mirrored

_OF_SOURCES = (
    _parameter("state", {"type": "string", "enum": [state.value for state in State]}, "Those of this state."),
    _parameter("lost", {"type": "string", "enum": ["0", "1"]}, "1: those that lost entries between two looks."),
    _SEARCH,
    _many("id", query.MOST_IDS, "Those of these ids."),
    _parameter(
        "after",
        {"type": "string", "pattern": r"^[01]\.[0-9]{1,9}\.[^\r\n]{1,200}$"},
        "What a former answer led on with.",
    ),
    _LIMIT,
)
_SOURCES: Json = {
    "/sources": {
        "get": _get(
            "The page of what is mirrored, and how it fares.",
            {"200": _html("The page."), "400": _html("A parameter cannot be used."), "503": _AWAY_PAGE},
            *_OF_SOURCES,
            tag="pages",
        )
    },
    "/api/sources": {
        "get": _get(
            "What is mirrored, and how it fares.",
            {"200": _json("A part of the list.", _ref("Sources"), _LINK), "400": _BAD, "503": _AWAY},
            *_OF_SOURCES,
            tag="sources",
        )
    },
    "/api/groups": {
        "get": _get(
            "How much of each publisher's patience is left.",
            {"200": _json("The groups.", _ref("Groups")), "400": _BAD, "503": _AWAY},
            _LIMIT,
            tag="sources",
        )
    },
    "/api/window": {
        "get": _get(
            "How the part of the stream stands that the answering process keeps in memory.",
            {"200": _json("How it stands.", _ref("Window"))},
            tag="sources",
        )
    },
}

# -- pages of series (/series, /series/{id}, /series/{id}/chart.svg): their place is here
# -- work on demand

_SERIES_ID = _text_of(query.LONGEST_NAME)
_TASK_LINK = {
    "how it goes": {"operationId": "status", "parameters": {"task_id": "$response.body#/data/task_id"}},
}
_SERIES_LINKS = {
    name: {"operationId": operation, "parameters": {"id": "$response.body#/id"}}
    for name, operation in (("data", "series"), ("removal", "remove_series"))
}


def _asked_for(about: str) -> Json:
    return {
        **_json(about, _ref("Asked"), {"Location": _header("Where its data is.")}),
        "links": _SERIES_LINKS,
    }


_ON_DEMAND: Json = {
    "/create": {
        "post": {
            "summary": "Look at a source now.",
            "operationId": "create",
            "tags": ["on demand"],
            "requestBody": _body(
                _object(
                    {
                        "source": _text_of(
                            LONGEST_NAME,
                            # no control characters, and something besides spaces
                            pattern=r"^[!-~]([ -~]*[!-~])?$|^[^\x00-\x7f\x80-\xa0\s]+$",
                            description="The id or the name of a source; any text without control characters.",
                        )
                    }
                ),
                {"source": "Stack Overflow"},
            ),
            "responses": {
                "202": {
                    **_json("It was begun, or had been.", _ref("Created"), {"Location": _header("How it goes.")}),
                    "links": _TASK_LINK,
                },
                "404": _error("There is no such source."),
                **_REFUSALS,
            },
        }
    },
    "/status/{task_id}": {
        "get": {
            **_get(
                "How a look, or the fetching of a data set, goes.",
                {
                    "200": _json("How it goes.", _ref("Status")),
                    "404": _error("There is no such job, or it is forgotten."),
                    "503": _AWAY,
                },
                _parameter("task_id", _text_of(query.LONGEST_NAME, pattern=r"^[^/]+$"), "The job.", place="path"),
                tag="on demand",
            ),
            "operationId": "status",
        }
    },
    "/timeseries": {
        "get": {
            **_get(
                "The data of a series as it came, how it stands where there is none yet; without `id` the list of all.",
                {
                    "200": _json(
                        "The list, those first that were asked for last; or one series.",
                        {"anyOf": [_list(_ref("Series")), _ref("Asked"), {"description": "The data as it came."}]},
                        {**_LINK, "Feedmirror-Status": _header("How the series stands whose data this is.")},
                    ),
                    "400": _BAD,
                    "404": _error("There is no series of this id."),
                    "503": _AWAY,
                },
                _parameter("id", _SERIES_ID, "Which one."),
                _LIMIT,
                _parameter(
                    "after",
                    {"type": "string", "pattern": r"^[0-9]{1,14}\.[^\r\n]{1,200}$"},
                    "What a former answer led on with.",
                ),
                tag="on demand",
            ),
            "operationId": "series",
        },
        "post": {
            "summary": "Have a data set fetched, by its codes, unless it is fresh or on its way.",
            "operationId": "request_series",
            "tags": ["on demand"],
            "requestBody": _body(
                _object(
                    {
                        "database_code": _text_of(LONGEST_CODE, pattern=f"^{CODE.pattern}$"),
                        "dataset_code": _text_of(LONGEST_CODE, pattern=f"^{CODE.pattern}$"),
                        "refresh": {"type": "boolean", "default": False, "description": "Even if it is fresh."},
                    },
                    optional=("refresh",),
                ),
                {"database_code": "WIKI", "dataset_code": "FB"},
            ),
            "responses": {
                "200": _asked_for("It is on its way already, or fresh."),
                "201": _asked_for("It will be fetched."),
                **_REFUSALS,
            },
        },
        "delete": {
            "summary": "Remove a series and its data.",
            "operationId": "remove_series",
            "tags": ["on demand"],
            "parameters": [{**_parameter("id", _SERIES_ID, "Which one."), "required": True}],
            "responses": {
                "204": {"description": "It is gone."},
                "400": _BAD,
                "403": _error("Who asks may not change anything."),
                "404": _error("There is no series of this id."),
                "503": _AWAY,
            },
        },
    },
}

# -- and around

_AROUND: Json = {
    "/ping": {
        "get": _get(
            "Whether somebody answers.",
            {"200": _json("Yes.", _object({"ping": {"type": "string", "const": "pong"}}))},
            tag="around",
        )
    },
    "/openapi.json": {"get": _get("This.", {"200": _json("OpenAPI 3.1.", {"type": "object"})}, tag="around")},
    "/static/{path}": {
        "get": _get(
            "A file of the pages: script, style or picture.",
            {
                "200": {"description": "The file.", "content": {"*/*": {}}},
                "304": {"description": "It did not change."},
                "404": _NO_PAGE,
            },
            _parameter("path", _text_of(query.LONGEST_NAME), "Its path.", place="path"),
            _KNOWN,
            tag="pages",
        )
    },
    "/favicon.ico": {
        "get": _get(
            "The picture of these pages.",
            {
                "200": {"description": "The picture.", "content": {"image/svg+xml": {}}},
                "304": {"description": "It did not change."},
            },
            _KNOWN,
            tag="pages",
        )
    },
}

# -- what is in them

_SCHEMAS: Json = {
    "Error": _object({"error": _TEXT, "parameter": _TEXT, "field": _TEXT}, optional=("parameter", "field")),
    "Item": _object(
        {
            **{"_id": _TEXT, "author": _TEXT, "link": _or_null(_TEXT), "title": _TEXT, "fetched": _STAMP},
            **{"summary": {**_TEXT, "description": "Sanitised HTML."}, "tags": _TEXTS},
            **{"published": _or_null(_MOMENT), "updated": _or_null(_MOMENT), "changed": _STAMP, "arrived_at": _MOMENT},
            **{"sources": _TEXTS, "score": _or_null({"type": "integer"}), "comments": _or_null({"type": "integer"})},
            **{"comments_link": _or_null(_TEXT), "thumbnail": _or_null(_TEXT)},
        }
    ),
    "Row": _object(
        {"_id": _TEXT, "changed": _STAMP, "gone": {"type": "boolean", "const": True}},
        closed=False,
        optional=("gone",),
    )
    | {
        "description": "A row as its API gave it. What is none of the API's: `_id`, `changed`, `gone` (listed no more)."
    },
    "Limits": _object({name: _or_null(_COUNT) for name in ("in_flight", "per_minute", "per_day", "per_month")}),
    "Source": _object(
        {
            **{"id": _TEXT, "name": _TEXT, "kind": _TEXT, "url": _TEXT, "tags": _TEXTS},
            **{"state": {"type": "string", "enum": [state.value for state in State]}, "items": _COUNT},
            **{"every_s": _or_null(_NUMBER), "interval_s": _or_null(_NUMBER)},
            **{name: _or_null(_MOMENT) for name in ("last_at", "last_ok_at", "last_new_at", "next_at")},
            **{"why": _TEXT, "items_per_hour": _or_null(_NUMBER), "items_per_day": _or_null(_NUMBER)},
            **{"windows_lost": _COUNT, "window_lost_at": _or_null(_MOMENT), "moved_to": _or_null(_TEXT)},
            **{"failures": _COUNT, "failure": _or_null(_TEXT), "error": _or_null(_TEXT)},
            **{"error_since": _or_null(_MOMENT), "notices": _TEXTS, "identity": _or_null(_TEXT)},
            **{"keep_s": _or_null(_NUMBER), "keep_items": _or_null(_COUNT), "group": _TEXT},
            "limits": {"anyOf": [_ref("Limits"), {"type": "null"}]},
        }
    ),
    "Sources": _object(
        {
            "sources": _list(_ref("Source")),
            "counts": _object(
                dict.fromkeys(("active", "failing", "waiting", "window_lost", "retired", "live", "all"), _COUNT)
            ),
            "mistakes": _TEXTS,
        }
    ),
    "Group": _object(
        {
            **{"name": _TEXT, "state": {"type": "string", "enum": ["blocked", "full", "free"]}, "why": _TEXT},
            "limits": _ref("Limits"),
            **dict.fromkeys(("in_flight", "used_minute", "used_day", "used_month", "queued"), _COUNT),
            "blocked_status": _or_null({"type": "integer"}),
            **{name: _or_null(_MOMENT) for name in ("blocked_until", "queue_until", "active_at", "as_of")},
        }
    ),
    "Groups": _object({"groups": _list(_ref("Group")), "all": _COUNT}),
    "Window": _object(
        {
            "state": {"type": "string", "enum": ["live", "starting", "lost", "none"]},
            **{"behind": _or_null(_NUMBER), "lost": _or_null(_TEXT), "items": _COUNT, "bytes": _COUNT},
            **{"head": _TEXT, "floor": _TEXT},
        },
        optional=("behind", "lost", "items", "bytes", "head", "floor"),
    ),
    "Created": _object({"status": {"type": "string", "const": "success"}, "data": _object({"task_id": _TEXT})}),
    "Status": _object(
        {
            "status": {"type": "string", "enum": [state.value for state in JobState]},
            "result": {
                "type": ["object", "string", "null"],
                "description": "What is done of what; at the end what came in, and on failure why.",
            },
        }
    ),
    "Asked": _object(
        {
            "id": _TEXT,
            "status": {"type": "string", "enum": [status.value for status in SeriesStatus]},
            "error": {**_TEXT, "description": "Why there is no data, as its API says."},
        },
        optional=("error",),
    ),
    "Series": _object(
        {
            **{"id": _TEXT, "database_code": _TEXT, "dataset_code": _TEXT},
            "status": {"type": "string", "enum": [status.value for status in SeriesStatus]},
            **{"error": _or_null(_TEXT), "rows": _or_null(_COUNT), "bytes": _or_null(_COUNT)},
            **{"requested_at": _MOMENT, "refreshed_at": _or_null(_MOMENT)},
        }
    ),
}
