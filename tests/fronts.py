"""What pages ask, as real processes: `site.py`, `make serve`, or nginx with one of each behind it.

with Front("nginx", uri, directory) as front:
    urlopen(front.address + "/update")
    front.sites[0].kill()
    front.sites[0].start()
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self

from feedmirror.preflight import port_taken
from tests import nginx
from tests.processes import PYTHON, Running, environment, free_port
from tests.waiting import wait_until

SITE = [PYTHON, "site.py"]
SERVE = [PYTHON, "-m", "feedmirror.web.processes"]
BEHIND = {"site": [SITE], "granian": [SERVE], "nginx": [SITE, SERVE]}


class Part:
    """A program that listens on a port, which can be killed with all that it started, and started again there."""

    def __init__(self, command: Sequence[str], port: int, log: Path, env: Mapping[str, str]):
        self.port = port
        self._command, self._log, self._env = command, log, env
        self._starts = 0
        self.start()

    def start(self) -> None:
        self._starts += 1
        self.running = Running(self._command, self._log.with_suffix(f".{self._starts}.log"), self._env)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.running.signal_group(SIGKILL)
        self.running.process.wait()
        wait_until(lambda: port_taken("127.0.0.1", self.port) is None, "the port of what was killed")

    def children(self) -> set[int]:
        """The processes that it has started and that live."""
        return children(self.running.process.pid)


class Front:
    """A site with whatever stands before it; `kind` is one of BEHIND.

    `behind` says what else is to stand behind nginx, or which command is to run instead; `changes` are those of
    nginx's configuration. Settings are the site's.
    """

    def __init__(
        self,
        kind: str,
        mongodb_uri: str,
        directory: Path,
        *,
        behind: Sequence[Sequence[str]] | None = None,
        changes: Mapping[str, str] = nginx.UNLIMITED,
        **settings: str,
    ):
        if kind == "nginx":
            nginx.installed()  # skips before anything is started
        self.kind = kind
        self.nginx: Part | None = None
        self.sites: list[Part] = []
        try:
            for number, command in enumerate(behind or BEHIND[kind]):
                port = free_port()
                env = environment(MONGODB_URI=mongodb_uri, PORT=str(port), **settings)
                self.sites.append(Part(command, port, directory / f"site{number}", env))
            if kind == "nginx":
                port = free_port()
                configuration = nginx.configured(directory / "nginx", port, [site.port for site in self.sites], changes)
                self.nginx = Part(nginx.command(configuration), port, directory / "nginx", environment())
        except BaseException:
            self.stop()
            raise
        self.address = f"http://127.0.0.1:{(self.nginx or self.sites[0]).port}"

    def wait_until_usable(self) -> Self:
        """Return once each part answers, the database included."""
        for site in self.sites:
            site.running.wait_for("Feedmirror is at")
        if self.nginx:
            port = self.nginx.port
            wait_until(lambda: nginx.listens(port), "nginx to listen")
        return self

    def stop(self) -> None:
        """End all of it."""
        for part in [self.nginx, *self.sites]:
            if part:
                part.running.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def children(pid: int) -> set[int]:
    """The processes that a process has started and that live."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return {child for child in map(int, listed) if lives(child)}


def workers(serve: Part | Running) -> set[int]:
    """The processes of `make serve` that answer."""
    running = serve.running if isinstance(serve, Part) else serve
    return {child for child in children(running.process.pid) if "spawn_main" in _command_of(child)}


def listeners(port: int) -> set[str]:
    """The sockets that listen there, by their numbers in the kernel (proc(5))."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {one[9] for one in sockets if one[1].endswith(f":{port:04X}") and one[3] == "0A"}


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is not one that has ended and only waits for its parent to see that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
