"""Each address, what it takes, and how it answers."""

from feedmirror.models import State
from feedmirror.web import query
from feedmirror.web.export import FORMATS
from feedmirror.web.on_demand import CODE, LONGEST_CODE, LONGEST_NAME
from feedmirror.web.openapi.parts import (
    AFTER_T,
    AWAY,
    AWAY_PAGE,
    BAD,
    BEFORE,
    CHANGES,
    CURSOR,
    KNOWN,
    LIMIT,
    LINK,
    LISTING,
    NO_PAGE,
    REFUSALS,
    RETRY,
    SEARCH,
    SOURCE_FILTER,
    SOURCE_ID,
    TAG_FILTER,
    TEXT,
    Json,
    body_of,
    error_of,
    get_of,
    header_of,
    in_html,
    in_json,
    list_of,
    many_of,
    object_of,
    parameter_of,
    ref_to,
    text_of,
)
from feedmirror.web.series_chart import MOST_ASKED

# -- the stream

_STREAM: Json = {
    "/": {
        "get": get_of(
            "The page: the newest items, kept current by its script.",
            {"200": in_html("The page."), "400": in_html("A parameter cannot be used."), "503": AWAY_PAGE},
            *(SOURCE_FILTER, TAG_FILTER, SEARCH, BEFORE),
            tag="pages",
        )
    },
    "/update": {
        "get": get_of(
            "The items after a cursor, newest first. Whoever goes on from Feedmirror-Cursor gets each of them once.",
            {
                "200": in_json("The items.", list_of(ref_to("Item")), CURSOR),
                "304": {"description": "Nothing changed."},
                "400": BAD,
                "503": AWAY,
            },
            *(AFTER_T, BEFORE, LIMIT, SOURCE_FILTER, TAG_FILTER, SEARCH, CHANGES, KNOWN),
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
            "headers": {"Content-Disposition": header_of("The file's name.")},
        },
        "404": error_of("There is no table of this name."),
        "503": in_json("The database is away, or as many files are being made as may be.", ref_to("Error"), RETRY),
    }
    return {"get": get_of(f"The table as a file: .{kind}", responses, SOURCE_ID, tag="tables")}


_TABLES: Json = {
    "/tables": {
        "get": get_of("The page of all tables.", {"200": in_html("The page."), "503": AWAY_PAGE}, tag="pages"),
    },
    "/tables/{source}": {
        "get": get_of(
            "The page of one table.",
            {
                "200": in_html("The page."),
                "400": in_html("A parameter cannot be used."),
                "404": {
                    "description": "There is no table of this name; as JSON where the name has a dot, as files have.",
                    "content": {"text/html": {"schema": TEXT}, "application/json": {"schema": ref_to("Error")}},
                },
                "503": AWAY_PAGE,
            },
            SOURCE_ID,
            parameter_of(
                "sort",
                text_of(query.LONGEST_NAME, 0, pattern=r"^($|-?[^-]|--)"),
                "A column's name, or -name for its end; -_changed: what changed last.",
            ),
            SEARCH,
            parameter_of("after", text_of(query.LONGEST_NAME), "The id of the row that it goes on behind."),
            tag="pages",
        )
    },
    "/tables/{source}/update": {
        "get": get_of(
            "The rows of a table that changed after a cursor, newest first.",
            {
                "200": in_json("The rows.", list_of(ref_to("Row")), {**CURSOR, "Feedmirror-Listing": LISTING}),
                "304": {"description": "Nothing changed."},
                "400": BAD,
                "404": error_of("There is no table of this name."),
                "503": AWAY,
            },
            *(SOURCE_ID, AFTER_T, BEFORE, LIMIT, KNOWN),
            tag="tables",
        )
    },
    **{f"/tables/{{source}}.{kind}": _file(kind, format_.content_type) for kind, format_ in FORMATS.items()},
}

# -- what is mirrored

_OF_SOURCES = (
    parameter_of("state", {"type": "string", "enum": [state.value for state in State]}, "Those of this state."),
    parameter_of("lost", {"type": "string", "enum": ["0", "1"]}, "1: those that lost entries between two looks."),
    SEARCH,
    many_of("id", query.MOST_IDS, "Those of these ids."),
    parameter_of(
        "after",
        {"type": "string", "pattern": r"^[01]\.[0-9]{1,9}\.[^\r\n]{1,200}$"},
        "What a former answer led on with.",
    ),
    LIMIT,
)
_SOURCES: Json = {
    "/sources": {
        "get": get_of(
            "The page of what is mirrored, and how it fares.",
            {"200": in_html("The page."), "400": in_html("A parameter cannot be used."), "503": AWAY_PAGE},
            *_OF_SOURCES,
            tag="pages",
        )
    },
    "/api/sources": {
        "get": get_of(
            "What is mirrored, and how it fares.",
            {"200": in_json("A part of the list.", ref_to("Sources"), LINK), "400": BAD, "503": AWAY},
            *_OF_SOURCES,
            tag="sources",
        )
    },
    "/api/groups": {
        "get": get_of(
            "How much of each publisher's patience is left.",
            {"200": in_json("The groups.", ref_to("Groups")), "400": BAD, "503": AWAY},
            LIMIT,
            tag="sources",
        )
    },
    "/api/window": {
        "get": get_of(
            "How the part of the stream stands that the answering process keeps in memory, and polling behind it.",
            {"200": in_json("How it stands.", ref_to("Window"))},
            tag="sources",
        )
    },
}

# -- data sets, and other work on demand

_SERIES_ID = text_of(query.LONGEST_NAME)
_BEHIND_A_SERIES = parameter_of(
    "after", {"type": "string", "pattern": r"^[0-9]{1,14}\.[^\r\n]{1,200}$"}, "What a former answer led on with."
)
_SERIES_OF_PAGE = parameter_of("id", text_of(query.LONGEST_NAME, pattern="^[^/]+$"), "Which one.", place="path")
_COLUMNS: Json = {
    **many_of("column", MOST_ASKED, "The columns to draw; none: those that the page begins with."),
    "schema": {"type": "array", "items": TEXT, "maxItems": MOST_ASKED},
}
_SWITCH: Json = {"type": "string", "enum": ["0", "1"]}
_SERIES_PAGES: Json = {
    "/series": {
        "get": get_of(
            "The page of all data sets, with a form to ask for another.",
            {"200": in_html("The page."), "400": in_html("A parameter cannot be used."), "503": AWAY_PAGE},
            _BEHIND_A_SERIES,
            tag="pages",
        )
    },
    "/series/{id}": {
        "get": get_of(
            "The page of a data set: its chart, and its first rows.",
            {
                "200": in_html("The page."),
                "400": in_html("A parameter cannot be used."),
                "404": in_html("There is no series of this id."),
                "503": AWAY_PAGE,
            },
            *(_SERIES_OF_PAGE, _COLUMNS),
            tag="pages",
        )
    },
    "/series/{id}/chart.svg": {
        "get": get_of(
            "The chart of a data set.",
            {
                "200": {"description": "The chart.", "content": {"image/svg+xml": {"schema": TEXT}}},
                "304": {"description": "It did not change."},
                "400": in_html("A parameter cannot be used."),
                "404": in_html("There is nothing to draw."),
                "503": {**in_html("The database is away, or others are being drawn."), "headers": RETRY},
            },
            *(_SERIES_OF_PAGE, _COLUMNS, KNOWN),
            parameter_of("dark", _SWITCH, "1: light lines, for a dark ground."),
            parameter_of("narrow", _SWITCH, "1: for a narrow screen."),
            parameter_of("v", TEXT, "The version of the data that is meant: the answer may be kept for good then."),
            tag="pages",
        )
    },
}
_TASK_LINK = {
    "how it goes": {"operationId": "status", "parameters": {"task_id": "$response.body#/data/task_id"}},
}
_SERIES_LINKS = {
    name: {"operationId": operation, "parameters": {"id": "$response.body#/id"}}
    for name, operation in (("data", "series"), ("removal", "remove_series"))
}


def _asked_for(about: str) -> Json:
    return {
        **in_json(about, ref_to("Asked"), {"Location": header_of("Where its data is.")}),
        "links": _SERIES_LINKS,
    }


_ON_DEMAND: Json = {
    "/create": {
        "post": {
            "summary": "Look at a source now.",
            "operationId": "create",
            "tags": ["on demand"],
            "requestBody": body_of(
                object_of(
                    {
                        "source": text_of(
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
                    **in_json("It was begun, or had been.", ref_to("Created"), {"Location": header_of("How it goes.")}),
                    "links": _TASK_LINK,
                },
                "404": error_of("There is no such source."),
                **REFUSALS,
            },
        }
    },
    "/status/{task_id}": {
        "get": {
            **get_of(
                "How a look, or the fetching of a data set, goes.",
                {
                    "200": in_json("How it goes.", ref_to("Status")),
                    "404": error_of("There is no such job, or it is forgotten."),
                    "503": AWAY,
                },
                parameter_of("task_id", text_of(query.LONGEST_NAME, pattern=r"^[^/]+$"), "The job.", place="path"),
                tag="on demand",
            ),
            "operationId": "status",
        }
    },
    "/timeseries": {
        "get": {
            **get_of(
                "The data of a series as it came, how it stands where there is none yet; without `id` the list of all.",
                {
                    "200": in_json(
                        "The list, those first that were asked for last; or one series.",
                        {
                            "anyOf": [
                                list_of(ref_to("Series")),
                                ref_to("Asked"),
                                {"description": "The data as it came."},
                            ]
                        },
                        {**LINK, "Feedmirror-Status": header_of("How the series stands whose data this is.")},
                    ),
                    "400": BAD,
                    "404": error_of("There is no series of this id."),
                    "503": AWAY,
                },
                parameter_of("id", _SERIES_ID, "Which one."),
                LIMIT,
                _BEHIND_A_SERIES,
                tag="on demand",
            ),
            "operationId": "series",
        },
        "post": {
            "summary": "Have a data set fetched, by its codes, unless it is fresh or on its way.",
            "operationId": "request_series",
            "tags": ["on demand"],
            "requestBody": body_of(
                object_of(
                    {
                        "database_code": text_of(LONGEST_CODE, pattern=f"^{CODE.pattern}$"),
                        "dataset_code": text_of(LONGEST_CODE, pattern=f"^{CODE.pattern}$"),
                        "refresh": {"type": "boolean", "default": False, "description": "Even if it is fresh."},
                    },
                    optional=("refresh",),
                ),
                {"database_code": "WIKI", "dataset_code": "FB"},
            ),
            "responses": {
                "200": _asked_for("It is on its way already, or fresh."),
                "201": _asked_for("It will be fetched."),
                **REFUSALS,
            },
        },
        "delete": {
            "summary": "Remove a series and its data.",
            "operationId": "remove_series",
            "tags": ["on demand"],
            "parameters": [{**parameter_of("id", _SERIES_ID, "Which one."), "required": True}],
            "responses": {
                "204": {"description": "It is gone."},
                "400": BAD,
                "403": error_of("Who asks may not change anything."),
                "404": error_of("There is no series of this id."),
                "503": AWAY,
            },
        },
    },
}

# -- and around

_AROUND: Json = {
    "/ping": {
        "get": get_of(
            "Whether somebody answers.",
            {"200": in_json("Yes.", object_of({"ping": {"type": "string", "const": "pong"}}))},
            tag="around",
        )
    },
    "/healthz": {
        "get": get_of(
            "Whether the process is alive: it answers, and asks nothing for it.",
            {"200": in_json("Yes.", object_of({"alive": {"type": "boolean", "const": True}}))},
            tag="around",
        )
    },
    "/readyz": {
        "get": get_of(
            "Whether the process can serve, and what else is not as it should be.",
            {
                "200": in_json("It can; `ok` is false where something else is missing.", ref_to("Readiness")),
                "503": in_json("It cannot: another one should be asked.", ref_to("Readiness")),
            },
            tag="around",
        )
    },
    "/openapi.json": {"get": get_of("This.", {"200": in_json("OpenAPI 3.1.", {"type": "object"})}, tag="around")},
    "/static/{path}": {
        "get": get_of(
            "A file of the pages: script, style or picture.",
            {
                "200": {"description": "The file.", "content": {"*/*": {}}},
                "304": {"description": "It did not change."},
                "404": NO_PAGE,
            },
            parameter_of("path", text_of(query.LONGEST_NAME), "Its path.", place="path"),
            KNOWN,
            tag="pages",
        )
    },
    "/favicon.ico": {
        "get": get_of(
            "The picture of these pages.",
            {
                "200": {"description": "The picture.", "content": {"image/svg+xml": {}}},
                "304": {"description": "It did not change."},
            },
            KNOWN,
            tag="pages",
        )
    },
}

PATHS: Json = {**_STREAM, **_TABLES, **_SOURCES, **_SERIES_PAGES, **_ON_DEMAND, **_AROUND}
