"""`python -m feedmirror.system`: what it cannot use is told before anything is started."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.processes import PYTHON, ROOT, environment


def told(tmp_path: Path, *arguments: str, **env: str) -> str:
    data = tmp_path / "data"
    ended = subprocess.run(
        [PYTHON, "-m", "feedmirror.system", *arguments],
        cwd=ROOT,
        env=environment(**{"FEEDMIRROR_DATA": str(data), **env}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert not data.exists()
    return ended.stderr


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_a_port_of_flower_that_is_none_is_told(tmp_path: Path, port: str) -> None:
    expected = f"feedmirror: FLOWER_PORT={port!r}: must be a whole number from 1 to 65535\n"
    assert told(tmp_path, "flower", FLOWER_PORT=port) == expected


def test_a_port_of_flower_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert told(tmp_path, "flower", FLOWER_PORT=port) == (
            f"feedmirror: cannot listen on 127.0.0.1 port {port} (Address already in use): set FLOWER_PORT to another\n"
        )


def test_every_mistake_of_the_settings_is_told_in_a_line_of_its_own(tmp_path: Path) -> None:
    lines = told(tmp_path, "run", PORT="http", FEEDMIRROR_LEASE="never").splitlines()
    assert len(lines) == 2
    assert all(line.startswith("feedmirror: ") for line in lines)


def test_a_system_that_there_is_not_is_told_with_those_there_are(tmp_path: Path) -> None:
    assert "choose from" in told(tmp_path, "everything")
