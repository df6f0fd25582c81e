"""The whole system on one machine, and each part of it with the MongoDB that it needs: what the Makefile starts.

    python -m feedmirror.system run | demo | serve | flower | db

Unless MONGODB_URI is set, or a MongoDB of this data directory runs already, the bundled one is a part too: the first
to start and the last to end.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # Until `supervise` waits for Ctrl-C there is nothing to put in order, and an import would show a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from feedmirror.errors import ConfigError, MongodError
from feedmirror.parent import end_with_parent
from feedmirror.part import Part, say
from feedmirror.preflight import port_taken
from feedmirror.supervisor import MISCONFIGURED, supervise

if TYPE_CHECKING:
    from feedmirror.config import Settings
    from feedmirror.mongodb_part import MongodbPart

_PYTHON = sys.executable
_CELERY = (_PYTHON, "-m", "celery", "-A", "stack_scrap")

# What each program is started with; {names} are filled in from the settings.
_PROGRAMS = {
    "site": (_PYTHON, "site.py"),
    "serve": (_PYTHON, "-m", "feedmirror.web.processes"),
    "worker": (*_CELERY, "worker", "-B", "--loglevel=INFO"),
    # on loopback alone, since it asks for no proof
    "flower": (*_CELERY, "flower", "--address=127.0.0.1", "--port={flower_port}"),
    "feed": (_PYTHON, "-m", "feedmirror.demo", "--port={feed_port}", "--sources={sources}"),
}
_SYSTEMS = {
    "run": ("site", "worker"),
    "demo": ("site", "worker", "feed"),
    "serve": ("serve",),
    "flower": ("flower",),
    "db": (),
}
# The demo's feed has the same port at each start, so that older items still lead to it, unless another program has
# that. 0 takes a free one.
_FEED_PORT_ABOVE = 200
_PORT_MAX = 65535


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the system up until it is told to end; gives the exit status."""
    options = _parser().parse_args(arguments)
    if options.end_with_parent:
        end_with_parent()
    # not before, because these take a third of a second, in which the parent may end
    from feedmirror.config import Settings
    from feedmirror.mongodb_part import mongodb

    try:
        settings = Settings.from_environ()
        if options.system == "flower":
            _check_port_of_flower()
        with mongodb(settings) as base:
            return _keep_up(options.system, settings, base)
    except ConfigError as error:
        mistakes: Sequence[str] = error.mistakes
    except MongodError as error:
        mistakes = [str(error)]
    for mistake in mistakes:
        print(f"feedmirror: {mistake}", file=sys.stderr)
    return MISCONFIGURED


def _keep_up(system: str, settings: "Settings", base: "MongodbPart | None") -> int:
    uri = settings.mongodb_uri or (base.uri if base else "")
    if not base:  # its address may have a password in it
        say("mongodb", "MONGODB_URI names one, and none is started here")
    elif base.is_there:
        say("mongodb", f"MongoDB is at {uri}, and not started here")
    words = _words(settings)
    parts = [Part(name, [word.format(**words) for word in _PROGRAMS[name]]) for name in _SYSTEMS[system]]
    return supervise(base, parts, {**os.environ, "MONGODB_URI": uri}, begun=not base or base.is_there)


def _check_port_of_flower() -> None:
    """Flower itself shows a traceback."""
    port = _flower_port()
    if not port.isdecimal() or not 0 < int(port) <= _PORT_MAX:
        raise ConfigError([f"FLOWER_PORT={port[:80]!r}: must be a whole number from 1 to {_PORT_MAX}"])
    if taken := port_taken("127.0.0.1", int(port), "FLOWER_PORT"):
        raise ConfigError([taken])


def _flower_port() -> str:
    return os.environ.get("FLOWER_PORT") or "5555"


def _words(settings: "Settings") -> dict[str, object]:
    feed_port = settings.port + _FEED_PORT_ABOVE
    is_usable = feed_port <= _PORT_MAX and not port_taken("127.0.0.1", feed_port)
    return {
        "flower_port": _flower_port(),
        "feed_port": feed_port if is_usable else 0,
        "sources": settings.sources_path,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m feedmirror.system", description="Keep parts of the mirror up.")
    parser.add_argument("system", choices=sorted(_SYSTEMS))
    parser.add_argument("--end-with-parent", action="store_true", help="end when the parent process does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
