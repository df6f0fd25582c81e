"""Threads share what memory a process has: seen in a process of its own, since it holds for good."""

import subprocess

from tests.processes import PYTHON

# malloc_info(3) counts the places that threads have taken memory from, each under <heap>
THREADS_TAKE_MEMORY = """
import ctypes, sys, threading
from feedmirror.memory import share_between_threads

if sys.argv[1] == "shared":
    share_between_threads()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
everybody = threading.Barrier(16)

def take():
    assert libc.malloc(ctypes.c_size_t(1000))
    everybody.wait()

threads = [threading.Thread(target=take) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
stream = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
"""


def places(how: str) -> int:
    command = [PYTHON, "-c", THREADS_TAKE_MEMORY, how]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.count("<heap nr=")


def test_threads_take_memory_from_two_places_instead_of_one_each() -> None:
    assert places("each") > 2 >= places("shared")
