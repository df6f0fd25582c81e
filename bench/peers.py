"""The projects that we are measured against, in an environment of their own under build/, made at the first run."""

import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
PYTHON = BUILD / "peers" / "bin" / "python"
# reader brings its own feedparser, and forgets to ask for sgmllib
_WANTED = ("feedparser==6.*", "reader", "sgmllib3k")


def make() -> None:
    """Install them, unless they are there."""
    complete = BUILD / "peers" / "complete"
    if complete.exists() and complete.read_text("utf-8") == str(_WANTED):
        return
    venv.create(BUILD / "peers", with_pip=True, clear=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *_WANTED], check=True)
    complete.write_text(str(_WANTED), "utf-8")


def output(*command: str | Path) -> str:
    """What a command prints; its errors are shown as they come."""
    return subprocess.run(
        [str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ).stdout
