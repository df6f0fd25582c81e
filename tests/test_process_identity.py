"""A process of this machine that is hard to see. Those that are not: tests/test_heartbeat.py."""

import os
import subprocess
from dataclasses import astuple

import pytest

from feedmirror.process_identity import own_identity
from tests.processes import PYTHON, ROOT

# Asks as a user to whom /proc shows no process of another one.
_AS_STRANGER = """
import os, sys
from feedmirror.process_identity import ProcessIdentity, own_identity
own_identity()  # what it asks of /proc itself, which it may not read any more afterwards
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
pid, started, place = sys.argv[1:]
assert not os.path.exists(f"/proc/{pid}")
print(ProcessIdentity(int(pid), int(started), place).has_ended())
"""
_HIDDEN = ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh"]


def test_a_process_that_proc_hides_is_not_taken_for_dead() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may hide processes")
    words = map(str, astuple(own_identity()))
    asked = subprocess.run(
        [*_HIDDEN, PYTHON, "-c", _AS_STRANGER, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.stdout == "False\n", asked.stderr
