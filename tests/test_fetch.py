"""Fetching, against a real server on loopback that behaves as badly as the worst publishers."""

import gzip
import itertools
import logging
import os
import socket
import ssl
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from feedmirror import __version__
from feedmirror.errors import Failure, FetchError
from feedmirror.fetch import Connections, Limits, fetch
from feedmirror.fetch.address import is_public
from feedmirror.fetch.connections import connections_of_this_process
from feedmirror.fetch.headers import max_age_s, retry_after_s
from feedmirror.fetch.hop import Hop
from feedmirror.models import Document, Validators
from tests.feed_server import Behaviour, FeedServer, Reply, Request, Wire, drip, hang, pour, raw, reset

MIB = 1024 * 1024
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
# Short enough for a test, and long enough for a machine with other things to do.
IMPATIENT = Limits(total_s=0.6, connect_s=0.5, read_s=0.5, body_bytes=MIB)
FEED = b"<feed xmlns='http://www.w3.org/2005/Atom'/>"


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_connections_left() -> Iterator[None]:
    yield
    connections_of_this_process().close()


def failure(url: str, *, private: bool = True, limits: Limits = IMPATIENT, **options: object) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(url, private=private, limits=limits, **options)  # type: ignore[arg-type]
    return caught.value


def chunked(*chunks: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks
    )


# --- addresses ---------------------------------------------------------------------------------------------

FORBIDDEN = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.1.2.3
    168.63.129.16 169.254.12.34 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.9 192.0.2.1
    192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.51.100.1 203.0.113.1 224.2.3.4 239.255.255.254
    240.0.0.1 255.255.255.255
    :: ::1 fe80::1 fe80::1%eth0 febf::1 fec0::1 fc00::1 fd00::1 fd00:ec2::254 ff02::1 ff0e::1 100::1
    ::7f00:1 ::a9fe:a9fe ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:a9fe:a9fe ::ffff:10.0.0.1 ::ffff:0:7f00:1
    64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::a00:1 64:ff9b:1::a00:1 64:ff9b:1::808:808
    2002:7f00:1:: 2002:a9fe:a9fe:: 2002:808:808:: 2001:0:4136:e378:8000:63bf:f5ff:fffe 2001:0:1::1
    2001:db8::1 2001:2::1 2001:10::1 3fff::1 5f00::1 4000::1
""".split()
PUBLIC = """
    1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 151.101.1.69 172.15.255.255 172.32.0.1 192.0.1.1 223.255.255.255
    2606:4700:4700::1111 2a00:1450:4001:80b::200e 2001:4860:4860::8888 ::ffff:8.8.8.8 64:ff9b::808:808
""".split()


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_inside_a_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7F.0x00.0x00.0X01", "0177.0.0.1"),
        *("0.0.0.0", "0", "[::1]", "[::]", "[::ffff:7f00:1]", "user:secret@127.0.0.1", "127.0.0.1.", "LOCALHOST"),
        *("\uff11\uff12\uff17.0.0.1", "%31%32%37.0.0.1", "public.example@127.0.0.1"),
    ],
)
def test_no_spelling_of_loopback_is_connected_to(server: FeedServer, host: str) -> None:
    error = failure(f"http://{host}:{server.port}/", private=False)
    assert error.kind in (Failure.FORBIDDEN_ADDRESS, Failure.DNS)
    assert "secret" not in str(error)
    assert server.connections == 0


def test_a_host_with_one_private_address_is_not_connected_to(
    server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, "1.1.1.1", "127.0.0.1")
    error = failure(f"http://rebound.example:{server.port}/", private=False)
    assert error.kind is Failure.FORBIDDEN_ADDRESS
    assert "rebound.example" in str(error)
    assert server.connections == 0


def test_a_name_is_looked_up_once_for_a_connection(server: FeedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = resolve_to(monkeypatch, "127.0.0.1")
    server.serve("/", FEED)
    assert fetch(f"http://intranet.example:{server.port}/", private=True).body == FEED
    assert looked_up == ["intranet.example"]


def test_a_pooled_private_connection_is_not_handed_to_a_fetch_that_must_not_have_it(server: FeedServer) -> None:
    server.serve("/", FEED)
    fetch(server.url(), private=True)
    assert failure(server.url(), private=False).kind is Failure.FORBIDDEN_ADDRESS
    assert len(server.requests) == 1


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    looked_up: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return looked_up


# --- the plain case ----------------------------------------------------------------------------------------


def test_a_document_comes_with_all_that_its_answer_says(server: FeedServer) -> None:
    seen = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    headers = {"Content-Type": "application/atom+xml; charset=utf-8", "Cache-Control": "max-age=60"}
    server.serve("/feed?q=a%20b", FEED, etag='W/"7"', last_modified=seen, headers=headers)
    assert fetch(server.url("/feed?q=a%20b#part"), private=True) == Document(
        url=server.url("/feed?q=a%20b"),
        body=FEED,
        content_type="application/atom+xml; charset=utf-8",
        validators=Validators(etag='W/"7"', last_modified="Tue, 03 Feb 2026 04:05:06 GMT"),
        max_age_s=60,
    )


def test_the_request_says_who_we_are_and_what_we_take(server: FeedServer) -> None:
    server.serve("/", FEED)
    fetch(server.url(), private=True)
    headers = server.requests[0].headers
    assert headers["User-Agent"].startswith(f"Feedmirror/{__version__} (")
    assert headers["Accept"].startswith("application/atom+xml, application/rss+xml")
    assert headers["Accept-Encoding"] == "gzip, deflate"
    assert not {"Cookie", "Authorization", "A-IM", "If-None-Match", "If-Modified-Since"} & set(headers)


def test_the_user_agent_can_be_another(server: FeedServer) -> None:
    server.serve("/", FEED)
    connections = Connections(user_agent="Example/1")
    fetch(server.url(), private=True, connections=connections)
    connections.close()
    assert server.requests[0].headers["User-Agent"] == "Example/1"


def test_an_empty_answer_is_an_empty_document(server: FeedServer) -> None:
    server.serve("/none", status=204)
    server.misbehave(
        "/chunked", drip(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b"", every_s=60)
    )
    server.serve("/empty", b"", headers={"Content-Encoding": "gzip"})
    assert fetch(server.url("/none"), private=True).body == b""
    assert fetch(server.url("/chunked"), private=True, limits=IMPATIENT).body == b""
    assert fetch(server.url("/empty"), private=True).body == b""


def test_a_body_without_a_length_ends_with_its_connection(server: FeedServer) -> None:
    server.misbehave("/", raw(b"HTTP/1.0 200 OK\r\n\r\n" + FEED))
    assert fetch(server.url(), private=True).body == FEED


def test_a_chunked_body_is_put_together(server: FeedServer) -> None:
    server.misbehave("/", raw(chunked(b"<feed>", b"</feed>", b"")))
    assert fetch(server.url(), private=True).body == b"<feed></feed>"


# --- asking whether it changed -----------------------------------------------------------------------------


def test_an_unchanged_document_has_no_body_and_keeps_its_validators(server: FeedServer) -> None:
    server.serve("/", FEED, etag='W/"a, b"', last_modified=NOW)
    first = fetch(server.url(), private=True)
    again = fetch(server.url(), private=True, validators=first.validators)
    assert again.body is None
    assert again.validators == first.validators
    assert server.requests[1].headers["If-None-Match"] == 'W/"a, b"'
    assert server.requests[1].headers["If-Modified-Since"] == "Sun, 01 Mar 2026 12:00:00 GMT"


def test_a_changed_document_comes_with_new_validators_only(server: FeedServer) -> None:
    server.serve("/", FEED, last_modified=NOW)
    first = fetch(server.url(), private=True)
    server.serve("/", FEED + b" ", etag='"2"')
    again = fetch(server.url(), private=True, validators=first.validators)
    assert again.body == FEED + b" "
    assert again.validators == Validators(etag='"2"')


def test_a_304_renews_the_validators_that_it_carries(server: FeedServer) -> None:
    server.serve("/", lambda _: Reply(status=304, headers={"Last-Modified": "Mon, 02 Mar 2026 12:00:00 GMT"}))
    old = Validators(etag='"1"', last_modified="Sun, 01 Mar 2026 12:00:00 GMT")
    assert fetch(server.url(), private=True, validators=old).validators == Validators(
        etag='"1"', last_modified="Mon, 02 Mar 2026 12:00:00 GMT"
    )


def test_a_304_that_was_not_asked_for_is_a_failure(server: FeedServer) -> None:
    server.serve("/", status=304)
    error = failure(server.url())
    assert (error.kind, error.status) == (Failure.BROKEN_BODY, 304)


def test_validators_too_long_to_send_back_are_forgotten(server: FeedServer) -> None:
    server.serve("/", FEED, etag=f'"{"x" * 5000}"')
    assert fetch(server.url(), private=True).validators == Validators()


def test_validators_beyond_ascii_come_back_as_they_were(server: FeedServer) -> None:
    server.serve("/", FEED, etag='"é"')
    first = fetch(server.url(), private=True)
    assert fetch(server.url(), private=True, validators=first.validators).body is None


# --- compression -------------------------------------------------------------------------------------------


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


TEXT = b"".join(b"%d bottles of beer, " % n for n in range(20_000))


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("GZip", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:])),
        ("gzip", gzip.compress(TEXT) + b"\0" * 512),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("identity", TEXT),
    ],
    ids=["gzip", "capitals", "x-gzip", "two members", "padded", "zlib", "raw deflate", "identity"],
)
def test_a_compressed_body_is_decompressed(server: FeedServer, encoding: str, sent: bytes) -> None:
    server.serve("/", sent, headers={"Content-Encoding": encoding})
    assert fetch(server.url(), private=True).body == TEXT


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", TEXT),
        ("gzip", gzip.compress(TEXT)[:-1000]),
        ("gzip", gzip.compress(TEXT)[:-4] + b"\0\0\0\0"),
        ("deflate", zlib.compress(TEXT)[:-1000]),
        ("deflate", b"\xff" * 1000),
        ("br", TEXT),
        ("gzip, gzip", gzip.compress(gzip.compress(TEXT))),
    ],
    ids=["no gzip", "half a gzip", "wrong checksum", "half a zlib", "noise", "brotli", "twice"],
)
def test_a_body_that_cannot_be_decompressed_whole_is_broken(server: FeedServer, encoding: str, sent: bytes) -> None:
    server.serve("/", sent, headers={"Content-Encoding": encoding})
    assert failure(server.url()).kind is Failure.BROKEN_BODY


# --- sizes -------------------------------------------------------------------------------------------------


def test_a_body_of_just_the_limit_is_taken(server: FeedServer) -> None:
    server.serve("/", b"x" * MIB, compress=True)
    assert fetch(server.url(), private=True, limits=IMPATIENT).body == b"x" * MIB
    server.serve("/", b"x" * (MIB + 1), compress=True)
    assert failure(server.url()).kind is Failure.TOO_LARGE


def test_a_body_announced_too_large_is_not_read(server: FeedServer) -> None:
    server.misbehave("/", drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"."))
    error = failure(server.url())
    assert error.kind is Failure.TOO_LARGE
    assert "1 MiB" in str(error)


ENDLESS: dict[str, Behaviour] = {
    "body without a length": pour(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "chunks": pour(chunked(), b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    "chunk line": pour(chunked(), b"1" * 65536),
    "tiny chunks": pour(chunked(), b"1;" + b"e" * 4096 + b"\r\nx\r\n"),
    "trailers": pour(chunked() + b"0\r\n", b"X-More: and more\r\n" * 1000),
    "interim answers": pour(b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 1000),
    "empty gzip members": pour(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 1000),
}


@pytest.mark.parametrize("behaviour", ENDLESS.values(), ids=ENDLESS.keys())
def test_what_has_no_end_is_cut_off(server: FeedServer, behaviour: Behaviour) -> None:
    server.misbehave("/", behaviour)
    limits = Limits(total_s=20, body_bytes=MIB)
    assert failure(server.url(), limits=limits).kind in (Failure.TOO_LARGE, Failure.BROKEN_BODY)


@pytest.mark.parametrize("where", ["/bomb", "/redirect", "/error"])
def test_memory_stays_flat_on_a_bomb(server: FeedServer, bomb: bytes, where: str) -> None:
    packed = {"Content-Encoding": "gzip"}
    server.serve("/", FEED)
    server.serve("/bomb", bomb, headers=packed)
    server.serve("/redirect", bomb, status=302, headers={**packed, "Location": "/"})
    server.serve("/error", bomb, status=500, headers=packed)
    tracemalloc.start()
    try:
        if where == "/redirect":
            assert fetch(server.url(where), private=True).body == FEED
        else:
            failure(server.url(where))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """300 MiB of nothing in 0.3 MiB."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(b"\0" * MIB) for _ in range(300)]
    return b"".join([*parts, packer.flush()])


# --- time --------------------------------------------------------------------------------------------------

DRIPS: dict[str, Behaviour] = {
    "status line": drip(b"HTTP/1.1 200 ", b"O"),
    "header": drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"."),
    "headers": drip(b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n", every_s=0.05),
    "interim answers": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"."),
    "body without a length": drip(b"HTTP/1.1 200 OK\r\n\r\n", b"."),
    "chunks": drip(chunked(), b"1\r\nx\r\n"),
    "gzip": drip(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
}


@pytest.mark.parametrize("behaviour", DRIPS.values(), ids=DRIPS.keys())
def test_a_drip_ends_with_the_deadline(server: FeedServer, behaviour: Behaviour) -> None:
    server.misbehave("/", behaviour)
    error = failure(server.url())
    assert error.kind is Failure.TIMEOUT
    assert "not complete after 0.6 s" in str(error)


def test_the_deadline_holds_within_tls_as_well(tls_server: FeedServer, trusting: Connections) -> None:
    for behaviour in (DRIPS["header"], DRIPS["body"]):
        tls_server.misbehave("/", behaviour)
        error = failure(tls_server.url(), connections=trusting)
        assert "not complete after 0.6 s" in str(error)


def test_the_deadline_holds_across_redirects(server: FeedServer) -> None:
    def slowly(wire: Wire) -> None:
        wire.wait(0.2)
        wire.send(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")

    server.misbehave("/", slowly)
    assert failure(server.url()).kind is Failure.TIMEOUT
    assert len(server.requests) < 5


def test_silence_ends_with_the_read_time_out(server: FeedServer) -> None:
    server.misbehave("/", hang)
    server.misbehave("/half", drip(b"HTTP/1.1 200 OK\r\n\r\nx", b"", every_s=60))
    for path in ("/", "/half"):
        error = failure(server.url(path), limits=Limits(read_s=0.1))
        assert error.kind is Failure.TIMEOUT
        assert "fell silent" in str(error)


def test_a_handshake_that_never_comes_times_out(server: FeedServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        error = failure(f"https://127.0.0.1:{mute.getsockname()[1]}/", limits=Limits(connect_s=0.1))
    assert error.kind is Failure.TIMEOUT
    assert "TLS handshake" in str(error)


def test_a_connection_that_nobody_accepts_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        error = failure(f"http://127.0.0.1:{port}/", limits=Limits(connect_s=0.1))
        for each in waiting:
            each.close()
    assert error.kind is Failure.TIMEOUT


def test_a_name_server_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        released.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    error = failure("http://slow.example/", limits=Limits(connect_s=0.1))
    released.set()
    assert error.kind is Failure.DNS
    assert "slow.example took too long" in str(error)


# --- every other way to fail -------------------------------------------------------------------------------


def test_a_host_without_an_address() -> None:
    error = failure("http://no-such-host.invalid/feed")
    assert error.kind is Failure.DNS
    assert "no-such-host.invalid" in str(error)


@pytest.mark.parametrize("host", ["a..b", "." * 3, "x" * 64 + ".example", "x" * 300, "*.example", "a b", "[::1", ""])
def test_what_is_no_host_at_all(host: str) -> None:
    assert failure(f"http://{host}/").kind in (Failure.DNS, Failure.FORBIDDEN_ADDRESS)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "//127.0.0.1/", "/etc/passwd", "", "x"]
)
def test_only_http_and_https_are_fetched(url: str) -> None:
    error = failure(url)
    assert error.kind is Failure.FORBIDDEN_ADDRESS
    assert "http" in str(error)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = failure(f"http://127.0.0.1:{port}/")
    assert error.kind is Failure.REFUSED
    assert "does not accept connections" in str(error)


BROKEN: dict[str, tuple[Behaviour, Failure]] = {
    "reset at once": (reset(), Failure.REFUSED),
    "closed at once": (raw(b""), Failure.REFUSED),
    "not HTTP": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Failure.BROKEN_BODY),
    "reset in headers": (reset(b"HTTP/1.1 200 OK\r\nX-A"), Failure.REFUSED),
    "endless header": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000), Failure.BROKEN_BODY),
    "headers without end": (raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200), Failure.BROKEN_BODY),
    "too short": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + FEED), Failure.BROKEN_BODY),
    "reset in body": (reset(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"), Failure.BROKEN_BODY),
    "half a chunk": (raw(chunked() + b"ff\r\n<feed>"), Failure.BROKEN_BODY),
    "no last chunk": (raw(chunked(b"<feed/>")), Failure.BROKEN_BODY),
    "no chunk at all": (raw(chunked() + b"<feed/>\r\n"), Failure.BROKEN_BODY),
}


@pytest.mark.parametrize(("behaviour", "kind"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer(server: FeedServer, behaviour: Behaviour, kind: Failure) -> None:
    server.misbehave("/", behaviour)
    assert failure(server.url()).kind is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((400, Failure.CLIENT_ERROR), (401, Failure.CLIENT_ERROR), (403, Failure.CLIENT_ERROR)),
        *((404, Failure.CLIENT_ERROR), (410, Failure.GONE), (418, Failure.CLIENT_ERROR)),
        *((429, Failure.THROTTLED), (500, Failure.SERVER_ERROR), (502, Failure.SERVER_ERROR)),
        *((503, Failure.THROTTLED), (599, Failure.SERVER_ERROR), (999, Failure.SERVER_ERROR)),
        *((300, Failure.REDIRECT), (305, Failure.REDIRECT), (199, Failure.SERVER_ERROR)),
    ],
)
def test_each_status_has_its_kind(server: FeedServer, status: int, kind: Failure) -> None:
    server.serve("/", b"<b>secret</b>", status=status)
    error = failure(server.url())
    assert (error.kind, error.status, error.retry_after_s) == (kind, status, None)
    assert str(status) in str(error)
    assert "secret" not in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("status", [429, 503])
def test_a_throttling_server_says_when_to_come_back(server: FeedServer, status: int) -> None:
    server.serve("/", status=status, headers={"Retry-After": "90"})
    error = failure(server.url())
    assert error.retry_after_s == 90
    assert "come back in 90 s" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": " 120 "}, 120),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "9" * 400}, 86_400),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "1e3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Sun, 01 Mar 2026 12:01:00 GMT"}, 60),
        ({"Retry-After": "Sunday, 01-Mar-26 12:01:00 GMT"}, 60),
        ({"Retry-After": "Sun Mar  1 12:01:00 2026"}, 60),
        ({"Retry-After": "Sun, 01 Mar 2026 14:01:00 +0200"}, 60),
        ({"Retry-After": "Sun, 01 Mar 2026 11:59:00 GMT"}, 0),
        ({"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, 86_400),
        ({"Retry-After": "Sun, 99 Mar 2026 12:01:00 GMT"}, None),
        ({"Retry-After": "Sun, 01 Mar 99999999999 12:01:00 GMT"}, None),
        ({"Retry-After": "Sun, 01 Mar 2026 12:01:00 GMT", "Date": "Sun, 01 Mar 2026 12:00:50 GMT"}, 10),
        ({"Retry-After": "Sun, 01 Mar 2026 12:01:00 GMT", "Date": "yesterday"}, 60),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Cache-Control": "max-age=300"}, 300),
        ({"Cache-Control": 'public, Max-Age = "300"'}, 300),
        ({"Cache-Control": "s-maxage=300"}, None),
        ({"Cache-Control": "max-age=-1"}, None),
        ({"Cache-Control": "max-age=" + "9" * 400}, 365 * 86_400),
        ({"Cache-Control": "max-age=300, no-cache"}, 0),
        ({"Cache-Control": "private,no-store"}, 0),
        ({"Cache-Control": 'no-cache="Set-Cookie", max-age=300'}, 300),
        ({"Cache-Control": "max-age=300", "Age": "100"}, 200),
        ({"Cache-Control": "max-age=300", "Age": "1000"}, 0),
        ({"Cache-Control": "max-age=300", "Age": "old"}, 300),
        ({"Cache-Control": "max-age=300", "Expires": "Sun, 01 Mar 2026 13:00:00 GMT"}, 300),
        ({"Expires": "Sun, 01 Mar 2026 13:00:00 GMT"}, 3600),
        ({"Expires": "Sun, 01 Mar 2026 13:00:00 GMT", "Date": "Sun, 01 Mar 2026 12:59:00 GMT"}, 60),
        ({"Expires": "Sun, 01 Mar 2020 13:00:00 GMT"}, 0),
        ({"Expires": "0"}, 0),
        ({"Expires": "-1"}, 0),
    ],
)
def test_max_age(headers: dict[str, str], seconds: float | None) -> None:
    assert max_age_s(headers, NOW) == seconds


# --- redirects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "moved"),
    [
        ((301,), True),
        ((308,), True),
        ((301, 308), True),
        ((302,), False),
        ((303,), False),
        ((307,), False),
        ((301, 302, 308), False),
    ],
)
def test_a_redirect_is_followed_and_known_as_a_move_if_each_step_is_one(
    server: FeedServer, statuses: tuple[int, ...], moved: bool
) -> None:
    for step, status in enumerate(statuses):
        server.redirect(f"/{step}", f"{step + 1}#part", status=status)
    target = f"/{len(statuses)}"
    server.serve(target, FEED, etag=True)
    document = fetch(server.url("/0"), private=True)
    assert (document.body, document.url) == (FEED, server.url(target))
    assert document.moved_to == (server.url(target) if moved else None)
    again = fetch(server.url("/0"), private=True, validators=document.validators)
    assert again.body is None
    assert again.moved_to == document.moved_to


def test_whoever_counts_is_told_of_each_further_request_before_it_is_made(server: FeedServer) -> None:
    told: list[tuple[str, int]] = []
    server.redirect("/", "/next")
    server.redirect("/next", "/feed")
    server.serve("/feed", FEED)
    fetch(server.url(), private=True, onward=lambda url: told.append((url, len(server.requests))))
    assert told == [(server.url("/next"), 1), (server.url("/feed"), 2)]


def test_five_redirects_are_followed_and_a_sixth_is_not(server: FeedServer) -> None:
    for step in range(6):
        server.redirect(f"/{step}", f"/{step + 1}")
    server.serve("/6", FEED)
    assert fetch(server.url("/1"), private=True).body == FEED
    error = failure(server.url("/0"))
    assert error.kind is Failure.REDIRECT
    assert "more than 5 times" in str(error)


def test_a_redirect_loop_ends(server: FeedServer) -> None:
    server.redirect("/", "/")
    assert failure(server.url()).kind is Failure.REDIRECT
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://x/",
        "javascript:alert(1)",
        "data:,x",
        "http://[::1",
        "http://",
        "",
    ],
)
def test_a_redirect_to_something_else_is_not_followed(server: FeedServer, location: str) -> None:
    server.redirect("/", location)
    error = failure(server.url())
    assert error.kind is Failure.REDIRECT
    assert "passwd" not in str(error)


@pytest.mark.parametrize("location", ["/neu/\xc3\xbc", "/neu/\xfc"], ids=["UTF-8", "Latin-1"])
def test_a_location_beyond_ascii_is_understood(server: FeedServer, location: str) -> None:
    server.misbehave(
        "/", raw(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location.encode("latin-1") + b"\r\n\r\n")
    )
    server.serve("/neu/%C3%BC", FEED)
    assert fetch(server.url(), private=True).body == FEED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:7f00:1]", "169.254.169.254"])
def test_a_private_source_must_not_redirect_to_another_private_origin(server: FeedServer, host: str) -> None:
    with FeedServer() as inside:
        server.redirect("/", f"http://{host}:{inside.port}/")
        assert failure(server.url()).kind is Failure.FORBIDDEN_ADDRESS
        assert inside.connections == 0


def test_a_redirect_to_the_own_host_by_another_name_or_scheme_is_another_origin(server: FeedServer) -> None:
    server.redirect("/name", f"http://localhost:{server.port}/")
    server.redirect("/scheme", f"https://127.0.0.1:{server.port}/")
    for path in ("/name", "/scheme"):
        assert failure(server.url(path)).kind is Failure.FORBIDDEN_ADDRESS


def test_what_was_left_once_does_not_come_back() -> None:
    home = Hop.first("http://user:secret@intranet.example/", private=True)
    same = home.onward(302, "http://INTRANET.example:80/there")
    away = same.onward(302, "https://evil.example/")
    back = away.onward(302, "http://intranet.example/admin")
    assert same.may_be_private
    assert same.credentials == (b"user", b"secret")
    for hop in (away, back, back.onward(302, "/more")):
        assert not hop.may_be_private
        assert hop.credentials is None


# --- credentials -------------------------------------------------------------------------------------------


def test_credentials_go_to_their_own_origin_and_are_not_shown(
    server: FeedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.redirect("/", "/feed")
    server.serve("/feed", FEED)
    url = f"http://me:p%40ss%C3%BC@127.0.0.1:{server.port}"
    document = fetch(url + "/", private=True)
    assert document.url == server.url("/feed")
    assert [request.headers["Authorization"] for request in server.requests] == ["Basic bWU6cEBzc8O8"] * 2
    error = failure(url + "/missing?token=hush")
    shown = f"{error} {error.__cause__} {error.__context__} {caplog.text}"
    assert not any(secret in shown for secret in ("p%40ss", "p@ss", "hush", "bWU6"))


def test_credentials_of_a_redirect_are_not_used(server: FeedServer) -> None:
    server.redirect("/", f"http://stranger:secret@127.0.0.1:{server.port}/feed")
    server.serve("/feed", FEED)
    assert fetch(server.url(), private=True).url == server.url("/feed")
    assert server.requests[1].headers["Authorization"] is None


def test_a_source_with_credentials_is_not_moved_to_an_address_without_them(server: FeedServer) -> None:
    server.redirect("/", "/feed", status=301)
    server.serve("/feed", FEED)
    assert fetch(f"http://me:pass@127.0.0.1:{server.port}/", private=True).moved_to is None


def test_neither_cookies_nor_proxies_nor_netrc_are_used(
    server: FeedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    server.serve("/", FEED, headers={"Set-Cookie": "id=1"})
    for _ in range(2):
        assert fetch(server.url(), private=True).body == FEED
    for request in server.requests:
        assert request.headers["Cookie"] is None
        assert request.headers["Authorization"] is None


# --- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def authority() -> trustme.CA:
    """A certificate authority that nobody else trusts."""
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[FeedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with FeedServer(tls=context) as server:
        yield server


@pytest.fixture
def trusting(authority: trustme.CA) -> Iterator[Connections]:
    """Connections that trust the test server's certificate."""
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    connections = Connections(tls=tls)
    yield connections
    connections.close()


def test_tls_to_a_server_that_can_be_trusted(tls_server: FeedServer, trusting: Connections) -> None:
    tls_server.serve("/", TEXT, compress=True)
    for _ in range(2):
        assert fetch(tls_server.url(), private=True, connections=trusting).body == TEXT
    assert tls_server.connections == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_server: FeedServer) -> None:
    tls_server.serve("/", FEED)
    error = failure(tls_server.url())
    assert error.kind is Failure.TLS
    assert "has no valid certificate" in str(error)
    assert tls_server.requests == []


def test_a_certificate_for_another_name_is_refused(
    tls_server: FeedServer, trusting: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, "127.0.0.1")
    error = failure(f"https://other.example:{tls_server.port}/", connections=trusting)
    assert error.kind is Failure.TLS
    assert "other.example" in str(error)
    assert tls_server.requests == []


def test_a_server_that_does_not_speak_tls(server: FeedServer) -> None:
    assert failure(f"https://127.0.0.1:{server.port}/").kind is Failure.TLS


# --- connections -------------------------------------------------------------------------------------------


def test_a_connection_is_used_again(server: FeedServer) -> None:
    server.serve("/", FEED, etag=True)
    first = fetch(server.url(), private=True)
    for _ in range(3):
        assert fetch(server.url(), private=True, validators=first.validators).body is None
    assert server.connections == 1


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(server: FeedServer) -> None:
    # The server keeps its word for one answer, and resets the connection as soon as the next request is there.
    answers: Iterator[Reply | Behaviour] = itertools.chain([Reply(FEED), reset()], itertools.repeat(Reply(FEED)))
    server.serve("/", lambda _: next(answers))
    assert fetch(server.url(), private=True).body == FEED
    assert fetch(server.url(), private=True).body == FEED
    assert len(server.requests) == 3
    assert server.connections == 2


def test_a_new_connection_that_is_reset_is_not_tried_again(server: FeedServer) -> None:
    server.misbehave("/", reset())
    failure(server.url())
    assert len(server.requests) == 1


def test_many_threads_share_the_pool(server: FeedServer) -> None:
    def body(request: Request) -> bytes:
        return request.path.encode()

    paths = [f"/{number}" for number in range(200)]
    for path in paths:
        server.serve(path, body)
    with ThreadPoolExecutor(8) as threads:
        documents = threads.map(lambda path: fetch(server.url(path), private=True), paths)
        assert [document.body for document in documents] == [path.encode() for path in paths]
    assert server.connections < 100


def test_a_slow_server_holds_up_nobody_else(server: FeedServer) -> None:
    server.misbehave("/slow", hang)
    server.serve("/", FEED)
    with ThreadPoolExecutor(8) as threads:
        slow = [threads.submit(failure, server.url("/slow")) for _ in range(7)]
        assert threads.submit(fetch, server.url(), private=True).result().body == FEED
        assert not any(each.done() for each in slow)
        assert {each.result().kind for each in slow} == {Failure.TIMEOUT}


def test_a_forked_child_has_connections_of_its_own(server: FeedServer) -> None:
    server.serve("/", FEED)
    fetch(server.url(), private=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, because of the server's threads
        child = os.fork()
    if child == 0:
        try:
            body = fetch(server.url(), private=True).body
        finally:
            os._exit(0 if body == FEED else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert fetch(server.url(), private=True).body == FEED
    assert server.connections == 2
