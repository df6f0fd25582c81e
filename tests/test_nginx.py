"""deploy/nginx.conf as nginx reads it: what it keeps and for how long, what it compresses, whom it limits.

The site behind it is the real application in this process, which notes what it is asked.
"""

import gzip
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import cherrypy
import pytest
from cheroot.wsgi import Server
from pymongo.errors import ServerSelectionTimeoutError

from feedmirror.models import Entry
from feedmirror.storage import Storage
from feedmirror.web.app import make_app
from tests import nginx
from tests.fronts import SITE, Front
from tests.nginx import SHIPPED
from tests.processes import ROOT, Running, environment, free_port
from tests.waiting import wait_until

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

# How long an answer may be given: the second that it is good for, one more in which it may be stale, and the second
# within which it came, for nginx counts whole ones.
KEPT_S = 3


@dataclass(frozen=True)
class Reply:
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        encoded = self.headers.get("content-encoding") == "gzip"
        return (gzip.decompress(self.body) if encoded else self.body).decode()


@dataclass
class Site:
    """The application, the database it reads, and what it was asked: the address and the encodings."""

    storage: Storage
    asked: list[tuple[str, str]] = field(default_factory=list)
    is_away: bool = False

    def __post_init__(self) -> None:
        cherrypy.config.update({"log.screen": False})
        self._application = make_app(
            self._open_storage, static_dir=ROOT / "static", templates_dir=ROOT / "templates", poll_every_s=5
        )

    def _open_storage(self) -> Storage:
        if self.is_away:
            raise ServerSelectionTimeoutError("away")
        return self.storage

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        address = f"{environ['PATH_INFO']}?{query}" if query else environ["PATH_INFO"]
        self.asked.append((address, environ.get("HTTP_ACCEPT_ENCODING", "")))
        return self._application(environ, start_response)

    def bring(self, *names: str) -> None:
        """Store items; each is long enough to be worth compressing."""
        page = {name: Entry(title=name, summary=f"<p>{'word ' * 300}</p>") for name in names}
        self.storage.items.store("one", page, now=datetime.now(UTC))


@pytest.fixture
def site(storage: Storage) -> Site:
    return Site(storage)


@dataclass(frozen=True)
class Nginx:
    port: int

    def ask(self, path: str, *, method: str = "GET", **headers: str) -> Reply:
        """One answer, as it came; a header `accept_encoding` is sent as Accept-Encoding."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def titles(self, path: str) -> list[str]:
        return [item["title"] for item in json.loads(self.ask(path).text)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Nginx]]:
    """Starts nginx in front of this port."""
    with ExitStack() as stack:

        def start(site: int, changes: Mapping[str, str] = nginx.UNLIMITED) -> Nginx:
            port = free_port()
            configuration = nginx.configured(tmp_path / "nginx", port, [site], changes)
            stack.enter_context(Running(nginx.command(configuration), tmp_path / "nginx.log", environment()))
            wait_until(lambda: nginx.listens(port), "nginx to listen")
            return Nginx(port)

        yield start


@pytest.fixture
def front(site: Site, start: Callable[..., Nginx]) -> Iterator[Nginx]:
    """nginx with this site behind it."""
    server = Server(("127.0.0.1", 0), site, numthreads=20)
    server.shutdown_timeout = 1
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield start(server.bind_addr[1])
    finally:
        server.stop()
        thread.join()


# -- the file


def test_nginx_takes_the_shipped_file_without_a_word(tmp_path: Path) -> None:
    assert nginx.complaints(nginx.configured(tmp_path / "nginx", free_port(), [free_port()])) == ""


def test_nginx_as_it_is_installed_has_the_directories_that_the_file_names() -> None:
    nginx.installed()
    directive = re.compile(r"^\s*(?:pid|error_log|include|proxy_cache_path) (/[^\s;]+)", re.MULTILINE)
    named = directive.findall(SHIPPED.read_text("utf-8"))
    assert len(named) == 4
    assert [path for path in named if not Path(path).parent.is_dir()] == []


# -- /update


def test_many_who_ask_the_same_are_one_question_a_second_to_the_site(front: Nginx, site: Site) -> None:
    site.bring("a")
    began = time.monotonic()
    with ThreadPoolExecutor(20) as pages:
        replies = list(pages.map(lambda _: front.ask("/update?timestamp=1"), range(200)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert 1 <= len(site.asked) <= 1 + (time.monotonic() - began)
    # and it is not kept for longer
    asked = len(site.asked)
    wait_until(lambda: front.ask("/update?timestamp=1") and len(site.asked) > asked, "another question", timeout_s=5)


def test_other_questions_are_answered_for_themselves(front: Nginx, site: Site) -> None:
    site.bring("b", "a")
    paths = ("/update?timestamp=1", "/update?timestamp=1&limit=1", "/update?timestamp=0", "/update")
    for _ in range(2):
        assert [len(front.titles(path)) for path in paths] == [2, 1, 2, 2]
    assert {address for address, _ in site.asked} == set(paths)


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("deflate, GZIP;q=0.5", True),
        ("br;q=1.0, gzip;q=0", False),
        ("gzip;q=0.0, identity", False),
        ("identity", False),
        ("", False),
    ],
)
def test_each_has_the_variant_that_it_takes(front: Nginx, site: Site, accepted: str, is_compressed: bool) -> None:
    site.bring("a")
    path = "/update?timestamp=1"
    for _ in range(2):  # what another one was given before must not be what this one is given
        front.ask(path, accept_encoding="gzip")
        front.ask(path)
        reply = front.ask(path, accept_encoding=accepted)
        assert reply.headers.get("content-encoding") == ("gzip" if is_compressed else None)
        assert reply.headers["vary"] == "Accept-Encoding"
        assert [item["title"] for item in json.loads(reply.text)] == ["a"]
    assert {encoding for _, encoding in site.asked} <= {"gzip", ""}


def test_who_has_it_already_is_told_so_from_here(front: Nginx, site: Site) -> None:
    site.bring("a")
    tags = []
    for encoding in ("gzip", "identity"):
        whole = front.ask("/update?timestamp=1", accept_encoding=encoding)
        tags.append(whole.headers["etag"])
        same = front.ask("/update?timestamp=1", accept_encoding=encoding, if_none_match=tags[-1])
        assert (same.status, same.body) == (304, b"")
        assert same.headers["etag"] == tags[-1]
        for name in ("cache-control", "feedmirror-cursor", "feedmirror-head"):
            assert same.headers[name] == whole.headers[name]
    assert len(set(tags)) == 2
    site.bring("b")
    wait_until(
        lambda: front.ask("/update?timestamp=1", if_none_match=tags[1]).status == 200, "what is new", timeout_s=5
    )


@pytest.mark.parametrize("path", ["/update?timestamp=1", "/", "/static/realtime.js"])
def test_head_is_get_without_a_body(front: Nginx, site: Site, path: str) -> None:
    site.bring("a")
    replies = [front.ask(path, method=method) for method in ("HEAD", "GET", "HEAD")]
    assert [reply.status for reply in replies] == [200] * 3
    assert [bool(reply.body) for reply in replies] == [False, True, False]
    told = [{k: v for k, v in reply.headers.items() if k != "date"} for reply in replies]
    assert told[0] == told[1] == told[2]


def test_a_refusal_is_not_kept(front: Nginx, site: Site) -> None:
    site.is_away = True
    for _ in range(2):
        refused = front.ask("/update?timestamp=1")
        assert (refused.status, refused.headers["retry-after"]) == (503, "3")
        assert "database is away" in json.loads(refused.text)["error"]
    assert len(site.asked) == 2
    site.is_away = False
    assert front.ask("/update?timestamp=1").status == 200
    for _ in range(2):
        assert front.ask("/update?timestamp=never").status == 400
    assert len(site.asked) == 5


def test_an_answer_does_not_outlive_the_site_for_long(front: Nginx, site: Site) -> None:
    assert front.ask("/update?timestamp=1").status == 200
    site.is_away = True
    wait_until(lambda: front.ask("/update?timestamp=1").status == 503, "a refusal", timeout_s=5)


def test_a_page_that_is_open_alone_is_told_what_is_new_when_it_asks(front: Nginx, site: Site) -> None:
    """It asks seldom, so what is kept for it is always old; it must not be given that and be a question behind."""
    assert front.titles("/update?timestamp=1") == []
    asked_at = time.monotonic()
    site.bring("a")
    # the page's own pause between two questions, which is longer
    wait_until(lambda: time.monotonic() - asked_at > KEPT_S, "its next question")
    assert front.titles("/update?timestamp=1") == ["a"]


def test_pages_that_ask_all_the_time_are_told_within_seconds(front: Nginx, site: Site) -> None:
    assert front.titles("/update?timestamp=1") == []
    site.bring("a")
    wait_until(lambda: front.titles("/update?timestamp=1") == ["a"], "what is new", timeout_s=KEPT_S + 2)


# -- the rest


@pytest.mark.parametrize(
    ("path", "kind"), [("/static/realtime.js", "text/javascript"), ("/static/feedmirror.css", "text/css")]
)
def test_scripts_and_styles_are_kept_and_compressed(front: Nginx, site: Site, path: str, kind: str) -> None:
    page = front.ask("/").text
    [versioned] = re.findall(rf'"({re.escape(path)}\?v=\w+)"', page)
    site.asked.clear()
    for _ in range(3):
        compressed = front.ask(versioned, accept_encoding="gzip")
        plain = front.ask(versioned)
        assert compressed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert compressed.text == plain.text == (ROOT / path[1:]).read_text("utf-8")
        for reply in (compressed, plain):
            assert reply.headers["content-type"].startswith(kind)
            assert "immutable" in reply.headers["cache-control"]
            assert reply.headers["vary"] == "Accept-Encoding"
    assert site.asked == [(versioned, "")]
    assert front.ask(versioned, if_none_match=plain.headers["etag"]).status == 304


@pytest.mark.parametrize("path", ["/", "/sources", "/api/sources"])
def test_pages_are_compressed_and_not_kept(front: Nginx, site: Site, path: str) -> None:
    site.bring("a")
    plain, compressed = front.ask(path), front.ask(path, accept_encoding="gzip")
    assert plain.status == compressed.status == 200
    if len(plain.body) >= 1000:
        assert compressed.headers["content-encoding"] == "gzip"
    assert re.sub(r"\d", "", compressed.text) == re.sub(r"\d", "", plain.text)  # it tells the time
    assert plain.headers["server"] == "Feedmirror"
    assert "content-security-policy" in plain.headers
    assert len(site.asked) == 2


def test_who_asks_too_often_is_told_so(start: Callable[..., Nginx]) -> None:
    front = start(free_port(), {})
    wait_until(lambda: 429 in {front.ask("/").status for _ in range(100)}, "a limit")


def test_both_sites_away_for_a_moment_is_over_when_one_is_back(database_uri: str, tmp_path: Path) -> None:
    with Front("nginx", database_uri, tmp_path, behind=[SITE, SITE]).wait_until_usable() as front:
        assert front.nginx
        page = Nginx(front.nginx.port)
        assert page.ask("/").status == 200
        for one in front.sites:
            one.kill()

        def everybody_is_told(status: int) -> bool:
            """Each of nginx's processes has its own opinion of who is away, and any of them may answer."""
            return {page.ask("/").status for _ in range(50)} == {status}

        wait_until(lambda: everybody_is_told(502), "502")
        front.sites[0].start()
        front.sites[0].running.wait_for("Feedmirror is at")
        wait_until(lambda: everybody_is_told(200), "the page", timeout_s=4)
