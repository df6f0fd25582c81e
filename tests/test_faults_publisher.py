"""Every way in which a publisher fails, all at once: a real worker polls servers that misbehave, and a healthy one.

Each failure is its own source's, told in words on which somebody can act, and the healthy source does not notice.
"""

import gzip
import secrets
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import count

import pytest
import trustme

from feedmirror.db import Connection
from feedmirror.errors import Failure
from feedmirror.models import Looks, Selection
from feedmirror.storage import Storage
from tests.atom import atom
from tests.feed_server import Behaviour, FeedServer, Reply, Request, drip, pour, raw, reset
from tests.processes import SCRIPTS, Running, environment, free_port
from tests.waiting import wait_until

# one worker looks at all of them for all of the tests
pytestmark = pytest.mark.xdist_group("publishers")

# long enough for a worker on a busy machine to have all that answer at once
DEADLINE_S = 8
MAX_BYTES = 100_000
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/atom+xml\r\n"
FEED = atom([(1, "One"), (2, "Two")])


@dataclass(frozen=True)
class Fault:
    """What a publisher does, and what its operator is told. Without a kind, it is no failure but worth a notice."""

    does: Reply | Behaviour
    kind: Failure | None
    told: str


FAULTS: dict[str, Fault] = {
    "a byte a second": Fault(
        drip(OK + b"Content-Length: 5000\r\n\r\n", b".", every_s=1),
        Failure.TIMEOUT,
        f"not complete after {DEADLINE_S} s",
    ),
    "a header a second": Fault(
        drip(OK, b"X-Slow: 1\r\n", every_s=1), Failure.TIMEOUT, f"not complete after {DEADLINE_S} s"
    ),
    "reset at once": Fault(reset(), Failure.REFUSED, "closed the connection without an answer"),
    "reset within its body": Fault(
        reset(OK + b"Content-Length: 5000\r\n\r\n" + FEED[:100]), Failure.BROKEN_BODY, "broke off"
    ),
    "redirect loop": Fault(
        Reply(status=302, headers={"Location": "/redirect%20loop"}), Failure.REDIRECT, "redirected more than 5 times"
    ),
    "redirect to a file": Fault(
        Reply(status=302, headers={"Location": "file:///etc/passwd"}), Failure.REDIRECT, "http"
    ),
    "gzip bomb": Fault(
        Reply(gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"}), Failure.TOO_LARGE, "larger than"
    ),
    "huge body": Fault(Reply(FEED + b" " * 1_000_000), Failure.TOO_LARGE, "larger than"),
    "endless chunks": Fault(
        pour(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + b"x" * 0x4000 + b"\r\n"),
        Failure.TOO_LARGE,
        "larger than",
    ),
    "too short": Fault(raw(OK + b"Content-Length: 5000\r\n\r\n" + FEED), Failure.BROKEN_BODY, "broke off"),
    "not allowed": Fault(Reply(status=403), Failure.CLIENT_ERROR, "does not let us read this (403)"),
    "not found": Fault(Reply(status=404), Failure.CLIENT_ERROR, "has no such document (404)"),
    "gone": Fault(Reply(status=410), Failure.GONE, "gone for good (410)"),
    "throttles": Fault(
        Reply(status=429, headers={"Retry-After": "900"}), Failure.THROTTLED, "asks to come back in 900 s"
    ),
    "not available": Fault(
        Reply(status=503, headers={"Retry-After": "800"}), Failure.THROTTLED, "asks to come back in 800 s"
    ),
    "has an error": Fault(Reply(status=500), Failure.SERVER_ERROR, "has an error of its own (500)"),
    "not HTTP": Fault(raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Failure.BROKEN_BODY, "not HTTP"),
    "a page": Fault(Reply(b"<html><title>Welcome</title><p>Hello</p></html>"), Failure.NOT_A_FEED, "feed"),
    "nothing at all": Fault(Reply(b""), Failure.NOT_A_FEED, "empty"),
    "cut off within": Fault(Reply(FEED[:-100]), None, "truncated: its end is missing"),
}
# Those that are no answer of a server: an address that leads to none, or to one that cannot be believed.
UNREACHABLE: dict[str, tuple[Failure, str]] = {
    "no such host": (Failure.DNS, "nowhere.invalid"),
    "nobody listens": (Failure.REFUSED, "does not accept connections"),
    "certificate": (Failure.TLS, "has no valid certificate"),
    "not private": (Failure.FORBIDDEN_ADDRESS, "private"),
}
HEALTHY = "healthy"


@dataclass(frozen=True)
class Fared:
    """How each source fared by its name, and when the items of the healthy one arrived."""

    looks: dict[str, Looks]
    arrivals: list[datetime]
    titles: list[str]


def table(name: str, url: str, *, private: bool = True) -> str:
    return f'[[source]]\nname = "{name}"\nurl = "{url}"\nevery = "1s"\nprivate = {str(private).lower()}\n'


@pytest.fixture(scope="module")
def server() -> Iterator[FeedServer]:
    """Misbehaves in every way, each at the path of its name; the healthy feed has one more item each time."""
    with FeedServer() as server:
        for name, fault in FAULTS.items():
            server.serve(path_of(name), always(fault.does))
        grown = count(1)
        server.serve("/healthy", lambda _: atom([(1000 + n, f"Healthy {n}") for n in range(next(grown), 0, -1)]))
        yield server


def always(answer: Reply | Behaviour) -> Callable[[Request], Reply | Behaviour]:
    return lambda _: answer


def path_of(name: str) -> str:
    return "/" + name.replace(" ", "%20")


@pytest.fixture(scope="module")
def tls_server() -> Iterator[FeedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FeedServer(tls=context) as server:
        yield server


@pytest.fixture(scope="module")
def uri(mongodb_uri: str) -> str:
    """The address of a database of this module's own: one worker serves all of its tests."""
    return mongodb_uri.replace("/?", f"/test_{secrets.token_hex(6)}?")


@pytest.fixture(scope="module")
def storage(uri: str) -> Iterator[Storage]:
    with closing(Connection(uri, timeout_s=20)) as connection:
        database = connection.database()
        yield Storage(database).prepare()
        database.client.drop_database(database.name)


@pytest.fixture(scope="module")
def fared(
    server: FeedServer, tls_server: FeedServer, storage: Storage, uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Fared:
    """A worker has looked at all of them, together."""
    directory = tmp_path_factory.mktemp("faults")
    addresses = {
        **{name: server.url(path_of(name)) for name in FAULTS},
        "no such host": "http://nowhere.invalid/feed",
        "nobody listens": f"http://127.0.0.1:{free_port()}/feed",
        "certificate": tls_server.url("/feed"),
        HEALTHY: server.url("/healthy"),
    }
    sources = "".join(table(name, url) for name, url in addresses.items())
    (directory / "sources.toml").write_text(sources + table("not private", server.url("/healthy"), private=False))
    env = environment(
        MONGODB_URI=uri,
        FEEDMIRROR_SOURCES=str(directory / "sources.toml"),
        FEEDMIRROR_FETCH_DEADLINE=f"{DEADLINE_S}s",
        FEEDMIRROR_FETCH_MAX_BYTES=str(MAX_BYTES),
    )
    command = [str(SCRIPTS / "celery"), "-A", "stack_scrap", "worker", "-B", "--loglevel=INFO"]
    with Running(command, directory / "worker.log", env) as worker:
        expected = {*FAULTS, *UNREACHABLE, HEALTHY}

        def all_told() -> bool:
            told = {one.source.name for one in storage.sources.all() if one.looks.why}
            return told == expected

        wait_until(all_told, "each source to have been looked at", timeout_s=60)
        assert "Traceback" not in worker.output
    looks = {one.source.name: one.looks for one in storage.sources.all()}
    items = [one for one in storage.items.newest(Selection(), limit=500).items if one.title.startswith("Healthy")]
    return Fared(looks, [one.arrived_at for one in items], [one.title for one in items])


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.kind])
def test_a_publisher_that_fails_is_told_by_its_kind_and_in_words(fared: Fared, name: str) -> None:
    looks = fared.looks[name]
    assert looks.failure is FAULTS[name].kind
    assert FAULTS[name].told in str(looks.error)
    assert (looks.last_ok_at, looks.items) == (None, 0)


@pytest.mark.parametrize("name", UNREACHABLE)
def test_an_address_that_leads_nowhere_is_told_by_its_kind_and_in_words(fared: Fared, name: str) -> None:
    kind, told = UNREACHABLE[name]
    assert fared.looks[name].failure is kind
    assert told in str(fared.looks[name].error)


def test_every_kind_of_failure_but_those_of_ours_is_among_them() -> None:
    kinds = {fault.kind for fault in FAULTS.values()} | {kind for kind, _ in UNREACHABLE.values()}
    assert kinds - {None} == set(Failure) - {Failure.BUG, Failure.NOT_SET_UP}


def test_a_feed_that_is_cut_off_gives_what_it_has_and_says_so(fared: Fared) -> None:
    looks = fared.looks["cut off within"]
    assert looks.failure is None
    assert looks.notices == (FAULTS["cut off within"].told,)
    assert looks.items > 0


def test_who_fails_is_not_asked_again_at_once(fared: Fared, server: FeedServer) -> None:
    assert fared.looks["throttles"].interval_s == pytest.approx(900, rel=0.3)
    assert fared.looks["not available"].interval_s == pytest.approx(800, rel=0.3)
    assert len(server.requests_for(path_of("throttles"))) == 1
    assert len(server.requests_for(path_of("a byte a second"))) == 1


def test_the_healthy_source_goes_on_meanwhile_and_gives_each_item_once(fared: Fared) -> None:
    slow = fared.looks["a byte a second"]
    assert slow.last_at is not None
    assert slow.error_since is not None
    assert (slow.error_since - slow.last_at).total_seconds() >= DEADLINE_S - 0.5
    assert [at for at in fared.arrivals if slow.last_at < at < slow.error_since]
    assert len(set(fared.titles)) == len(fared.titles)
    assert fared.looks[HEALTHY].failure is None
