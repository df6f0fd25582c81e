"""How the window of the process that answers stands, and polling, for a monitor: GET /api/window."""

import json
from typing import TYPE_CHECKING

from feedmirror.web import stamps
from feedmirror.web.answer import Answer, json_answer
from feedmirror.web.representation import rfc3339
from feedmirror.web.watch import Watch

if TYPE_CHECKING:
    from feedmirror.web.follower import Follower


def answer(follower: "Follower | None", watch: Watch) -> Answer:
    """Answer GET /api/window; of several processes it is one that happens to answer. Asks no database.

    state     live: polls are answered from memory; starting: the window is being filled, for which polls wait for a
              moment and then ask the database; lost: not at all, since the database is away; none: there is no window
    behind    seconds: no answer is older than that; null unless live
    lost      why, in a sentence; null unless lost
    items     in the window, which take about so many `bytes`
    head      the stamp, as text, up to which it is complete; what is at `floor` or below is the database's
    polling   whether there is anything for the window to follow:
              state     live: due sources are polled; stalled: it is not, for a while now; unknown: the database is away
              alarm     stalled in a sentence; null unless stalled
              last_at   when the last poll of any source began
              workers   how many processes poll; `overdue`: how many sources are. Both null where it is unknown
    """
    shown = {**_window(follower), "polling": _polling(watch)}
    return json_answer(json.dumps(shown, ensure_ascii=False, indent=1))


def _window(follower: "Follower | None") -> dict[str, object]:
    if follower is None:
        return {"state": "none"}
    window, is_live, behind_s = follower.window, follower.is_live, follower.behind_s
    return {
        "state": "live" if is_live else "lost" if follower.lost else "starting",
        "behind": round(behind_s, 3) if is_live and behind_s is not None else None,
        "lost": follower.lost,
        "items": len(window),
        "bytes": window.bytes,
        "head": stamps.seconds(window.head_us),
        "floor": stamps.seconds(window.floor_us),
    }


def _polling(watch: Watch) -> dict[str, object]:
    told, polling = watch.told, watch.polling
    return {
        "state": told.state,
        "alarm": told.alarm,
        "last_at": rfc3339(polling.last_at if polling else None),
        "workers": polling and polling.workers,
        "overdue": polling and polling.overdue,
    }
