"""The site put together from the settings: what each process that serves it does first.

    settings ──> connection ──> storage ──> follower, with its window, and watch ──> application

Knows no server: CherryPy's own (`server`) and granian (`processes`) carry the same.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cherrypy

from feedmirror.broker import Probe, Waker
from feedmirror.config import Settings
from feedmirror.db import Connection
from feedmirror.disk import shortage
from feedmirror.storage import Storage
from feedmirror.web.app import make_app
from feedmirror.web.follower import Follower
from feedmirror.web.log_file import log_to
from feedmirror.web.update import Updates
from feedmirror.web.watch import Watch
from feedmirror.web.window import Window

_ROOT = Path(__file__).resolve().parent.parent.parent

# A page must learn within five seconds that MongoDB is away, its wait for a free thread included.
_TIMEOUT_S = 2
# The same page waits no longer for older data to be brought up to date, which goes on without it.
_PATIENCE_S = 1


@dataclass(frozen=True, slots=True)
class Site:
    """The application, what answers its polls, and those whose threads live as long as the server does."""

    application: cherrypy.Application
    updates: Updates
    follower: Follower
    watch: Watch

    def start(self) -> None:
        """Begin to follow the stream, and to watch over polling."""
        self.follower.start()
        self.watch.start()

    def stop(self) -> None:
        self.watch.stop()
        self.follower.stop()


def assemble(settings: Settings) -> Site:
    """Connects to nothing yet; raises ConfigError if it is not known to what, or if the log cannot be written."""
    log_to(settings.log_path)
    connection = Connection(settings.database_uri, timeout_s=_TIMEOUT_S)

    def open_storage() -> Storage:
        return Storage(connection.database()).prepare(only_reads=True, patience_s=_PATIENCE_S)

    window = Window(max_items=settings.window_items, max_bytes=settings.window_bytes)
    follower = Follower(open_storage, window, items=settings.window_items)
    watch = Watch(open_storage)
    updates = Updates(open_storage, follower, watch)
    broker_is_database = settings.celery_broker_url == settings.database_uri
    application = make_app(
        open_storage,
        follower=follower,
        watch=watch,
        updates=updates,
        static_dir=_ROOT / "static",
        templates_dir=_ROOT / "templates",
        wake=Waker(settings).wake,
        fresh_s=settings.datasets_fresh_s,
        own_host=settings.host,
        broker=None if broker_is_database else Probe(settings).trouble,
        disk=partial(shortage, settings),
    )
    # no reloader, no tracebacks in answers, no line for each request
    cherrypy.config.update({"environment": "production", "checker.on": False})
    return Site(application, updates, follower, watch)
