"""The pool of a worker: a process that is killed, at whatever moment, takes nothing along that others need."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from billiard.einfo import ExceptionWithTraceback
from billiard.pool import Pool

from feedmirror.pool import TaskPool
from tests.waiting import wait_until

# Python 3.12 and later say so of each fork, as Celery's pool does
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture
def pool_of() -> Iterator[Callable[[int], Pool]]:
    pools: list[Pool] = []

    def pool_of(processes: int) -> Pool:
        pools.append(TaskPool.BlockingPool(processes, lost_worker_timeout=0.1))
        return pools[-1]

    yield pool_of
    for pool in pools:
        pool.close()
        pool.join()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(died: Path) -> str:
    if not died.exists():
        died.touch()
        die()
    return "read"


class DeadlyToRead:
    """Kills the first process that reads it."""

    def __init__(self, died: Path):
        self._died = died

    def __reduce__(self) -> tuple[Any, ...]:
        return die_once, (self._died,)


def test_a_process_that_is_killed_while_it_takes_a_task_leaves_it_to_another(
    pool_of: Callable[[int], Pool], tmp_path: Path
) -> None:
    pool = pool_of(1)
    assert pool.apply_async(str, (DeadlyToRead(tmp_path / "died"),)).get(timeout=20) == "read"
    assert (tmp_path / "died").exists()


def test_a_task_is_told_lost_though_its_process_died_before_anybody_read_that_it_had_one(
    pool_of: Callable[[int], Pool],
) -> None:
    pool = pool_of(2)
    there = {process.pid for process in pool._pool}
    reads, goes_on = Event(), Event()

    def hold_up(*_: object) -> None:
        reads.set()
        goes_on.wait(30)

    pool.apply_async(str, accept_callback=hold_up)
    assert reads.wait(10)
    lost = pool.apply_async(die)
    wait_until(lambda: len({process.pid for process in pool._pool if process.pid} - there) == 1, "another process")
    goes_on.set()
    with pytest.raises(ExceptionWithTraceback, match="exited prematurely"):
        lost.get(timeout=20)


def test_a_process_that_is_killed_while_it_waits_keeps_nobody_from_the_next_task(
    pool_of: Callable[[int], Pool],
) -> None:
    pool = pool_of(3)
    for number in range(6):
        assert pool.apply_async(str, (number,)).get(timeout=20) == str(number)
        [killed, *_] = [process.pid for process in pool._pool]
        os.kill(killed, signal.SIGKILL)


def test_a_task_that_is_too_large_to_be_handed_over_says_so(pool_of: Callable[[int], Pool]) -> None:
    pool = pool_of(1)
    with pytest.raises(ExceptionWithTraceback, match="too long"):
        pool.apply_async(len, ("x" * 1_000_000,)).get(timeout=20)
    assert pool.apply_async(len, ("x" * 100_000,)).get(timeout=20) == 100_000


def test_a_result_may_be_large(pool_of: Callable[[int], Pool]) -> None:
    assert len(pool_of(1).apply_async("x".__mul__, (5_000_000,)).get(timeout=20)) == 5_000_000
