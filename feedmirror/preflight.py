"""What the machine must have before anything can be installed: one line for each thing that is missing.

Run by file name with whatever Python the machine offers (`python3 feedmirror/preflight.py`), so it is written for
old ones, imports nothing of ours and nothing that is not in the standard library.
"""

import ctypes
import os
import platform
import shutil
import socket
import sys

OLDEST_PYTHON = (3, 11)

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


def port_taken(host, port):
    # type: (str, int) -> str | None
    """Why nothing can listen there, None if it can be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # as the server does it: a port that only waits for old connections to fade is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return "cannot listen on %s port %d (%s): set PORT or HOST to another" % (host, port, error.strerror)
    return None


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
        taken = port_taken(os.environ.get("HOST") or "127.0.0.1", int(port))
        missing += [taken] if taken else []
    return missing


if __name__ == "__main__":
    missing = _missing(serving="serve" in sys.argv[1:])
    for line in missing:
        sys.stderr.write("feedmirror: %s\n" % line)
    sys.exit(1 if missing else 0)
