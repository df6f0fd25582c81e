"""A process that polls: what a look does, what it does without being asked, and how it ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from feedmirror.config import Settings
from feedmirror.fetch.connections import connections_of_this_process
from feedmirror.models import LOOK, Selection
from feedmirror.polling_process import PollingProcess
from feedmirror.storage import Storage
from tests.atom import atom
from tests.feed_server import FeedServer, Request
from tests.waiting import wait_until

LEASE_S = 600


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        server.serve("/a", atom([(1, "a1")]))
        server.serve("/b", atom([(2, "b2")]))
        yield server
    connections_of_this_process().close()


@pytest.fixture
def sources_path(tmp_path: Path, server: FeedServer) -> Path:
    path = tmp_path / "sources.toml"
    path.write_text(
        "".join(
            f'[[source]]\nname = "{name}"\nurl = "{server.url(f"/{name}")}"\nevery = "1h"\nprivate = true\n'
            for name in "ab"
        )
    )
    return path


@pytest.fixture
def make(storage: Storage, sources_path: Path) -> Iterator[Callable[[], PollingProcess]]:
    """Makes processes that have begun; they are ended with the test."""
    with ExitStack() as stack:
        settings = replace(Settings(), sources_path=sources_path, lease_s=LEASE_S, threads=4)

        def make() -> PollingProcess:
            process = PollingProcess(lambda: storage, settings)
            process.start()
            stack.callback(process.close)
            return process

        yield make


def titles(storage: Storage) -> list[str]:
    return sorted(item.title for item in storage.items.newest(Selection(), limit=100).items)


def are_polled(storage: Storage) -> bool:
    """Whether all sources were, and are held by nobody."""
    return all(one.looks.last_ok_at and one.lease is None for one in storage.sources.all())


def no_job(_: str) -> None:
    raise AssertionError("there is no job")


def test_a_look_polls_what_is_due_and_the_next_one_nothing(
    storage: Storage, server: FeedServer, make: Callable[[], PollingProcess]
) -> None:
    process = make()
    process.look(no_job)
    wait_until(lambda: are_polled(storage), "both to be polled")
    process.look(no_job)
    assert titles(storage) == ["a1", "b2"]
    assert len(server.requests) == 2


def test_a_look_hands_over_jobs_whose_message_did_not_come(
    storage: Storage, make: Callable[[], PollingProcess]
) -> None:
    process = make()
    handed: list[str] = []
    process.look(handed.append)
    storage.sources.synchronise([one.source for one in storage.sources.all()], [])
    job = storage.jobs.create(LOOK, "a")[0]
    wait_until(lambda: process.look(handed.append) or handed, "the job")
    assert handed == [job.id]


def test_where_the_schedule_sends_no_looks_the_process_looks_by_itself(
    storage: Storage, make: Callable[[], PollingProcess], caplog: pytest.LogCaptureFixture
) -> None:
    make()
    wait_until(lambda: titles(storage) == ["a1", "b2"], "the items")
    wait_until(lambda: "the schedule sends no looks" in caplog.text, "it to be said")
    assert caplog.text.count("the schedule sends no looks") == 1


def test_without_a_schedule_jobs_are_done_as_well(storage: Storage, make: Callable[[], PollingProcess]) -> None:
    make()
    wait_until(lambda: are_polled(storage) and storage.sources.all(), "the sources")
    job = storage.jobs.create(LOOK, "a")[0]
    wait_until(lambda: not (known := storage.jobs.get(job.id)) or not known.state.is_open, "the job")


def test_a_process_that_ends_gives_back_what_hangs_and_another_goes_on_at_once(
    storage: Storage, server: FeedServer, make: Callable[[], PollingProcess]
) -> None:
    go_on, asked = threading.Event(), threading.Semaphore(0)

    def hang(_: Request) -> bytes:
        asked.release()
        return atom([(1, "a1")]) if go_on.wait(30) else b""

    server.serve("/a", hang)
    first, second = make(), make()
    first.look(no_job)
    assert asked.acquire(timeout=20)
    first.close()
    assert [one.lease for one in storage.sources.all()] == [None, None]
    second.look(no_job)
    assert asked.acquire(timeout=20), "the other one did not ask"
    go_on.set()
    wait_until(lambda: titles(storage) == ["a1", "b2"], "the items")


def test_a_job_that_hangs_does_not_keep_a_process_from_ending(
    storage: Storage, server: FeedServer, make: Callable[[], PollingProcess]
) -> None:
    process = make()
    process.look(no_job)
    wait_until(lambda: are_polled(storage), "both to be polled")
    go_on, asked = threading.Event(), threading.Event()

    def hang(_: Request) -> bytes:
        asked.set()
        go_on.wait(30)
        return b""

    server.serve("/a", hang)
    job = storage.jobs.create(LOOK, "a")[0]
    doing = threading.Thread(target=process.do_job, args=(job.id,))
    doing.start()
    assert asked.wait(20)
    process.end_soon()
    doing.join(10)
    assert not doing.is_alive()
    process.close()
    known = storage.jobs.get(job.id)
    assert known is not None
    assert (known.state.is_open, known.lease) == (True, None)
    assert storage.jobs.hand_out(limit=9) == [job.id]
    go_on.set()
    wait_until(lambda: not any(one.name.startswith("job") for one in threading.enumerate()), "its thread to end")
