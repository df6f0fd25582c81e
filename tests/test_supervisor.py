"""The supervisor with small programs: what dies comes back, and nothing outlives it, however it ends."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fronts import lives
from tests.processes import PYTHON, Running, environment
from tests.waiting import wait_until

# Keeps up the base, if there is one, and the others; each is a name and a program.
SUPERVISOR = """
import os, sys
from feedmirror.part import Part
from feedmirror.supervisor import supervise

class Base(Part):
    def tend(self):
        return os.path.exists("usable")

base, *others = [(name, [sys.executable, "-c", program]) for name, program in zip(sys.argv[1::2], sys.argv[2::2])]
sys.exit(supervise(Base(*base) if base[0] else None, [Part(*other) for other in others], os.environ))
"""
NONE = ("", "")
STAY = "import signal; print('stays', flush=True); signal.pause()"
# Ends in order, and takes note of when.
ORDERLY = """
import signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("stays", flush=True)
signal.sigwait({signal.SIGTERM})
time.sleep(0.2)
print("in order", flush=True)
"""
# Has a child that ignores what ends it.
PARENT = """
import os, signal
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("child", os.getpid(), flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with ExitStack() as stack:
        env = {**environment(), "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}

        def supervise(*parts: tuple[str, str]) -> Running:
            words = [word for part in parts for word in part]
            command = [PYTHON, "-c", SUPERVISOR, *words]
            running = stack.enter_context(Running(command, tmp_path / "log", env, cwd=tmp_path))
            stack.callback(kill_all, running)
            return running

        yield supervise


def kill_all(running: Running) -> None:
    """What a failed test has left."""
    for process in filter(lives, processes(running)):
        os.kill(process, signal.SIGKILL)


def processes(running: Running, name: str = "") -> list[int]:
    """Those that were started, by the ids that it printed."""
    return [int(found) for found in re.findall(rf"{name}\s*\| started \(pid=(\d+)\)", running.output)]


def test_what_dies_is_started_again_after_a_pause_that_grows(supervise: Callable[..., Running]) -> None:
    running = supervise(NONE, ("crash", "print('last words'); raise SystemExit(3)"), ("stays", STAY))
    running.wait_for(r"starts again in 2 s")
    told = re.findall(r"crash   \| (last words|ended .*)", running.output)
    assert told[:6] == [
        "last words",
        "ended (exit code 3), starts again in 0.5 s",
        "last words",
        "ended (exit code 3), starts again in 1 s",
        "last words",
        "ended (exit code 3), starts again in 2 s",
    ]
    assert len(processes(running, "stays")) == 1


def test_a_kill_is_told_by_its_name_and_the_others_go_on(supervise: Callable[..., Running]) -> None:
    running = supervise(NONE, ("one", STAY), ("two", STAY))
    wait_until(lambda: running.output.count("stays") == 2, "both")
    [first], [other] = processes(running, "one"), processes(running, "two")
    os.kill(first, signal.SIGKILL)
    running.wait_for(r"one     \| ended \(SIGKILL\), starts again in 0.5 s")
    wait_until(lambda: len(processes(running, "one")) == 2, "another one")
    assert processes(running, "two") == [other]
    assert lives(other)


def test_children_that_a_dead_part_leaves_behind_are_ended(supervise: Callable[..., Running]) -> None:
    running = supervise(NONE, ("parent", PARENT))
    child = int(running.wait_for(r"child (\d+)")[1])
    os.kill(processes(running)[0], signal.SIGKILL)
    wait_until(lambda: not lives(child), "the end of the child")


def test_exit_code_2_ends_everything_with_its_line(supervise: Callable[..., Running]) -> None:
    mistake = "import sys, time; time.sleep(0.3); print('feedmirror: PORT: no', file=sys.stderr); sys.exit(2)"
    running = supervise(NONE, ("stays", STAY), ("wrong", mistake))
    assert running.process.wait(20) == 2
    assert running.output.splitlines()[-1] == "feedmirror: PORT: no"
    assert not any(map(lives, processes(running)))
    assert "starts again" not in running.output


def test_the_others_begin_once_the_base_is_usable_and_end_before_it(
    supervise: Callable[..., Running], tmp_path: Path
) -> None:
    running = supervise(("base", ORDERLY), ("other", ORDERLY))
    running.wait_for(r"base    \| stays")
    assert processes(running, "other") == []
    (tmp_path / "usable").touch()
    running.wait_for(r"other   \| stays")
    running.process.terminate()
    assert running.process.wait(20) == 0
    assert re.findall(r"(\w+) +\| in order", running.output) == ["other", "base"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_cut_the_end_short(supervise: Callable[..., Running], number: signal.Signals) -> None:
    running = supervise(NONE, ("one", ORDERLY), ("two", ORDERLY))
    wait_until(lambda: running.output.count("stays") == 2, "both")
    for _ in range(3):
        running.signal_group(number)  # as a terminal does it
    assert running.process.wait(20) == 0
    assert running.output.count("in order") == 2
    assert "Traceback" not in running.output


def test_a_killed_supervisor_leaves_nothing(supervise: Callable[..., Running]) -> None:
    running = supervise(("base", STAY), ("other", STAY))
    running.wait_for("stays")
    running.process.kill()
    running.process.wait()
    wait_until(lambda: not any(map(lives, processes(running))), "the end of all")


def test_a_program_that_is_not_there_is_told_and_tried_again(tmp_path: Path) -> None:
    program = (
        "import os; from feedmirror.part import Part; from feedmirror.supervisor import supervise;"
        "supervise(None, [Part('none', ['/no/such/program'])], os.environ)"
    )
    with Running([PYTHON, "-c", program], tmp_path / "log", environment()) as running:
        running.wait_for(r"none    \| cannot be started: .*No such file or directory.*, starts again in 1 s")
        running.process.terminate()
        assert running.process.wait(20) == 0


def test_a_part_that_was_well_begins_with_the_shortest_pause(tmp_path: Path) -> None:
    program = (
        "import os, sys; from feedmirror import supervisor; from feedmirror.part import Part;"
        "supervisor._WELL_AFTER_S = 0.3;"
        "supervisor.supervise(None, [Part('well', [sys.executable, '-c', 'import time; time.sleep(0.4)'])], os.environ)"
    )
    with Running([PYTHON, "-c", program], tmp_path / "log", environment()) as running:
        wait_until(lambda: running.output.count("starts again in 0.5 s") == 3, "three ends")
        assert "again in 1 s" not in running.output


def test_output_without_an_end_of_line_is_shown_too(supervise: Callable[..., Running]) -> None:
    running = supervise(NONE, ("half", "import sys; sys.stdout.write('half a line'); sys.exit(3)"))
    running.wait_for(r"half    \| half a line\n.*ended \(exit code 3\)")
