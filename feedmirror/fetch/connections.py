"""Connections that are pooled, guarded and bounded: what requests and urllib3 do not do by themselves.

It knows addresses and sockets, not documents. Three rules are built in where nothing can go around them:

- a connection is made to the very addresses that were checked, with no second look-up (a name may lead
  somewhere else by then); where one of a host's addresses is private, none is used;
- connections that may be private have a pool of their own, so that no other fetch is ever handed one;
- each read from a socket takes its time-out from the running fetch's budget, in headers as in bodies.

Proxies, .netrc and cookies do not exist here: nothing of a requests Session is used.
"""

import logging
import os
import socket
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import lru_cache, partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse

from feedmirror import __version__
from feedmirror.errors import Failure, FetchError
from feedmirror.fetch.address import is_public
from feedmirror.fetch.limits import running_budget

USER_AGENT = f"Feedmirror/{__version__} (feed mirror; conditional requests, honours Retry-After)"

# Hosts that keep idle connections, and idle connections a host: at most 1,600 sockets, in practice one a host.
_HOSTS = 400
_CONNECTIONS_PER_HOST = 4

_Address = tuple[socket.AddressFamily, tuple[Any, ...]]

# It warns of each odd header that a stranger sends, with a traceback, and its debug lines show query strings,
# where tokens live. What matters of it is in our FetchErrors.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class Connections:
    """The pools of one process; safe with any number of threads."""

    def __init__(self, *, user_agent: str = USER_AGENT, tls: ssl.SSLContext | None = None):
        tls = _bounded(tls or _trusting_context())
        self._user_agent = user_agent
        self._public = _Adapter(tls, may_be_private=False)
        self._private = _Adapter(tls, may_be_private=True)

    def get(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        credentials: tuple[bytes, bytes] | None = None,
        may_be_private: bool = False,
    ) -> requests.Response:
        """Send one GET and read the head of its answer; the body is for the caller to read or to close.

        Raises FetchError, or what requests and urllib3 raise.
        """
        adapter = self._private if may_be_private else self._public
        request = requests.Request(
            "GET", url, headers={"User-Agent": self._user_agent, **headers}, auth=credentials
        ).prepare()
        budget = running_budget()
        while True:
            try:
                # for the sending; what is received is on the budget in any case
                return adapter.send(request, stream=True, timeout=(budget.connect_s(), budget.read_s()))
            except _StaleConnectionError:
                continue  # it is closed now: each turn has one fewer of them, the last one connects anew

    def close(self) -> None:
        self._public.close()
        self._private.close()


def connections_of_this_process() -> Connections:
    """The shared pool, made at first use and anew after a fork: two processes on one connection mix answers up."""
    return _connections_of(os.getpid())


@lru_cache(maxsize=1)
def _connections_of(_pid: int) -> Connections:
    return Connections()


def _trusting_context() -> ssl.SSLContext:
    """Verify against the system's authorities, where an operator's own ones are, and those of certifi.

    Loaded once: requests would read certifi's 200 kB for each new connection.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


class _BoundedSocket(socket.socket):
    """A socket whose every read is on the budget of the running fetch."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        budget = running_budget()
        self.settimeout(budget.read_s())
        try:
            received = super().recv_into(buffer, nbytes or 0, flags)
        except TimeoutError:
            budget.read_s()  # says so if it was the deadline that passed
            raise FetchError(Failure.TIMEOUT, "the server fell silent in the middle of its answer") from None
        budget.spend(received)
        return received


class _BoundedTlsSocket(_BoundedSocket, ssl.SSLSocket):
    """The same within TLS, where a read may take several of the wire's."""


def _bounded(tls: ssl.SSLContext) -> ssl.SSLContext:
    tls.sslsocket_class = _BoundedTlsSocket
    return tls


class _StaleConnectionError(Exception):
    """A pooled connection turned out to be closed by the server: to be tried again, and no failure."""


class _Guarded(HTTPConnection):
    """A connection to checked addresses that remembers whether it was of use before."""

    def __init__(self, *args: Any, may_be_private: bool, **options: Any):
        super().__init__(*args, **options)
        self._may_be_private = may_be_private
        self._answers = 0

    def _new_conn(self) -> socket.socket:
        self._answers = 0
        addresses = _look_up(self._dns_host, self.port)
        if not (self._may_be_private or all(is_public(where[0]) for _, where in addresses)):
            raise FetchError(
                Failure.FORBIDDEN_ADDRESS,
                f"{self.host} leads into a private network; "
                "if that is meant, write `private = true` to the source that has it in its own URL",
            )
        return _connected(self.host, addresses)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own
        try:
            response = super().getresponse()
        except OSError:
            if self._answers:
                raise _StaleConnectionError from None
            raise
        self._answers += 1
        return response


class _GuardedTls(_Guarded, HTTPSConnection):
    """The same within TLS; names are verified against the host's name, not the address."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


class _Adapter(HTTPAdapter):
    """requests' way to a pool, with our pools behind it."""

    def __init__(self, tls: ssl.SSLContext, *, may_be_private: bool):
        self._tls = tls
        self._may_be_private = may_be_private
        super().__init__(pool_connections=_HOSTS, pool_maxsize=_CONNECTIONS_PER_HOST)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._tls, **options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": partial(_Pool, may_be_private=self._may_be_private),
            "https": partial(_TlsPool, may_be_private=self._may_be_private),
        }

    def close(self) -> None:
        """Close the idle connections now: urllib3 leaves that to the garbage collector."""
        pools = self.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118 - it refuses to be iterated
            if pool := pools.get(key):
                pool.close()
        super().close()

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the pool as it is: our context verifies already."""


def _look_up(host: str, port: int) -> list[_Address]:
    """Resolve a name, in a thread of its own: the system's resolver has no time-out that we could set."""
    future: Future[list[_Address]] = Future()
    threading.Thread(target=_resolve, args=(future, host, port), name=f"look up {host}", daemon=True).start()
    try:
        return future.result(running_budget().connect_s())
    except TimeoutError:
        raise FetchError(Failure.DNS, f"looking up {host} took too long; is the name server well?") from None
    except (OSError, ValueError):  # ValueError: no name at all, such as one with an empty label
        raise FetchError(Failure.DNS, f"there is no address for {host}; check its spelling, and the network") from None


def _resolve(future: Future[list[_Address]], host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        future.set_exception(error)
    else:
        future.set_result([(family, where) for family, _, _, _, where in found])


def _connected(host: str, addresses: list[_Address]) -> socket.socket:
    """Connect to the first address that answers."""
    kind = Failure.REFUSED
    for family, where in addresses:
        try:
            return _connected_to(family, where)
        except TimeoutError:
            kind = Failure.TIMEOUT
        except OSError:  # also where this machine has no IPv6
            kind = Failure.REFUSED
    raise FetchError(kind, f"{host} does not accept connections; it may be down, or the port wrong")


def _connected_to(family: socket.AddressFamily, where: tuple[Any, ...]) -> socket.socket:
    connection = _BoundedSocket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(running_budget().connect_s())
        connection.connect(where)
        connection.settimeout(running_budget().connect_s())  # a TLS handshake takes it for the whole of itself
    except BaseException:
        connection.close()
        raise
    return connection
