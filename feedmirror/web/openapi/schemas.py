"""What is in answers, by name."""

from feedmirror.models import JobState, SeriesStatus, State
from feedmirror.web.health import CHECKS
from feedmirror.web.openapi.parts import (
    COUNT,
    MOMENT,
    NUMBER,
    STAMP,
    TEXT,
    TEXTS,
    Json,
    list_of,
    object_of,
    or_null,
    ref_to,
)
from feedmirror.web.polling import PollingState

SCHEMAS: Json = {
    "Error": object_of({"error": TEXT, "parameter": TEXT, "field": TEXT}, optional=("parameter", "field")),
    "Item": object_of(
        {
            **{"_id": TEXT, "author": TEXT, "link": or_null(TEXT), "title": TEXT, "fetched": STAMP},
            **{"summary": {**TEXT, "description": "Sanitised HTML."}, "tags": TEXTS},
            **{"published": or_null(MOMENT), "updated": or_null(MOMENT), "changed": STAMP, "arrived_at": MOMENT},
            **{"sources": TEXTS, "score": or_null({"type": "integer"}), "comments": or_null({"type": "integer"})},
            **{"comments_link": or_null(TEXT), "thumbnail": or_null(TEXT)},
        }
    ),
    "Row": object_of(
        {"_id": TEXT, "changed": STAMP, "gone": {"type": "boolean", "const": True}},
        closed=False,
        optional=("gone",),
    )
    | {
        "description": "A row as its API gave it. What is none of the API's: `_id`, `changed`, `gone` (listed no more)."
    },
    "Limits": object_of({name: or_null(COUNT) for name in ("in_flight", "per_minute", "per_day", "per_month")}),
    "Source": object_of(
        {
            **{"id": TEXT, "name": TEXT, "kind": TEXT, "url": TEXT, "tags": TEXTS},
            **{"state": {"type": "string", "enum": [state.value for state in State]}, "items": COUNT},
            **{"overdue_since": or_null(MOMENT), "mistake": or_null(TEXT)},
            **{"every_s": or_null(NUMBER), "interval_s": or_null(NUMBER)},
            **{name: or_null(MOMENT) for name in ("last_at", "last_ok_at", "last_new_at", "next_at")},
            **{"why": TEXT, "items_per_hour": or_null(NUMBER), "items_per_day": or_null(NUMBER)},
            **{"windows_lost": COUNT, "window_lost_at": or_null(MOMENT), "moved_to": or_null(TEXT)},
            **{"failures": COUNT, "failure": or_null(TEXT), "error": or_null(TEXT)},
            **{"error_since": or_null(MOMENT), "notices": TEXTS, "identity": or_null(TEXT)},
            **{"keep_s": or_null(NUMBER), "keep_items": or_null(COUNT), "group": TEXT},
            "limits": {"anyOf": [ref_to("Limits"), {"type": "null"}]},
        }
    ),
    "Sources": object_of(
        {
            "sources": list_of(ref_to("Source")),
            "counts": object_of(
                dict.fromkeys(
                    ("active", "overdue", "failing", "waiting", "window_lost", "retired", "live", "all"), COUNT
                )
            ),
            "mistakes": TEXTS,
        }
    ),
    "Group": object_of(
        {
            **{"name": TEXT, "state": {"type": "string", "enum": ["blocked", "full", "free"]}, "why": TEXT},
            "limits": ref_to("Limits"),
            **dict.fromkeys(("in_flight", "used_minute", "used_day", "used_month", "queued"), COUNT),
            "blocked_status": or_null({"type": "integer"}),
            **{name: or_null(MOMENT) for name in ("blocked_until", "queue_until", "active_at", "as_of")},
        }
    ),
    "Groups": object_of({"groups": list_of(ref_to("Group")), "all": COUNT}),
    "Window": object_of(
        {
            "state": {"type": "string", "enum": ["live", "starting", "lost", "none"]},
            **{"behind": or_null(NUMBER), "lost": or_null(TEXT), "items": COUNT, "bytes": COUNT},
            **{"head": TEXT, "floor": TEXT},
            "polling": object_of(
                {
                    "state": {"type": "string", "enum": [state.value for state in PollingState]},
                    **{"alarm": or_null(TEXT), "last_at": or_null(MOMENT)},
                    **{"workers": or_null(COUNT), "overdue": or_null(COUNT)},
                }
            ),
        },
        optional=("behind", "lost", "items", "bytes", "head", "floor"),
    ),
    "Readiness": object_of(
        {
            "ready": {"type": "boolean", "description": "Every check that is needed to serve holds."},
            "ok": {"type": "boolean", "description": "Every check holds."},
            "checks": object_of(dict.fromkeys(CHECKS, ref_to("Check"))),
        }
    ),
    "Check": object_of(
        {
            "ok": {"type": "boolean"},
            "needed": {"type": "boolean", "description": "Without it this process cannot serve."},
            "reason": or_null(TEXT),
        }
    ),
    "Created": object_of({"status": {"type": "string", "const": "success"}, "data": object_of({"task_id": TEXT})}),
    "Status": object_of(
        {
            "status": {"type": "string", "enum": [state.value for state in JobState]},
            "result": {
                "type": ["object", "string", "null"],
                "description": "What is done of what; at the end what came in, and on failure why.",
            },
        }
    ),
    "Asked": object_of(
        {
            "id": TEXT,
            "status": {"type": "string", "enum": [status.value for status in SeriesStatus]},
            "error": {**TEXT, "description": "Why there is no data, as its API says."},
        },
        optional=("error",),
    ),
    "Series": object_of(
        {
            **{"id": TEXT, "database_code": TEXT, "dataset_code": TEXT},
            "status": {"type": "string", "enum": [status.value for status in SeriesStatus]},
            **{"error": or_null(TEXT), "rows": or_null(COUNT), "bytes": or_null(COUNT)},
            **{"requested_at": MOMENT, "refreshed_at": or_null(MOMENT)},
        }
    ),
}
