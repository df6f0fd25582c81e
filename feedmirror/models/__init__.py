"""What Feedmirror speaks of: sources, their pages of entries, the items kept, and how a poll went.

Plain values, never changed once made. They know neither HTTP nor XML nor MongoDB: `fetch` and `parse` make them,
`storage` turns them into documents and back, `web` shows them. `*_at` is an aware UTC datetime, `*_s` seconds, `*_us`
whole microseconds since the epoch.
"""

from feedmirror.models.listing import Place, Polling, SourceCounts, SourceFilter, SourcePage
from feedmirror.models.mirror import (
    Cut,
    Document,
    Entry,
    Finished,
    Hints,
    Item,
    Looks,
    Outcome,
    Page,
    Postponed,
    Remembered,
    Selection,
    Sighting,
    Slot,
    Source,
    State,
    Update,
    Validators,
    WatchedSource,
)
from feedmirror.models.on_demand import (
    LOOK,
    SERIES,
    Job,
    JobState,
    Preview,
    Series,
    SeriesPlace,
    SeriesStatus,
)

__all__ = [
    "LOOK",
    "SERIES",
    "Cut",
    "Document",
    "Entry",
    "Finished",
    "Hints",
    "Item",
    "Job",
    "JobState",
    "Looks",
    "Outcome",
    "Page",
    "Place",
    "Polling",
    "Postponed",
    "Preview",
    "Remembered",
    "Selection",
    "Series",
    "SeriesPlace",
    "SeriesStatus",
    "Sighting",
    "Slot",
    "Source",
    "SourceCounts",
    "SourceFilter",
    "SourcePage",
    "State",
    "Update",
    "Validators",
    "WatchedSource",
]
