"""Beat looks once a second whatever happens to the wall clock: its own scheduler, with our one entry."""

from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler

import celeryconfig
from feedmirror import ticks

HOUR = timedelta(hours=1)


class Machine:
    """Both clocks of a machine: one that somebody sets, and one that only ever goes on."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 1, 1, tzinfo=UTC)
        self.steady_s = 12345.0

    def go_on(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.steady_s += seconds


class Beat(Scheduler):  # type: ignore[misc] # Celery has no types of its own
    """Celery's scheduler, which only notes what it would send."""

    producer = None

    def __init__(self, app: Celery):
        self.sent: list[str] = []
        super().__init__(app)

    def apply_async(self, entry: ScheduleEntry, **_: object) -> None:
        self.sent.append(entry.task)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(ticks, "monotonic", lambda: machine.steady_s)
    return machine


@pytest.fixture
def beat(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Beat:
    app = Celery("of a test", set_as_current=False)
    app.config_from_object(celeryconfig)
    monkeypatch.setattr(app, "now", lambda: machine.wall)
    return Beat(app)


def sent_within(beat: Beat, machine: Machine, seconds: float) -> int:
    """How many looks beat sends, if it sleeps each time for as long as it wants to."""
    before, until = len(beat.sent), machine.steady_s + seconds
    while machine.steady_s < until:
        wait_s = beat.tick()
        assert wait_s <= 1
        machine.go_on(max(wait_s, 0) + 0.001)
    return len(beat.sent) - before


def test_a_look_is_sent_every_second(beat: Beat, machine: Machine) -> None:
    assert 59 <= sent_within(beat, machine, 60) <= 61
    assert set(beat.sent) == {"feedmirror.poll_due"}


@pytest.mark.parametrize("jump", [-HOUR, HOUR, -365 * 24 * HOUR], ids=["back", "ahead", "a year back"])
def test_a_wall_clock_that_is_set_changes_nothing(beat: Beat, machine: Machine, jump: timedelta) -> None:
    sent_within(beat, machine, 10.5)
    machine.wall += jump
    assert sent_within(beat, machine, 10) in (10, 11)


def test_what_a_machine_slept_through_is_not_made_up_for(beat: Beat, machine: Machine) -> None:
    sent_within(beat, machine, 10.5)
    machine.go_on(3600)
    assert sent_within(beat, machine, 10) in (10, 11)
