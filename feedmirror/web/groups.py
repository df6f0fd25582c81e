"""How the politeness groups stand, in a form that both the page and the JSON show: GET /api/groups."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from feedmirror.politeness import GroupStanding
from feedmirror.web import unavailable
from feedmirror.web.answer import Answer, json_answer, json_error, json_unavailable
from feedmirror.web.query import BadParameter, Parameters, limit_of
from feedmirror.web.representation import rfc3339

if TYPE_CHECKING:
    from feedmirror.storage import Storage


def answer(given: Parameters, open_storage: "Callable[[], Storage]") -> Answer:
    """Answer GET /api/groups."""
    try:
        limit = limit_of(given)
        ledger = open_storage().ledger
        standings, number = ledger.standings(limit=limit), ledger.count()
    except BadParameter as error:
        return json_error(400, str(error), parameter=error.parameter)
    except unavailable.FAILURES as error:
        return json_unavailable(unavailable.reason(error))
    # the number is the server's estimate, and must not say less than what is shown
    shown = {"groups": [_members(one) for one in standings], "all": max(number, len(standings))}
    return json_answer(json.dumps(shown, ensure_ascii=False, indent=1))


def standing_in_a_word(standing: GroupStanding) -> str:
    """Whether one more request would be let through: "blocked" by the publisher, "full" by its limits, or "free"."""
    if standing.ledger.blocked_until is not None:
        return "blocked"
    return "full" if standing.ledger.wait_s else "free"


def waits(standing: GroupStanding) -> bool:
    """Whether the group keeps somebody waiting."""
    return standing.ledger.blocked_until is not None or standing.ledger.queue_until is not None


def _members(standing: GroupStanding) -> dict[str, object]:
    ledger = standing.ledger
    return {
        "name": ledger.name,
        "state": standing_in_a_word(standing),
        "why": ledger.why,
        "limits": asdict(ledger.limits),
        "in_flight": ledger.in_flight,
        "used_minute": ledger.used_minute,
        "used_day": ledger.used_day,
        "used_month": ledger.used_month,
        "blocked_until": rfc3339(ledger.blocked_until),
        "blocked_status": ledger.blocked_status,
        "queue_until": rfc3339(ledger.queue_until),
        "queued": standing.queued,
        "active_at": rfc3339(ledger.active_at),
        "as_of": rfc3339(ledger.as_of),
    }
