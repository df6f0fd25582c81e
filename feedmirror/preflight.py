"""What the machine must have before anything can be installed: one line for each thing that is missing.

Run by file name with whatever Python the machine offers (`python3 feedmirror/preflight.py`), so it is written for
old ones, imports nothing of ours and nothing that is not in the standard library.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the rest is imported would show a traceback

import ctypes
import errno
import os
import platform
import shutil
import socket
import sys
import time

OLDEST_PYTHON = (3, 11)

_SUPERVISOR = "feedmirror.system"
# A site ends within it, once told to.
_ENDING_S = 4

# What the bundled mongod is linked against, and the Debian and Ubuntu package of each.
_LIBRARIES = (("libcurl.so.4", "libcurl4"), ("libssl.so.3", "libssl3"), ("libcrypto.so.3", "libssl3"))


def missing_for_mongod():
    # type: () -> list[str]
    """What keeps the bundled MongoDB from running here; empty if nothing does."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return [
            "the bundled MongoDB needs Linux on x86-64, this is %s on %s: install MongoDB 6 or newer, or set MONGODB_URI"
            % (platform.system(), platform.machine())
        ]
    packages = sorted({package for library, package in _LIBRARIES if not _loads(library)})
    return [
        "the bundled MongoDB needs %s: apt-get install %s (or set MONGODB_URI to a MongoDB of your own)" % (name, name)
        for name in packages
    ]


def missing_for_python():
    # type: () -> list[str]
    """What keeps this Python from making our virtual environment; empty if nothing does."""
    if sys.version_info < OLDEST_PYTHON:
        return [
            "Python %d.%d or newer is needed, %s is %d.%d: install python3.11, or name one: make PYTHON=/path/to/python3"
            % (OLDEST_PYTHON + (sys.executable,) + sys.version_info[:2])
        ]
    try:
        import ensurepip  # noqa: F401  (Debian ships venv without it until python3-venv is installed)
        import venv  # noqa: F401
    except ImportError:
        return ["this Python has no venv: apt-get install python3-venv"]
    return []


def port_taken(host, port, settings="PORT or HOST"):
    # type: (str, int, str) -> str | None
    """Why nothing can listen there, and which settings name another place; None if it can be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # as the server does it: a port that only waits for old connections to fade is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            process = feedmirror_at(port) if error.errno == errno.EADDRINUSE else None
            if process:
                return "another Feedmirror (process %d) serves at %s port %d: stop it, or set PORT to another" % (
                    process,
                    host,
                    port,
                )
            return "cannot listen on %s port %d (%s): set %s to another" % (host, port, error.strerror, settings)
    return None


def feedmirror_at(port):
    # type: (int) -> int | None
    """The process to stop for this port to be free, if it is a Feedmirror's that this user may look into; Linux only.

    That is the first one of those that started each other: it would start again what was stopped alone.
    """
    sockets = _listening(port)
    for process in filter(str.isdigit, os.listdir("/proc") if sockets else ()):
        if sockets & _open_files(process):
            ours = [one for one in _with_ancestors(int(process)) if _is_feedmirror(one)]
            if ours:
                return ours[-1]
    return None


def _listening(port):
    # type: (int) -> set[str]
    """The sockets that listen at this port, as /proc/PID/fd names them (proc(5))."""
    found = set()  # type: set[str]
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        found.update("socket:[%s]" % row[9] for row in rows if row[1].endswith(":%04X" % port) and row[3] == "0A")
    return found


def _open_files(process):
    # type: (str) -> set[str]
    """What the files are that a process has open; none of another user's."""
    directory = "/proc/%s/fd" % process
    found = set()  # type: set[str]
    try:
        for name in os.listdir(directory):
            if os.path.lexists(os.path.join(directory, name)):
                found.add(os.readlink(os.path.join(directory, name)))
    except OSError:
        pass
    return found


def _words_of(process):
    # type: (object) -> list[str]
    """The command line of a process."""
    try:
        with open("/proc/%s/cmdline" % process) as line:
            return line.read().split("\0")
    except (OSError, UnicodeDecodeError):
        return []


def _is_feedmirror(process):
    # type: (int) -> bool
    words = _words_of(process)
    if "feedmirror.web.processes" in words or _SUPERVISOR in words:
        return True
    try:
        home = os.readlink("/proc/%d/cwd" % process)
    except OSError:
        return False
    # other programs have a site.py as well
    return any(
        os.path.basename(word) == "site.py"
        and os.path.exists(os.path.join(home, os.path.dirname(word), "feedmirror", "preflight.py"))
        for word in words
    )


def _with_ancestors(process):
    # type: (int) -> list[int]
    line = []
    while process > 1:
        line.append(process)
        try:
            with open("/proc/%d/stat" % process) as stat:
                process = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            break
    return line


def _loads(library):
    # type: (str) -> bool
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _missing(serving):
    # type: (bool) -> list[str]
    missing = missing_for_python()
    if missing:  # nothing else can be found out with such a Python
        return missing
    if serving and not os.environ.get("MONGODB_URI") and not shutil.which("mongod"):
        missing += missing_for_mongod()
    port = os.environ.get("PORT") or "8080"
    if serving and port.isdigit() and 0 < int(port) < 65536:
        taken = _taken_for_long(os.environ.get("HOST") or "127.0.0.1", int(port))
        missing += [taken] if taken else []
    return missing


def _taken_for_long(host, port):
    # type: (str, int) -> str | None
    """As `port_taken`; waits for a Feedmirror that is ending, since its supervisor was stopped or killed."""
    deadline = time.time() + _ENDING_S
    while True:
        taken = port_taken(host, port)
        process = feedmirror_at(port) if taken else None
        if not process or _SUPERVISOR in _words_of(process) or time.time() > deadline:
            return taken
        time.sleep(0.1)


if __name__ == "__main__":
    missing = _missing(serving="serve" in sys.argv[1:])
    for line in missing:
        sys.stderr.write("feedmirror: %s\n" % line)
    sys.exit(2 if missing else 0)
