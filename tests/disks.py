"""Real small disks for tests: only root may mount them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MB = 1_000_000


@contextmanager
def disk(path: Path, *, size_mb: int, options: str = "") -> Iterator[Path]:
    """A disk of this size, mounted there."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    path.mkdir()
    words = f"size={size_mb * MB},mode=755{options and ','}{options}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", words, "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def resize(path: Path, *, size_mb: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size_mb * MB}", path], check=True)
