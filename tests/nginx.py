"""nginx as a process of a test, from the configuration that is shipped.

Only what depends on the machine is another: the user, where files are, and the ports. What a test changes beyond that
it names, and whatever is to be replaced must be there once: a configuration that has moved on is told, not passed over.
"""

import getpass
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.processes import ROOT
from tests.programs import executable

SHIPPED = ROOT / "deploy" / "nginx.conf"

# All that a test asks comes from one address.
UNLIMITED = {"rate=50r/s": "rate=100000r/s", "limit_conn connections 200;": "limit_conn connections 20000;"}


def installed() -> str:
    """Where nginx is; skips the test if the machine has none."""
    return executable("nginx")


def configured(directory: Path, port: int, sites: Sequence[int], changes: Mapping[str, str] | None = None) -> Path:
    """The shipped configuration, for nginx on this port in front of what listens on those; its files in `directory`."""
    directory.mkdir()
    servers = "\n".join(f"server 127.0.0.1:{site} fail_timeout=1s;" for site in sites)
    own = {
        "user www-data;": f"user {getpass.getuser()};",
        "/run/nginx.pid": f"{directory}/pid",
        "/var/log/nginx/error.log": f"{directory}/error.log",
        "/var/lib/nginx/feedmirror": f"{directory}/cache",
        "http {\n": "http {\n" + "".join(_temporary_files(directory)),
        "listen 80 default_server;": f"listen 127.0.0.1:{port} default_server;",
        "server 127.0.0.1:8080 fail_timeout=1s;": servers,
    }
    text = SHIPPED.read_text("utf-8")
    for old, new in {**own, **(changes or {})}.items():
        assert text.count(old) == 1, f"{old!r} is not in {SHIPPED.name} once"
        text = text.replace(old, new)
    configuration = directory / "nginx.conf"
    configuration.write_text(text, "utf-8")
    return configuration


def _temporary_files(directory: Path) -> list[str]:
    """Where they are by default was decided when nginx was built."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return [f"    {kind}_temp_path {directory}/{kind};\n" for kind in kinds]


def command(configuration: Path) -> list[str]:
    """What runs it in the foreground."""
    return [installed(), "-c", str(configuration), "-g", "daemon off;"]


def complaints(configuration: Path) -> str:
    """What nginx says about a configuration; fails if it would not start with it."""
    checked = subprocess.run(
        [installed(), "-t", "-q", "-c", str(configuration)], capture_output=True, text=True, timeout=30, check=False
    )
    assert checked.returncode == 0, checked.stderr
    return checked.stderr


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
