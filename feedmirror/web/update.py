"""The stream: GET /update?timestamp=T.

    T > 0         the oldest items after T; Link leads forwards, to T = the last stamp given
    T = 0, none   the newest items; Link leads back through everything older
    changes=1     the same, where T and the order are those of each item's last change: edits come as well

A client that goes on from Feedmirror-Cursor gets every item once, whether it follows Link or not.

Feedmirror-Gap on an answer: of what came after T, some up to this stamp has been removed meanwhile, because it is no
longer kept. What is left is given, here and from the cursor on, so a client that only wants what is new goes on as
ever. One that must have everything (a copy, an archive) notes that it lacks items between T and the gap, which this
mirror cannot give any more; one that shows what the mirror holds starts anew with T = 0. With `source=B` it tells of
B's items alone; of other filters it knows nothing, so what was removed may be nothing that the client asks for.

Hosted by whatever can hand over parameters and take an Answer; knows no framework.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from feedmirror.models import Update
from feedmirror.web import stamps, unavailable
from feedmirror.web.answer import Answer, json_answer, json_error, json_unavailable
from feedmirror.web.query import BadParameter, Parameters, UpdateQuery, encoded, update_query
from feedmirror.web.representation import items_json

if TYPE_CHECKING:
    from feedmirror.storage import Storage


def answer(given: Parameters, open_storage: "Callable[[], Storage]") -> Answer:
    """Answer one poll. Never raises for what a client sent, nor for MongoDB being away."""
    try:
        query = update_query(given)
        update = _look_up(query, open_storage())
    except BadParameter as error:
        return json_error(400, str(error), parameter=error.parameter)
    except unavailable.FAILURES as error:
        return json_unavailable(unavailable.reason(error))
    return json_answer(items_json(update.items), _headers(query, update))


def _look_up(query: UpdateQuery, storage: "Storage") -> Update:
    selection = query.filters.selection
    if query.after_us:
        ask = storage.items.changes if query.changes else storage.items.since
        return ask(selection, after_us=query.after_us, limit=query.limit, before_us=query.before_us)
    return storage.items.newest(selection, limit=query.limit, before_us=query.before_us)


def _headers(query: UpdateQuery, update: Update) -> dict[str, str]:
    headers = {
        "Feedmirror-Head": stamps.seconds(update.head_us),
        "Feedmirror-Cursor": stamps.seconds(update.cursor_us),
    }
    if update.gap_us is not None:
        headers["Feedmirror-Gap"] = stamps.seconds(update.gap_us)
    further = _further(query, update) if update.more else None
    if further is not None:
        headers["Link"] = f'</update?{encoded(further)}>; rel="next"'
    return headers


def _further(query: UpdateQuery, update: Update) -> list[tuple[str, str]] | None:
    """The parameters of the next page: the same question, from where this answer ends."""
    if query.after_us:
        place = [("timestamp", stamps.seconds(update.cursor_us))]
        if query.before_us is not None:
            place.append(("before", stamps.seconds(query.before_us)))
    elif update.items:
        place = [("timestamp", "0"), ("before", stamps.seconds(update.items[-1].fetched_us))]
    else:
        return None
    if query.changes:
        place.append(("changes", "1"))
    return [*place, ("limit", str(query.limit)), *query.filters.pairs()]
