"""How the window of the process that answers stands, for whoever watches over the site: GET /api/window."""

import json
from typing import TYPE_CHECKING

from feedmirror.web import stamps
from feedmirror.web.answer import Answer, json_answer

if TYPE_CHECKING:
    from feedmirror.web.follower import Follower


def answer(follower: "Follower | None") -> Answer:
    """Answer GET /api/window; of several processes it is one that happens to answer. Asks no database.

    state     live: polls are answered from memory; starting: the window is being filled, for which polls wait for a
              moment and then ask the database; lost: not at all, since the database is away; none: there is no window
    behind    seconds: no answer is older than that; null unless live
    lost      why, in a sentence; null unless lost
    items     in the window, which take about so many `bytes`
    head      the stamp, as text, up to which it is complete; what is at `floor` or below is the database's
    """
    if follower is None:
        return json_answer(json.dumps({"state": "none"}))
    window, is_live, behind_s = follower.window, follower.is_live, follower.behind_s
    state = "live" if is_live else "lost" if follower.lost else "starting"
    shown = {
        "state": state,
        "behind": round(behind_s, 3) if is_live and behind_s is not None else None,
        "lost": follower.lost,
        "items": len(window),
        "bytes": window.bytes,
        "head": stamps.seconds(window.head_us),
        "floor": stamps.seconds(window.floor_us),
    }
    return json_answer(json.dumps(shown, ensure_ascii=False, indent=1))
