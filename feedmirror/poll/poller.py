"""What is done with a source that is due, of whatever kind it is.

    Poller.poll_due     hands what is due to a crew, as much as that has threads for
    Poller.begin        the claim becomes a lease, unless it was used, and the source's group has a slot for it
    Poller.poll         one source, in one of the threads of a crew:
    ├── kind.look       what its kind does with it
    └── next_look       when to look again, and why

A source's failure is an Outcome, kept on the source. A bug becomes one as well, and is logged with its traceback;
MongoDB away is not the source's doing and goes up.
"""

import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from itertools import count

from pymongo.errors import PyMongoError

from feedmirror.config import Settings
from feedmirror.crew import Crew
from feedmirror.errors import Failure, FetchError, ParseError
from feedmirror.models import Finished, Outcome, Postponed, WatchedSource
from feedmirror.politeness import Admission, GroupLimits, as_asked, common_limits, demands, group_of, is_limited
from feedmirror.poll.kinds import KINDS
from feedmirror.poll.visit import Visit, began_at
from feedmirror.schedule import NextLook, next_look
from feedmirror.storage import Storage
from feedmirror.storage.sources import Claim

log = logging.getLogger(__name__)

# Of a crew's threads, one in so many is kept for sources that were polled before: those that are new may be thousands,
# with a first document to read whole, and must not hold up the others.
_KEPT_FOR_KNOWN = 4


class Poller:
    """Polls sources of one installation, in the name of the process `holder`."""

    def __init__(self, storage: Storage, settings: Settings, *, holder: str = ""):
        self._storage = storage
        self._holder = holder
        self._settings = settings
        self._group_limits = GroupLimits(in_flight=settings.group_in_flight, per_minute=settings.group_per_minute)

    def poll_due(self, crew: Crew, *, for_s: float) -> None:
        """Hand what is due to a crew until nothing is, or the time is over; then the crew is full, or nearly.

        What is due and finds no thread stays due. Raises PyMongoError; what was claimed meanwhile is found by
        `give_back_strays`.
        """
        last_moment = time.monotonic() + for_s
        reserved = self._settings.threads // _KEPT_FOR_KNOWN
        while crew.wait_for_room(1, until=last_moment):
            room = crew.room
            claim = self._storage.sources.claim_due(
                limit=room,
                limit_unpolled=max(0, room - reserved),
                lease_s=self._settings.lease_s,
                holder=self._holder,
            )
            for watched in self.begin(claim)[0]:
                crew.take(watched)
            if not claim.source_ids and room > reserved:
                return
            if not crew.wait_for_room(reserved + 1, until=last_moment):
                return

    def give_back_strays(self, crew: Crew) -> None:
        """Free what this process holds and does not poll: claims whose answer was lost with the database."""
        under_way = crew.under_way
        self._storage.sources.release(self._holder, but=[watched.source.id for watched in under_way])
        self._storage.groups.release_of(self._holder, but=[watched.slot.id for watched in under_way if watched.slot])

    def begin(self, claim: Claim, *, by_hand: bool = False) -> tuple[list[WatchedSource], list[Postponed]]:
        """The sources of a claim that are ours to poll now, and those that their groups' limits make wait."""
        if not claim.source_ids:
            return [], []
        lease_s, holder = self._settings.lease_s, self._holder
        begun = [
            replace(watched, by_hand=by_hand)
            for watched in self._storage.sources.begin(claim, lease_s=lease_s, holder=holder)
        ]
        limited = [watched for watched in begun if is_limited(as_asked(watched), self._group_limits)]
        wanted = demands(map(as_asked, limited), self._group_limits)
        admissions = self._storage.groups.admit(wanted, lease_s=lease_s, holder=holder)
        admitted, postponed = _shared_out(limited, admissions)
        self._storage.sources.postpone(postponed)
        unlimited = (watched for watched in begun if not is_limited(as_asked(watched), self._group_limits))
        return [*unlimited, *admitted], postponed

    def describe_groups(self) -> None:
        """Let every worker know the limits that no source of a group could tell alone."""
        watched = [as_asked(watched) for watched in self._storage.sources.all() if watched.active]
        self._storage.groups.describe(common_limits(watched, self._group_limits))

    def poll(self, watched: WatchedSource) -> Finished:
        """Look at one source, and decide when to look again. Raises PyMongoError if MongoDB was away."""
        began = time.monotonic()
        outcome = self._look(watched)
        look = next_look(
            watched,
            outcome,
            now=began_at(watched),
            chance=random.random(),  # noqa: S311 (jitter)
            taken_s=time.monotonic() - began,
        )
        _report(watched, outcome, look)
        return Finished(
            watched=watched,
            outcome=outcome,
            interval_s=look.interval_s,
            why=look.why,
            from_due=look.from_due,
            items_per_day=look.items_per_day,
            window_lost=look.window_lost,
        )

    def look_now(self, source_ids: Sequence[str]) -> tuple[list[Finished], list[Postponed]]:
        """Look at these sources whether due or not, and keep how they fared; and those to come back to, and when.

        One that somebody is polling at this moment is left to them, and given in neither. Raises PyMongoError.
        """
        with closing(self.crew()) as crew:  # its end: how they fared is kept
            lease_s = self._settings.lease_s
            claim = self._storage.sources.claim_now(source_ids, lease_s=lease_s, holder=self._holder)
            admitted, postponed = self.begin(claim, by_hand=True)
            polls = [crew.take(watched) for watched in admitted]
        finished = [poll.result() for poll in polls]
        unfinished = [one for one in finished if one.outcome.goes_on_in_s is not None]
        return finished, [*postponed, *map(_to_go_on_with, unfinished)]

    def crew(self, *, longest_s: float | None = None) -> Crew:
        """The threads that poll in this process; a poll longer than `longest_s` ends it (None: none does)."""
        return Crew(
            self.poll,
            self._finish,
            self._give_back,
            threads=self._settings.threads,
            keep_trying_s=self._settings.lease_s,
            longest_s=longest_s,
        )

    def _finish(self, finished: Sequence[Finished]) -> None:
        self._storage.sources.finish(finished)
        self._storage.groups.release(poll.watched.slot for poll in finished if poll.watched.slot)
        if any(map(_moves, finished)):
            self.describe_groups()

    def _give_back(self, given: Sequence[WatchedSource]) -> None:
        self._storage.sources.postpone(Postponed(watched=watched, by_s=0, why="MongoDB was away") for watched in given)
        self._storage.groups.release(watched.slot for watched in given if watched.slot)

    def _look(self, watched: WatchedSource) -> Outcome:
        visit = Visit(watched, self._storage, self._settings, self._group_limits, holder=self._holder)
        try:
            return KINDS[watched.source.kind].look(visit)
        except FetchError as error:
            visit.heed(error)
            return Outcome(error=str(error), failure=_kind(error, watched), retry_after_s=error.retry_after_s)
        except ParseError as error:
            return Outcome(error=str(error), failure=Failure.NOT_A_FEED)
        except PyMongoError:
            raise
        except Exception as error:
            log.exception("%s: a bug in Feedmirror", watched.source.name)
            line = f"a bug in Feedmirror, see the worker's log: {type(error).__name__}"
            return Outcome(error=line, failure=Failure.BUG)


def _to_go_on_with(finished: Finished) -> Postponed:
    outcome = finished.outcome
    return Postponed(watched=finished.watched, by_s=outcome.goes_on_in_s or 0, why=outcome.goes_on_why)


def _shared_out(
    limited: Iterable[WatchedSource], admissions: Mapping[str, Admission]
) -> tuple[list[WatchedSource], list[Postponed]]:
    """Give each group's slots to its sources, those that have waited longest first; the others come back in turn."""
    slots = {group: iter(admission.slots) for group, admission in admissions.items()}
    turns = {group: count() for group in admissions}
    admitted: list[WatchedSource] = []
    postponed: list[Postponed] = []
    for watched in limited:
        group = group_of(as_asked(watched))
        if slot := next(slots[group], None):
            admitted.append(replace(watched, slot=slot))
        else:
            admission = admissions[group]
            by_s = admission.retry_in_s + next(turns[group]) * admission.apart_s
            postponed.append(Postponed(watched=watched, by_s=by_s, why=admission.why))
    return admitted, postponed


def _moves(poll: Finished) -> bool:
    """Whether the source is asked elsewhere from now on, where its limits and those of its group have to meet."""
    looks, moved_to = poll.watched.looks, poll.outcome.moved_to
    holds = moved_to is not None and moved_to == looks.moved_to
    after = replace(poll.watched, looks=replace(looks, moved_looks=looks.moved_looks + 1 if holds else 0))
    return as_asked(after) != as_asked(poll.watched)


def _kind(error: FetchError, watched: WatchedSource) -> Failure:
    """The kind of a failure. Some publishers say 429 once, and 403 to those who come back."""
    was_throttled = watched.looks.failure is Failure.THROTTLED
    return Failure.THROTTLED if error.status == HTTPStatus.FORBIDDEN and was_throttled else error.kind


def _report(watched: WatchedSource, outcome: Outcome, look: NextLook) -> None:
    """One line when something happened: news, and each change between well and failing, not each repetition."""
    name, failed_before = watched.source.name, watched.looks.failures > 0
    if outcome.error and watched.by_hand:
        log.warning("%s: %s", name, outcome.error)  # the next look is not made later by it
        return
    log.debug("%s: next look after %.0f s: %s", name, look.interval_s, look.why)
    if outcome.error and not failed_before:
        log.warning("%s: %s; next try in %.0f s", name, outcome.error, look.interval_s)
    if outcome.ok and failed_before:
        log.info("%s: well again after %d failures", name, watched.looks.failures)
    # a feed that turns over between any two polls says so at its source, and here once
    if look.window_lost and (
        watched.looks.window_lost_at is None or watched.looks.window_lost_at != watched.looks.last_ok_at
    ):
        log.warning("%s: no entry is shared with the last look, so some may have been missed", name)
    arrived = len(outcome.new) + outcome.sighted + outcome.arrived
    if arrived or outcome.edited:
        log.info("%s: %d new, %d edited", name, arrived, outcome.edited)
