"""A crew polls several sources at once; none holds up another, and how each went is kept, whatever MongoDB does."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from feedmirror.crew import Crew
from feedmirror.models import Finished, Outcome, Source, WatchedSource
from tests.processes import ROOT
from tests.waiting import wait_until


def a_source(name: str) -> WatchedSource:
    return WatchedSource(source=Source(id=name, name=name, url=f"https://{name}.example/"))


def done(watched: WatchedSource) -> Finished:
    return Finished(watched=watched, outcome=Outcome(), interval_s=1)


class Kept:
    """What a crew has kept, and what it has given back."""

    def __init__(self) -> None:
        self.finished: list[str] = []
        self.given_back: list[str] = []
        self.portions: list[int] = []

    def finish(self, polls: Sequence[Finished]) -> None:
        self.portions.append(len(polls))
        self.finished += [poll.watched.source.id for poll in polls]

    def give_back(self, sources: Sequence[WatchedSource]) -> None:
        self.given_back += [watched.source.id for watched in sources]


def a_crew(kept: Kept, poll: Callable[[WatchedSource], Finished] = done, **options: Any) -> Crew:
    return Crew(poll, kept.finish, kept.give_back, **{"threads": 2, "keep_trying_s": 10, **options})


def test_all_that_is_taken_has_ended_and_is_kept_when_the_crew_is_closed() -> None:
    kept = Kept()
    names = [str(number) for number in range(50)]
    with closing(a_crew(kept)) as crew:
        polls = [crew.take(a_source(name)) for name in names]
    assert sorted(kept.finished) == sorted(names)
    assert [poll.result().watched.source.id for poll in polls] == names
    assert kept.given_back == []


def test_ends_at_about_the_same_time_are_kept_together() -> None:
    kept = Kept()
    with closing(a_crew(kept, threads=20)) as crew:
        for number in range(100):
            crew.take(a_source(str(number)))
    assert max(kept.portions) > 1


def test_one_that_hangs_holds_up_nobody_else() -> None:
    kept = Kept()
    go_on = threading.Event()

    def poll(watched: WatchedSource) -> Finished:
        if watched.source.id == "slow":
            assert go_on.wait(20)
        return done(watched)

    with closing(a_crew(kept, poll)) as crew:
        crew.take(a_source("slow"))
        for name in "abc":
            crew.take(a_source(name))
        wait_until(lambda: sorted(kept.finished) == list("abc"), "the others to be kept")
        go_on.set()
    assert kept.finished[-1] == "slow"


def test_nothing_more_is_taken_than_there_are_threads() -> None:
    kept = Kept()
    begun, go_on = threading.Semaphore(0), threading.Event()

    def poll(watched: WatchedSource) -> Finished:
        begun.release()
        assert go_on.wait(20)
        return done(watched)

    with closing(a_crew(kept, poll)) as crew:
        taken: list[str] = []

        def take_all() -> None:
            for name in "abcd":
                crew.take(a_source(name))
                taken.append(name)

        giver = threading.Thread(target=take_all)
        giver.start()
        assert begun.acquire(timeout=20)
        assert begun.acquire(timeout=20)
        assert not begun.acquire(timeout=0.2)  # a third one would have begun by now
        assert taken == ["a", "b"]
        go_on.set()
        giver.join()
    assert sorted(kept.finished) == list("abcd")


def test_what_could_not_be_polled_because_mongodb_was_away_is_given_back() -> None:
    kept = Kept()

    def poll(watched: WatchedSource) -> Finished:
        if watched.source.id == "b":
            raise AutoReconnect("away")
        return done(watched)

    with closing(a_crew(kept, poll)) as crew:
        polls = [crew.take(a_source(name)) for name in "abc"]
    assert (sorted(kept.finished), kept.given_back) == (["a", "c"], ["b"])
    with pytest.raises(AutoReconnect):
        polls[1].result()


def test_ends_are_kept_as_soon_as_mongodb_is_back() -> None:
    kept = Kept()
    answers = iter([AutoReconnect("away"), AutoReconnect("away"), None])
    finish = kept.finish

    def finish_when_back(polls: Sequence[Finished]) -> None:
        if error := next(answers, None):
            raise error
        finish(polls)

    kept.finish = finish_when_back  # type: ignore[method-assign]
    with closing(a_crew(kept)) as crew:
        crew.take(a_source("a"))
    assert kept.finished == ["a"]


HANGING = """
import threading
from tests.test_crew import Kept, a_crew, a_source
crew = a_crew(Kept(), lambda _: threading.Event().wait(), longest_s=0.5)
crew.take(a_source("hangs"))
print("taken", flush=True)
threading.Event().wait()
"""


def test_a_poll_that_nothing_ends_ends_its_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANGING], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == "taken\n"
    assert ended.returncode == -signal.SIGKILL
    assert "hangs for more than" in ended.stderr
