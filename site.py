"""The web process: `python site.py`.

Started by name, never imported: the standard library has a `site` of its own.
"""

import sys


def main() -> None:
    """Serve the page and the stream until told to end."""
    from feedmirror.config import Settings
    from feedmirror.data_check import refuse_newer
    from feedmirror.errors import ConfigError, NewerSchema, exit_code
    from feedmirror.web.assembled import assemble
    from feedmirror.web.server import serve

    try:
        settings = Settings.from_environ()
        refuse_newer(settings)
        serve(assemble(settings), settings.host, settings.port)
    except ConfigError as error:
        sys.exit("\n".join(f"feedmirror: {mistake}" for mistake in error.mistakes))
    except NewerSchema as error:
        sys.stderr.write(f"feedmirror: {error}\n")
        sys.exit(exit_code(error))


if __name__ == "__main__":
    main()
