"""What `make` does before anything is started: the virtual environment, and a Python that is out of reach.

In a copy of the Makefile's directory that needs no package, so nothing is fetched.
"""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, environment

PLAIN_PYTHON = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile with what it needs to make an environment for `run`."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "run.txt").write_text("")
    (tmp_path / "feedmirror").mkdir()
    shutil.copy(ROOT / "feedmirror" / "preflight.py", tmp_path / "feedmirror")
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


def make(checkout: Path, *targets: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *targets],
        cwd=checkout,
        env={**environment(), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        user=user,
    )


def install(checkout: Path) -> None:
    made = make(checkout, ".venv/.run", f"PYTHON={PLAIN_PYTHON}")
    assert made.returncode == 0, made.stderr
    pip = subprocess.run([checkout / ".venv/bin/python", "-m", "pip", "--version"], capture_output=True, check=False)
    assert pip.returncode == 0


def test_an_environment_whose_making_was_interrupted_is_made_anew(checkout: Path) -> None:
    subprocess.run([PLAIN_PYTHON, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    install(checkout)


def test_half_a_pip_is_made_anew_as_well(checkout: Path) -> None:
    subprocess.run([PLAIN_PYTHON, "-m", "venv", checkout / ".venv"], check=True)
    for part in (checkout / ".venv").glob("lib/python*/site-packages/pip/_vendor"):
        shutil.rmtree(part)
    install(checkout)


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Path) -> None:
    install(checkout)
    for link in (checkout / ".venv" / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/no/such/python")
    install(checkout)


@pytest.mark.parametrize("python", ["/no/such/python", "{checkout}/locked/python"])
def test_a_python_that_cannot_be_run_is_told_in_one_line(checkout: Path, python: str) -> None:
    (checkout / "locked").mkdir()
    (checkout / "locked" / "python").write_text("")  # nor may root run this
    name = python.format(checkout=checkout)
    ended = make(checkout, "preflight", f"PYTHON={name}")
    assert ended.returncode == 2
    told, *rest = ended.stderr.splitlines()
    assert told == (
        f"feedmirror: no {name} that this user can run: apt-get install python3 python3-venv,"
        " or name another: make PYTHON=/path/to/python3"
    )
    assert all(line.startswith("make: ") for line in rest)


def test_an_environment_with_a_python_of_another_user_is_told_in_one_line(checkout: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    (checkout / ".venv" / "bin").mkdir(parents=True)
    theirs = Path(pwd.getpwuid(0).pw_dir) / "python" / "that" / "is" / "theirs"
    (checkout / ".venv" / "bin" / "python").symlink_to(theirs)
    os.chown(checkout / ".venv", 65534, 65534)
    ended = make(checkout, "preflight", f"PYTHON={PLAIN_PYTHON}")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0] == (
        f"feedmirror: the Python of .venv ({theirs}) cannot be run by this user:"
        " run this as the user who made .venv, or in a copy of this directory without it"
    )
