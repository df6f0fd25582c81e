"""The site in several processes under granian, for many readers and an open network: `make serve`.

    this process ──> says where, starts the others, and anew what dies of them, ends them
      each other ──> a window and a follower of its own; granian holds the connections, some threads of Python answer

A request comes to Python when all its headers are there, and an answer leaves it at once and whole: a client that is
slow or silent holds a connection, and no thread.
"""

import multiprocessing
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from feedmirror.command_line import tell
from feedmirror.config import Settings
from feedmirror.data_check import refuse_newer
from feedmirror.errors import ConfigError, NewerSchema
from feedmirror.memory import share_between_threads
from feedmirror.parent import end_with_parent
from feedmirror.preflight import port_taken
from feedmirror.web.announcement import announce
from feedmirror.web.assembled import assemble
from feedmirror.web.log_file import with_the_others

# Of each process. An answer from memory needs one; the others are for what waits for MongoDB.
_THREADS = 16
# What granian calls backpressure: connections that a process holds at once, the idle ones among them. Each takes some
# twenty kilobytes, and a file descriptor.
_CONNECTIONS = 10_000
# What a process opens for itself: MongoDB, the modules it loads, its log.
_OTHER_FILES = 100
# Pages that all come back at the same moment wait here rather than being refused; Linux holds no more (somaxconn).
_BACKLOG = 4096
# Who has not sent all headers by then, counted from the answer before, is let go. An open page asks every five
# seconds; a proxy keeps its connections for less than this (deploy/nginx.conf).
_SILENT_MS = 15_000
# No header of ours is long; granian allows no less than 8 KB.
_MAX_HEADER_BYTES = 16 * 1024
# What is still open by then is silent, or waits for a MongoDB that is away. One process is waited for after the other.
_ENDING_S = 2
_GRANIAN_LOGGER = "_granian"
# What a terminal sends to all processes at once: Ctrl-C, and that it is closed.
_FROM_TERMINAL = frozenset({signal.SIGINT, signal.SIGHUP})


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; raises ConfigError for an address that cannot be listened on, or no MongoDB.

    Raises NewerSchema as well; a process that is started later, on data that was upgraded meanwhile, answers 503.
    """
    if taken := port_taken(settings.host, settings.port):
        raise ConfigError([taken])
    assemble(settings)  # what is wrong is to be said here and once
    # A forked child would inherit the locks of threads that it does not have.
    multiprocessing.set_start_method("spawn")
    _heed_terminal_alone()
    refuse_newer(settings)  # the driver's threads take signals as well that are not blocked before they begin
    server = Granian(
        __name__,
        address=_address(settings.host),
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.processes,
        blocking_threads=_THREADS,
        backlog=_BACKLOG,
        backpressure=_connections(),
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_SILENT_MS, max_buffer_size=_MAX_HEADER_BYTES),
        websockets=False,
        log_access=False,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=_ENDING_S,
    )
    if settings.log_path:
        with_the_others(_GRANIAN_LOGGER)
    announce(settings.host, settings.port)
    server.serve(target_loader=_application, wrap_loader=False)


def _heed_terminal_alone() -> None:
    """Have what a terminal sends end this process as SIGTERM does, and keep it from those that this process starts.

    Otherwise each of them ends by itself, which granian takes for a failure; and on SIGHUP it starts them anew.
    """
    resource_tracker.ensure_running()  # unblocks signals when it is started, which would else be later
    signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_TERMINAL)  # inherited
    threading.Thread(target=_end_when_told, args=(threading.get_ident(),), daemon=True).start()


def _end_when_told(main_thread: int) -> None:
    signal.sigwait(_FROM_TERMINAL)
    signal.pthread_kill(main_thread, signal.SIGTERM)


def _application() -> Callable[..., Any]:
    """Called in each process, once."""
    # Told to end it would wait for silent clients, with nobody left who ends that, and hold the port meanwhile.
    end_with_parent(signal.SIGKILL)
    share_between_threads()
    settings = Settings.from_environ()
    site = assemble(settings)
    if settings.log_path:
        with_the_others(_GRANIAN_LOGGER)
    site.start()
    application: Callable[..., Any] = site.application
    return application


def _address(host: str) -> str:
    """Granian takes no names."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError([f"HOST={host!r}: {error.strerror}"]) from None
    return str(found[0][4][0])


def _connections() -> int:
    """As many as this process and its children may open, once the soft limit is as high as the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - _OTHER_FILES


def main() -> int:
    try:
        serve(Settings.from_environ())
    except (ConfigError, NewerSchema) as error:
        return tell(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
