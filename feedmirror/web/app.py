"""The tree of addresses as a CherryPy application.

A request goes: PollsFirst -> WithHeaders -> CherryPy -> Address -> a function from parameters to an Answer; a poll no
further than its first step. Methods, errors and unknown addresses are answered here; everything else about
an answer is the function's business, and none of those functions knows CherryPy.
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import cherrypy
from cheroot.errors import MaxSizeExceeded

from feedmirror.web import groups, health, openapi, sources, table_export, window_standing
from feedmirror.web.answer import Answer, Chunks, json_answer, json_error
from feedmirror.web.asked import LARGEST_BODY, Asked
from feedmirror.web.assets import Assets
from feedmirror.web.direct import PollsFirst
from feedmirror.web.headers import WithHeaders
from feedmirror.web.on_demand import OnDemand
from feedmirror.web.pages import Pages
from feedmirror.web.permission import refusal
from feedmirror.web.query import Parameters, parameters
from feedmirror.web.series_chart import SeriesCharts
from feedmirror.web.table_update import TableUpdates
from feedmirror.web.update import Updates
from feedmirror.web.watch import Watch

Body = bytes | Chunks

# What is asked by programs is answered in JSON, errors too.
_FOR_PROGRAMS = (
    *("/update", "/api", "/create", "/status", "/timeseries"),
    *("/ping", "/healthz", "/readyz", "/openapi.json"),
)

if TYPE_CHECKING:
    from feedmirror.storage import Storage
    from feedmirror.web.follower import Follower

    OpenStorage = Callable[[], Storage]
    Endpoint = Callable[[Parameters, OpenStorage], Answer]
    Problem = Callable[[int, str], Answer]


def make_app(
    storage_factory: "OpenStorage",
    *,
    static_dir: Path,
    templates_dir: Path,
    poll_every_s: float = 5.0,
    follower: "Follower | None" = None,
    watch: Watch | None = None,
    updates: Updates | None = None,
    wake: "Callable[[str], None]" = lambda _: None,
    fresh_s: float = 3600,
    own_host: str = "localhost",
    broker: "health.Ask | None" = None,
    disk: "health.Ask" = lambda: None,
) -> cherrypy.Application:
    """The whole site, to be mounted at the root of a host.

    `storage_factory` is called for each request that reads; it may raise what storage raises.
    `poll_every_s` is how often an open page asks for news. `follower` keeps the newest part of the stream in memory;
    without one every poll asks the database. `watch` knows how polling stands; without one nothing is known of it.
    `updates`: what answers polls, where others use it too.
    `wake`, `fresh_s`, `own_host`: see `OnDemand`. `broker`, `disk`: see `health`.
    """
    watch = watch or Watch(storage_factory)
    on_demand = OnDemand(storage_factory, wake, fresh_s, own_host)
    assets = Assets(static_dir)
    pages = Pages(templates_dir, assets, poll_every_s=poll_every_s, watch=watch, disk=disk)
    readiness = health.readiness(watch, follower, broker=broker, disk=disk)
    root = Root(storage_factory, follower, watch, assets, pages, on_demand, readiness)
    # a page is only ever read; CherryPy answers any other method with 405 and what is allowed
    config = {
        # bodies are read where they are wanted, and no further than they may go
        "/": {**_allowed("GET", "HEAD"), "request.process_request_body": False},
        "/create": _allowed("POST"),
        "/timeseries": _allowed("GET", "HEAD", "POST", "DELETE"),
    }
    app = cherrypy.Application(root, script_name="", config=config)
    app.request_class = Request
    polls = partial(
        PollsFirst,
        updates=updates or Updates(storage_factory, follower, watch),
        table_updates=TableUpdates(storage_factory, follower, watch),
    )
    app.wsgiapp.pipeline[:0] = [("polls", polls), ("headers", WithHeaders)]
    return app


def _allowed(*methods: str) -> dict[str, object]:
    return {"tools.allow.on": True, "tools.allow.methods": list(methods)}


def own_error_page(status: str, **_: str) -> bytes:
    """What CherryPy shows where it fails by itself: no traceback, no version, JSON where a program asks."""
    code = int(status.split()[0])
    problem: Problem = cherrypy.request.app.root.problem_at(cherrypy.request.path_info)
    answer = problem(code, HTTPStatus(code).description or HTTPStatus(code).phrase)
    cherrypy.response.headers.update(answer.headers)
    return answer.body


class Request(cherrypy.Application.request_class):  # type: ignore[misc]
    """A request that tells a stranger nothing about us.

    Set on the class, not in the configuration, since some errors come before CherryPy has looked that up.
    """

    show_tracebacks = False
    error_page: ClassVar = {"default": own_error_page}

    def process_query_string(self) -> None:
        """Leave it to `query`: CherryPy would answer 404 for what is not UTF-8, and call handlers by its names."""


class Address:
    """One address: asks its function, and puts the answer into CherryPy's response."""

    exposed = True

    def __init__(self, endpoint: "Endpoint", open_storage: "OpenStorage", problem: "Problem"):
        self._endpoint = endpoint
        self._open_storage = open_storage
        self._problem = problem

    def __call__(self, *below: str) -> Body:
        if below:
            return respond(not_found(self._problem))
        return respond(self._endpoint(parameters(query_string()), self._open_storage))


class Demand:
    """An address that takes more than parameters: the whole of the request."""

    exposed = True

    def __init__(self, answer: "Callable[[Asked], Answer]", problem: "Problem"):
        self._answer = answer
        self._problem = problem

    def __call__(self, *below: str) -> Body:
        return respond(not_found(self._problem) if below else self._answer(asked()))


class Status:
    """How jobs go: each below it by its id."""

    exposed = True

    def __init__(self, on_demand: OnDemand):
        self._on_demand = on_demand

    def __call__(self, *below: str) -> Body:
        return respond(self._on_demand.status(below[0]) if len(below) == 1 else not_found(json_error))


class Tables:
    """The list of the tables, and below it each of them by its source's id, which has no dot; with one it is a file."""

    exposed = True

    def __init__(self, open_storage: "OpenStorage", pages: Pages):
        self._open_storage = open_storage
        self._pages = pages

    def __call__(self, *below: str) -> Body:
        if len(below) > 1:
            return respond(not_found(self._pages.error))
        if not below:
            return respond(self._pages.tables(self._open_storage))
        source_id, dot, kind = below[0].rpartition(".")
        if dot:
            head = cherrypy.request.method == "HEAD"
            return respond(table_export.answer(source_id, kind, self._open_storage, head=head))
        return respond(self._pages.table(below[0], parameters(query_string()), self._open_storage))


class SeriesPages:
    """The list of the series; below it each of them by its id, and below that its chart."""

    exposed = True

    def __init__(self, open_storage: "OpenStorage", pages: Pages, on_demand: OnDemand):
        self._open_storage = open_storage
        self._pages = pages
        self._own_host = on_demand.own_host
        self._charts = SeriesCharts(open_storage, pages.error)

    def __call__(self, *below: str) -> Body:
        request = asked()
        match below:
            case ():
                return respond(self._pages.series_list(request.parameters, self._refused(request), self._open_storage))
            case (series_id,):
                page = self._pages.series(series_id, request.parameters, self._refused(request), self._open_storage)
                return respond(page)
            case (series_id, "chart.svg"):
                return respond(self._charts.answer(series_id, request.parameters, request.headers))
        return respond(not_found(self._pages.error))

    def _refused(self, request: Asked) -> str | None:
        return refusal(request, own_host=self._own_host)


class Unknown:
    """Every address that is none of ours, below the place where it stands in the tree."""

    exposed = True

    def __init__(self, problem: "Problem"):
        self._problem = problem

    def __call__(self, *_: str) -> Body:
        return respond(not_found(self._problem))


class Static:
    """Files: everything under /static/, or the `only` one that an address stands for."""

    exposed = True

    def __init__(self, assets: Assets, problem: "Problem", only: str = ""):
        self._assets = assets
        self._problem = problem
        self._only = only

    def __call__(self, *path: str) -> Body:
        known = cherrypy.request.headers.get("If-None-Match", "")
        name = "/".join(path) or self._only
        answer = self._assets.answer(name, query_string().removeprefix("v="), known=known)
        return respond(answer or not_found(self._problem))


class Api:
    """What programs ask, below /api."""

    def __init__(self, open_storage: "OpenStorage", follower: "Follower | None", watch: Watch):
        self.sources = Address(sources.answer, open_storage, json_error)
        self.groups = Address(groups.answer, open_storage, json_error)
        self.window = Address(lambda *_: window_standing.answer(follower, watch), open_storage, json_error)
        self.default = Unknown(json_error)


class Root:
    """The tree; an attribute is an address."""

    def __init__(
        self,
        open_storage: "OpenStorage",
        follower: "Follower | None",
        watch: Watch,
        assets: Assets,
        pages: Pages,
        on_demand: OnDemand,
        readiness: health.Readiness,
    ):
        self.index = Address(pages.index, open_storage, pages.error)
        self.sources = Address(pages.sources, open_storage, pages.error)
        self.tables = Tables(open_storage, pages)
        self.update = Unknown(json_error)  # below it there is nothing; itself never comes here
        self.api = Api(open_storage, follower, watch)
        self.create = Demand(on_demand.create, json_error)
        self.status = Status(on_demand)
        self.series = SeriesPages(open_storage, pages, on_demand)
        self.timeseries = Demand(on_demand.series, json_error)
        self.ping = Address(lambda *_: json_answer('{"ping": "pong"}'), open_storage, json_error)
        self.healthz = Address(lambda *_: health.ALIVE, open_storage, json_error)
        self.readyz = Address(lambda *_: readiness.answer(), open_storage, json_error)
        self.openapi_json = Address(lambda *_: openapi.answer(), open_storage, json_error)
        self.static = Static(assets, pages.error)
        # browsers look here where a document, such as JSON, names no icon
        self.favicon_ico = Static(assets, pages.error, only="favicon.svg")
        self.default = Unknown(pages.error)
        self._pages = pages

    def problem_at(self, path: str) -> "Problem":
        """How an error is told at this address."""
        return json_error if path.startswith(_FOR_PROGRAMS) else self._pages.error


def not_found(problem: "Problem") -> Answer:
    return problem(404, "There is nothing at this address.")


def query_string() -> str:
    """The query as it came."""
    return str(cherrypy.request.wsgi_environ.get("QUERY_STRING", ""))


def asked() -> Asked:
    """The request that CherryPy is at."""
    request = cherrypy.request
    return Asked(
        method=request.method,
        parameters=parameters(query_string()),
        headers={name.lower(): value for name, value in request.headers.items()},
        remote=request.remote.ip,
        body=_body(request) if request.method == "POST" else b"",
    )


def _body(request: cherrypy.Application.request_class) -> bytes:
    """The body, as far as it may go, and one byte more to tell that it goes further."""
    length = request.headers.get("Content-Length", "")
    wanted = LARGEST_BODY + 1
    if length.isdecimal():
        wanted = min(wanted, int(length))
    elif "chunked" not in request.headers.get("Transfer-Encoding", "").lower():
        return b""
    try:
        return bytes(request.rfile.read(wanted))
    except TimeoutError:
        raise cherrypy.HTTPError(408) from None
    except (MaxSizeExceeded, OSError, ValueError):
        # chunks that are too large for the server, or none: refused as too large, after which it ends the connection,
        # in which nobody knows any more where the next request begins
        return b" " * (LARGEST_BODY + 1)


def respond(answer: Answer) -> Body:
    """Hand the answer to CherryPy, which closes what it sends piece by piece."""
    response = cherrypy.response
    response.status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
    response.headers.pop("Content-Type", None)  # CherryPy's guess; 304 has none
    response.headers.update(answer.headers)
    if answer.chunks is None:
        return answer.body
    response.stream = True
    return answer.chunks
