"""The real programs as processes of a test, each in a session of its own, ended for certain."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
SCRIPTS = Path(sys.executable).parent

CELERY = [str(SCRIPTS / "celery"), "-A", "stack_scrap"]
# One process that polls, so that it is known which one does.
WORKER = [*CELERY, "worker", "--concurrency=1", "--loglevel=INFO"]
BEAT = [*CELERY, "beat", "--pidfile=", "--loglevel=INFO"]

# What of this process's environment would change how the programs behave.
_OURS = ("HOST", "PORT", "MONGODB_URI", "CELERY_BROKER_URL", "VIRTUAL_ENV")


def free_port() -> int:
    """A port on which nothing listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with these settings and no other ones of Feedmirror's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OURS and not name.startswith(("FEEDMIRROR_", "MAKE", "MFLAGS"))
    }
    return {
        **kept,
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }


def heed_ctrl_c() -> None:
    """To be called in a child before its program begins: a shell may have started the tests with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """A program that runs until the end of a `with` block; what it prints can be read meanwhile."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path = ROOT):
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=heed_ctrl_c,
            )

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def wait_for(self, pattern: str, *, timeout_s: float = 30) -> re.Match[str]:
        """Wait until the program has printed this; fails if it ends before."""

        def printed() -> re.Match[str] | None:
            ended = self.process.poll() is not None
            found = re.search(pattern, self.output)
            assert found or not ended, f"ended ({self.process.returncode}) without {pattern!r}:\n{self.output}"
            return found

        try:
            return wait_until(printed, f"{pattern!r} in its output", timeout_s=timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None

    def signal_group(self, number: signal.Signals) -> None:
        """As a terminal does it: to everybody in the program's process group."""
        os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """Ask it to end, and end it for certain with everything that is left of its group."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            with suppress(ProcessLookupError):
                self.signal_group(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def kill(program: Running) -> None:
    """With all of its children, as a machine does that has no memory left, or no power."""
    with suppress(ProcessLookupError):
        program.signal_group(signal.SIGKILL)
    program.process.wait()


def children_of(pid: int) -> list[int]:
    """The children of this process: whichever of its threads has forked them."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def child_of(pid: int) -> int:
    """The one child of this process."""
    (child,) = children_of(pid)
    return child
