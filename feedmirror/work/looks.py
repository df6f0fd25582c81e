"""A look at a source, now, because somebody asked for it.

Made as every look is, under the source's own lease, so it is never made beside one that was due. A look that takes
several visits is begun here and gone on with when it is due, by whoever comes by; then this job only watches.
"""

from feedmirror.models import Outcome, SourceFilter, WatchedSource
from feedmirror.poll import Poller
from feedmirror.work.task import Failed, Later, Result, Task

# As often as what is due is looked for.
_WATCH_S = 1.0


def look(task: Task) -> Result:
    """Look at the source that is the job's subject. Raises Failed and Later."""
    before = _watched(task)
    if "items_before" in task.job.progress:
        return _watch(task, before)
    if before.looks.going_on:  # under way already
        _begun(task, before, Outcome())
    finished, postponed = Poller(task.storage, task.settings, holder=task.holder).look_now([before.source.id])
    if finished and finished[0].outcome.goes_on_in_s is not None:
        _begun(task, before, finished[0].outcome)
    if postponed:
        raise Later(postponed[0].by_s, postponed[0].why)
    if not finished:
        raise Later(_WATCH_S, "a worker is polling it at this moment")
    outcome = finished[0].outcome
    if outcome.error is not None:
        raise Failed(outcome.error)
    return {"new": len(outcome.new) + outcome.sighted + outcome.arrived, "edited": outcome.edited}


def _begun(task: Task, before: WatchedSource, outcome: Outcome) -> None:
    task.progress(items_before=before.looks.items, new=outcome.arrived, why=outcome.goes_on_why)
    raise Later(_WATCH_S, outcome.goes_on_why)


def _watch(task: Task, now: WatchedSource) -> Result:
    """Wait until a look that was begun has come to its end."""
    new = now.looks.items - task.job.progress["items_before"]
    if now.looks.error is not None:
        raise Failed(now.looks.error)
    if now.looks.going_on or now.lease is not None:
        task.progress(new=new, why=now.looks.why)
        raise Later(_WATCH_S, now.looks.why)
    return {"new": new}


def _watched(task: Task) -> WatchedSource:
    wanted = SourceFilter(ids=(task.job.subject,))
    found = next(iter(task.storage.watchlist.page(wanted, limit=1).sources), None)
    if found is None or not found.active:
        raise Failed("the sources file does not name it any more")
    return found
