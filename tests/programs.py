"""Programs that tests drive: `tests/install-programs` has them where it may install anything."""

import os
import shutil

import pytest


def executable(name: str) -> str:
    """Where a program is; skips the test if the machine has none, which with FEEDMIRROR_NO_SKIPS is a failure."""
    # not everybody's PATH has the directories of what only administrators need
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"there is no {name} on this machine: as root, tests/install-programs installs it")
    return found
