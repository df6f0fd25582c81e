"""CherryPy's own server, whose listening thread answers by itself what has been answered before.

    a request that is there in whole, and its answer at hand ──> answered on the spot
    a connection without a request                           ──> waited for together with all idle ones
    anything else                                            ──> a thread, as ever

Nearly every poll is told what the one before it was told. To hand such a request to a thread and its connection back
takes several times as long as to answer it, because Python's lock goes from thread to thread each time. So what is done
here waits for nothing: neither for the rest of a request, nor for a client to take its answer, nor for MongoDB.
"""

import re
import socket
from collections.abc import Callable, Mapping

from cheroot.server import HTTPConnection
from cherrypy._cpserver import Server
from cherrypy._cpwsgi_server import CPWSGIServer

# What goes over the wire in answer to a GET of this target (RFC 9112, 3.2.1) with these headers, by their names in
# lower case; None where that is not at hand.
AtHand = Callable[[str, Mapping[str, str]], bytes | None]

# A browser's request has less than a thousand; a longer one goes to a thread.
_REQUEST_BYTES = 4096
# Who asks has taken all that was sent before, and then a connection has room for more than this. A longer answer might
# have to wait for room.
_ANSWER_BYTES = 8192

# One that nobody could read in two ways; what is written more liberally is cheroot's to read.
_GET = re.compile(rb"GET (/[!\"$-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t -~\x80-\xff]*+\r\n)++)\r\n")
# With these, more belongs to the request, or the connection is to become another one.
_FOR_THREADS = frozenset({"content-length", "transfer-encoding", "expect", "upgrade"})


class PromptServer(CPWSGIServer):  # type: ignore[misc]
    """The server; `at_hand` must return at once, and must not raise."""

    def __init__(self, adapter: Server, at_hand: AtHand):
        super().__init__(adapter)
        self._at_hand = at_hand

    def process_conn(self, conn: HTTPConnection) -> None:
        """Answer, or hand over. The listening thread calls this; and a worker, for a request that came with another."""
        if not conn.rfile.has_data() and self.can_add_keepalive_connection and self._needs_no_thread(conn.socket):
            self.put_conn(conn)
        else:
            conn.socket.settimeout(self.timeout)
            super().process_conn(conn)

    def _needs_no_thread(self, client: socket.socket) -> bool:
        """Whether there is nothing to do but to wait for the next request, the one that is there being answered."""
        client.settimeout(0)
        try:
            request = client.recv(_REQUEST_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return True  # connected ahead, as browsers do
        except OSError:
            return False
        answer = self._answer_to(request)
        if answer is None or len(answer) > _ANSWER_BYTES:
            return False
        try:
            sent = client.send(answer)
            client.recv(len(request))
            if sent < len(answer):  # it asks, and takes nothing
                client.shutdown(socket.SHUT_RDWR)
        except OSError:  # gone, or there is no room at all: a thread finds the request where it was, and may wait
            return False
        return True

    def _answer_to(self, request: bytes) -> bytes | None:
        read = _GET.fullmatch(request)
        headers = read and _headers(read[2])
        if not read or not headers or not _FOR_THREADS.isdisjoint(headers):
            return None
        if headers.get("connection", "keep-alive").lower() != "keep-alive":
            return None
        return self._at_hand(read[1].decode("ascii"), headers)


def _headers(lines: bytes) -> dict[str, str] | None:
    """The headers by name; None where one is there twice, and it would have to be known what that means."""
    pairs = [line.partition(":") for line in lines.decode("latin-1").split("\r\n")[:-1]]
    headers = {name.lower(): value.strip(" \t") for name, _, value in pairs}
    return headers if len(headers) == len(pairs) else None
