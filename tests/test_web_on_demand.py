"""Work on demand, called as WSGI: the real storage, and who may ask for what."""

import json
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.request import Request, urlopen

import cherrypy
import pytest
from pymongo.database import Database
from pymongo.errors import ServerSelectionTimeoutError

from feedmirror.models import Job, JobState, Preview, Source
from feedmirror.storage import Storage
from feedmirror.web.answer import Incomplete
from feedmirror.web.app import make_app
from feedmirror.web.asked import LARGEST_BODY
from tests.fake_storage import FakeStorage
from tests.serving import ROOT, serving
from tests.wsgi_client import Client, Reply

JSON = {"Content-Type": "application/json"}
FB = {"database_code": "WIKI", "dataset_code": "FB"}
SOURCES = (
    Source(id="so", name="Stack Overflow", url="https://stackoverflow.com/feeds", every_s=30),
    Source(id="no-break", name="New\u00a0York 👩\u200d💻 times", url="https://example.com/feed"),
    Source(id="coins", name="Coins", url="https://example.com/api", kind="api", options={"key": "id"}),
)


class Site:
    """The site on a storage, and what it wakes."""

    def __init__(self, storage: Storage):
        cherrypy.config.update({"log.screen": False})
        self.storage = storage
        self.woken: list[str] = []
        self.away = False
        application = make_app(
            self._open,
            static_dir=ROOT / "static",
            templates_dir=ROOT / "templates",
            wake=self.woken.append,
            fresh_s=3600,
            own_host="mirror.example",
        )
        self.client = Client(application)

    def _open(self) -> Storage:
        if self.away:
            raise ServerSelectionTimeoutError("secret-host:27017: connection refused")
        return self.storage

    def get(self, url: str) -> Reply:
        return self.client.send("GET", url, remote="192.0.2.1")

    def post(self, url: str, value: Any, headers: Mapping[str, str] = JSON, **more: Any) -> Reply:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.client.send("POST", url, body, headers=headers, **more)

    def delete(self, url: str, **more: Any) -> Reply:
        return self.client.send("DELETE", url, **more)

    def requested(self, codes: Mapping[str, Any] = FB) -> str:
        reply = self.post("/timeseries", codes)
        assert reply.status == 201
        return str(reply.json()["id"])

    def job(self) -> Job:
        """The job that was asked for last, with somebody at it."""
        job = self.storage.jobs.claim(self.woken[-1], lease_s=600)
        assert job is not None
        return job

    def brought(self, data: bytes, codes: Mapping[str, Any] = FB, *, rows: int = 2) -> str:
        series_id = self.requested(codes)
        job = self.job()
        self.storage.series.succeed(job, data, columns=["Date"], rows=rows, preview=Preview())
        self.storage.jobs.end(job, result={"rows": rows}, kept_s=600)
        return series_id


@pytest.fixture
def site(storage: Storage) -> Site:
    storage.sources.synchronise(SOURCES, [])
    return Site(storage)


def error_of(reply: Reply, status: int) -> dict[str, Any]:
    assert reply.status == status, reply.text
    assert reply.headers["cache-control"] == "no-store"
    found: dict[str, Any] = reply.json()
    assert found["error"]
    return found


# -- who may


FORBIDDEN: dict[str, dict[str, Any]] = {
    "from another machine": {"remote": "192.0.2.1"},
    "from another machine of the house": {"remote": "10.0.0.7"},
    "from nowhere": {"remote": ""},
    "through a proxy": {"headers": {"X-Forwarded-For": "127.0.0.1"}},
    "through a proxy that keeps to the standard": {"headers": {"Forwarded": "for=127.0.0.1"}},
    "through an empty proxy": {"headers": {"X-Forwarded-For": ""}},
    "through nginx": {"headers": {"X-Real-IP": "127.0.0.1"}},
    "to another host": {"headers": {"Host": "evil.example"}},
    "to another host that looks like ours": {"headers": {"Host": "localhost.evil.example"}},
    "to a host with a user": {"headers": {"Host": "localhost@evil.example"}},
    "to a host that is none": {"headers": {"Host": "127.0.0.1:port"}},
    "to no host": {"headers": {"Host": ""}},
    "to a public address": {"headers": {"Host": "192.0.2.1"}},
    "from another site": {"headers": {"Origin": "https://evil.example"}},
    "from a page of another port": {"headers": {"Host": "localhost:8080", "Origin": "http://localhost:3000"}},
    "from a sandbox": {"headers": {"Origin": "null"}},
    "from an empty origin": {"headers": {"Origin": ""}},
    "from a neighbour": {"headers": {"Sec-Fetch-Site": "same-site"}},
    "by a browser for another site": {"headers": {"Sec-Fetch-Site": "cross-site"}},
}
ALLOWED: dict[str, dict[str, Any]] = {
    "curl": {},
    "IPv6": {"remote": "::1", "headers": {"Host": "[::1]:8080"}},
    "IPv4 in IPv6": {"remote": "::ffff:127.0.0.1", "headers": {"Host": "127.0.0.1:8080"}},
    "by name": {"headers": {"Host": "localhost:8080"}},
    "in capitals": {"headers": {"Host": "LocalHost"}},
    "under our own name": {"headers": {"Host": "mirror.example:8080"}},
    "from our page": {"headers": {"Host": "localhost:8080", "Origin": "http://localhost:8080"}},
    "from our page by a browser": {
        "headers": {"Host": "localhost", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    },
    "typed by its user": {"headers": {"Sec-Fetch-Site": "none"}},
}
CHANGES = [("POST", "/create"), ("POST", "/timeseries"), ("DELETE", "/timeseries?id=x")]


@pytest.mark.parametrize(("method", "url"), CHANGES)
@pytest.mark.parametrize("how", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_who_may_change_nothing_is_refused(site: Site, method: str, url: str, how: dict[str, Any]) -> None:
    headers = {**JSON, **how.get("headers", {})}
    body = json.dumps({"source": "so"} if url == "/create" else FB).encode()
    error_of(site.client.send(method, url, body, **{**how, "headers": headers}), 403)
    assert site.woken == []
    assert site.get("/timeseries").json() == []


@pytest.mark.parametrize(("method", "url"), CHANGES)
@pytest.mark.parametrize("how", ALLOWED.values(), ids=ALLOWED.keys())
def test_who_is_at_this_machine_may(site: Site, method: str, url: str, how: dict[str, Any]) -> None:
    headers = {**JSON, **how.get("headers", {})}
    body = json.dumps({"source": "so"} if url == "/create" else FB).encode()
    reply = site.client.send(method, url, body, **{**how, "headers": headers})
    assert reply.status == {"/create": 202, "/timeseries": 201}.get(url, 404)


def test_everybody_may_read(site: Site) -> None:
    series_id = site.brought(b"{}")
    site.post("/create", {"source": "so"})
    for url in ("/timeseries", f"/timeseries?id={series_id}", f"/status/{site.woken[-1]}", "/ping"):
        headers = {"X-Forwarded-For": "192.0.2.1", "Origin": "https://evil.example", "Host": "elsewhere"}
        assert site.client.send("GET", url, remote="192.0.2.1", headers=headers).status == 200


def test_a_refusal_comes_before_everything_else(site: Site) -> None:
    site.away = True
    error_of(site.post("/timeseries", b"no JSON", {"Content-Type": "text/plain"}, remote="192.0.2.1"), 403)


# -- bodies


BROKEN = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"so"',
    b"1",
    b"\xff",
    b'\xef\xbb\xbf{"source": "so"}',
    b'{"source": "so"} {}',
    b"{'source': 'so'}",
    b'{"source": NaN}',
    b'{"source": 1' + b"0" * 5000 + b"}",
    b'{"source": ' + b"[" * 5000 + b"]" * 5000 + b"}",
]


@pytest.mark.parametrize("url", ["/create", "/timeseries"])
@pytest.mark.parametrize("body", BROKEN)
def test_what_is_no_object_in_json_is_refused(site: Site, url: str, body: bytes) -> None:
    error_of(site.post(url, body), 400)


@pytest.mark.parametrize("url", ["/create", "/timeseries"])
@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json"])
def test_what_is_no_json_by_name_is_refused(site: Site, url: str, kind: str) -> None:
    error_of(site.post(url, {"source": "so", **FB}, {"Content-Type": kind}), 415)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"])
def test_json_by_another_spelling_is_json(site: Site, kind: str) -> None:
    assert site.post("/create", {"source": "so"}, {"Content-Type": kind}).status == 202


@pytest.mark.parametrize("url", ["/create", "/timeseries"])
def test_a_body_that_is_too_large_is_refused_and_not_read(site: Site, url: str) -> None:
    error_of(site.post(url, b"[" + b" " * (LARGEST_BODY - 2) + b"]"), 400)
    error_of(site.post(url, b"[" + b" " * (LARGEST_BODY - 1) + b"]"), 413)

    class Endless:
        read_bytes = 0

        def read(self, size: int = -1) -> bytes:
            assert size >= 0
            self.read_bytes += size
            return b" " * size

    endless = Endless()
    environ = {"CONTENT_LENGTH": "9" * 18, "wsgi.input": endless, "CONTENT_TYPE": "application/json"}
    reply = site.client._call(_environ("POST", url) | environ)
    error_of(reply, 413)
    assert endless.read_bytes <= LARGEST_BODY + 1


def _environ(method: str, path: str) -> dict[str, Any]:
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1"}
    setup_testing_defaults(environ)
    return environ


def test_fields_given_twice_are_refused_by_name(site: Site) -> None:
    assert error_of(site.post("/create", b'{"source": "so", "source": "so"}'), 400)["field"] == "source"
    twice = b'{"database_code": "WIKI", "dataset_code": "A", "dataset_code": "B"}'
    assert error_of(site.post("/timeseries", twice), 400)["field"] == "dataset_code"


@pytest.mark.parametrize("name", ["Source", "force", "", "$set", "\ud800", "x" * 5000, "a\0b"])
def test_an_unknown_field_is_refused_by_name(site: Site, name: str) -> None:
    for url, body in (("/create", {"source": "so"}), ("/timeseries", FB)):
        found = error_of(site.post(url, {**body, name: 1}), 400)
        assert found["field"] == name[:60]
        assert error_of(site.post(url, f'{{"{name}": 1, "{name}": 2}}'.encode(errors="ignore")), 400)


CODES = [
    "../x",
    "..",
    ".",
    ".hidden",
    "a/b",
    "a\\b",
    "",
    " ",
    "WIKI ",
    "ÜBER",
    "a%2Fb",
    "a?b",
    "a#b",
    "a\n",
    "a\0",
    "$gt",
    "x" * 101,
    {"$gt": ""},
    ["WIKI"],
    5,
    1.5,
    True,
    None,
]


@pytest.mark.parametrize("field", ["database_code", "dataset_code"])
@pytest.mark.parametrize("code", CODES, ids=repr)
def test_a_code_that_is_none_is_refused_by_name(site: Site, field: str, code: Any) -> None:
    assert error_of(site.post("/timeseries", {**FB, field: code}), 400)["field"] == field
    assert site.woken == []


@pytest.mark.parametrize("field", ["database_code", "dataset_code"])
def test_a_code_must_be_there(site: Site, field: str) -> None:
    assert error_of(site.post("/timeseries", {name: one for name, one in FB.items() if name != field}), 400)[
        "field"
    ] == (field)


@pytest.mark.parametrize("refresh", ["true", 1, 0, None, {}, []])
def test_refresh_is_true_or_false(site: Site, refresh: Any) -> None:
    assert error_of(site.post("/timeseries", {**FB, "refresh": refresh}), 400)["field"] == "refresh"


@pytest.mark.parametrize("name", [{"$gt": ""}, 5, None, ["so"], "", " ", "x" * 201, "a\0b", "a\nb", "\ud800", True])
def test_a_name_that_is_none_is_refused(site: Site, name: Any) -> None:
    assert error_of(site.post("/create", {"source": name}), 400)["field"] == "source"


# -- looks


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.id)
def test_a_look_is_asked_for_by_name_or_id(site: Site, source: Source) -> None:
    reply = site.post("/create", {"source": source.name})
    assert reply.status == 202
    task_id = reply.json()["data"]["task_id"]
    assert reply.json() == {"status": "success", "data": {"task_id": task_id}}
    assert reply.headers["location"] == f"/status/{task_id}"
    assert reply.headers["cache-control"] == "no-store"
    assert site.woken == [task_id]
    job = site.storage.jobs.get(task_id)
    assert job is not None
    assert (job.kind, job.subject) == ("look", source.id)
    # asked again while it waits, it is the same, and nobody is woken twice
    assert site.post("/create", {"source": source.id}).json()["data"]["task_id"] == task_id
    assert site.woken == [task_id]


@pytest.mark.parametrize("name", ["nothing", "stack overflow", "../x", "$so", "So"])
def test_a_look_at_nothing_is_not_found(site: Site, name: str) -> None:
    assert error_of(site.post("/create", {"source": name}), 404)["field"] == "source"


def test_what_is_no_longer_mirrored_is_not_looked_at(site: Site) -> None:
    site.storage.sources.synchronise(SOURCES[1:], [])
    error_of(site.post("/create", {"source": "so"}), 404)


def test_the_status_of_a_job(site: Site) -> None:
    site.post("/create", {"source": "so"})
    url = f"/status/{site.woken[-1]}"
    assert site.get(url).json() == {"status": "PENDING", "result": None}
    assert site.get(url).headers["cache-control"] == "no-store"
    job = site.job()
    assert site.get(url).json() == {"status": "STARTED", "result": None}
    site.storage.jobs.progress(job, {"new": 3, "why": "page 2 of 5"})
    assert site.get(url).json() == {"status": "PROGRESS", "result": {"new": 3, "why": "page 2 of 5"}}
    site.storage.jobs.end(job, result={"new": 5}, kept_s=600)
    assert site.get(url).json() == {"status": "SUCCESS", "result": {"new": 5}}


def test_the_status_of_a_failure_says_why(site: Site, database: Database[dict[str, Any]]) -> None:
    site.post("/create", {"source": "so"})
    job = site.job()
    site.storage.jobs.end(job, error="It answered 500", kept_s=600)
    assert site.get(f"/status/{job.id}").json() == {"status": "FAILURE", "result": "It answered 500"}
    database["jobs"].update_one({"_id": job.id}, [{"$set": {"kept_until": "$$NOW"}}])
    error_of(site.get(f"/status/{job.id}"), 404)


def test_every_state_is_told_by_its_name() -> None:
    assert set(JobState) == {"PENDING", "STARTED", "PROGRESS", "SUCCESS", "FAILURE"}


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/a/b", "/%24gt", "/a%00b", "/%ff", "/..", "/" + "x" * 5000])
def test_a_job_that_there_is_not_is_not_found(site: Site, path: str) -> None:
    error_of(site.get(f"/status{path}"), 404)


# -- data sets


def test_a_data_set_is_asked_for_and_answered_at_once(site: Site) -> None:
    reply = site.post("/timeseries", FB)
    series_id = reply.json()["id"]
    assert (reply.status, reply.json()) == (201, {"id": series_id, "status": "pending"})
    assert reply.headers["location"] == f"/timeseries?id={series_id}"
    assert len(site.woken) == 1
    for body in (FB, {**FB, "refresh": True}):  # pending
        again = site.post("/timeseries", body)
        assert (again.status, again.json()) == (200, reply.json())
        assert again.headers["location"] == reply.headers["location"]
    assert len(site.woken) == 1
    assert site.get(f"/timeseries?id={series_id}").json() == {"id": series_id, "status": "pending"}


def test_what_is_fresh_is_not_fetched_again_unless_that_is_wanted(site: Site) -> None:
    series_id = site.brought(b'{"old": 1}')
    assert site.post("/timeseries", FB).json() == {"id": series_id, "status": "success"}
    assert site.post("/timeseries", {**FB, "refresh": False}).status == 200
    assert len(site.woken) == 1
    reply = site.post("/timeseries", {**FB, "refresh": True})
    assert (reply.status, reply.json()) == (201, {"id": series_id, "status": "pending"})
    kept = site.get(f"/timeseries?id={series_id}")
    assert (kept.body, kept.headers["feedmirror-status"]) == (b'{"old": 1}', "pending")
    site.storage.series.fail(site.job(), "no")
    kept = site.get(f"/timeseries?id={series_id}")
    assert (kept.body, kept.headers["feedmirror-status"]) == (b'{"old": 1}', "error")


def test_different_codes_are_different_series(site: Site) -> None:
    pairs = [("A", "BC"), ("AB", "C"), ("a", "BC"), ("BC", "A")]
    ids = {site.requested({"database_code": one, "dataset_code": other}) for one, other in pairs}
    assert len(ids) == 4


def test_a_failure_is_told_with_its_reason(site: Site) -> None:
    series_id = site.requested()
    site.storage.series.fail(site.job(), "You have submitted an incorrect Quandl code.")
    assert site.get(f"/timeseries?id={series_id}").json() == {
        "id": series_id,
        "status": "error",
        "error": "You have submitted an incorrect Quandl code.",
    }
    (one,) = site.get("/timeseries").json()
    assert (one["status"], one["error"]) == ("error", "You have submitted an incorrect Quandl code.")
    assert site.post("/timeseries", FB).status == 201


@pytest.mark.parametrize("size", [0, 17, 20_000_000])
def test_the_data_leaves_as_it_came_part_by_part(site: Site, size: int) -> None:
    came = b'{"dataset_data": 1.50}'.ljust(size) if size else b""
    series_id = site.brought(came)
    reply = site.get(f"/timeseries?id={series_id}")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.headers["feedmirror-status"] == "success"
    assert reply.body == came
    assert "content-length" not in reply.headers


def test_data_that_goes_while_it_is_sent_breaks_off(site: Site) -> None:
    series_id = site.brought(b"x" * 20_000_000)
    environ = _environ("GET", "/timeseries") | {"QUERY_STRING": f"id={series_id}"}

    def start_response(_: str, __: object, *failure: Any) -> object:
        if failure:  # as a server does whose answer has begun
            raise failure[0][1]
        return lambda _: None

    application: Any = site.client._application
    chunks = application(environ, start_response)
    reading: Iterator[bytes] = iter(chunks)
    next(reading)
    site.storage.series.remove(series_id)
    with pytest.raises(Incomplete):
        b"".join(reading)
    chunks.close()


@pytest.mark.parametrize("query", ["id=nothing", "id=%24gt", "id=../x", "id=a%00b", "id=" + "0" * 56])
def test_a_series_that_there_is_not_is_not_found(site: Site, query: str) -> None:
    error_of(site.get(f"/timeseries?{query}"), 404)
    error_of(site.delete(f"/timeseries?{query}"), 404)


@pytest.mark.parametrize(
    "query", ["id=", "id=a&id=b", "id[$gt]=", "id[]=a", "id=%ff", "id=" + "x" * 201, "id=a&limit=0", "id=a&after=x"]
)
def test_a_bad_parameter_is_refused_by_name(site: Site, query: str) -> None:
    assert error_of(site.get(f"/timeseries?{query}"), 400)["parameter"] in query
    assert error_of(site.delete(f"/timeseries?{query}"), 400)["parameter"] in query


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=1&limit=2", "after=", "after=x", "after=1."]
)
def test_a_bad_parameter_of_the_list_is_refused_by_name(site: Site, query: str) -> None:
    assert error_of(site.get(f"/timeseries?{query}"), 400)["parameter"] in query


def test_what_others_add_is_ignored(site: Site) -> None:
    assert site.get("/timeseries?_=1&utm=x").json() == []


def test_the_list_says_how_each_one_fares(site: Site) -> None:
    failing = site.requested({"database_code": "WIKI", "dataset_code": "NO"})
    site.storage.series.fail(site.job(), "no")
    well = site.brought(b"{}", rows=7)
    shown = site.get("/timeseries").json()
    assert [one["id"] for one in shown] == [well, failing]
    assert shown[0] == {
        **{"id": well, **FB, "status": "success", "error": None, "rows": 7, "bytes": 2},
        **{name: shown[0][name] for name in ("requested_at", "refreshed_at")},
    }
    assert shown[0]["refreshed_at"] > shown[0]["requested_at"] > shown[1]["requested_at"]
    assert (shown[1]["rows"], shown[1]["refreshed_at"]) == (None, None)


def test_the_list_leads_on_page_by_page_whatever_goes_meanwhile(site: Site) -> None:
    ids = [site.requested({"database_code": "WIKI", "dataset_code": f"S{number}"}) for number in range(7)]
    seen: list[str] = []
    url: str | None = "/timeseries?limit=2"
    while url is not None:
        reply = site.get(url)
        assert reply.headers["cache-control"] == "no-store"
        page = [one["id"] for one in reply.json()]
        assert len(page) <= 2
        seen += page
        link = reply.headers.get("link")
        assert link is None or link.endswith('>; rel="next"')
        url = link and link.removeprefix("<").partition(">")[0]
        assert site.delete(f"/timeseries?id={page[-1]}").status == 204
    assert seen == ids[::-1]


def test_removing_takes_the_data_with_it(site: Site) -> None:
    series_id = site.brought(b"{}")
    reply = site.delete(f"/timeseries?id={series_id}")
    assert (reply.status, reply.body) == (204, b"")
    assert "content-type" not in reply.headers
    error_of(site.get(f"/timeseries?id={series_id}"), 404)
    error_of(site.delete(f"/timeseries?id={series_id}"), 404)
    assert site.get("/timeseries").json() == []
    assert site.post("/timeseries", FB).status == 201


def test_removing_nothing_in_particular_is_refused(site: Site) -> None:
    site.brought(b"{}")
    assert error_of(site.delete("/timeseries"), 400)["parameter"] == "id"
    assert len(site.get("/timeseries").json()) == 1


# -- over a real server


def test_bodies_come_in_chunks_and_no_further_than_they_may(storage: Storage) -> None:
    body = json.dumps(FB).encode()
    with serving(lambda: storage, 5) as address:
        connection = HTTPConnection(address.removeprefix("http://"), timeout=20)
        for pieces, status in (
            ([body[:7], body[7:]], 201),
            ([body], 200),
            ([b" " * 5_000] * 4, 413),
            ([body[:-3]], 400),
        ):
            connection.request("POST", "/timeseries", iter(pieces), JSON, encode_chunked=True)
            with connection.getresponse() as reply:
                assert reply.status == status
                assert json.loads(reply.read())
            connection.close()
        # what was refused unread does not pass for the next request
        connection.request("POST", "/timeseries", b"[" + b" " * 100_000 + b"]", JSON)
        with connection.getresponse() as reply:
            assert (reply.status, bool(reply.read())) == (413, True)
        connection.request("GET", "/timeseries")
        with connection.getresponse() as reply:
            assert len(json.loads(reply.read())) == 1
        connection.close()


@pytest.mark.parametrize("begin", [b"f4240\r\n{", b"no number\r\n{", b"5\r\n[1, 2]\r\n"])
def test_chunks_that_the_server_does_not_take_end_the_connection(begin: bytes) -> None:
    head = b"POST /timeseries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with serving(FakeStorage, 5, most_body_bytes=65_536) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + begin + b"GET /ping HTTP/1.1\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_body_that_does_not_come_is_not_waited_for_for_ever(site: Site) -> None:
    class Silent:
        def read(self, _: int) -> bytes:
            raise TimeoutError("timed out")

    environ = {"CONTENT_LENGTH": "10", "wsgi.input": Silent(), "CONTENT_TYPE": "application/json"}
    error = site.client._call(_environ("POST", "/timeseries") | environ)
    assert (error.status, bool(error.json()["error"])) == (408, True)


def test_a_series_is_sent_and_removed_over_a_real_server(storage: Storage) -> None:
    series_id = Site(storage).brought(b"x" * 2_000_000)
    with serving(lambda: storage, 5) as address:
        with urlopen(f"{address}/timeseries?id={series_id}", timeout=20) as reply:
            assert reply.read() == b"x" * 2_000_000
        with urlopen(Request(f"{address}/timeseries?id={series_id}", method="DELETE"), timeout=20) as reply:
            assert (reply.status, reply.read()) == (204, b"")


# -- methods, heads, addresses, and a database that is away


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("/create", {"POST"}),
        ("/timeseries", {"GET", "HEAD", "POST", "DELETE"}),
        ("/status/x", {"GET", "HEAD"}),
        ("/ping", {"GET", "HEAD"}),
    ],
)
def test_other_methods_are_told_which_ones_there_are(site: Site, url: str, allowed: set[str]) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"} - allowed:
        reply = site.client.send(method, url)
        error_of(reply, 405)
        assert set(reply.headers["allow"].split(", ")) == allowed


def test_a_head_is_as_the_get_without_its_body(site: Site) -> None:
    series_id = site.brought(b"{}" * 50)
    pending = site.requested({"database_code": "WIKI", "dataset_code": "OTHER"})
    for url in (
        *("/ping", "/timeseries", "/timeseries?limit=1", f"/timeseries?id={series_id}", f"/timeseries?id={pending}"),
        *("/timeseries?id=nothing", "/timeseries?limit=0", f"/status/{site.woken[-1]}", "/status/nothing"),
    ):
        get, head = site.get(url), site.client.send("HEAD", url)
        assert (head.status, head.body) == (get.status, b"")
        assert head.headers == get.headers | {name: head.headers[name] for name in ("date",) if name in head.headers}


def test_ping(site: Site) -> None:
    site.away = True
    assert (site.get("/ping").status, site.get("/ping").json()) == (200, {"ping": "pong"})


@pytest.mark.parametrize("path", ["/create/x", "/timeseries/x", "/ping/x", "/status/x/y"])
def test_below_them_there_is_nothing(site: Site, path: str) -> None:
    method = "POST" if path == "/create/x" else "GET"
    error_of(site.client.send(method, path, b"{}", headers=JSON), 404)


def test_while_the_database_is_away_everybody_is_asked_to_come_back(site: Site) -> None:
    site.away = True
    asked = [
        site.post("/create", {"source": "so"}),
        site.post("/timeseries", FB),
        *map(site.get, ("/timeseries", "/timeseries?id=x", "/status/x")),
        site.delete("/timeseries?id=x"),
    ]
    for reply in asked:
        assert "secret" not in error_of(reply, 503)["error"]
        assert int(reply.headers["retry-after"]) > 0
    # what is wrong with a request is wrong all the same
    error_of(site.post("/timeseries", {}), 400)
    error_of(site.get("/timeseries?limit=0"), 400)
    assert site.woken == []
