"""The web process: `python site.py`.

Started by name, never imported: the standard library has a `site` of its own.
"""

import signal
import sys


def main() -> int:
    """Serve the page and the stream until told to end; gives the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the server takes it over, Ctrl-C would show a traceback
    from feedmirror.command_line import tell
    from feedmirror.config import Settings
    from feedmirror.data_check import refuse_newer
    from feedmirror.errors import ConfigError, NewerSchema
    from feedmirror.web.assembled import assemble
    from feedmirror.web.server import serve

    try:
        settings = Settings.from_environ()
        refuse_newer(settings)
        serve(assemble(settings), settings.host, settings.port)
    except (ConfigError, NewerSchema) as error:
        return tell(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
