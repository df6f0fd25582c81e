"""CherryPy's own server around the application: listen, say where, end when told.

What is served is not known here.
"""

import sys
import threading
import urllib.error
import urllib.request

import cherrypy

from feedmirror.errors import ConfigError
from feedmirror.preflight import port_taken

# A page polls every few seconds and each answer takes milliseconds, so few threads serve many pages; more of them
# only help against clients that are slow to ask.
_THREADS = 20
# Pages that all come back at the same moment (a restart, a proxy) wait here rather than being refused.
_BACKLOG = 128
# Beyond this nobody who waits still looks: answer 503 at once.
_QUEUE = 1000
# Nothing is uploaded here, and no header of ours is long.
_MAX_BODY_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 16 * 1024

_ANNOUNCE_EVERY_S = 0.2
_AWAY_AFTER_S = 10


def serve(application: cherrypy.Application, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; raises ConfigError if nobody can listen there."""
    if taken := port_taken(host, port):
        raise ConfigError([taken])
    cherrypy.config.update(
        {
            "environment": "production",
            "server.socket_host": host,
            "server.socket_port": port,
            "server.thread_pool": _THREADS,
            "server.socket_queue_size": _BACKLOG,
            "server.accepted_queue_size": _QUEUE,
            "server.max_request_body_size": _MAX_BODY_BYTES,
            "server.max_request_header_size": _MAX_HEADER_BYTES,
            # the version is nobody's business
            "server.server_name": "feedmirror",
            "checker.on": False,
        }
    )
    cherrypy.tree.mount(application, "")
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.start()
    threading.Thread(target=_announce, args=(_address(host, port),), daemon=True).start()
    cherrypy.engine.block()


def _address(host: str, port: int) -> str:
    """Where a browser on this machine finds the page."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}/"


def _announce(address: str) -> None:
    """Print the address once the page is really there, its database included."""
    ticker = threading.Event()
    for attempt in range(100_000):
        if _answers(address):
            print(f"Feedmirror is at {address}", flush=True)
            return
        if attempt == _AWAY_AFTER_S / _ANNOUNCE_EVERY_S:
            print(f"{address} answers, but its database is away", file=sys.stderr, flush=True)
        ticker.wait(_ANNOUNCE_EVERY_S)


def _answers(address: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
