"""Which of the known sources those of the sources file are: an id is fixed when a source is first seen.

    by `formerly`  ->  by name  ->  by address, of those that are polled  ->  by address, of those that rest
    ->  the others are new, and get an id that no other source has or had

A name goes before an address: when two sources swap names, each name keeps its id. What cannot be used of the file is
looked for as well, because the last good version of such a source goes on. Pure: the file and the known sources go in,
what is to be stored comes out.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from feedmirror.models import Source, WatchedSource
from feedmirror.sources_file import Broken, SourcesFile, source_id

# In one line that has to be read.
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Recognised:
    """What the file means for the sources that are known.

    `sources` have their lasting ids. `kept`: by id, sources whose last good version goes on, and the mistake that is
    the reason.
    """

    sources: tuple[Source, ...]
    kept: Mapping[str, str]
    mistakes: tuple[str, ...]


def recognised(file: SourcesFile, known: Sequence[WatchedSource]) -> Recognised:
    """Find the sources of a file among the known ones, of which the first that fits is taken."""
    search = _Search(file, known)
    search.find(lambda source: search.named(search.former_name(source)))
    search.find(lambda source: search.named(source.name))
    search.keep(lambda broken: broken.names, search.named)
    search.find(lambda source: search.at(source, active=True))
    search.keep(search.other_urls, search.at_url)
    search.find(lambda source: search.at(source, active=False))
    return search.result()


class _Search:
    """The known sources, each found once at most."""

    def __init__(self, file: SourcesFile, known: Sequence[WatchedSource]):
        self._file = file
        self._known = known
        self._free = {watched.source.id: watched for watched in known}
        self._names: dict[str, list[WatchedSource]] = defaultdict(list)
        self._urls: dict[str, list[WatchedSource]] = defaultdict(list)
        for watched in known:
            self._names[source_id(watched.source.name)].append(watched)
            self._urls[watched.source.url].append(watched)
        # an old name that has a new owner means that one
        self._in_file = {source_id(source.name) for source in file.sources}
        self._ids: dict[str, str] = {}
        self._kept: dict[str, list[WatchedSource]] = defaultdict(list)

    def find(self, candidates: Callable[[Source], Iterable[WatchedSource]]) -> None:
        """Give the sources of the file that have none yet the id of their first candidate."""
        for source in self._file.sources:
            if source.id not in self._ids and (found := next(iter(candidates(source)), None)):
                self._ids[source.id] = found.source.id
                del self._free[found.source.id]

    def keep(
        self, texts: Callable[[Broken], Iterable[str]], candidates: Callable[[str], Iterable[WatchedSource]]
    ) -> None:
        """Keep all the sources that broken parts of the file may stand for, by these texts in them."""
        for broken in self._file.broken:
            for watched in [one for text in texts(broken) for one in candidates(text)]:
                self._kept[str(broken)].append(watched)
                self._free.pop(watched.source.id, None)

    # -- candidates

    def named(self, name: str) -> Iterator[WatchedSource]:
        return (watched for watched in self._names.get(source_id(name), ()) if watched.source.id in self._free)

    def former_name(self, source: Source) -> str:
        name = self._file.former.get(source.id, "")
        return "" if source_id(name) in self._in_file else name

    def at(self, source: Source, *, active: bool) -> Iterator[WatchedSource]:
        """Those of its address and kind; one that was stored by hand has its address for a name, and is another."""
        for watched in self.at_url(source.url):
            is_by_hand = watched.source.name == watched.source.url
            if watched.source.kind == source.kind and watched.active == active and not is_by_hand:
                yield watched

    def at_url(self, url: str) -> Iterator[WatchedSource]:
        return (watched for watched in self._urls.get(url, ()) if watched.source.id in self._free)

    def other_urls(self, broken: Broken) -> set[str]:
        """The addresses in a broken part but those of the sources that were found by name."""
        return {*broken.urls} - {watched.source.url for watched in self._kept.get(str(broken), ())}

    # -- what comes out

    def result(self) -> Recognised:
        kept = {one.source.id: mistake for mistake, found in self._kept.items() for one in found if one.active}
        held = [watched for watched in self._free.values() if watched.active]
        reason = self._reason_to_hold(held)
        mistakes = [*self._file.mistakes, *([reason] if reason else [])]
        if reason:
            kept |= {watched.source.id: reason for watched in held}
        return Recognised(tuple(self._with_ids()), kept, tuple(mistakes))

    def _reason_to_hold(self, held: Sequence[WatchedSource]) -> str | None:
        """Why these go on, which the file does not name any more as far as it can be read; None if they need not."""
        if not held:
            return None
        unclear = next((broken for broken in self._file.broken if self._may_be_any(broken)), None)
        if unclear:
            what = "which source this is cannot be read, so no source is retired until it is mended"
            return f"{unclear.where}: {what}: {_listed(held)} go on"
        if not self._file.sources:
            return f"{self._file.name}, line 1: there is no source that can be used, so {_listed(held)} go on"
        return None

    def _may_be_any(self, broken: Broken) -> bool:
        """Whether a broken part may be a source whose name or address cannot be read. If both can, it is a new one."""
        return str(broken) not in self._kept and not (broken.names and broken.urls)

    def _with_ids(self) -> Iterator[Source]:
        taken = {watched.source.id for watched in self._known} | {source.id for source in self._file.sources}
        known = {watched.source.id for watched in self._known}
        for source in self._file.sources:
            lasting = self._ids.get(source.id) or (source.id if source.id not in known else _free_id(source.id, taken))
            taken.add(lasting)
            yield replace(source, id=lasting)


def _free_id(wanted: str, taken: set[str]) -> str:
    """An id for a source whose name has made that of another one, which is called otherwise now."""
    return next(made for number in count(2) if (made := f"{wanted}-{number}") not in taken)


def _listed(held: Sequence[WatchedSource]) -> str:
    names = ", ".join(repr(watched.source.name) for watched in held[:_MOST_NAMED])
    more = len(held) - _MOST_NAMED
    return f"{names} and {more} more" if more > 0 else names
