"""The chart of a series: which columns it draws, where it is found, and GET /series/<id>/chart.svg.

It stands at an address of its own, since a picture within the page would need styles that the page's policy refuses.
The address says which data it draws, so a browser may keep it for as long as it likes.
"""

import gzip
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING

from feedmirror import __version__
from feedmirror.models import Preview, Series
from feedmirror.web import chart, unavailable
from feedmirror.web.answer import Answer
from feedmirror.web.headers import PICTURE_POLICY
from feedmirror.web.query import BadParameter, Parameters, encoded, several, single, switch
from feedmirror.web.streamed import accepts_gzip, unless_known

if TYPE_CHECKING:
    from feedmirror.storage import Storage

    OpenStorage = Callable[[], Storage]
    Problem = Callable[[int, str], Answer]

MOST_ASKED = 50
_A_YEAR_S = 365 * 24 * 3600
# Of forty kilobytes each.
_MOST_REMEMBERED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartQuery:
    """Which picture is asked for: which columns (() is ours to say), how it looks, and which `version` of the data."""

    columns: tuple[str, ...] = ()
    dark: bool = False
    narrow: bool = False
    version: str = ""

    def address(self, series_id: str) -> str:
        pairs = [("v", self.version), *(("column", name) for name in self.columns)]
        pairs += [(name, "1") for name, wanted in (("dark", self.dark), ("narrow", self.narrow)) if wanted]
        return f"/series/{series_id}/chart.svg?{encoded(pairs)}"

    @property
    def size(self) -> chart.Size:
        return chart.NARROW if self.narrow else chart.WIDE


def columns_asked(given: Parameters) -> tuple[str, ...]:
    """The columns to draw, as a reader chose them. Raises BadParameter."""
    return several(given, "column", most=MOST_ASKED)


def drawn(asked: Sequence[str], preview: Preview) -> list[str]:
    """The columns that are drawn: those asked for that there are, or else the first and what is about as high."""
    there = [name for name in asked if name in preview.lines]
    return there[: chart.MOST_LINES] or chart.alike(preview.lines)


def version(series: Series) -> str:
    """What stands for the data that a series has."""
    return f"{series.refreshed_at.timestamp():.3f}" if series.refreshed_at else ""


class SeriesCharts:
    """Answers with charts, of which it remembers the last ones. `problem` says what went wrong."""

    def __init__(self, open_storage: "OpenStorage", problem: "Problem"):
        self._open_storage = open_storage
        self._problem = problem
        self._remembered: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def answer(self, series_id: str, given: Parameters, headers: Mapping[str, str]) -> Answer:
        """GET /series/<id>/chart.svg."""
        try:
            return self._answer(series_id, _query(given), headers)
        except BadParameter as error:
            return self._problem(400, str(error))
        except chart.Busy as error:
            return self._problem(503, str(error))
        except unavailable.FAILURES as error:
            return self._problem(503, unavailable.reason(error))

    def _answer(self, series_id: str, query: ChartQuery, headers: Mapping[str, str]) -> Answer:
        storage = self._open_storage()
        series = storage.series.get(series_id)
        if series is None or not series.has_data:
            return self._problem(404, "There is nothing to draw.")
        packed = accepts_gzip(headers.get("accept-encoding", ""))
        mark = _mark(series, query)
        kept_for = f"public, max-age={_A_YEAR_S}, immutable" if query.version == version(series) else "no-cache"
        described = {
            "Content-Type": "image/svg+xml",
            "Content-Security-Policy": PICTURE_POLICY,
            "Cache-Control": kept_for,
            "Vary": "Accept-Encoding",
            "ETag": f'"{mark}{"-gzip" if packed else ""}"',
        }
        known = headers.get("if-none-match", "")
        if described["ETag"] in known:  # it was drawn before, and need not be again
            return unless_known(Answer(200, described), known)
        picture = self._picture(mark, series, query, storage)
        if picture is None:
            return self._problem(404, "There is nothing to draw.")
        if packed:
            return unless_known(Answer(200, {**described, "Content-Encoding": "gzip"}, picture), known)
        return unless_known(Answer(200, described, gzip.decompress(picture)), known)

    def _picture(self, mark: str, series: Series, query: ChartQuery, storage: "Storage") -> bytes | None:
        """The picture, gzipped; None if there are no numbers."""
        with self._lock:
            if mark in self._remembered:
                self._remembered.move_to_end(mark)
                return self._remembered[mark]
        preview = storage.series.preview(series.id)
        if preview is None or not preview.lines:
            return None
        picture = gzip.compress(_draw(series, query, preview).encode(), compresslevel=6, mtime=0)
        with self._lock:
            self._remembered[mark] = picture
            while len(self._remembered) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return picture


def _query(given: Parameters) -> ChartQuery:
    return ChartQuery(
        columns=columns_asked(given),
        dark=switch(given, "dark"),
        narrow=switch(given, "narrow"),
        version=single(given, "v") or "",
    )


def _mark(series: Series, query: ChartQuery) -> str:
    """The same for the same picture."""
    said = repr((__version__, series.id, version(series), query.columns, query.dark, query.narrow))
    return blake2b(said.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def _draw(series: Series, query: ChartQuery, preview: Preview) -> str:
    names = drawn(query.columns, preview)
    colours = chart.colours_of(names, list(preview.lines))
    return chart.draw(
        [chart.Line(name, preview.lines[name], colours[name]) for name in names],
        is_time=preview.is_time,
        size=query.size,
        colours=chart.DARK if query.dark else chart.LIGHT,
        title=f"{series.database_code}/{series.dataset_code}: {', '.join(names)}",
    )
