"""What is missing on a machine, told in one line before anything is installed."""

import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from feedmirror import preflight
from tests.processes import PYTHON, Running, environment, free_port, heed_ctrl_c

SCRIPT = Path(__file__).resolve().parent.parent / "feedmirror" / "preflight.py"


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """By file name, by a Python that has nothing installed and is told nothing of ours."""
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys._base_executable, "-S", "-W", "error", str(SCRIPT), *arguments],  # type: ignore[attr-defined]
        cwd="/",
        env={**plain, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


# -- as it is run


def test_a_machine_that_has_everything_is_told_nothing() -> None:
    for arguments in ((), ("serve",)):
        ended = run(*arguments, PORT=str(free_port()), MONGODB_URI="mongodb://elsewhere/")
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_port_that_is_taken_is_told_in_one_line_with_what_to_set(taken_port: int) -> None:
    ended = run("serve", PORT=str(taken_port), MONGODB_URI="mongodb://elsewhere/")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"feedmirror: cannot listen on 127.0.0.1 port {taken_port} (Address already in use):"
        " set PORT or HOST to another\n"
    )


def test_a_port_matters_only_to_who_serves(taken_port: int) -> None:
    ended = run(PORT=str(taken_port))
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_a_port_that_is_none_is_left_to_the_settings_which_report_all_mistakes(port: str) -> None:
    ended = run("serve", PORT=port, MONGODB_URI="mongodb://elsewhere/")
    assert (ended.returncode, ended.stderr) == (0, "")


# -- Python


def test_this_python_will_do() -> None:
    assert preflight.missing_for_python() == []


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 9, 2), (2, 7, 18)])
def test_a_python_that_is_too_old_is_told_with_what_to_install(
    version: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", version)
        patch.setattr(sys, "executable", "/usr/bin/python3")
        missing = preflight.missing_for_python()
    assert missing == [
        f"Python 3.11 or newer is needed, /usr/bin/python3 is {version[0]}.{version[1]}:"
        " install python3.11, or name one: make PYTHON=/path/to/python3"
    ]


@pytest.mark.parametrize("absent", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_with_the_package_that_has_it(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    assert preflight.missing_for_python() == ["this Python has no venv: apt-get install python3-venv"]


# -- the bundled MongoDB


@pytest.fixture
def _linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


@pytest.mark.usefixtures("_linux")
@pytest.mark.parametrize(
    ("absent", "packages"),
    [
        ([], []),
        (["libcurl.so.4"], ["libcurl4"]),
        (["libssl.so.3"], ["libssl3"]),
        (["libcrypto.so.3", "libssl.so.3"], ["libssl3"]),
        (["libcurl.so.4", "libcrypto.so.3"], ["libcurl4", "libssl3"]),
    ],
)
def test_a_missing_library_is_told_with_its_package(
    absent: list[str], packages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(library: str) -> None:
        if library in absent:
            raise OSError(f"{library}: cannot open shared object file")

    monkeypatch.setattr(preflight.ctypes, "CDLL", load)
    assert preflight.missing_for_mongod() == [
        f"the bundled MongoDB needs {name}: apt-get install {name} (or set MONGODB_URI to a MongoDB of your own)"
        for name in packages
    ]


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "x86_64")])
def test_a_machine_that_it_cannot_run_on_is_told_with_the_other_ways(
    system: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight.sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    (missing,) = preflight.missing_for_mongod()
    assert missing.startswith("the bundled MongoDB needs Linux on x86-64, this is ")
    assert f"on {machine}:" in missing
    assert missing.endswith("install MongoDB 6 or newer, or set MONGODB_URI")


@pytest.mark.parametrize(
    ("mongodb_uri", "on_path", "told"),
    [(None, None, True), ("mongodb://elsewhere/", None, False), (None, "/usr/bin/mongod", False)],
)
def test_the_bundled_mongodb_matters_only_where_there_is_no_other(
    mongodb_uri: str | None, on_path: str | None, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "sparc")
    monkeypatch.setattr(preflight.shutil, "which", lambda _: on_path)
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.delenv("HOST", raising=False)
    monkeypatch.delenv("MONGODB_URI", raising=False)
    if mongodb_uri:
        monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    assert ["sparc" in line for line in preflight._missing(serving=True)] == [True] * told


# -- the port


def test_a_free_port_is_free_and_a_taken_one_says_so(taken_port: int) -> None:
    assert preflight.port_taken("127.0.0.1", free_port()) is None
    told = preflight.port_taken("127.0.0.1", taken_port)
    assert told is not None
    assert str(taken_port) in told


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Callable[..., tuple[int, int]]]:
    """Starts a program that listens at a port; its process id, and the port."""
    with ExitStack() as stack:

        def listening(directory: Path, *arguments: str) -> tuple[int, int]:
            port = free_port()
            program = stack.enter_context(
                Running([PYTHON, *arguments, str(port)], tmp_path / "log", environment(), cwd=directory)
            )
            program.wait_for("listens")
            return program.process.pid, port

        yield listening


LISTEN = """
import signal, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[-1]))):
    print("listens", flush=True)
    signal.pause()
"""


def test_a_feedmirror_that_holds_the_port_is_told_with_its_process(
    listening: Callable[..., tuple[int, int]], tmp_path: Path
) -> None:
    (tmp_path / "feedmirror").mkdir()
    (tmp_path / "feedmirror" / "preflight.py").touch()
    (tmp_path / "site.py").write_text(LISTEN)
    process, port = listening(tmp_path, "site.py")
    told = f"another Feedmirror (process {process}) serves at 127.0.0.1 port {port}: stop it, or set PORT to another"
    assert preflight.port_taken("127.0.0.1", port) == told
    ended = run("serve", PORT=str(port), MONGODB_URI="mongodb://elsewhere/")
    assert (ended.returncode, ended.stderr) == (2, f"feedmirror: {told}\n")


def test_the_site_py_of_another_program_is_a_stranger(
    listening: Callable[..., tuple[int, int]], tmp_path: Path
) -> None:
    (tmp_path / "site.py").write_text(LISTEN)
    _, port = listening(tmp_path, "site.py")
    assert preflight.port_taken("127.0.0.1", port) == (
        f"cannot listen on 127.0.0.1 port {port} (Address already in use): set PORT or HOST to another"
    )


def test_a_port_that_only_waits_for_old_connections_to_fade_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = listener.accept()
        served.close()  # who closes first is the one that waits
        assert client.recv(1) == b""
        client.close()
    assert preflight.port_taken("127.0.0.1", port) is None


def test_a_host_that_is_none_is_told() -> None:
    told = preflight.port_taken("999.999.999.999", free_port())
    assert told is not None
    assert "999.999.999.999" in told
    assert "HOST" in told


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_an_ipv6_host_is_tried_as_one() -> None:
    try:
        taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        # no IPv6 on this machine: then nothing can listen there, and that is what has to be told
        assert preflight.port_taken("::1", free_port()) is not None
        return
    with taken:
        assert preflight.port_taken("::1", taken.getsockname()[1]) is not None


@pytest.mark.parametrize(
    ("program", "imported"),
    [(["feedmirror/preflight.py", "serve"], "shutil"), (["-m", "feedmirror.system", "run"], "argparse")],
)
def test_ctrl_c_while_a_program_is_imported_shows_no_traceback(program: list[str], imported: str, tmp_path: Path):
    (tmp_path / f"{imported}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, *program],
        env=env,
        cwd=SCRIPT.parent.parent,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=heed_ctrl_c,
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
