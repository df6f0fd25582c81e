"""Draws lines as an SVG picture. Knows neither HTTP nor MongoDB, and not where its lines come from.

Lines of other sizes (prices, and how many were sold) stand in panels of their own, one above the other. The library is
loaded with the first picture, since most processes never draw one. It is not made for threads: a process draws one
picture at a time, and whoever would be behind several others is told so.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from math import isfinite
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, NamedTuple

from feedmirror.errors import FeedmirrorError

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]

# As many as there are colours that the eye tells apart.
MOST_LINES = 8
# As many as one takes in at first sight.
_FIRST_LINES = 4
# One is drawn, the others wait, for a fifth of a second each.
_MOST_AT_ONCE = 4

_MOST_PANELS = 3
# A line a twentieth as high as another is flat beside it.
_OTHER_SIZE = 20
# Beyond this the distance of two numbers is none.
_LARGEST = 1e300
# What has few points shows each.
_DOTTED = 24
_DAY_S = 86_400
# The first and the last day that a date can have, as days since the epoch.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_LONGEST_NAME = 28
# The library measures with the font that it brings along; the reader's own, as on the page, is no wider.
_MEASURED = "font-family: 'DejaVu Sans', sans-serif"
_SHOWN = "font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Colours:
    """Of one ground; those of the lines in the order in which they are taken."""

    text: str
    grid: str
    lines: tuple[str, ...]


# keep in step with static/feedmirror.css and static/series.css
LIGHT = Colours(
    "#566468", "#dfe3e0", ("#0b6b74", "#c2410c", "#4f46e5", "#a16207", "#be185d", "#15803d", "#64748b", "#7e22ce")
)
DARK = Colours(
    "#93a4a7", "#243034", ("#6fcac6", "#fb923c", "#a5b4fc", "#facc15", "#f472b6", "#4ade80", "#cbd5e1", "#c084fc")
)


class Size(NamedTuple):
    """Of a picture, in CSS pixels; letters have the same size in either."""

    width: int
    height: int


WIDE, NARROW = Size(1120, 460), Size(400, 380)


@dataclass(frozen=True, slots=True)
class Line:
    """What is drawn in one colour, by its number."""

    name: str
    points: Points
    colour: int


class Busy(FeedmirrorError):
    """Others are having pictures drawn; try again in a moment."""


def draw(lines: Sequence[Line], *, is_time: bool, size: Size = WIDE, colours: Colours = LIGHT, title: str = "") -> str:
    """The lines as an SVG document without any script. Raises Busy.

    Places are seconds since the epoch if `is_time`, else numbers of rows, from 0. Points beyond 1e300 are left out.
    """
    if len(lines) > MOST_LINES:
        raise ValueError(f"at most {MOST_LINES} lines, not {len(lines)}")
    if not _waiting.acquire(blocking=False):
        raise Busy("Other charts are being drawn; try again in a moment.")
    try:
        # such as of a sign that its own font lacks: the reader's has it
        with _drawing, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _drawn([_usable(line) for line in lines], is_time, size, colours, title)
    finally:
        _waiting.release()


_waiting = BoundedSemaphore(_MOST_AT_ONCE)
_drawing = Lock()


def colours_of(names: Sequence[str], all_names: Sequence[str]) -> dict[str, int]:
    """A colour's number for each name, no two the same: as far as may be the one of its place among all."""
    places = {name: place % MOST_LINES for place, name in enumerate(all_names)}
    taken: dict[str, int] = {}
    for name in names:
        free = [number for number in range(MOST_LINES) if number not in taken.values()]
        taken[name] = places[name] if places[name] in free else free[0]
    return taken


def alike(lines: Mapping[str, Points]) -> list[str]:
    """The first line's name, and those of the next that are about as high: what to draw where nobody has chosen."""
    sizes = {name: _size(points) for name, points in lines.items()}
    first = next(iter(sizes.values()), 0.0)
    near = (name for name, size in sizes.items() if max(first, size) <= min(first, size) * _OTHER_SIZE)
    return list(islice(near, _FIRST_LINES))


def _usable(line: Line) -> Line:
    points = [(x, y) for x, y in line.points if isfinite(x) and isfinite(y) and abs(y) < _LARGEST]
    # what XML cannot hold, or nobody can see
    name = "".join(sign if sign.isprintable() else " " for sign in line.name).strip() or "(no name)"
    return Line(name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…", points, line.colour)


def _size(points: Points) -> float:
    return max((abs(y) for _, y in points), default=0.0)


def _panels(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines by their size, each panel in their order, and that with the first line first."""
    panels: list[list[Line]] = []
    for line in sorted(lines, key=lambda one: -_size(one.points)):
        is_other = not panels or _size(line.points) * _OTHER_SIZE < _size(panels[-1][0].points)
        if is_other and len(panels) < _MOST_PANELS:
            panels.append([line])
        else:
            panels[-1].append(line)
    ordered = [sorted(panel, key=lines.index) for panel in panels]
    return sorted(ordered, key=lambda panel: lines.index(panel[0]))


# -- with the library


@cache
def _library() -> "ModuleType":
    """Loaded and set up: nobody else in the process uses it."""
    import matplotlib as mpl

    mpl.rcParams.update(
        {
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": "feedmirror",  # the same lines are the same bytes
            "text.parse_math": False,  # a name with two dollars is no formula
            "axes.unicode_minus": True,
            "path.simplify": True,
        }
    )
    return mpl


def _drawn(lines: Sequence[Line], is_time: bool, size: Size, colours: Colours, title: str) -> str:
    _library()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = _panels(lines)
    room = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, hspace=0.02)
    # 72 to the inch: a point is a pixel
    figure = Figure(figsize=(size.width / 72, size.height / 72), dpi=72, layout=room)
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for panel, on in zip(panels, axes, strict=True):
        for line in panel:
            _add(line, on, colours, is_time=is_time)
        _dress(on, panel, size, colours)
    axes[-1].set_xlim(_limits([x for line in lines for x, _ in line.points], is_time=is_time))
    _dress_places(axes[-1], size, is_time=is_time)
    written = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None, "Title": _usable(Line(title, (), 0)).name}
    figure.savefig(written, format="svg", transparent=True, metadata=metadata)
    return written.getvalue().replace(_MEASURED, _SHOWN)


def _place(x: float, *, is_time: bool) -> float:
    """Where the library has it: in days, or as the number of a row as people count."""
    return x / _DAY_S if is_time else x + 1


def _limits(places: Sequence[float], *, is_time: bool) -> tuple[float, float]:
    """From where to where, with some room at both ends, but for ends of the calendar."""
    low, high = (_place(end(places, default=0), is_time=is_time) for end in (min, max))
    room = (high - low) * 0.005 or 0.5
    if not is_time:
        return low - room, high + room
    return max(low - room, _FIRST_DAY + 0.1), min(high + room, _LAST_DAY - 0.1)


def _add(line: Line, axes: "Axes", colours: Colours, *, is_time: bool) -> None:
    places = [_place(x, is_time=is_time) for x, _ in line.points]
    axes.plot(
        places,
        [y for _, y in line.points],
        color=colours.lines[line.colour],
        linewidth=1.5,
        marker="o" if len(places) <= _DOTTED else None,
        markersize=4,
        solid_joinstyle="round",
    )


def _dress(axes: "Axes", panel: Sequence[Line], size: Size, colours: Colours) -> None:
    """Numbers and a grid to read them by, and names above."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.margins(y=0.06)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(colours.grid)
    axes.grid(color=colours.grid, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours.text, labelsize=13, length=0, pad=6)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
    longest = max(len(line.name) for line in panel)
    # named afterwards: it leaves out what begins with an underscore
    legend = axes.legend(
        handles=axes.get_lines(),
        labels=["?"] * len(panel),
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, min(len(panel), size.width // (8 * longest + 48))),
        frameon=False,
        fontsize=13,
        labelcolor=colours.text,
        borderaxespad=0.2,
        borderpad=0.2,
        handlelength=1.2,
        handletextpad=0.5,
        columnspacing=1.4,
    )
    for text, line in zip(legend.get_texts(), panel, strict=True):
        text.set_text(line.name)


def _dress_places(axes: "Axes", size: Size, *, is_time: bool) -> None:
    """Days, months or years below; or numbers of rows."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    if not is_time:
        axes.xaxis.set_major_locator(MaxNLocator(size.width // 100, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xlabel("Row", color=axes.xaxis.get_ticklabels()[0].get_color(), fontsize=13)
        return
    axes.xaxis_date()
    locator = AutoDateLocator(minticks=3, maxticks=max(4, size.width // 100))
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set(fontsize=13)
