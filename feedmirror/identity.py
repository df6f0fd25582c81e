"""Which item an entry is: its id, and the rule by which a source's entries get theirs.

Pure: knows neither documents nor storage. An id must stay the same for as long as an entry is listed, whatever its
text does meanwhile; so each source has one rule, chosen from its data, kept with the source, and only ever made
stricter:

    link        sha224(link): the same item wherever it is listed. An entry without a link has its guid's id.
    guid        sha224(source NUL guid): guids are unique within one feed only
    guid+link   sha224(source NUL guid NUL link)
    digest      sha224(source NUL title NUL published)
    content     sha224 of all that is not a count: the last resort, under which an edited entry is a new one

A rule holds as long as it gives every different entry of a document an id of its own; the first one that does not is
left for good. Entries that are the same in everything but their counts are one.

The name of a rule also says what came before it, newest first: `guid after link`. That is what keeps old items from
coming back as new: for each entry `identify` also gives the ids that it had under the former rules, storage says
which of these it holds, and `settle` gives those entries their old ids:

    identified = identify(page.entries, source_id=source.id, rule=stored_rule)
    if identified.former_ids:
        identified = settle(identified, storage.get(identified.former_ids))
    # store identified.items under their keys, and identified.rule with the source
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha224

from feedmirror.models import Entry

_AFTER = " after "


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """The entries of one document as items.

    `items`: each once, by its id, in document order. `rule`: to be stored with the source and handed in next time.
    `former`: for an item's id, the ids that it would have had under the source's former rules, the latest first; only
    items that have any are listed.
    """

    rule: str
    items: dict[str, Entry]
    source_id: str
    former: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def former_ids(self) -> frozenset[str]:
        """All ids to look up for `settle`: the former ones of those items that have any, and their present ones."""
        return frozenset(one for present, ids in self.former.items() for one in (present, *ids))


def identify(entries: Iterable[Entry], *, source_id: str, rule: str | None = None) -> Identified:
    """Give each entry its id.

    `rule`: what `Identified.rule` was the last time, None for a source that has never been read. The result does not
    depend on the order of the entries, but for the order of `items`. An unknown rule counts as None.
    """
    distinct = _distinct(entries)
    used = _used(rule)
    chosen = next(name for name in _candidates(used, distinct) if _fits(name, distinct, source_id))
    former = tuple(name for name in used if name != chosen)
    items = {_id(chosen, entry, source_id): entry for entry in distinct}
    return Identified(
        rule=_AFTER.join((chosen, *former)),
        items=items,
        source_id=source_id,
        former=_former(items, former, source_id) if former else {},
    )


def settle(identified: Identified, stored: Mapping[str, Entry]) -> Identified:
    """Give the entries that are stored already the ids under which they are.

    `stored`: what storage holds under any of `former_ids`. An entry that is stored under its present id has nothing to
    claim. Several others may claim one stored item, which is why the rule was changed: it goes to the one that has the
    same id under the new rule, else to one of the same title and time, else, if a single entry claims it and seems to
    be an edit of it, to that. All others are new: to lose an item is worse than to show one twice.
    """
    settled = _settled(identified, stored)
    items = {settled.get(new_id, new_id): entry for new_id, entry in identified.items.items()}
    return replace(identified, items=items, former={})


def _settled(identified: Identified, stored: Mapping[str, Entry]) -> dict[str, str]:
    """The id of each item that is stored, by its new id."""
    rule = _used(identified.rule)[0]
    source_id = identified.source_id
    settled = {new_id: new_id for new_id in identified.former if new_id in stored}
    for same in (_same_under(rule, source_id), _same_under("digest", source_id), _is_edit):
        taken = frozenset(settled.values())
        free = {old_id: item for old_id, item in stored.items() if old_id not in taken}
        for old_id, new_ids in _claimants(identified, free, settled).items():
            unsettled = (new_id for new_id in new_ids if new_id not in settled)
            matching = [new_id for new_id in unsettled if same(identified.items[new_id], free[old_id])]
            if matching and (len(new_ids) == 1 or same is not _is_edit):
                settled[matching[0]] = old_id
    return settled


def _claimants(identified: Identified, free: Mapping[str, Entry], settled: Mapping[str, str]) -> dict[str, list[str]]:
    """Which items claim which stored one; sorted, so that the order in the document decides nothing."""
    claims: dict[str, list[str]] = {}
    for new_id in sorted(identified.former.keys() - settled.keys()):
        for old_id in identified.former[new_id]:
            if old_id in free:
                claims.setdefault(old_id, []).append(new_id)
    return claims


def _same_under(rule: str, source_id: str) -> Callable[[Entry, Entry], bool]:
    return lambda entry, item: _id(rule, entry, source_id) == _id(rule, item, source_id)


def _is_edit(entry: Entry, item: Entry) -> bool:
    """Whether an entry can be an edit of a stored item; of what retention has removed, nothing is left to compare."""
    if item == Entry():
        return True
    if entry.guid and item.guid and entry.guid != item.guid:
        return False
    return entry.title == item.title or (entry.published is not None and _time(entry) == _time(item))


def _former(items: Mapping[str, Entry], rules: tuple[str, ...], source_id: str) -> dict[str, tuple[str, ...]]:
    former = {}
    for new_id, entry in items.items():
        ids = dict.fromkeys(_id(rule, entry, source_id) for rule in rules)
        ids.pop(new_id, None)
        if ids:
            former[new_id] = tuple(ids)
    return former


def _used(rule: str | None) -> tuple[str, ...]:
    """The rules that a source has had, the latest first."""
    return tuple(name for name in (rule or "").split(_AFTER) if name in _RULES)


def _candidates(used: tuple[str, ...], entries: list[Entry]) -> Iterator[str]:
    """The rules that may be chosen, the loosest first: from the one in use on, for a source never goes back."""
    for name in _ORDER[_ORDER.index(used[0]) if used else 0 :]:
        # a rule for which no entry has the parts says nothing about this source, but the one in use stays
        if not entries or name in used or any(map(_RULES[name], entries)):
            yield name


def _fits(name: str, entries: list[Entry], source_id: str) -> bool:
    return name == _ORDER[-1] or len({_id(name, entry, source_id) for entry in entries}) == len(entries)


def _distinct(entries: Iterable[Entry]) -> list[Entry]:
    """The entries without repetitions; of those that differ in `updated` alone, the latest."""
    entries = list(entries)
    if len({(entry.guid, entry.link) for entry in entries}) == len(entries):  # as nearly always
        return entries
    found: dict[tuple[str, ...], Entry] = {}
    for entry in entries:
        earlier = found.setdefault(_content(entry), entry)
        if entry.updated and (not earlier.updated or entry.updated > earlier.updated):
            found[_content(entry)] = entry
    return list(found.values())


def _id(name: str, entry: Entry, source_id: str) -> str:
    """The id under a rule; where the entry lacks what the rule needs, under the first one after it that it has."""
    for rule in _ORDER[_ORDER.index(name) :]:
        if parts := _RULES[rule](entry):
            return _hash(*parts) if rule == "link" else _hash(source_id, *parts)
    raise AssertionError("the last rule fits every entry")


def _hash(*parts: str) -> str:
    return sha224("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _by_link(entry: Entry) -> tuple[str, ...]:
    return (entry.link,) if entry.link else ()


def _by_guid(entry: Entry) -> tuple[str, ...]:
    return (entry.guid,) if entry.guid else ()


def _by_guid_and_link(entry: Entry) -> tuple[str, ...]:
    return (entry.guid, entry.link) if entry.guid and entry.link else ()


def _by_digest(entry: Entry) -> tuple[str, ...]:
    return (entry.title, _time(entry)) if entry.title or entry.published else ()


def _content(entry: Entry) -> tuple[str, ...]:
    """All that an entry says of itself, without what only counts: votes and comments change with every look."""
    texts = (entry.guid or "", entry.link or "", entry.title, entry.author, entry.summary)
    return (*texts, _time(entry), *entry.tags)


def _time(entry: Entry) -> str:
    # BSON keeps no more than milliseconds, and a stored entry must have the id that it had when it came
    return entry.published.isoformat(timespec="milliseconds") if entry.published else ""


_RULES: dict[str, Callable[[Entry], tuple[str, ...]]] = {
    "link": _by_link,
    "guid": _by_guid,
    "guid+link": _by_guid_and_link,
    "digest": _by_digest,
    "content": _content,
}
_ORDER = tuple(_RULES)
