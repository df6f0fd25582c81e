"""Whether this process is alive, and whether it can serve, for programs: GET /healthz and GET /readyz.

    database   answers                                needed
    schema     is one that this program knows         needed
    window     polls are answered from memory         needed
    broker     takes messages
    worker     due sources are polled
    disk       has room for what comes

503 means that another process should be asked instead of this one. So only what keeps this process from answering is
needed. A broker, a worker or room on the disk that is missing is missing for all processes alike: a load balancer that
took them away would take away the pages, which show what there is and say what is wrong. Those checks fail within an
answer of 200, and a monitor reads `ok`.

Asks the database nothing: `watch` has done so a moment ago.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedmirror.errors import NewerSchema, Upgrading
from feedmirror.web.answer import JSON, Answer
from feedmirror.web.watch import Watch

if TYPE_CHECKING:
    from feedmirror.web.follower import Follower

# Why something is not as it should be, in a sentence; None where it is.
Ask = Callable[[], str | None]

CHECKS = ("database", "schema", "window", "broker", "worker", "disk")

ALIVE = Answer(200, {"Content-Type": JSON, "Cache-Control": "no-store"}, b'{"alive": true}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`needed`: this process cannot serve without it."""

    ask: Ask
    needed: bool = False


class Readiness:
    """Answers GET /readyz."""

    def __init__(self, checks: Mapping[str, Check]):
        self._checks = checks

    def answer(self) -> Answer:
        reasons = {name: check.ask() for name, check in self._checks.items()}
        failed = {name for name, reason in reasons.items() if reason is not None}
        ready = not any(self._checks[name].needed for name in failed)
        shown = {
            "ready": ready,
            "ok": not failed,
            "checks": {
                name: {"ok": reason is None, "needed": self._checks[name].needed, "reason": reason}
                for name, reason in reasons.items()
            },
        }
        body = json.dumps(shown, ensure_ascii=False, indent=1).encode()
        return Answer(200 if ready else 503, {"Content-Type": JSON, "Cache-Control": "no-store"}, body)


def readiness(watch: Watch, follower: "Follower | None", *, broker: Ask | None, disk: Ask) -> Readiness:
    """All checks of a site; `broker` None: it is the database itself."""
    checks = (
        Check(ask=lambda: _of_database(watch), needed=True),
        Check(ask=lambda: _of_schema(watch), needed=True),
        Check(ask=lambda: _of_window(follower), needed=True),
        Check(ask=broker or (lambda: _of_database(watch))),
        Check(ask=lambda: _of_worker(watch)),
        Check(ask=disk),
    )
    return Readiness(dict(zip(CHECKS, checks, strict=True)))


def _of_database(watch: Watch) -> str | None:
    """A database whose schema is another one answers."""
    return None if _of_schema(watch) else watch.away


def _of_schema(watch: Watch) -> str | None:
    failure = watch.failure
    return str(failure) if isinstance(failure, NewerSchema | Upgrading) else None


def _of_window(follower: "Follower | None") -> str | None:
    """Without a window the database answers every poll, as it was asked to."""
    if follower is None or follower.is_live:
        return None
    return follower.lost or "The window is being filled."


def _of_worker(watch: Watch) -> str | None:
    polling = watch.polling
    if polling is None:
        return "Not known while the database cannot be read."
    return watch.told.alarm or (None if polling.workers else "No worker is running.")
