"""CherryPy's own server around the application: listen, say where, end when told.

One thread carries one request from its first byte to its last, if it is not answered at once (see `prompt`), so as many
clients as there are threads hold up everybody by being silent in the middle of one, until the time-out lets go of them.
Where that matters, `processes` serves the same.
"""

import os
import threading

import cherrypy
from cherrypy.process.plugins import SimplePlugin

from feedmirror.errors import ConfigError
from feedmirror.memory import share_between_threads
from feedmirror.preflight import port_taken
from feedmirror.web.announcement import announce
from feedmirror.web.assembled import Site
from feedmirror.web.direct import polls_at_hand
from feedmirror.web.prompt import PromptServer

# A page polls every few seconds and each answer takes less than a millisecond, so few threads serve many pages; more
# of them only help against clients that are slow to ask.
_THREADS = 30
# How long one of those may keep a thread waiting, for its request or until it takes its answer. An open page asks
# every five seconds, and an idle connection that lasts a little longer spares it a new one each time.
_SILENT_S = 6
# So many open pages keep theirs; cheroot's ten are fewer than one proxy has. Idle ones hold no thread.
_KEPT_ALIVE = 500
# Pages that all come back at the same moment (a restart, a proxy) wait here rather than being refused.
_BACKLOG = 1024
# Beyond this nobody who waits still looks: answer 503, and at once, for who waits for a place holds up all others.
_QUEUE = 1000
_QUEUE_WAIT_S = 0
# Nothing is uploaded here, and no header of ours is long.
_MAX_BODY_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 16 * 1024
# Told to end, it lets requests under way end, then cuts off clients that are silent, and at last those that are slow to
# take an answer. Together with all other parts that stays below five seconds.
_SILENT_CUT_S = 1
_ALL_CUT_S = 3


def serve(site: Site, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; raises ConfigError if nobody can listen there."""
    if taken := port_taken(host, port):
        raise ConfigError([taken])
    share_between_threads()
    cherrypy.config.update(
        {
            "server.socket_host": host,
            "server.socket_port": port,
            "server.thread_pool": _THREADS,
            "server.socket_timeout": _SILENT_S,
            "server.socket_queue_size": _BACKLOG,
            "server.accepted_queue_size": _QUEUE,
            "server.accepted_queue_timeout": _QUEUE_WAIT_S,
            "server.shutdown_timeout": _SILENT_CUT_S,
            "server.max_request_body_size": _MAX_BODY_BYTES,
            "server.max_request_header_size": _MAX_HEADER_BYTES,
        }
    )
    cherrypy.tree.mount(site.application, "")
    cherrypy.server.instance = PromptServer(cherrypy.server, polls_at_hand(site.updates))
    cherrypy.server.instance.keep_alive_conn_limit = _KEPT_ALIVE
    cherrypy.engine.signal_handler.handlers["SIGINT"] = cherrypy.engine.exit
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.subscribe("stop", _end_in_time, priority=0)
    Threads(site).subscribe()
    cherrypy.engine.start()
    announce(host, port)
    cherrypy.engine.block()


def _end_in_time() -> None:
    """Cheroot waits for each thread in the end, however long it takes. Nothing here has to be put in order."""
    cut = threading.Timer(_ALL_CUT_S, os._exit, (0,))
    cut.daemon = True
    cut.start()


class Threads(SimplePlugin):  # type: ignore[misc]
    """Keeps the site's own threads for as long as the engine runs."""

    def __init__(self, site: Site):
        super().__init__(cherrypy.engine)
        self._site = site

    def start(self) -> None:
        self._site.start()

    def stop(self) -> None:
        self._site.stop()
