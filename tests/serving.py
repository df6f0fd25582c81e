"""The site for tests: called in this process, or behind a real server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cherrypy
from cheroot.wsgi import Server

from feedmirror.web.app import make_app
from feedmirror.web.watch import Watch
from tests.wsgi_client import Client

ROOT = Path(__file__).resolve().parent.parent


def client_of(open_storage: Callable[[], Any], **more: Any) -> Client:
    """`more`: of `make_app`."""
    cherrypy.config.update({"log.screen": False})
    return Client(make_app(open_storage, static_dir=ROOT / "static", templates_dir=ROOT / "templates", **more))


@contextmanager
def serving(
    open_storage: Callable[[], Any], poll_every_s: float, *, most_body_bytes: int = 0, watch: Watch | None = None
) -> Iterator[str]:
    """A real server on a free port; gives its address.

    `most_body_bytes`: what it takes itself; 0 is anything. `watch`: over polling; has looked once when this begins.
    """
    cherrypy.config.update({"log.screen": False})
    application = make_app(
        open_storage,
        static_dir=ROOT / "static",
        templates_dir=ROOT / "templates",
        poll_every_s=poll_every_s,
        watch=watch,
    )
    server = Server(("127.0.0.1", 0), application)
    server.max_request_body_size = most_body_bytes
    server.shutdown_timeout = 1  # for a connection that the browser opened ahead and never used
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    if watch is not None:
        watch.look()
        watch.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        if watch is not None:
            watch.stop()
        server.stop()
        thread.join()
