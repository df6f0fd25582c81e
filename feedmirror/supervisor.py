"""Keeps programs up: starts them, starts those again that die, and ends all of them together.

    base ──> usable ──> the others          each again after a pause, for as long as nothing says to end
    the others, together ──> base           SIGTERM to each, SIGKILL only to what ignores it

What a program prints is shown with its name in front. None outlives this process, however it ends. What the programs
do is not known here.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

from feedmirror.parent import end_with_parent
from feedmirror.part import Part, say
from feedmirror.signals import told_to_end

# What a program ends with that cannot run as it is configured: to start it again would not help.
MISCONFIGURED = 2

_PAUSE_FIRST_S = 0.5
_PAUSE_LONGEST_S = 30
# After so long a program is well, and its next end is another matter.
_WELL_AFTER_S = 60
_LOOK_S = 0.2
# A last line may still be on its way when its program has ended.
_LAST_LINES_S = 1
_LINE_MAX_BYTES = 64 * 1024


class _Misconfigured(Exception):
    """A program ended with MISCONFIGURED; the text is its last line."""


class _Kept:
    """A part with its process."""

    def __init__(self, part: Part, env: Mapping[str, str]):
        self._part, self._env = part, env
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lines: deque[str] = deque(maxlen=1)
        self._started_at = self._not_before = 0.0
        self._pause_s = _PAUSE_FIRST_S
        self._obstacle: str | None = None
        self._patience_s = 0.0

    def look(self) -> bool:
        """Start it if it does not run; whether it is usable. Raises _Misconfigured."""
        if self._process is None:
            if time.monotonic() >= self._not_before and not self._is_kept_from_starting():
                self._start()
            return False
        if self._process.poll() is not None:
            self._ended(self._process.returncode)
            return False
        return self._part.tend()

    def terminate(self) -> None:
        if self._process is not None:
            self._patience_s = self._part.patience_s()
            self._process.terminate()

    def wait(self, since: float) -> None:
        """Wait for its end after `terminate`, and kill it if that takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, since + self._patience_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(self._part.name, f"does not end within {self._patience_s:g} s: SIGKILL")
            self._process.kill()
            self._process.wait()
        self._clear_away(self._process)

    def _is_kept_from_starting(self) -> bool:
        before, self._obstacle = self._obstacle, self._part.obstacle()
        if self._obstacle != before:
            say(self._part.name, f"waits: {self._obstacle}" if self._obstacle else "goes on")
        if self._obstacle:
            self._not_before = time.monotonic() + 1
        return bool(self._obstacle)

    def _start(self) -> None:
        parent = os.getpid()

        def begin() -> None:
            end_with_parent(self._part.when_orphaned, parent=parent)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())

        self._started_at = time.monotonic()
        try:
            self._process = subprocess.Popen(
                self._part.command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us, and its children are known by their group
                preexec_fn=begin,
                pass_fds=self._part.inherited,
            )
        except OSError as error:  # no memory, say
            self._again(f"cannot be started: {error}")
            return
        self._part.signal = self._process.send_signal
        say(self._part.name, f"started (pid={self._process.pid})")
        self._reader = threading.Thread(target=self._show, args=(self._process,), daemon=True)
        self._reader.start()

    def _show(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in iter(lambda: output.readline(_LINE_MAX_BYTES), b""):
                text = self._part.shown(line.decode("utf-8", "replace").rstrip())
                if text is not None:
                    self._lines.append(text)
                    say(self._part.name, text)

    def _ended(self, code: int) -> None:
        """Say how it ended, and when it starts again."""
        assert self._process is not None
        self._clear_away(self._process)
        self._process = None
        if code == MISCONFIGURED:
            raise _Misconfigured(self._lines[-1] if self._lines else f"{self._part.name}: exit code {code}")
        for line in self._part.last_lines():
            say(self._part.name, line)
        self._again(f"ended ({_reason(code)})")

    def _again(self, why: str) -> None:
        now = time.monotonic()
        if now - self._started_at >= _WELL_AFTER_S:
            self._pause_s = _PAUSE_FIRST_S
        say(self._part.name, f"{why}, starts again in {self._pause_s:g} s")
        self._not_before = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _PAUSE_LONGEST_S)

    def _clear_away(self, process: subprocess.Popen[bytes]) -> None:
        """End what it has left behind, and show its last lines."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if self._reader is not None:
            self._reader.join(_LAST_LINES_S)


def supervise(base: Part | None, others: Sequence[Part], env: Mapping[str, str], *, begun: bool = False) -> int:
    """Keep all of them up until SIGTERM, Ctrl-C or a hang-up; gives the exit status.

    The others begin once the base is usable, or at once if they have `begun`.
    To be called in the main thread, since the kernel ends the programs with the thread that started them.
    """
    first = [_Kept(base, env)] if base else []
    then = [_Kept(part, env) for part in others]
    with told_to_end() as is_told:
        try:
            while not is_told(_LOOK_S):
                usable = [kept.look() for kept in first]
                begun = begun or all(usable)
                for kept in then if begun else ():
                    kept.look()
        except _Misconfigured as error:
            told = str(error)
        else:
            told = ""
        finally:
            if base:
                base.ends()
            _end(then)
            _end(first)
    if told:
        print(told if told.startswith("feedmirror: ") else f"feedmirror: {told}", file=sys.stderr, flush=True)
    return MISCONFIGURED if told else 0


def _end(several: Sequence[_Kept]) -> None:
    for kept in several:
        kept.terminate()
    since = time.monotonic()
    for kept in several:
        kept.wait(since)


def _reason(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
