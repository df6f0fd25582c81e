"""The web process: `python site.py`.

Started by name, never imported: the standard library has a `site` of its own.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

# A page must learn within five seconds that MongoDB is away, its wait for a free thread included.
TIMEOUT_S = 2


def main() -> None:
    """Serve the page and the stream until told to end."""
    from feedmirror.config import Settings
    from feedmirror.db import Connection
    from feedmirror.errors import ConfigError
    from feedmirror.storage import Storage
    from feedmirror.web.app import make_app
    from feedmirror.web.follower import Follower
    from feedmirror.web.server import serve
    from feedmirror.web.window import Window

    try:
        settings = Settings.from_environ()
        connection = Connection(settings.database_uri, timeout_s=TIMEOUT_S)
        window = Window(max_items=settings.window_items, max_bytes=settings.window_bytes)

        def open_storage() -> Storage:
            return Storage(connection.database()).prepare()

        application = make_app(
            open_storage,
            follower=Follower(open_storage, window, items=settings.window_items),
            static_dir=ROOT / "static",
            templates_dir=ROOT / "templates",
        )
        serve(application, settings.host, settings.port)
    except ConfigError as error:
        sys.exit("\n".join(f"feedmirror: {mistake}" for mistake in error.mistakes))


if __name__ == "__main__":
    main()
