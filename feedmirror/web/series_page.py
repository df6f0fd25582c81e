"""What the pages of the series show: the list of them, and one with its chart, its columns and its first rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from feedmirror.models import Preview, Series, SeriesPlace, SeriesStatus
from feedmirror.table import Column, extended, loaded
from feedmirror.web import chart, places, series_chart
from feedmirror.web.cells import Cell, cells_in, reading
from feedmirror.web.query import Parameters, encoded, series_query
from feedmirror.web.series_chart import ChartQuery, columns_asked, drawn

if TYPE_CHECKING:
    from feedmirror.storage import Storage

SERIES_ON_A_PAGE = 50

# Where the chart looks otherwise than on a wide and light screen; the first that fits is taken.
_NARROW, _DARK = "(max-width: 40rem)", "(prefers-color-scheme: dark)"
_PLACES = (f"{_NARROW} and {_DARK}", _NARROW, _DARK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A column that can be drawn; `href` is the page with it, or without it if it is drawn now, in this colour."""

    name: str
    href: str
    colour: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a line says without its picture: numbers, and the place of each in words."""

    name: str
    colour: int
    numbers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The chart as it looks in one place. `media`: where that is, as CSS has it."""

    address: str
    size: chart.Size
    media: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart(Picture):
    """The chart, the same for other places, and what it shows in words."""

    others: tuple[Picture, ...]
    words: str


def listing(given: Parameters, storage: "Storage") -> dict[str, object]:
    """What the list needs. Raises BadParameter."""
    after = series_query(given).after
    found = storage.series.latest(limit=SERIES_ON_A_PAGE + 1, after=after)
    shown = found[:SERIES_ON_A_PAGE]
    last = SeriesPlace(shown[-1].requested_at, shown[-1].id) if shown else None
    return {
        "series": shown,
        "pending": any(one.status is SeriesStatus.PENDING for one in shown),
        "first": "/series" if after is not None else None,
        "further": "/series?" + encoded([("after", places.series_text(last))]) if last and found != shown else None,
    }


def context(series_id: str, given: Parameters, storage: "Storage", now: datetime) -> dict[str, object] | None:
    """What the page of one needs; None if there is none of this id. Raises BadParameter."""
    asked = columns_asked(given)
    series = storage.series.get(series_id)
    if series is None:
        return None
    preview = (storage.series.preview(series_id) if series.has_data else None) or Preview()
    job = storage.jobs.get(series.job_id) if series.job_id and series.status is SeriesStatus.PENDING else None
    names = drawn(asked, preview)
    columns, rows = _table(series, preview, now)
    return {
        "series": series,
        "path": f"/series/{series_id}",
        "job": job,
        "is_chosen": bool(asked),
        "choices": _choices(series_id, names, preview),
        "left_out": [name for name in asked if name in preview.lines and name not in names],
        "most_lines": chart.MOST_LINES,
        "further": preview.further,
        "picture": _chart(series, names, preview) if names else None,
        "figures": _figures(names, preview),
        "heads": [(column.title, column.type is not None and column.type.is_numeric) for column in columns],
        "rows": rows,
    }


def _choices(series_id: str, names: Sequence[str], preview: Preview) -> list[Choice]:
    colours = chart.colours_of(names, list(preview.lines))

    def with_or_without(name: str) -> str:
        wanted = [one for one in names if one != name] if name in colours else [*names, name]
        query = encoded([("column", one) for one in wanted])
        return f"/series/{series_id}?{query}" if query else f"/series/{series_id}"

    return [Choice(name=name, href=with_or_without(name), colour=colours.get(name)) for name in preview.lines]


def _chart(series: Series, names: Sequence[str], preview: Preview) -> Chart:
    query = ChartQuery(columns=tuple(names), version=series_chart.version(series))
    looks = ((media, replace(query, narrow="width" in media, dark="dark" in media)) for media in _PLACES)
    others = (Picture(address=one.address(series.id), size=one.size, media=media) for media, one in looks)
    places = [x for name in names for x, _ in (preview.lines[name][0], preview.lines[name][-1])]
    began, ended = (_place(one, preview) for one in (min(places), max(places)))
    ranges = (f"{name} from {_low(preview, name)} to {_high(preview, name)}" for name in names)
    words = f"Lines over {began} to {ended}: {', '.join(ranges)}."
    return Chart(address=query.address(series.id), size=query.size, others=tuple(others), words=words)


def _low(preview: Preview, name: str) -> str:
    return reading(min(y for _, y in preview.lines[name]))


def _high(preview: Preview, name: str) -> str:
    return reading(max(y for _, y in preview.lines[name]))


def _figures(names: Sequence[str], preview: Preview) -> list[Figures]:
    colours = chart.colours_of(names, list(preview.lines))

    def figures(name: str) -> Figures:
        points = preview.lines[name]
        told = (points[-1], points[0], min(points, key=_height), max(points, key=_height))
        numbers = tuple((reading(y), _place(x, preview)) for x, y in told)
        return Figures(name=name, colour=colours[name], numbers=numbers)

    return [figures(name) for name in names]


def _height(point: tuple[float, float]) -> float:
    return point[1]


def _place(x: float, preview: Preview) -> str:
    """Where a point is: a day, or a moment, or the number of a row."""
    if not preview.is_time:
        return f"row {x + 1:,.0f}"
    moment = datetime.fromtimestamp(x, UTC)
    return moment.date().isoformat() if moment.time() == datetime.min.time() else f"{moment:%Y-%m-%d %H:%M}"


def _table(series: Series, preview: Preview, now: datetime) -> tuple[Sequence[Column], list[list[Cell]]]:
    """The first rows as cells, with the types that they tell of their columns."""
    rows = [loaded(text) for text in preview.rows]
    wide = max((len(row) for row in rows), default=0)
    titles = [*series.columns, *("" for _ in range(wide - len(series.columns)))]
    # two columns of one name are two
    keys = [name if name and titles.count(name) == 1 else f"{name} {number}" for number, name in enumerate(titles, 1)]
    values = [dict(zip(keys, row, strict=False)) for row in rows]
    known = [Column((key,), title or "(no name)") for key, title in zip(keys, titles, strict=True)]
    columns = extended(known, values, new=False)
    return columns, [cells_in(value, columns, now) for value in values]
