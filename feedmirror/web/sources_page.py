"""What the page of the sources shows: a part of their list, what narrows it, and how the politeness groups stand."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from feedmirror.models import SourceCounts, State
from feedmirror.web import groups, places, sources
from feedmirror.web.query import SourcesQuery, encoded

if TYPE_CHECKING:
    from feedmirror.storage import Storage

SOURCES_ON_A_PAGE = 100
# Those that keep somebody waiting come first, and who looks for one in particular reads the JSON.
GROUPS_ON_A_PAGE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """The sources of one state: how many they are, and the page of them. `bad`: somebody should look."""

    label: str
    number: int
    href: str
    current: bool
    bad: bool = False


def context(asked: SourcesQuery, storage: "Storage") -> dict[str, object]:
    """What the template needs."""
    query = replace(asked, limit=SOURCES_ON_A_PAGE)
    found = sources.listing(query, storage)
    standings = storage.ledger.standings(limit=GROUPS_ON_A_PAGE)
    return {
        "rows": [(row, sources.shown_url(row.watched.source), sources.shown_move(row.watched)) for row in found.rows],
        "counts": found.counts,
        "mistakes": found.mistakes,
        "query": query,
        "tabs": _tabs(query, found.counts),
        "unsearched": _address(replace(query, search="")),
        "first": _address(query) if query.after is not None else None,
        "further": _address(query, after=places.text(found.last)) if found.last is not None else None,
        "standings": standings,
        "waiting_groups": sum(map(groups.waits, standings)),
        "groups_in_all": max(storage.ledger.count(), len(standings)),
    }


def _tabs(query: SourcesQuery, counts: SourceCounts) -> list[Tab]:
    """One for each state that there is a source of, and the one that is open."""
    choices = [
        ("All", counts.all, SourcesQuery(), False),
        ("Live", counts.live, SourcesQuery(state=State.LIVE), False),
        ("Overdue", counts.overdue, SourcesQuery(state=State.OVERDUE), True),
        ("Failing", counts.failing, SourcesQuery(state=State.FAILING), True),
        ("Window lost", counts.window_lost, SourcesQuery(window_lost=True), True),
        ("Waiting", counts.waiting, SourcesQuery(state=State.WAITING), False),
        ("Retired", counts.retired, SourcesQuery(state=State.RETIRED), False),
    ]
    tabs = [
        Tab(
            label=label,
            number=number,
            href=_address(choice),
            current=(choice.state, choice.window_lost) == (query.state, query.window_lost),
            bad=bad,
        )
        for label, number, choice, bad in choices
    ]
    return [tab for tab in tabs if tab.number or tab.current]


def _address(query: SourcesQuery, *, after: str | None = None) -> str:
    pairs = [*query.pairs(), *([("after", after)] if after is not None else [])]
    return "/sources?" + encoded(pairs) if pairs else "/sources"
